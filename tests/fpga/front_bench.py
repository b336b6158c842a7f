# SPDX-License-Identifier: Apache-2.0
"""Moves frames through tests/fpga/rtl/tiara_front.sv under cocotb: one loop that drives all inputs at the
falling edge and looks at all handshakes before the rising one."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from front_model import (
    MAX_BEATS,
    SECRET,
    SERVICE_LINES,
    Out,
    Reason,
    Up,
    World,
    backend_bits,
    handle,
    identity_bits,
    place_services,
    service_bits,
)
from rtl_bits import unpack

BEAT = 64

Pattern = Callable[[], bool]
"""Whether a stream pauses in this cycle."""


def never() -> bool:
    """Full speed."""
    return False


def often(seed: int, share: float) -> Pattern:
    """Pauses in runs, so that neighbours are met at rest as well as busy."""
    draw = random.Random(seed)
    state = {"paused": False}

    def pattern() -> bool:
        if draw.random() < (share if not state["paused"] else 1 - share) * 0.6:
            state["paused"] = not state["paused"]
        return state["paused"]

    return pattern


@dataclass
class Got:
    """What came out; each list is in the order of its stream."""

    tx: list[bytes] = field(default_factory=list)
    up: list[Up] = field(default_factory=list)
    forwarded: list[tuple[int, int, int, int]] = field(default_factory=list)
    """Line, service, slot, bytes."""
    requests: list[dict[str, int]] = field(default_factory=list)
    dropped: int = 0


@dataclass
class Frame:
    """What is sent; a bad one is marked at its end."""

    data: bytes
    bad: bool = False


class Bench:
    """One device under test."""

    def __init__(self, dut: Any, world: World) -> None:
        self.dut, self.world = dut, world
        self.idle: Pattern = never
        self.tx_pause: Pattern = never
        self.cpu_pause: Pattern = never
        self.lookup_pause: Pattern = never
        self.got = Got()
        self.cycles = 0
        self.sent_cycles: list[int] = []
        self._beats: deque[tuple[int, int, bool, bool]] = deque()
        self._offered = False
        self._tx, self._cpu = bytearray(), bytearray()

    async def start(self) -> None:
        """Clock, reset, tables."""
        Clock(self.dut.clk_i, 2, "step").start()
        await self.reset()
        await self.write_tables()

    async def reset(self) -> None:
        """Two cycles of it; what was inside is gone, and the source begins a frame anew."""
        dut = self.dut
        self._beats.clear()
        self._offered = False
        self._tx, self._cpu = bytearray(), bytearray()
        await FallingEdge(dut.clk_i)
        for name in ("service_write_i", "backend_write_i", "s_axis_rx_tvalid", "m_axis_tx_tready",
                     "m_axis_cpu_tready", "lookup_stall_i", "hash_key_i", "hash_secret_i"):  # fmt: skip
            getattr(dut, name).value = 0
        dut.identity_i.value = identity_bits(self.world)
        dut.secret_i.value = SECRET
        dut.rst_ni.value = 0
        await FallingEdge(dut.clk_i)
        await FallingEdge(dut.clk_i)
        dut.rst_ni.value = 1
        self.got = Got()
        while not int(dut.tables_ready_o.value):
            await FallingEdge(dut.clk_i)

    async def write_tables(self) -> None:
        """What the CPU would write."""
        dut = self.dut
        for line, frontend in place_services(self.world.services, SERVICE_LINES).items():
            dut.service_line_i.value = line
            dut.service_i.value = service_bits(frontend, self.world.services[frontend])
            dut.service_write_i.value = 1
            await FallingEdge(dut.clk_i)
        dut.service_write_i.value = 0
        for line, backend in self.world.backends.items():
            dut.backend_line_i.value = line
            dut.backend_i.value = backend_bits(self.world, backend)
            dut.backend_write_i.value = 1
            await FallingEdge(dut.clk_i)
        dut.backend_write_i.value = 0

    def send(self, frame: Frame) -> None:
        """Queues its beats."""
        chunks = [frame.data[i : i + BEAT] for i in range(0, len(frame.data), BEAT)]
        for n, chunk in enumerate(chunks, 1):
            last = n == len(chunks)
            self._beats.append(
                (int.from_bytes(chunk, "little"), (1 << len(chunk)) - 1, last, last and frame.bad)
            )

    async def cycle(self) -> None:
        """One clock."""
        dut = self.dut
        await FallingEdge(dut.clk_i)
        if not self._offered and self._beats and not self.idle():
            self._offered = True
            data, keep, last, bad = self._beats[0]
            dut.s_axis_rx_tdata.value = data
            dut.s_axis_rx_tkeep.value = keep
            dut.s_axis_rx_tlast.value = int(last)
            dut.s_axis_rx_tuser.value = int(bad)
        dut.s_axis_rx_tvalid.value = int(self._offered)
        dut.m_axis_tx_tready.value = int(not self.tx_pause())
        dut.m_axis_cpu_tready.value = int(not self.cpu_pause())
        dut.lookup_stall_i.value = int(self.lookup_pause())
        await ReadOnly()
        self._look()
        self.cycles += 1

    def _look(self) -> None:
        dut = self.dut
        if self._offered and int(dut.s_axis_rx_tready.value):
            self._offered = False
            self._beats.popleft()
        if int(dut.m_axis_tx_tvalid.value) and int(dut.m_axis_tx_tready.value):
            if self._beat("tx", self._tx):
                self.got.tx.append(bytes(self._tx))
                self._tx.clear()
            self.sent_cycles.append(self.cycles)
        if (
            int(dut.m_axis_cpu_tvalid.value)
            and int(dut.m_axis_cpu_tready.value)
            and self._beat("cpu", self._cpu)
        ):
            meta = unpack("tiara_card_meta_t", int(dut.m_axis_cpu_tuser.value))
            assert meta["pad"] == 0
            assert meta["service_idx"] == meta["key"] >> 48
            self.got.up.append(Up(bytes(self._cpu), Reason(meta["reason"]), meta["key"], meta["hash"]))
            self._cpu.clear()
        if int(dut.request_taken_o.value):
            self.got.requests.append(unpack("tiara_card_request_t", int(dut.request_o.value)))
        if int(dut.forwarded_valid_o.value):
            said = unpack("tiara_card_forwarded_t", int(dut.forwarded_o.value))
            self.got.forwarded.append(
                (said["backend_line"], said["service_idx"], said["slot"], said["bytes"])
            )
        self.got.dropped += int(dut.dropped_o.value)

    def _beat(self, name: str, packet: bytearray) -> bool:
        """Adds a beat to its packet; True: that was the last."""
        keep = int(getattr(self.dut, f"m_axis_{name}_tkeep").value)
        last = bool(int(getattr(self.dut, f"m_axis_{name}_tlast").value))
        assert keep and keep & (keep + 1) == 0, f"{name}: tkeep has a hole"
        assert last or keep == (1 << BEAT) - 1, f"{name}: a short beat that is not the last"
        data = int(getattr(self.dut, f"m_axis_{name}_tdata").value)
        packet += data.to_bytes(BEAT, "little")[: keep.bit_length()]
        return last

    async def run(self, frames: list[Frame], cycles: int = 20_000) -> Got:
        """Sends all and waits until the device is still; both sinks are empty then."""
        for frame in frames:
            self.send(frame)
        wanted = sum(not frame.bad and len(frame.data) <= MAX_BEATS * BEAT for frame in frames)
        quiet = 0
        for _ in range(cycles):
            before = len(self.got.tx) + len(self.got.up)
            await self.cycle()
            after = len(self.got.tx) + len(self.got.up)
            quiet = quiet + 1 if not self._beats and after == before and after >= wanted else 0
            if quiet > 60:
                break
        assert not self._beats, "frames are still waiting to come in"
        assert not self._tx and not self._cpu, "half a packet came out"
        return self.got

    async def check(self, frames: list[Frame]) -> Got:
        """Runs them and compares everything that came out with the model."""
        got = await self.run(frames)
        kept = [f.data for f in frames if not f.bad and len(f.data) <= MAX_BEATS * BEAT]
        expected = [handle(self.world, data) for data in kept]
        out = [one for one in expected if isinstance(one, Out)]
        assert [one for one in expected if isinstance(one, Up)] == got.up
        assert [one.frame for one in out] == got.tx
        assert [(o.line, o.service_idx, o.slot, o.client_bytes) for o in out] == got.forwarded
        assert len(frames) - len(kept) == got.dropped
        assert len(kept) == len(got.requests)
        return got
