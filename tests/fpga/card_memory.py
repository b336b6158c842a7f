# SPDX-License-Identifier: Apache-2.0
"""Memory behind the pins of tests/fpga/rtl/tiara_small.sv: when it answers, in which order, how badly."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from front_bench import Pattern, never

PORTS, PORT_BYTES, BEAT_BYTES = 2, 2048, 32
BAD = 2
"""SLVERR."""


@dataclass
class Read:
    """A burst of two beats that is not answered yet."""

    id: int
    addr: int
    due: int
    responses: tuple[int, int]
    beat: int = 0


class Memory:
    """All ports; the bytes of port p begin at p * PORT_BYTES. After a reset it holds anything."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.latency = 2, 6
        self.pick: Callable[[list[Read]], Read] = self.random.choice
        self.bad = 0.0
        self.waits: Pattern = never
        self.reset()

    def reset(self) -> None:
        """Nothing is asked for."""
        self.bytes = bytearray(self.random.randbytes(PORTS * PORT_BYTES))
        self.cycle = 0
        self.reads: list[list[Read]] = [[] for _ in range(PORTS)]
        self.shown: list[Read | None] = [None] * PORTS
        self.waiting_max = 0
        self.overtaken = 0
        self._command_read: Read | None = None
        self._write: tuple[int, int] | None = None
        self._beats: deque[tuple[int, int]] = deque()
        self._answer: int | None = None
        self._answer_bad = False

    def _read(self, name: int, addr: int) -> Read:
        return Read(name, addr, self._due(), (self._response(), self._response()))

    def _due(self) -> int:
        return self.cycle + self.random.randint(*self.latency)

    def _response(self) -> int:
        return BAD * (self.random.random() < self.bad)

    def _beat(self, addr: int) -> int:
        return int.from_bytes(self.bytes[addr : addr + BEAT_BYTES], "little")

    # ---- before the edge

    def offer(self, dut: Any) -> None:
        """What stands at the card's inputs in this cycle."""
        self.cycle += 1
        dut.m_axi_arready.value = sum((not self.waits()) << p for p in range(PORTS))
        ids = data = response = last = 0
        for p in range(PORTS):
            self._show(p)
            read = self.shown[p]
            if read:
                ids |= read.id << 2 * p
                data |= self._beat(p * PORT_BYTES + read.addr + BEAT_BYTES * read.beat) << 256 * p
                response |= read.responses[read.beat] << 2 * p
                last |= read.beat << p
        dut.m_axi_rvalid.value = sum(bool(read) << p for p, read in enumerate(self.shown))
        dut.m_axi_rid.value, dut.m_axi_rdata.value = ids, data
        dut.m_axi_rresp.value, dut.m_axi_rlast.value = response, last
        self._offer_command(dut)

    def _show(self, p: int) -> None:
        ready = [read for read in self.reads[p] if read.due <= self.cycle]
        self.shown[p] = self.pick(ready) if ready and not self.waits() else None

    def _offer_command(self, dut: Any) -> None:
        dut.m_axi_cmd_awready.value = int(self._write is None and self._answer is None and not self.waits())
        dut.m_axi_cmd_wready.value = int(not self.waits())
        dut.m_axi_cmd_arready.value = int(self._command_read is None and not self.waits())
        answers = self._answer is not None and self._answer <= self.cycle
        dut.m_axi_cmd_bvalid.value = int(answers)
        dut.m_axi_cmd_bresp.value = BAD * self._answer_bad
        read = self._command_read
        reads = read is not None and read.due <= self.cycle
        dut.m_axi_cmd_rvalid.value = int(reads)
        if read and reads:
            dut.m_axi_cmd_rdata.value = self._beat(read.addr)
            dut.m_axi_cmd_rresp.value = read.responses[0]

    # ---- what was taken

    def look(self, dut: Any) -> None:
        """The handshakes of this cycle. A read's beat that is shown is taken: the card has room for it."""
        assert int(dut.m_axi_rready.value) == (1 << PORTS) - 1
        taken = int(dut.m_axi_arvalid.value) & int(dut.m_axi_arready.value)
        for p in range(PORTS):
            self._look_port(dut, p, bool(taken >> p & 1))
        self._look_command(dut)

    def _look_port(self, dut: Any, p: int, taken: bool) -> None:
        read, reads = self.shown[p], self.reads[p]
        if read:
            self.overtaken += read is not reads[0]
            read.beat += 1
            if read.beat == 2:
                reads.remove(read)
        if taken:
            name = int(dut.m_axi_arid.value) >> 2 * p & 3
            assert name not in [one.id for one in reads], "an ID is in use"
            reads.append(self._read(name, int(dut.m_axi_araddr.value) >> 11 * p & 0x7FF))
            self.waiting_max = max(self.waiting_max, len(reads))

    def _look_command(self, dut: Any) -> None:
        if int(dut.m_axi_cmd_bvalid.value) and int(dut.m_axi_cmd_bready.value):
            self._answer = None
        if int(dut.m_axi_cmd_rvalid.value) and int(dut.m_axi_cmd_rready.value):
            self._command_read = None
        if int(dut.m_axi_cmd_awvalid.value) and int(dut.m_axi_cmd_awready.value):
            self._write = int(dut.m_axi_cmd_awaddr.value), int(dut.m_axi_cmd_awlen.value) + 1
        if int(dut.m_axi_cmd_wvalid.value) and int(dut.m_axi_cmd_wready.value):
            self._beats.append((int(dut.m_axi_cmd_wdata.value), int(dut.m_axi_cmd_wstrb.value)))
        if int(dut.m_axi_cmd_arvalid.value) and int(dut.m_axi_cmd_arready.value):
            self._command_read = self._read(0, int(dut.m_axi_cmd_araddr.value))
        if self._write and len(self._beats) == self._write[1]:
            self._carry_out(self._write[0])

    def _carry_out(self, addr: int) -> None:
        self._answer_bad = bool(self._response())
        while self._beats:
            data, strobes = self._beats.popleft()
            for i, byte in enumerate(data.to_bytes(BEAT_BYTES, "little")):
                if strobes >> i & 1 and not self._answer_bad:
                    self.bytes[addr + i] = byte
            addr += BEAT_BYTES
        self._write, self._answer = None, self._due()
