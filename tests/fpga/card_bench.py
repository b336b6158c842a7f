# SPDX-License-Identifier: Apache-2.0
"""The whole card under cocotb (tests/fpga/rtl/tiara_small.sv): one loop that drives all pins at the falling
edge and looks at all handshakes before the rising one. Any stream may pause by a pattern of its own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from back_card import Answer, Command
from card_memory import Memory
from card_registers import COUNTERS, FIELDS, OFFSETS
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from front_bench import BEAT, Frame, Pattern, never
from front_model import (
    SECRET,
    Reason,
    Up,
    World,
    backend_bits,
    mac_octets,
    octets,
    place_services,
    service_bits,
)
from rtl_bits import unpack

SOURCES = ("rx", "cmd", "aw", "w", "ar")
SINKS = ("tx", "cpu", "ans", "b", "r")
LINES = 4
"""Service lines, and backend lines, of tiara_small."""
Beat = tuple[int, int, bool, bool]


@dataclass
class Got:
    """What came out since; each list is in the order of its stream."""

    tx: list[bytes] = field(default_factory=list)
    up: list[Up] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


class Bench:
    """One card with its memory."""

    def __init__(self, dut: Any, seed: int = 1) -> None:
        self.dut, self.memory, self.got = dut, Memory(seed), Got()
        self.pause: dict[str, Pattern] = dict.fromkeys((*SOURCES, *SINKS), never)
        self.epoch = 0
        self._forget()

    def _forget(self) -> None:
        self.memory.reset()
        self.offered = dict.fromkeys(SOURCES, False)
        self.beats: deque[Beat] = deque()
        self.commands: deque[Command] = deque()
        self.words: dict[str, deque[int]] = {name: deque() for name in ("aw", "w", "ar")}
        self.said: dict[str, deque[tuple[int, int]]] = {name: deque() for name in ("b", "r")}
        """Response and data."""
        self.open = {"tx": bytearray(), "cpu": bytearray()}
        self.got = Got()

    # ---- clock and resets

    async def start(self, world: World) -> None:
        """A card at work, its tables written."""
        Clock(self.dut.clk_i, 2, "step").start()
        await self.power_cycle()
        await self.set_up(world)

    async def power_cycle(self) -> None:
        """rst_ni, in the midst of whatever goes on."""
        await FallingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 0
        self._forget()
        for _ in range(3):
            await self.cycle()
        self._forget()
        await FallingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1

    async def set_up(self, world: World) -> None:
        """What a CPU does with a card that it finds."""
        await self.write_words("SECRET", SECRET.to_bytes(16, "little"))
        await self.write_words("ADDRESS", octets(world.address))
        await self.write_words("PORT_MAC", mac_octets(world.port_mac).ljust(8, b"\0"))
        await self.write_words("KERNEL_MAC", mac_octets(world.kernel_mac).ljust(8, b"\0"))
        await self.restart()
        await self.write_lines(world)

    async def write_lines(self, world: World) -> None:
        """Both tables."""
        for line, frontend in place_services(world.services, LINES).items():
            await self.write_words(
                "LINE", service_bits(frontend, world.services[frontend]).to_bytes(16, "little")
            )
            assert await self.write("SERVICE_WRITE", line)
        for line, backend in world.backends.items():
            await self.write_words("LINE", backend_bits(world, backend).to_bytes(64, "little"))
            assert await self.write("BACKEND_WRITE", line)

    async def restart(self) -> None:
        """RESET in CONTROL, until the card is ready."""
        await self.write("CONTROL", FIELDS["CONTROL.RESET"])
        for _ in range(5000):
            if await self.read("STATUS") == FIELDS["STATUS.READY"]:
                self.epoch = await self.read("EPOCH")
                return
        raise AssertionError("the card does not become ready")

    # ---- registers

    def ask_write(self, name: str, value: int, place: int = 0) -> None:
        """Its response comes behind those of the writes before."""
        self.words["aw"].append(OFFSETS[name] + 4 * place)
        self.words["w"].append(value)

    def ask_read(self, name: str, place: int = 0) -> None:
        """As ask_write."""
        self.words["ar"].append(OFFSETS[name] + 4 * place)

    async def write(self, name: str, value: int, place: int = 0) -> bool:
        """False: refused."""
        self.ask_write(name, value, place)
        return (await self._answer("b"))[0] == 0

    async def read(self, name: str, place: int = 0) -> int:
        """Of one that is there."""
        self.ask_read(name, place)
        response, value = await self._answer("r")
        assert response == 0
        return value

    async def write_words(self, name: str, data: bytes) -> None:
        """A row of registers."""
        for i in range(0, len(data), 4):
            assert await self.write(name, int.from_bytes(data[i : i + 4], "little"), i // 4)

    async def counter(self, name: str) -> int:
        """Its low half."""
        assert await self.write("COUNTER_READ", COUNTERS[name])
        return await self.read("COUNTER")

    async def _answer(self, channel: str) -> tuple[int, int]:
        for _ in range(20_000):
            if self.said[channel]:
                return self.said[channel].popleft()
            await self.cycle()
        raise AssertionError("the registers do not answer")

    # ---- streams

    def send(self, frame: Frame) -> None:
        """Queues its beats."""
        chunks = [frame.data[i : i + BEAT] for i in range(0, len(frame.data), BEAT)]
        for n, chunk in enumerate(chunks, 1):
            last = n == len(chunks)
            self.beats.append(
                (int.from_bytes(chunk, "little"), (1 << len(chunk)) - 1, last, last and frame.bad)
            )

    async def idle(self, cycles: int = 30_000) -> Got:
        """Until nothing has been inside for a while; both sinks are empty then. What came out since."""
        quiet = 0
        for _ in range(cycles):
            await self.cycle()
            busy = self.beats or self.commands or any(self.words.values()) or not int(self.dut.idle_o.value)
            quiet = 0 if busy else quiet + 1
            if quiet > 40:
                break
        assert quiet > 40, "the card did not come to rest"
        assert not any(self.open.values()), "half a packet came out"
        got, self.got = self.got, Got()
        return got

    # ---- a cycle

    async def cycle(self) -> None:
        """One clock."""
        await FallingEdge(self.dut.clk_i)
        self._offer()
        self.memory.offer(self.dut)
        await ReadOnly()
        self.memory.look(self.dut)
        self._look()

    def _offers(self, name: str, waiting: bool) -> bool:
        """Whether a source shows its next thing; what it has shown stays."""
        self.offered[name] = self.offered[name] or (waiting and not self.pause[name]())
        return self.offered[name]

    def _offer(self) -> None:
        dut = self.dut
        dut.s_axis_rx_tvalid.value = int(self._offers("rx", bool(self.beats)))
        if self.offered["rx"]:
            data, keep, last, bad = self.beats[0]
            dut.s_axis_rx_tdata.value, dut.s_axis_rx_tkeep.value = data, keep
            dut.s_axis_rx_tlast.value, dut.s_axis_rx_tuser.value = int(last), int(bad)
        dut.s_axis_cmd_tvalid.value = int(self._offers("cmd", bool(self.commands)))
        if self.offered["cmd"]:
            dut.s_axis_cmd_tdata.value = int.from_bytes(self.commands[0].packed(), "little")
        dut.s_axil_wstrb.value = 15
        for name, pin in (("aw", dut.s_axil_awaddr), ("w", dut.s_axil_wdata), ("ar", dut.s_axil_araddr)):
            getattr(dut, f"s_axil_{name}valid").value = int(self._offers(name, bool(self.words[name])))
            if self.offered[name]:
                pin.value = self.words[name][0]
        for name in ("tx", "cpu", "ans"):
            getattr(dut, f"m_axis_{name}_tready").value = int(not self.pause[name]())
        for name in ("b", "r"):
            getattr(dut, f"s_axil_{name}ready").value = int(not self.pause[name]())

    def _look(self) -> None:
        dut = self.dut
        if self.offered["rx"] and int(dut.s_axis_rx_tready.value):
            self.offered["rx"] = False
            self.beats.popleft()
        if self.offered["cmd"] and int(dut.s_axis_cmd_tready.value):
            self.offered["cmd"] = False
            self.commands.popleft()
        if self._moves("m_axis_ans_t"):
            data = int(dut.m_axis_ans_tdata.value).to_bytes(32, "little")
            self.got.answers.append(Answer.parsed(data.hex()))
        if self._moves("m_axis_tx_t") and self._beat("tx"):
            self.got.tx.append(self._whole("tx"))
        if self._moves("m_axis_cpu_t") and self._beat("cpu"):
            meta = unpack("tiara_card_meta_t", int(dut.m_axis_cpu_tuser.value))
            self.got.up.append(Up(self._whole("cpu"), Reason(meta["reason"]), meta["key"], meta["hash"]))
        self._look_registers()

    def _look_registers(self) -> None:
        dut = self.dut
        for name in ("aw", "w", "ar"):
            if self._moves(f"s_axil_{name}"):
                self.offered[name] = False
                self.words[name].popleft()
        if self._moves("s_axil_b"):
            self.said["b"].append((int(dut.s_axil_bresp.value), 0))
        if self._moves("s_axil_r"):
            self.said["r"].append((int(dut.s_axil_rresp.value), int(dut.s_axil_rdata.value)))

    def _moves(self, prefix: str) -> bool:
        valid, ready = getattr(self.dut, f"{prefix}valid"), getattr(self.dut, f"{prefix}ready")
        return bool(int(valid.value) and int(ready.value))

    def _beat(self, name: str) -> bool:
        """Adds a beat to its packet; True: that was the last."""
        keep = int(getattr(self.dut, f"m_axis_{name}_tkeep").value)
        data = int(getattr(self.dut, f"m_axis_{name}_tdata").value)
        self.open[name] += data.to_bytes(BEAT, "little")[: keep.bit_length()]
        return bool(int(getattr(self.dut, f"m_axis_{name}_tlast").value))

    def _whole(self, name: str) -> bytes:
        packet, self.open[name] = bytes(self.open[name]), bytearray()
        return packet
