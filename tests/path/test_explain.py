# SPDX-License-Identifier: Apache-2.0
"""What explain says of a packet, held against what then left the memory port; and it changes nothing.

Every `explain` compares the segment's bytes before and after (run_memory.c).
"""

from __future__ import annotations

import random
from collections import Counter

import pytest
from path_records import Entry, Explained, Left, merged, setups
from path_runner import PathProgram
from test_differential import BACKGROUND, Traffic
from tiara.domain.layout import Event, State, Verdict

TURNS = 120
STRIDE = 20
"""Packets between two pauses."""
FORWARDED = {Verdict.FORWARDED, Verdict.FORWARDED_UNTRACKED, Verdict.FORWARDED_STRAY}


class Crowd(Traffic):
    """The same traffic from so many ports that the table fills."""

    def __init__(self, seed: int, port_count: int) -> None:
        super().__init__(seed)
        self._port_count = port_count

    def ports(self, service: int) -> bytes:
        """A client's port, and the service's."""
        client = 40000 + self.random.randrange(self._port_count)
        return client.to_bytes(2, "big") + service.to_bytes(2, "big")


def client_of(frame: bytes) -> tuple[str, int]:
    """Address and port of who sent it."""
    at = 18 if frame[12:14] == b"\x81\x00" else 14
    ports = at + 4 * (frame[at] & 15)
    address = ".".join(str(octet) for octet in frame[at + 12 : at + 16])
    return address, int.from_bytes(frame[ports : ports + 2], "big")


class Told:
    """A path that is asked before each packet what it will do."""

    def __init__(self, path: PathProgram, seed: int, buckets: int) -> None:
        self.path, self.random = path, random.Random(-seed)
        self.config = merged(
            setups()["spread"],
            {
                "buckets": buckets,
                "node": {"mtu": 120},
                "services": {"dns": {"rows": ["b3", "b2", "b4", "b5"]}},
            },
        )
        self.path.new(self.config)
        self.seen: Counter[Verdict] = Counter()
        self.events: Counter[Event] = Counter()

    def publish(self) -> None:
        """Another configuration: uses, rows and forwarding drawn anew."""
        uses = ["active", "active", "active", "down", "gone"]
        names = list(self.config["backends"])
        change = {
            "backends": {name: {"use": self.random.choice(uses)} for name in names},
            "services": {
                name: {
                    "rows": self.random.choices(names, k=self.random.choice([0, 1, 7, 13, 13])),
                    "flags": self.random.choice([0, 0, 1]),
                }
                for name in self.config["services"]
            },
        }
        self.config = merged(self.config, change)
        self.path.publish(self.config)

    def receive(self, frame: bytes) -> None:
        """Asked, then done: the same verdict, way, bytes and events."""
        said = self.path.explain(frame)
        done = self.path.receive([frame])
        left = done.left[0]
        assert said.left == (left if left.way != "dropped" else Left(left.verdict, left.way, b"")), (
            frame.hex()
        )
        assert said.events == done.events.keys() - BACKGROUND, frame.hex()
        self.seen[left.verdict] += 1
        self.events += done.events
        if said.service:
            self.check_connection(frame, said, left.verdict)

    def check_connection(self, frame: bytes, said: Explained, verdict: Verdict) -> None:
        """The state that it foretold is the one that is there now, and the backend is its entry's."""
        entry = self.path.find(client_of(frame), said.service)
        assert (entry.state if entry else State.EMPTY) == said.state, frame.hex()
        if verdict == Verdict.FORWARDED:
            assert entry and entry.backend == said.backend, frame.hex()
        if verdict in FORWARDED and said.before is None and Event.CONNECTION_SPILLED not in said.events:
            assert said.backend == said.row_backend, frame.hex()

    def fill(self, count: int) -> None:
        """Connections that nobody sends on, pushed until both buckets of most keys are full."""
        config = merged(self.config, {"services": {"web": {"timeouts": {"established": 30000}}}})
        self.path.publish(config)
        self.config = config
        for number in range(count):
            client = f"10.1.{number // 256}.{number % 256}", 5000
            self.path.push(client, "web", Entry("b1", State.ESTABLISHED, True, 0))


@pytest.mark.parametrize(("seed", "buckets"), [(1, 64), (2, 8), (3, 2)])
def test_random_packets(c_path: PathProgram, seed: int, buckets: int) -> None:
    """Known, unknown, malformed and fragments, with changes and waits between."""
    told, traffic = Told(c_path, seed, buckets), Traffic(seed)
    for turn in range(TURNS):
        c_path.wait(told.random.choices([1, 2, 6, 11, 301], [40, 10, 4, 2, 1])[0])
        if turn % 3 == 1:
            told.publish()
        for _ in range(STRIDE):
            told.receive(traffic.frame())
    assert len(told.seen) > 12, told.seen
    assert told.events[Event.CONNECTION_RESELECTED] > 0


@pytest.mark.parametrize(("seed", "buckets"), [(4, 32), (5, 256)])
def test_full_table(c_path: PathProgram, seed: int, buckets: int) -> None:
    """Where room is made by moving others' entries, and where none can be made."""
    told, traffic = Told(c_path, seed, buckets), Crowd(seed, 10 * buckets)
    told.fill(4 * buckets)
    for _ in range(TURNS):
        for _ in range(STRIDE):
            told.receive(traffic.frame())
    assert told.seen[Verdict.FORWARDED_UNTRACKED] > 0
    assert told.events[Event.MOVED] > 0, told.events


class Limited(Told):
    """Sources, rates and backends are limited, each anew with every configuration."""

    prefixes = ("198.18.64.7/32", "198.18.64.8/31", "10.0.0.0/8", "0.0.0.0/0")

    def publish(self) -> None:
        """Backends that take few connections, services that let few begin."""
        pick = self.random.choice
        limits = {
            "backends": {f"b{i}": {"connection_max": pick([0, 1, 3, 8])} for i in range(1, 6)},
            "services": {
                name: {
                    "sources": self.random.sample(self.prefixes, pick([0, 0, 2, 3])),
                    "new_max": pick([0, 1, 3]),
                }
                for name in self.config["services"]
            },
        }
        self.config = merged(self.config, limits)
        super().publish()


@pytest.mark.parametrize("seed", [6, 7])
def test_limits(c_path: PathProgram, seed: int) -> None:
    """Who would be refused, and who spills to another backend; being asked takes nobody's token."""
    told, traffic = Limited(c_path, seed, 64), Traffic(seed)
    for turn in range(2 * TURNS):
        c_path.wait(told.random.choice([0, 0, 1, 1, 6]))
        if turn % 4 == 1:
            told.publish()
        for _ in range(STRIDE):
            told.receive(traffic.frame())
    for verdict in (Verdict.SOURCE_DENIED, Verdict.RATE_LIMITED, Verdict.BACKEND_FULL):
        assert told.seen[verdict] > 10, told.seen
    assert told.events[Event.CONNECTION_SPILLED] > 10, told.events


def test_before_anything_was_published(c_path: PathProgram) -> None:
    """There is nothing to look in, and the verdict says so."""
    c_path.new(setups()["base"])
    frame = Traffic(1).ether(0x0800)
    assert c_path.explain(frame).left.verdict == c_path.receive([frame]).left[0].verdict


def a_packet_of_web(path: PathProgram) -> tuple[bytes, Explained]:
    """One that would make an established connection."""
    traffic = Traffic(7)
    while True:
        frame = traffic.frame()
        said = path.explain(frame)
        if said.service == "web" and said.state == State.ESTABLISHED:
            return frame, said


def test_the_connection_before(c_path: PathProgram) -> None:
    """It is told as it was, with its idle time, beside what it will be."""
    config = setups()["spread"]
    c_path.new(config)
    c_path.publish(config)
    frame, said = a_packet_of_web(c_path)
    assert said.before is None
    assert c_path.receive([frame]).left[0].verdict == Verdict.FORWARDED
    c_path.wait(3)
    again = c_path.explain(frame)
    assert again.before == Entry(said.backend, State.ESTABLISHED, False, 3)


def test_pushed_connection(c_path: PathProgram) -> None:
    """Its packet goes where it was pushed to, whatever its row says, and explain says so before."""
    config = setups()["spread"]
    c_path.new(config)
    c_path.publish(config)
    frame, said = a_packet_of_web(c_path)
    other = "b2" if said.row_backend == "b1" else "b1"
    c_path.push(client_of(frame), "web", Entry(other, State.ESTABLISHED, True, 0))
    said = c_path.explain(frame)
    assert said.before == Entry(other, State.ESTABLISHED, True, 0)
    assert said.backend == other != said.row_backend
