# SPDX-License-Identifier: Apache-2.0
"""Random traffic through the C path and the Python model, packet by packet: they must agree.

TIARA_PATH_PACKETS sets how many packets each seed sends: 25,000 by default, 100,000 in all.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from path_model import ACK, FIN, ICMP, RST, SYN, TCP, UDP, PathModel, mac_octets, octets, with_checksum
from path_records import Burst, Entry, merged, setups
from path_runner import PathProgram
from tiara.domain.layout import Event, ServiceFlag, State, Status, Verdict

PACKETS = int(os.environ.get("TIARA_PATH_PACKETS", "25000"))
STRIDE = 20
"""Packets between two pauses."""
BACKGROUND = {Event.GENERATION_CHANGE, Event.SWEPT_EXPIRED, Event.SWEPT_GONE, Event.SWEPT_TENTATIVE}
CLIENTS = ["198.18.64.7", "198.18.64.8", "10.0.0.1", "127.0.0.1", "224.0.0.1", "0.0.0.0"]
TARGETS = ["198.18.0.100"] * 12 + ["198.18.0.101", "198.18.0.2", "198.18.0.11"]
TAGS = [bytes.fromhex(tag) for tag in ("81000005", "8100e000", "8100ffff", "88a80005")]
STATIONS = ["gw", "b1", "b2", "client"]
FLAGS = [SYN, ACK, ACK, ACK, ACK | FIN, RST, SYN | ACK, SYN | RST, 0, ACK | 0x08]


class Traffic:
    """Frames of few clients, services and stations, so that they meet; some of them broken."""

    targets: ClassVar[list[str]] = TARGETS
    flags: ClassVar[list[int]] = FLAGS

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def frame(self) -> bytes:
        """Mostly sound; one in twenty with a byte changed, one in twenty cut or padded."""
        made = self.arp() if self.random.random() < 0.1 else self.ipv4()
        fault = self.random.random()
        if fault < 0.05:
            at = self.random.randrange(len(made))
            made = made[:at] + bytes([self.random.randrange(256)]) + made[at + 1 :]
        elif fault < 0.08:
            made = made[: self.random.randrange(1, len(made) + 1)]
        elif fault < 0.1:
            made += bytes(self.random.randrange(20))
        return made

    def ether(self, kind: int) -> bytes:
        """Mostly from the gateway to the port, a tag or two now and then."""
        to = self.random.choices(["port", "kernel", "broadcast", "b1"], [40, 2, 1, 1])[0]
        tags = b"".join(self.random.choices(TAGS, k=self.random.choices([0, 1, 2], [90, 9, 1])[0]))
        return mac_octets(to) + mac_octets(self.random.choice(STATIONS)) + tags + kind.to_bytes(2, "big")

    def arp(self) -> bytes:
        """Questions and answers about VIPs, neighbours and the own address."""
        pick = self.random.choice
        addresses = [*TARGETS, "198.18.0.1", "198.18.0.12", "198.18.0.14", "198.18.0.9"]
        sender = mac_octets(pick(STATIONS)) + octets(pick(addresses))
        target = mac_octets("zero") + octets(pick(addresses))
        op = pick([1, 1, 2, 3]).to_bytes(2, "big")
        return self.ether(0x0806) + bytes.fromhex("000108000604") + op + sender + target

    def ipv4(self) -> bytes:
        """TCP, UDP, ICMP or something else, with options, fragments and old TTLs now and then."""
        pick = self.random.choice
        protocol = self.random.choices([TCP, UDP, ICMP, 47], [60, 30, 8, 2])[0]
        payload = {TCP: self.tcp, UDP: self.udp, ICMP: self.icmp}.get(protocol, lambda: b"other")()
        options = b"\x01" * 4 * (self.random.random() < 0.05) * pick([1, 2, 10])
        total = 20 + len(options) + len(payload)
        fragment = self.random.choices([0, 0x4000, 0x2000, 0x0001], [50, 50, 1, 1])[0]
        header = (
            bytes([0x45 + len(options) // 4, self.random.randrange(256)])
            + total.to_bytes(2, "big")
            + b"\x12\x34"
            + fragment.to_bytes(2, "big")
            + bytes([self.random.choices([63, 0, 1, 2], [90, 1, 1, 1])[0], protocol, 0, 0])
            + octets(self.random.choices(CLIENTS, [40, 40, 20, 1, 1, 1])[0])
            + octets(pick(self.targets))
        )
        return self.ether(0x0800) + with_checksum(header + options, 10) + payload

    def ports(self, service: int) -> bytes:
        """A few clients' ports to a service that mostly exists."""
        port = service if self.random.random() < 0.95 else 81
        return (40000 + self.random.randrange(8)).to_bytes(2, "big") + port.to_bytes(2, "big")

    def tcp(self) -> bytes:
        """Any flags, with or without options and data."""
        words = self.random.choices([5, 8, 4, 15], [80, 10, 1, 1])[0]
        data = b"d" * self.random.choices([0, 1, 60, 61], [50, 30, 2, 2])[0]
        flags = bytes([words << 4, self.random.choice(self.flags)])
        return self.ports(80) + bytes(8) + flags + bytes(6) + bytes(12) * (words == 8) + data

    def udp(self) -> bytes:
        """A datagram, short now and then."""
        return self.ports(53) + b"\0\x09\0\0" + b"q" * self.random.choice([1, 20, 72])

    def icmp(self) -> bytes:
        """Echo and other types."""
        head = bytes([self.random.choice([8, 8, 8, 0, 3]), 0, 0, 0])
        return with_checksum(head + self.random.randbytes(8), 2)


class Both:
    """The two realizations, told and asked the same."""

    pauses: ClassVar[list[int]] = [1, 2, 6, 11, 40, 301]

    def __init__(self, c: PathProgram, seed: int) -> None:
        self.c, self.model = c, PathModel()
        self.random = random.Random(-seed)
        self.swept_gone = c.swept_gone
        self.config: dict[str, Any] = merged(
            setups()["spread"],
            {"node": {"mtu": 120}, "services": {"dns": {"rows": ["b3", "b2", "b4", "b5"]}}},
        )
        self.config = merged(self.config, self.start())
        self.c.new(self.config)
        self.model.new(self.config)

    def start(self) -> dict[str, Any]:
        """What the configuration has from the start on, beside the set-up's."""
        return {}

    def drawn(self) -> dict[str, Any]:
        """What else a generation draws anew."""
        return {}

    def publish(self) -> None:
        """A generation with uses, rows and source affinity drawn anew."""
        uses = ["active", "active", "active", "down", "gone"]
        names = list(self.config["backends"])
        change = {
            "backends": {name: {"use": self.random.choice(uses)} for name in names},
            "services": {
                name: {
                    "rows": self.random.choices(names, k=self.random.choice([0, 1, 7, 13, 13])),
                    "flags": self.random.choice([0, 0, ServiceFlag.SOURCE_AFFINITY]),
                }
                for name in self.config["services"]
            },
        }
        self.config = merged(merged(self.config, change), self.drawn())
        self.c.publish(self.config)
        self.model.publish(self.config)

    def push(self) -> None:
        """A pushed connection, to where traffic will come."""
        service = self.random.choice(["web", "dns"])
        state = State.UDP if service == "dns" else self.random.choice([State.NEW, State.ESTABLISHED])
        client = self.random.choice(CLIENTS[:3]), 40000 + self.random.randrange(8)
        entry = Entry(self.random.choice(["b1", "b2"]), state, True, self.random.randrange(5))
        said = self.c.push(client, service, entry)
        assert said == self.model.push(client, service, entry)
        assert said in (Status.OK, Status.EXISTS)

    def wait(self) -> None:
        """A moment, or long enough for a timeout."""
        ticks = self.random.choices(self.pauses, [20, 10, 10, 3, 2, 1])[0]
        self.c.wait(ticks)
        self.model.wait(ticks)
        self.follow_sweep()

    def receive(self, frames: list[bytes]) -> Iterator[Burst]:
        """Packet by packet: same verdict, way, bytes and events."""
        for frame, got in zip(frames, self.c.receive_each(frames), strict=True):
            expected = self.model.receive([frame])
            assert view(got) == view(expected), frame.hex()
            self.follow_sweep()
            yield got

    def follow_sweep(self) -> None:
        """When the C path's sweep came to connections of gone backends, the model forgets them too."""
        if self.c.swept_gone != self.swept_gone:
            self.swept_gone = self.c.swept_gone
            self.model.sweep_gone()

    def compare_tables(self) -> None:
        """Every connection that traffic may have made is the same in both."""
        for service in ("web", "dns"):
            for address in CLIENTS[:3]:
                for port in range(40000, 40008):
                    found = self.c.find((address, port), service)
                    assert found == self.model.find((address, port), service)


class BothLimited(Both):
    """With limits on sources, rates and backends, and connections that do not expire: when a sweep comes
    to one that has, the model does not know."""

    pauses: ClassVar[list[int]] = [0, 0, 1, 1, 2, 6]
    prefixes: ClassVar[list[str]] = ["198.18.64.7/32", "198.18.64.8/31", "198.18.64.0/29", "10.0.0.0/8",
                                     "10.0.0.0/31", "198.0.0.0/7", "0.0.0.0/0", "10.0.0.2/32"]  # fmt: skip

    def start(self) -> dict[str, Any]:
        """See Both."""
        forever = {"new": 30000, "established": 30000, "closing": 30000, "udp": 30000}
        return {"services": {name: {"timeouts": forever} for name in ("web", "dns")}}

    def drawn(self) -> dict[str, Any]:
        """See Both."""
        pick = self.random.choice
        return {
            "backends": {f"b{i}": {"connection_max": pick([0, 1, 3, 8])} for i in range(1, 6)},
            "services": {
                name: {
                    "sources": self.random.sample(self.prefixes, pick([0, 0, 1, 2, 3])),
                    "new_max": pick([0, 0, 1, 3, 7]),
                }
                for name in ("web", "dns")
            },
        }


def view(burst: Burst) -> tuple[Any, ...]:
    """What must be equal: bytes only of frames that somebody gets."""
    left = [(one.verdict, one.way, one.frame if one.way != "dropped" else b"") for one in burst.left]
    return left, Counter({event: n for event, n in burst.events.items() if event not in BACKGROUND})


@pytest.mark.parametrize("seed", [1, 2])
def test_random_traffic_under_limits(c_path: PathProgram, seed: int) -> None:
    """The same with limits that come and go: both let each connection in, or refuse it for one reason."""
    both, traffic = BothLimited(c_path, seed), Traffic(seed)
    verdicts: Counter[Verdict] = Counter()
    events: Counter[Event] = Counter()
    packets = min(PACKETS, 25000)
    for turn in range(packets // STRIDE):
        both.wait()
        if turn % 4 == 0:
            both.publish()
        both.push()
        for burst in both.receive([traffic.frame() for _ in range(STRIDE)]):
            verdicts[burst.left[0].verdict] += 1
            events += burst.events
        if turn % 12 == 11:
            both.compare_tables()
    for verdict in (Verdict.SOURCE_DENIED, Verdict.RATE_LIMITED, Verdict.BACKEND_FULL):
        assert verdicts[verdict] > packets / 250, verdicts
    assert events[Event.CONNECTION_SPILLED] > packets / 250, events


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_traffic(c_path: PathProgram, seed: int) -> None:
    """Thousands of packets amid changes, pushes and waits leave both alike, packet for packet."""
    both, traffic = Both(c_path, seed), Traffic(seed)
    verdicts: Counter[Verdict] = Counter()
    events: Counter[Event] = Counter()
    for turn in range(PACKETS // STRIDE):
        both.wait()
        if turn % 2:
            both.publish()
        if turn % 5:
            both.push()
        for burst in both.receive([traffic.frame() for _ in range(STRIDE)]):
            verdicts[burst.left[0].verdict] += 1
            events += burst.events
        if turn % 12 == 11:
            both.compare_tables()
    assert len(verdicts) > 12, verdicts
    assert events[Event.CONNECTION_RESELECTED] > PACKETS / 300, events
