# SPDX-License-Identifier: Apache-2.0
"""The whole card under cocotb; tests/fpga/test_rtl_card.py runs each of these under pytest."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import cocotb
from back_card import FOUND, HARVEST, INSTALL, REMOVE, REMOVED, SLOTS, Command
from card_bench import LINES, SINKS, SOURCES, Bench, Got
from card_memory import BAD
from front_bench import BEAT, Frame, often
from front_model import MORE_BYTES, SECRET, Backend, Reason, Up, World, l3_off, parse, place_services, rewrite
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from test_hash import buckets, entry_key, tiara_hash

VIP, CLIENT = "198.18.0.100", "198.18.64.7"
WEB, DNS = (VIP, 80, 6), (VIP, 53, 17)
ETHER = Ether(src="02:00:00:00:01:01", dst="02:00:00:00:00:02")
L2, TUNNEL, IPIP = 0, 1, 2
MAX_BEATS = 152
MAGIC = int.from_bytes(b"TIRA", "little")


def world() -> World:
    """Two services; a line for each way, and one that is empty."""
    return World(
        services={WEB: 3, DNS: 1},
        backends={L2: Backend("l2", mtu=9710), TUNNEL: Backend("vxlan"), IPIP: Backend("ipip")},
    )


def tcp(port: int, size: int = 6, flags: str = "A", dport: int = 80, **ip: Any) -> bytes:
    """A segment of the client's connection from that port, as scapy builds it."""
    fields: dict[str, Any] = {"src": CLIENT, "dst": VIP, "ttl": 63} | ip
    data = Raw(bytes((i + port) & 255 for i in range(size)))
    return bytes(ETHER / IP(**fields) / TCP(sport=port, dport=dport, flags=flags) / data)


@dataclass
class Table:
    """What the card was told, and what becomes of frames then."""

    world: World = field(default_factory=world)
    lines: dict[int, int] = field(default_factory=dict)
    """Backend line by key."""
    slots: dict[int, int] = field(default_factory=dict)
    """Key by slot."""
    number: int = 0

    def key(self, port: int) -> int:
        return entry_key((CLIENT, port, self.world.services[WEB]))

    def places(self, port: int) -> list[int]:
        """The eight slots where a connection may be."""
        both = buckets(tiara_hash(self.key(port), SECRET), SLOTS // 4)
        return [4 * bucket + i for bucket in both for i in range(4)]

    def command(self, bench: Bench, kind: int, **members: int) -> int:
        self.number += 1
        bench.commands.append(Command(kind, self.number, epoch=bench.epoch, **members))
        return self.number

    def install(self, bench: Bench, port: int, line: int) -> bool:
        """False: no place."""
        free = [slot for slot in self.places(port) if slot not in self.slots]
        if not free:
            return False
        self.slots[free[0]], self.lines[self.key(port)] = self.key(port), line
        self.command(bench, INSTALL, slot=free[0], key=self.key(port), line=line)
        return True

    def remove(self, bench: Bench, port: int) -> int:
        """The number of the answer to come."""
        slot = next(slot for slot in self.places(port) if self.slots.get(slot) == self.key(port))
        del self.slots[slot], self.lines[self.key(port)]
        return self.command(bench, REMOVE, slot=slot, key=self.key(port))

    def expect(self, frames: list[bytes]) -> Got:
        """Of frames that are whole and in time with no change of the table."""
        got = Got()
        for frame in frames:
            reason = parse(self.world, frame)
            if reason in (Reason.NONE, Reason.OPENS, Reason.CLOSES):
                self._known(got, frame, reason)
            else:
                got.up.append(Up(frame, reason))
        return got

    def _known(self, got: Got, frame: bytes, reason: Reason) -> None:
        ip = Ether(frame)[IP]
        index = self.world.services.get((ip.dst, ip.payload.dport, ip.proto))
        if index is None:
            got.up.append(Up(frame, Reason.NO_SERVICE if reason is Reason.NONE else reason))
            return
        key = entry_key((ip.src, ip.payload.sport, index))
        value = tiara_hash(key, SECRET)
        if reason is Reason.NONE:
            reason = self._look_up(key, ip.len)
        if reason is Reason.NONE:
            whole = frame[: l3_off(frame) + ip.len]
            got.tx.append(rewrite(self.world, self.world.backends[self.lines[key]], whole, value))
        else:
            got.up.append(Up(frame, reason, key, value))

    def _look_up(self, key: int, total: int) -> Reason:
        if key not in self.lines:
            return Reason.MISS
        backend = self.world.backends.get(self.lines[key])
        if backend is None:
            return Reason.NO_BACKEND
        return Reason.TOO_BIG if total + MORE_BYTES[backend.forward] > backend.mtu else Reason.NONE


async def begun(dut: Any, seed: int = 1) -> tuple[Bench, Table]:
    """A card with a connection on each line, from ports 40000 to 40003, and none from 40004 on."""
    bench, table = Bench(dut, seed), Table()
    await bench.start(table.world)
    for line in range(LINES):
        assert table.install(bench, 40000 + line, line)
    await bench.idle()
    return bench, table


def traffic(seed: int, cnt: int) -> list[bytes]:
    """Frames of these connections and of others, of some kinds and lengths."""
    draw = random.Random(seed)
    odd = [
        tcp(40000, flags="S"),
        tcp(40001, flags="FA"),
        tcp(40002, ttl=1),
        bytes(ETHER / ARP(pdst=VIP)),
        bytes(ETHER / IP(src=CLIENT, dst=VIP) / UDP(sport=40000, dport=53) / Raw(b"query")),
        tcp(40000, dst="198.18.0.101"),
    ]
    usual = [tcp(40000 + draw.randrange(6), draw.choice([0, 6, 7, 40, 200, 1000])) for _ in range(cnt)]
    return [draw.choice(odd) if draw.random() < 0.1 else one for one in usual]


async def run(bench: Bench, table: Table, frames: list[bytes]) -> Got:
    """Sends frames and compares all that comes out by each stream; hands back the answers, too."""
    for one in frames:
        bench.send(Frame(one))
    got, expected = await bench.idle(), table.expect(frames)
    assert expected.tx == got.tx
    assert expected.up == got.up
    return got


# ---- idle x back-pressure

PAUSES: dict[str, tuple[str, ...]] = {
    "none": (),
    "sources": SOURCES,
    "sinks": SINKS,
    "all": (*SOURCES, *SINKS),
    **{name: (name,) for name in (*SOURCES, *SINKS)},
}


@cocotb.test()
@cocotb.parametrize(pauses=list(PAUSES))
async def streams(dut: Any, pauses: str) -> None:
    """Frames, commands, answers and registers at once, each stream idle or waiting: none loses anything."""
    bench, table = await begun(dut)
    for n, name in enumerate(PAUSES[pauses]):
        bench.pause[name] = often(n, 0.5)
    for port in range(50000, 50012):
        assert table.install(bench, port, L2)
    numbers = [table.remove(bench, port) for port in range(50000, 50012)]
    frames = traffic(sum(map(ord, pauses)), 60)
    for one in frames:
        bench.send(Frame(one))
    for place in range(16):
        bench.ask_write("LINE", 0xABCD0000 + place, place)
        bench.ask_write("EPOCH", place)
        bench.ask_read("SERVICE_LINES")
        bench.ask_read("MAGIC")
    got, expected = await bench.idle(), table.expect(frames)
    assert (expected.tx, expected.up) == (got.tx, got.up)
    assert [*bench.said["b"]] == [(0, 0), (BAD, 0)] * 16
    assert [*bench.said["r"]] == [(0, LINES), (0, MAGIC)] * 16
    bench.said["b"].clear()
    bench.said["r"].clear()
    assert [await bench.read("LINE", place) for place in range(16)] == [0xABCD0000 + n for n in range(16)]
    assert [(one.kind, one.number, one.seen) for one in got.answers] == [(REMOVED, n, FOUND) for n in numbers]
    assert await bench.counter("RX_PKTS") == len(frames)
    assert await bench.counter("CPU_DROPPED") == 0


# ---- memory


@cocotb.test()
async def memory_answers_errors(dut: Any) -> None:
    """A lookup with a bad answer is right or a miss; a command with one is not answered, and is counted."""
    bench, table = await begun(dut, 3)
    bench.memory.bad = 0.3
    frames = [tcp(40000, size) for size in range(100)]
    for one in frames:
        bench.send(Frame(one))
    numbers = [table.command(bench, REMOVE, slot=slot, key=7) for slot in range(40)]
    got = await bench.idle()
    sent = iter(table.expect(frames).tx)
    assert all(one in sent for one in got.tx), "in order, and as it should be"
    assert {one.reason for one in got.up} == {Reason.MISS}
    assert len(got.tx) + len(got.up) == len(frames)
    assert 10 < len(got.up) < 90
    answered = [one.number for one in got.answers]
    assert answered == [number for number in numbers if number in answered]
    assert await bench.counter("MEMORY_ERRORS") == len(numbers) - len(answered) > 0
    bench.memory.bad = 0
    again = table.remove(bench, 40000)
    assert [(one.number, one.seen & FOUND) for one in (await bench.idle()).answers] == [(again, FOUND)]


@cocotb.test()
async def memory_answers_out_of_order(dut: Any) -> None:
    """The newest read first, beats of several reads in turns: packets leave as they came."""
    bench, table = await begun(dut)
    bench.memory.latency = 8, 60
    for pick in (lambda ready: ready[-1], bench.memory.random.choice):
        bench.memory.pick = pick
        await run(bench, table, traffic(7, 80))
    assert bench.memory.overtaken > 40
    assert bench.memory.waiting_max == 4, "every ID was in use"


@cocotb.test()
async def memory_stalls_for_long(dut: Any) -> None:
    """For a thousand cycles memory takes and answers nothing: nothing is lost, the registers answer."""
    bench, table = await begun(dut)
    frames = traffic(8, 60)
    for one in frames:
        bench.send(Frame(one))
    removed = table.command(bench, REMOVE, slot=0, key=7)
    for _ in range(30):
        await bench.cycle()
    bench.memory.waits = lambda: True
    before = len(bench.got.tx) + len(bench.got.up)
    for _ in range(1000):
        await bench.cycle()
    assert len(bench.got.tx) + len(bench.got.up) - before < 10
    assert bench.beats, "the card takes no more than it has room for"
    assert await bench.read("STATUS") == 2
    bench.memory.waits = lambda: False
    got, expected = await bench.idle(), table.expect(frames)
    assert (expected.tx, expected.up) == (got.tx, got.up)
    assert [one.number for one in got.answers] == [removed]


# ---- resets


@cocotb.test()
async def power_cycle_in_mid_packet(dut: Any) -> None:
    """rst_ni in the midst of packets, commands and bursts: nothing of before comes out, all works as new."""
    bench, table = await begun(dut)
    for cycles in (1, 5, 14, 23, 38, 61):
        for name in ("tx", "cpu", "ans"):
            bench.pause[name] = often(cycles, 0.4)
        for one in traffic(cycles, 20):
            bench.send(Frame(one))
        table.command(bench, HARVEST, harvest=1)
        table.remove(bench, 40000)
        for _ in range(cycles):
            await bench.cycle()
        await bench.power_cycle()
        table = Table()
        await bench.set_up(table.world)
        assert bench.got == Got(), "something of before the reset"
        await run(bench, table, [tcp(40000), tcp(40001, 300)])
        assert table.install(bench, 40000, TUNNEL)
        await bench.idle()
        got = await run(bench, table, [*traffic(cycles + 1, 10), tcp(40000)])
        assert got.tx


@cocotb.test()
async def restart_in_mid_packet(dut: Any) -> None:
    """RESET in CONTROL lets what is inside leave whole; what comes behind it finds an empty card."""
    bench, table = await begun(dut)
    bench.pause["tx"], bench.pause["cpu"] = often(1, 0.6), often(2, 0.6)
    frames = [tcp(40000 + n % 5, 700) for n in range(20)]
    for one in frames:
        bench.send(Frame(one))
    for _ in range(70):
        await bench.cycle()
    await bench.restart()
    got = await bench.idle()
    before = table.expect(frames)
    assert got.tx == before.tx[: len(got.tx)] != before.tx
    assert [one.frame for one in got.up if one.reason is Reason.NO_SERVICE], "behind the reset"
    assert len(got.tx) + len(got.up) == len(frames)


# ---- frames


@cocotb.test()
async def minimum_and_maximum(dut: Any) -> None:
    """From one byte to 152 beats; one byte more, and much more, is dropped and counted."""
    bench, table = await begun(dut)
    longest = MAX_BEATS * BEAT
    whole = tcp(40000, 9710 - 40)
    frames = [tcp(40000, 0), whole, whole + bytes(longest - len(whole)), tcp(40004, 9710 - 40)]
    frames += [tcp(40000)[:1], tcp(40000)[:14], tcp(40000, 9710 - 39), tcp(40000, 0)]
    got = await run(bench, table, frames)
    assert [len(one) for one in got.tx] == [54, 9724, 9724, 54]
    for one in (tcp(40000) + bytes(longest - 59), tcp(40000) + bytes(3 * longest), tcp(40000)):
        bench.send(Frame(one))
    got = await bench.idle()
    assert (len(got.tx), len(got.up), await bench.counter("BAD_PKTS")) == (1, 0, 2)


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Minimum frames without a gap, forwarded and handed up in turns, one of each way."""
    bench, table = await begun(dut)
    frames = [tcp(40000 + n % 5, n % 6).ljust(60, b"\0") for n in range(200)]
    got = await run(bench, table, frames)
    for one in got.tx:
        sent = Ether(one)
        again = sent[IP].copy()
        del again.chksum
        assert IP(bytes(again)).chksum == sent[IP].chksum, "scapy computes another checksum"
    assert sum(VXLAN in Ether(one) for one in got.tx) == len(frames) // 5


@cocotb.test()
async def bad_frames(dut: Any) -> None:
    """What the line calls bad is gone with all its beats; what is broken inside goes up as it came."""
    bench, table = await begun(dut)
    good = tcp(40000, 100)
    broken = [
        good[:-1],
        good[:33],
        tcp(40000, chksum=0x1234),
        b"\x02" * 60,
        tcp(40000, version=5),
        tcp(40000, len=19),
    ]
    frames = [frame for one in broken for frame in (one, good)]
    for n, one in enumerate(frames):
        bench.send(Frame(tcp(40000 + n % 5, 40 * n), bad=True))
        bench.send(Frame(one))
    got, expected = await bench.idle(), table.expect(frames)
    assert (expected.tx, expected.up) == (got.tx, got.up)
    assert [one.reason for one in got.up] == [Reason.OTHER] * len(broken)
    assert await bench.counter("BAD_PKTS") == len(frames)


@cocotb.test()
async def table_full(dut: Any) -> None:
    """Both buckets full of others: a miss, and nobody else is harmed."""
    bench, table = await begun(dut)
    ports = [40000]
    while table.install(bench, 41000 + len(ports), L2):
        ports.append(41000 + len(ports))
    assert len(ports) > SLOTS // 2
    await bench.idle(60_000)
    late = tcp(41000 + len(ports))
    got = await run(bench, table, [late, *(tcp(port) for port in ports[-60:]), late])
    assert [one.reason for one in got.up] == [Reason.MISS] * 2
    removed = table.remove(bench, ports[-1])
    assert [one.number for one in (await bench.idle()).answers] == [removed]


@cocotb.test()
async def service_table_full(dut: Any) -> None:
    """A frontend that finds no line goes up, and the others are served as before."""
    bench, table = await begun(dut)
    services, left_out = table.world.services, []
    for port in range(1000, 1020):
        with suppress(AssertionError):  # it is too full
            place_services(services | {(VIP, port, 6): 0}, LINES)
            services[VIP, port, 6] = 0
            continue
        left_out.append(port)
    assert len(services) == LINES
    await bench.write_lines(table.world)
    frames = [tcp(40000, dport=port) for _, port, protocol in services if protocol == 6]
    got = await run(bench, table, [*frames, *(tcp(40000, dport=port) for port in left_out)])
    assert len(got.tx) == 1
    reasons = [one.reason for one in got.up]
    assert reasons == [Reason.MISS] * (len(frames) - 1) + [Reason.NO_SERVICE] * len(left_out)


@cocotb.test()
async def must_fail(dut: Any) -> None:
    """The runner must notice: this frame is not forwarded."""
    bench, _ = await begun(dut)
    bench.send(Frame(tcp(40004)))
    assert (await bench.idle()).tx
