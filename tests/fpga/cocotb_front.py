# SPDX-License-Identifier: Apache-2.0
"""The front of the card under cocotb; tests/fpga/test_rtl_front.py runs each of these under pytest."""

from __future__ import annotations

import json
import random
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge
from front_bench import BEAT, Bench, Frame, often
from front_model import MAX_BEATS, Backend, Out, Reason, World, handle
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw
from test_hash import GOLDEN, buckets

VIP = "198.18.0.100"
CLIENT = "198.18.64.7"
VECTORS = json.loads(GOLDEN.read_text())["vectors"]
ETHER = Ether(src="02:00:00:00:01:01", dst="02:00:00:00:00:02")
L2, VXLAN_LINE, IPIP, L2_OTHER, SMALL_VXLAN, SMALL_L2, UNWRITTEN, CARRY = range(8)


def world() -> World:
    """Two services and a line for each way."""
    return World(
        services={(VIP, 80, 6): 3, (VIP, 53, 17): 40000, (VIP, 80, 17): 7},
        backends={
            L2: Backend("l2", next_hop_mac="02:00:00:00:00:11"),
            VXLAN_LINE: Backend("vxlan"),
            IPIP: Backend("ipip", addr="255.255.255.254"),
            L2_OTHER: Backend("l2", next_hop_mac="02:00:00:00:00:12"),
            SMALL_VXLAN: Backend("vxlan", mtu=128, vni=0xABCDEF),
            SMALL_L2: Backend("l2", mtu=100),
        },
    )


def tcp(line: int, size: int = 0, flags: str = "A", vlan: int | None = None, **ip: Any) -> bytes:
    """A client's segment with `size` bytes of data, of a connection in that line of the backend table."""
    outer = ETHER / Dot1Q(vlan=vlan) if vlan is not None else ETHER
    fields: dict[str, Any] = {"src": CLIENT, "dst": VIP, "ttl": 63} | ip
    data = Raw(bytes(i & 255 for i in range(size)))
    return bytes(outer / IP(**fields) / TCP(sport=40000 + line, dport=80, flags=flags) / data)


def udp(line: int, size: int, vlan: int | None = None, **ip: Any) -> bytes:
    """The same in UDP."""
    outer = ETHER / Dot1Q(vlan=vlan) if vlan is not None else ETHER
    fields: dict[str, Any] = {"src": CLIENT, "dst": VIP, "ttl": 63} | ip
    return bytes(outer / IP(**fields) / UDP(sport=40000 + line, dport=53) / Raw(b"q" * size))


async def begun(dut: Any) -> Bench:
    """A device with its tables written."""
    bench = Bench(dut, world())
    await bench.start()
    return bench


def mixed(seed: int, count: int) -> list[Frame]:
    """Frames of every kind and length, a few of them bad."""
    draw = random.Random(seed)
    frames = []
    for _ in range(count):
        line = draw.choice([L2, VXLAN_LINE, IPIP, L2_OTHER, SMALL_VXLAN, SMALL_L2, UNWRITTEN, 9, 15])
        size = draw.choice([0, 1, 6, 13, 14, 32, 60, 61, draw.randrange(200), draw.randrange(1400)])
        vlan = draw.choice([None, None, 5])
        build = udp if draw.random() < 0.33 else tcp
        made = build(line, size, vlan=vlan, tos=draw.randrange(256))
        kind = draw.random()
        if kind < 0.1:
            made = tcp(line, flags=draw.choice(["S", "SA", "F", "R", "FA", "RA"]))
        elif kind < 0.15:
            made = made[: draw.randrange(1, len(made))]
        elif kind < 0.25:
            made += bytes(draw.randrange(1, 80))
        elif kind < 0.3:
            at = draw.randrange(min(54, len(made)))
            made = made[:at] + bytes([draw.randrange(256)]) + made[at + 1 :]
        frames.append(Frame(made, bad=draw.random() < 0.05))
    return frames


@cocotb.test()
async def hash_golden(dut: Any) -> None:
    """Every golden vector, one a cycle; what comes out five cycles later is its hash."""
    bench = await begun(dut)
    seen = []
    for one in [*VECTORS, *VECTORS[:5]]:
        await FallingEdge(dut.clk_i)
        seen.append(int(dut.hash_o.value))
        dut.hash_secret_i.value = int(one["secret_high"], 16) << 64 | int(one["secret_low"], 16)
        dut.hash_key_i.value = int(one["key"], 16)
    # The secret reaches stage 1 only, so it may change with the key.
    assert [int(one["hash"], 16) for one in VECTORS] == seen[5:]
    assert bench.cycles == 0


@cocotb.test()
async def each_way(dut: Any) -> None:
    """Each way of forwarding, tagged and not, is what scapy builds."""
    bench = await begun(dut)
    lines = (L2, VXLAN_LINE, IPIP)
    got = await bench.check([Frame(tcp(n, 30, vlan=vlan, tos=0xB8)) for n in lines for vlan in (None, 5)])
    l2, l2_vlan, vxlan, vxlan_vlan, ipip, ipip_vlan = (Ether(frame) for frame in got.tx)
    client = IP(bytes(Ether(tcp(L2, 30, tos=0xB8))[IP]))
    for frame in (l2, l2_vlan, vxlan, vxlan_vlan, ipip, ipip_vlan):
        assert frame.src == "02:00:00:00:00:02"
        assert checksums_hold(frame)
    for frame in (l2_vlan, vxlan_vlan, ipip_vlan):
        assert frame[Dot1Q].vlan == 5
    for frame in (l2, l2_vlan):
        assert bytes(frame[IP]) == bytes(client)
    for frame in (vxlan, vxlan_vlan):
        assert (frame[IP].src, frame[IP].dst, frame[IP].tos) == ("198.18.0.2", "198.19.5.13", 0xB8)
        assert (frame[UDP].dport, frame[UDP].chksum, frame[VXLAN].vni) == (4789, 0, 77)
        assert frame[UDP].len == len(bytes(frame[UDP]))
        inner = frame[VXLAN].payload
        assert (inner.dst, inner.type) == ("02:00:00:00:aa:03", 0x0800)
    for frame in (ipip, ipip_vlan):
        assert (frame[IP].proto, frame[IP].ttl, frame[IP].id, frame[IP].flags) == (4, 64, 0, "DF")


def checksums_hold(frame: Packet) -> bool:
    """Every IPv4 header's checksum is what scapy computes for it."""
    layer: Any = frame
    while layer:
        if isinstance(layer, IP):
            again = layer.copy()
            del again.chksum
            if IP(bytes(again)).chksum != layer.chksum:
                return False
        layer = layer.payload
    return True


@cocotb.test()
async def checksum_carry(dut: Any) -> None:
    """Sums whose second fold still carries, and their neighbours: one in some thousand packets has one."""
    bench = await begun(dut)
    total, more = 100, 20
    rest = 0x4500 + total + more + 0x4000 + 0x4004 + 0xC612 + 0x0002 + 0x0A01
    word = (0xFFFD - rest) % 0xFFFF
    bench.world.backends = {CARRY: Backend("ipip", addr=f"10.1.{word >> 8}.{word & 255}")}
    await FallingEdge(dut.clk_i)
    await bench.write_tables()
    sums = [rest + word + tos for tos in range(8)]
    assert any((one & 0xFFFF) + (one >> 16) > 0xFFFF for one in sums)
    got = await bench.check([Frame(tcp(CARRY, total - 40, tos=tos)) for tos in range(8)])
    assert all(checksums_hold(Ether(frame)) for frame in got.tx)
    assert len(got.tx) == len(sums)


@cocotb.test()
async def every_reason(dut: Any) -> None:
    """Each thing that the card does not forward goes up as it came, with why, key and hash."""
    bench = await begun(dut)
    short = tcp(L2, 20)
    frames = {
        Reason.MISS: tcp(15),
        Reason.OPENS: tcp(L2, flags="S"),
        Reason.CLOSES: tcp(L2, flags="FA"),
        Reason.FRAGMENT: tcp(L2, flags="A", frag=3),
        Reason.OPTIONS: tcp(L2, options=[IPOption_NOP()] * 4),
        Reason.TTL: tcp(L2, ttl=1),
        Reason.OTHER: bytes(ETHER / ARP(pdst=VIP)),
        Reason.NO_SERVICE: tcp(L2, dst="198.18.0.101"),
        Reason.TOO_BIG: udp(SMALL_VXLAN, 128 - 50 - 28 + 1),
        Reason.NO_BACKEND: tcp(UNWRITTEN),
    }
    other = [
        short[:40],
        short[:-1],
        b"\x00" + short[1:],
        short[:12] + b"\x81\x00\x00\x01\x81\x00\x00\x02" + short[12:],
        tcp(L2, dst="198.18.0.2"),
        tcp(L2, src="127.0.0.1"),
        tcp(L2, src="224.0.0.1"),
        tcp(L2, chksum=0x1234),
        tcp(L2, proto=47),
        tcp(9, flags="R"),
        tcp(9, 5),
        short[:14],
        short[:1],
    ]
    got = await bench.check([Frame(data) for data in [*frames.values(), *other]])
    assert list(frames) == [up.reason for up in got.up[: len(frames)]]
    assert len(got.up) == len(frames) + len(other)
    for request in got.requests:
        first, second = buckets(request["hash"], 256)
        assert (request["bucket_1"], request["bucket_2"]) == (first, second)


@cocotb.test()
async def limits(dut: Any) -> None:
    """What just fits the way goes out, a byte more goes up; the longest frame passes, a longer one goes."""
    bench = await begun(dut)
    longest = MAX_BEATS * BEAT
    frames = [udp(SMALL_VXLAN, 128 - 50 - 28), udp(SMALL_VXLAN, 128 - 50 - 27)]
    frames += [udp(SMALL_L2, 100 - 28), udp(SMALL_L2, 100 - 27)]
    frames += [tcp(L2, 1460), tcp(IPIP, 1440), tcp(VXLAN_LINE, 1410)]
    frames += [tcp(L2, 1461), tcp(IPIP, 1441), tcp(VXLAN_LINE, 1411)]
    frames += [
        tcp(L2) + bytes(longest - 54),
        tcp(L2) + bytes(longest - 53),
        tcp(L2) + bytes(4 * longest),
        tcp(L2),
    ]
    got = await bench.check([Frame(data) for data in frames])
    assert len(got.tx) == 7
    assert got.dropped == 2


@cocotb.test()
async def every_length(dut: Any) -> None:
    """Lengths about each beat's end, where headers, packet and padding meet it, back to back."""
    bench = await begun(dut)
    sizes = [*range(0, 40), *range(56, 84), *range(120, 148)]
    frames = [
        udp(line, size, vlan) for line in (L2, VXLAN_LINE, IPIP) for vlan in (None, 5) for size in sizes
    ]
    frames += [
        udp(line, 1) + bytes(pad) for line in (L2, VXLAN_LINE, IPIP) for pad in (1, 17, 21, 22, 60, 90, 150)
    ]
    got = await bench.check([Frame(data) for data in frames])
    assert len(got.tx) == len(frames)


@cocotb.test()
async def back_to_back(dut: Any) -> None:
    """Minimum frames, direct return: one packet a cycle, without a gap."""
    bench = await begun(dut)
    frames = [Frame(tcp(L2).ljust(60, b"\0")) for _ in range(100)]
    await bench.check(frames)
    first, last = bench.sent_cycles[0], bench.sent_cycles[-1]
    assert last - first == len(frames) - 1, "a cycle was lost"


PAUSES = {"none": (0, 0, 0, 0), "idle": (0.5, 0, 0, 0), "tx": (0, 0.5, 0, 0), "cpu": (0, 0, 0.5, 0),
          "lookup": (0, 0, 0, 0.6), "all": (0.3, 0.3, 0.3, 0.3), "slow": (0, 0.8, 0.8, 0.8)}  # fmt: skip


@cocotb.test()
@cocotb.parametrize(pauses=list(PAUSES))
async def stress(dut: Any, pauses: str) -> None:
    """Mixed frames under idle x back-pressure: nothing lost, doubled, overtaken or mixed."""
    bench = await begun(dut)
    shares = PAUSES[pauses]
    bench.idle, bench.tx_pause, bench.cpu_pause, bench.lookup_pause = (
        often(n, share) if share else (lambda: False) for n, share in enumerate(shares)
    )
    got = await bench.check(mixed(sum(map(ord, pauses)), 150))
    assert got.tx and got.up and got.dropped


@cocotb.test()
async def reset_in_mid_packet(dut: Any) -> None:
    """A reset at any moment leaves nothing of what was inside; then all is as new, with empty tables."""
    bench = await begun(dut)
    draw = random.Random(5)
    for cycles in [1, 2, 3, *(draw.randrange(4, 60) for _ in range(8))]:
        bench.tx_pause, bench.lookup_pause = often(cycles, 0.4), often(-cycles, 0.4)
        for frame in mixed(cycles, 12):
            bench.send(frame)
        for _ in range(cycles):
            await bench.cycle()
        await bench.reset()
        wrote, bench.world = bench.world, World()
        await bench.check([Frame(tcp(L2)), Frame(udp(IPIP, 80))])
        bench.world, bench.got = wrote, type(bench.got)()
        await FallingEdge(dut.clk_i)
        await bench.write_tables()
        await bench.check(mixed(cycles + 1, 12))


@cocotb.test()
async def tables_change(dut: Any) -> None:
    """A line that is rewritten or emptied counts for the next packet; a service goes both places."""
    bench = await begun(dut)
    await bench.check([Frame(tcp(L2))])
    bench.world.backends[L2] = Backend("ipip", addr="10.1.2.3")
    bench.world.services = {(VIP, port, 6): port for port in range(1000, 1024)}
    await bench.reset()
    await FallingEdge(dut.clk_i)
    await bench.write_tables()
    frames = [bytes(ETHER / IP(src=CLIENT, dst=VIP) / TCP(sport=40000, dport=port, flags="A"))
              for port in range(999, 1025)]  # fmt: skip
    got = await bench.check([Frame(frame) for frame in frames])
    assert [up.reason for up in got.up] == [Reason.NO_SERVICE] * 2
    assert isinstance(handle(bench.world, frames[1]), Out)


@cocotb.test()
async def must_fail(dut: Any) -> None:
    """The runner must notice: this frame does not go up."""
    bench = await begun(dut)
    got = await bench.run([Frame(tcp(L2))])
    assert got.up


@cocotb.test()
async def broken_source(dut: Any) -> None:
    """The RTL's assertions must be on: a beat with a hole in its tkeep ends the simulation."""
    bench = await begun(dut)
    await FallingEdge(dut.clk_i)
    dut.s_axis_rx_tkeep.value = 0b101
    dut.s_axis_rx_tlast.value = 1
    dut.s_axis_rx_tvalid.value = 1
    await FallingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    assert bench.cycles == 0
