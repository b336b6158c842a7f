# SPDX-License-Identifier: Apache-2.0
"""Random traffic through the front of the card in RTL and through the C packet path: the same bytes.

TIARA_RTL_PACKETS sets how many packets each seed sends: 10,000 by default. Connections are in C's table
with the backend that the stand-in for the card's lookup finds. What the card forwards, C forwards with the
same bytes; what C would forward of such a connection, the card forwards; what goes up is as it came in.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from front_model import (
    SECRET,
    SERVICE_LINES,
    Backend,
    Out,
    Reason,
    Up,
    World,
    backend_bits,
    handle,
    identity_bits,
    octets,
    place_services,
    service_bits,
)
from path_packets import mac
from path_records import Entry, Left, merged, setups
from path_runner import PathProgram
from rtl_bits import unpack
from rtl_build import verilated
from test_differential import CLIENTS, Traffic
from tiara.domain.layout import State, Verdict

PACKETS = int(os.environ.get("TIARA_RTL_PACKETS", "10000"))
TOP = Path(__file__).parent / "rtl/tiara_front.sv"
NAMES = ["b1", "b3", "b5", "b2", "b3", "b5"]
"""Of the backend in each line of the card's table; ports 40006 and 40007 find an empty line."""
PROTOCOLS = {"tcp": 6, "udp": 17}


class Card:
    """The Verilated front behind its line protocol (tests/fpga/rtl/front.cpp)."""

    def __init__(self, world: World, coverage: Path | None = None) -> None:
        program = verilated(TOP, TOP.with_name("front.cpp"))
        self._process = subprocess.Popen(
            [program, *([coverage] if coverage else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say(f"identity {identity_bits(world).to_bytes(16, 'little').hex()}")
        self._say(f"secret {SECRET.to_bytes(16, 'little').hex()}")
        for line, frontend in place_services(world.services, SERVICE_LINES).items():
            bits = service_bits(frontend, world.services[frontend])
            self._say(f"service {line} {bits.to_bytes(16, 'little').hex()}")
        for line, backend in world.backends.items():
            self._say(f"backend {line} {backend_bits(world, backend).to_bytes(64, 'little').hex()}")

    def close(self) -> None:
        """Ends the process; an assertion that failed in the RTL makes this fail."""
        assert self._process.stdin
        self._process.stdin.close()
        assert self._process.wait(10) == 0

    def _say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")

    def spoil(self, frame: bytes) -> None:
        """One more frame for the next run, bad at its end."""
        self._say(f"bad {frame.hex()}")

    def run(self, frames: list[bytes], seed: int, pause: int) -> tuple[list[bytes], list[Up]]:
        """What left by each stream."""
        assert self._process.stdin and self._process.stdout
        for frame in frames:
            self._say(f"frame {frame.hex()}")
        self._say(f"run {seed} {pause}")
        self._process.stdin.flush()
        tx: list[bytes] = []
        up: list[Up] = []
        for line in self._process.stdout:
            words = line.split()
            if words[0] == "end":
                return tx, up
            if words[0] == "tx":
                tx.append(bytes.fromhex(words[1]))
            elif words[0] == "cpu":
                meta = unpack("tiara_card_meta_t", int.from_bytes(bytes.fromhex(words[2]), "little"))
                up.append(Up(bytes.fromhex(words[1]), Reason(meta["reason"]), meta["key"], meta["hash"]))
        raise AssertionError("the Verilated front ended")


def config(mtu: int) -> dict[str, Any]:
    """The set-up of the C path."""
    return merged(setups()["spread"], {"node": {"mtu": mtu}})


def world_of(setup: dict[str, Any]) -> World:
    """The card's tables for it."""
    backends = {}
    for line, name in enumerate(NAMES):
        backend = setup["backends"][name]
        local = backend["address"].startswith("198.18.0.")
        backends[line] = Backend(
            backend["forward"],
            addr=backend["address"],
            next_hop_mac=mac(setup["neighbours"][backend["address"] if local else "198.18.0.1"]),
            inner_mac=mac(backend.get("inner_mac", "zero")),
            vni=backend.get("vni", 0),
            tunnel_port=backend.get("tunnel_port", 0),
            mtu=setup["node"]["mtu"],
        )
    services = {
        (service["vip"], service["port"], PROTOCOLS[service["protocol"]]): index
        for index, service in enumerate(setup["services"].values())
    }
    node = setup["node"]
    return World(mac(node["port_mac"]), mac(node["kernel_mac"]), node["address"], services, backends)


@pytest.fixture(scope="module")
def c_path() -> Iterator[PathProgram]:
    """The C packet path."""
    path = PathProgram()
    yield path
    path.close()


def connect(c: PathProgram, setup: dict[str, Any]) -> None:
    """Every connection that traffic is of, with its line's backend."""
    c.new(setup)
    c.publish(setup)
    for line, name in enumerate(NAMES):
        for client in CLIENTS[:3]:
            for service, state in (("web", State.ESTABLISHED), ("dns", State.UDP)):
                c.push((client, 40000 + line), service, Entry(name, state, False, 0))


def opens(frame: bytes) -> bool:
    """A SYN, perhaps: C might select anew for it, and the test's idea of the table would be old."""
    off = 18 if frame[12:14] == b"\x81\x00" else 14
    ip = frame[off:]
    flags = 4 * (ip[0] & 15) + 13 if ip else 0
    return len(ip) > flags and ip[9:10] == b"\x06" and bool(ip[flags] & 2)


def is_stray(frame: bytes) -> bool:
    """Of a connection that the lookup's stand-in finds, but C does not: a byte of its key was changed."""
    off = 18 if frame[12:14] == b"\x81\x00" else 14
    client, port = frame[off + 12 : off + 16], int.from_bytes(frame[off + 20 : off + 22], "big")
    return client not in map(octets, CLIENTS[:3]) or not 40000 <= port < 40000 + len(NAMES)


def is_arp(frame: bytes) -> bool:
    """C would learn other neighbours from it than the card was told."""
    return b"\x08\x06" in (frame[12:14], frame[16:18])


@pytest.mark.parametrize(("seed", "pause", "mtu"), [(1, 0, 1500), (2, 100, 120), (3, 200, 150)])
def test_the_same_bytes_as_c(c_path: PathProgram, seed: int, pause: int, mtu: int) -> None:
    """See above."""
    setup = config(mtu)
    world = world_of(setup)
    connect(c_path, setup)
    card = Card(world)
    draw = random.Random(seed)
    traffic = Traffic(seed)
    frames = [traffic.frame() for _ in range(PACKETS)]
    frames = [frame + bytes(draw.choice([0, 0, 0, 1, 46])) for frame in frames]
    tx, up = card.run(frames, seed, pause)
    card.close()
    expected = [handle(world, frame) for frame in frames]
    assert [one for one in expected if isinstance(one, Up)] == up
    sent = iter(tx)
    seen: Counter[str] = Counter()
    for frame, one in zip(frames, expected, strict=True):
        by_card = next(sent) if isinstance(one, Out) else None
        if isinstance(one, Out):
            assert one.frame == by_card
        if is_stray(frame) if by_card else opens(frame) or is_arp(frame):
            seen["untold"] += 1
            continue
        compare(c_path.receive([frame]).left[0], one, by_card, seen)
    assert next(sent, None) is None
    assert min(seen[name] for name in ("l2", "vxlan", "ipip", "up", "untold")) > PACKETS // 100, seen


def compare(by_c: Left, one: Up | Out, by_card: bytes | None, seen: Counter[str]) -> None:
    """One packet by C and by the card."""
    if by_card is not None:
        assert isinstance(one, Out)
        assert (by_c.verdict, by_c.frame.hex()) == (Verdict.FORWARDED, by_card.hex())
        seen[["l2", "vxlan", "ipip", "l2", "vxlan", "ipip"][one.line]] += 1
        return
    assert isinstance(one, Up)
    seen["up"] += 1
    if one.reason is Reason.TOO_BIG:
        assert by_c.verdict is Verdict.TOO_BIG
    elif one.reason in (Reason.OTHER, Reason.FRAGMENT, Reason.TTL, Reason.NO_SERVICE):
        assert by_c.verdict is not Verdict.FORWARDED, one
    else:
        assert one.reason in (Reason.CLOSES, Reason.OPTIONS, Reason.NO_BACKEND, Reason.MISS), one


def test_every_cover_is_reached(tmp_path: Path) -> None:
    """No property of the RTL holds only because its case never comes up."""
    world = world_of(config(120))
    # Outer sums of a bare ACK in the middle of all TOS values carry in their second fold.
    for line, outer in ((1, 90 + 0x4011), (2, 60 + 0x4004), (4, 90 + 0x4011), (5, 60 + 0x4004)):
        word = (0xFFFD - 0x80 - line - (0x4500 + outer + 0x4000 + 0xC612 + 0x0002 + 0x0A01)) % 0xFFFF
        world.backends[line] = replace(
            world.backends[line], addr=f"10.1.{word >> 8}.{word & 255}", mtu=2000 - 1880 * (line > 3)
        )
    card = Card(world, tmp_path / "coverage.dat")
    traffic = Traffic(4)
    for pause in (0, 100, 250, 0):
        frames = [traffic.frame() for _ in range(2000)]
        long = [frame + bytes(60 * n) for n, frame in enumerate(frames[:30])]
        long += [frame + bytes(1200) for frame in frames[:30]]
        card.spoil(frames[0])
        card.spoil(bytes(200))
        tx, up = card.run([*long, *frames], pause, pause)
        assert tx
        assert up
    card.close()
    points = re.findall(r"^C '(.*)' (\d+)$", (tmp_path / "coverage.dat").read_text(), re.MULTILINE)
    assert len(points) >= 15
    assert [point.rpartition("TOP.")[2] for point, count in points if count == "0"] == []
