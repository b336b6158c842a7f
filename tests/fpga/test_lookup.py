# SPDX-License-Identifier: Apache-2.0
"""tiara_lookup finds what is in the table, in the order it was asked, whatever the memory does."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product

import pytest
from back_card import (
    BUCKETS,
    INSTALL,
    MISS,
    NONE,
    PORT_SHIFT,
    PORTS,
    REMOVE,
    SLOTS,
    Back,
    Command,
    Events,
    Lookup,
    Request,
    Setup,
    Twin,
)

Start = Callable[..., Back]
State = dict[int, tuple[int, int]]
"""What slots hold: key and backend line."""

SETUPS = {
    "quick, in order": Setup(latency_min=1, latency_max=1, reorder=0),
    "out of order": Setup(latency_min=5, latency_max=80),
    "refresh": Setup(latency_min=20, latency_max=60, refresh_period=200, refresh_cycles=70),
    "gaps and waits": Setup(latency_max=60, refresh_period=90, refresh_cycles=20, ready_pct=40, valid_pct=50),
}


class World:
    """Random keys in random places, on the card and in the twin."""

    def __init__(self, back: Back, seed: int, entries: int = SLOTS * 6 // 10) -> None:
        self.random = random.Random(seed)
        self.back, self.twin = back, Twin()
        self.number = 0
        self.places: dict[int, tuple[int, int]] = {}
        """The two buckets of each key."""
        free = list(range(SLOTS))
        self.random.shuffle(free)
        commands = [self.install(free.pop()) for _ in range(entries)]
        back.run(commands)
        for command in commands:
            assert self.twin.command(command) == []

    def install(self, slot: int) -> Command:
        key, bucket, other = self.random.getrandbits(64), slot // 4, self.random.randrange(BUCKETS)
        self.places[key] = (bucket, other) if self.random.random() < 0.7 else (other, bucket)
        self.number += 1
        return Command(INSTALL, self.number, slot, key, self.random.getrandbits(32))

    def request(self, name: int) -> Request:
        """Of a key that is there, or was, or differs by a bit, or with a reason."""
        key = self.random.choice([*self.places])
        places = self.places[key]
        draw = self.random.random()
        if draw < 0.1:
            key ^= 1 << self.random.randrange(64)
        elif draw < 0.15:
            key = self.random.getrandbits(64)
        reason = self.random.randrange(2, 9) if self.random.random() < 0.1 else NONE
        return Request(name, key, *places, reason)


@pytest.mark.parametrize("name", SETUPS)
def test_random_lookups(back: Start, name: str) -> None:
    """Each result is the twin's, and they come in the order of the requests."""
    world = World(back(3, SETUPS[name]), seed=5)
    requests = [world.request(i) for i in range(2500)]
    events = world.back.run(requests)
    expected = [(one.name, world.twin.lookup(one)) for one in requests]
    assert events.found == expected
    assert sum(found.hit for _, found in expected) > 1500


def test_both_buckets(back: Start) -> None:
    """The first bucket wins, in a bucket the first place; an empty slot's rest is not read."""
    one = back()
    key, other = 0x0123_4567_89AB_CDEF, 0x1123_4567_89AB_CDEF
    places = [(8, 10), (9, 11), (4 * 7 + 3, 12), (4 * 7 + 2, 13)]
    one.run([Command(INSTALL, 1 + i, slot, key, line) for i, (slot, line) in enumerate(places)])
    one.run([Command(INSTALL, 9, 40, key, 14, state=0), Command(INSTALL, 10, 41, key, 15, state=2)])
    asked = [(2, 7), (7, 2), (2, 2), (3, 7), (7, 3), (10, 3), (3, 10), (10, 10)]
    requests = [Request(i, key, *buckets) for i, buckets in enumerate(asked)]
    found = [result for _, result in one.run([*requests, Request(99, other, 2, 7)]).found]
    in_2, in_7, miss = Lookup(True, NONE, 8, 10), Lookup(True, NONE, 30, 13), Lookup(False, MISS)
    assert found == [in_2, in_7, in_2, in_7, in_7, miss, miss, miss, miss]


def test_every_bit_of_the_key(back: Start) -> None:
    """A key that differs in one bit is another one, in every place of a bucket."""
    one = back()
    key = 0xFEDC_BA98_7654_3210
    for place in range(4):
        one.run([Command(INSTALL, 2 * place + 1, 20 + place, key, 7)])
        requests = [Request(64, key, 5, 6), *(Request(i, key ^ 1 << i, 5, 6) for i in range(64))]
        found = [result for _, result in one.run(requests).found]
        assert found == [Lookup(True, NONE, 20 + place, 7), *[Lookup(False, MISS)] * 64]
        one.run([Command(REMOVE, 2 * place + 2, 20 + place, key)])


def test_all_ids_in_use(back: Start) -> None:
    """With a slow memory every ID of every port is out at once, and the order full; nothing is lost."""
    world = World(back(4, Setup(latency_min=300, latency_max=400)), seed=6)
    requests = [world.request(i) for i in range(600)]
    events = world.back.run(requests)
    assert events.full == set(range(PORTS))
    assert events.found == [(one.name, world.twin.lookup(one)) for one in requests]


def test_one_port_takes_all(back: Start) -> None:
    """All buckets on one port: slower, nothing else."""
    world = World(back(4), seed=7)
    keys = [key for key, (one, two) in world.places.items() if one % PORTS == two % PORTS == 1]
    requests = [Request(i, keys[i % len(keys)], *world.places[keys[i % len(keys)]]) for i in range(400)]
    events = world.back.run(requests)
    assert events.found == [(one.name, world.twin.lookup(one)) for one in requests]


def test_results_that_nobody_takes(back: Start) -> None:
    """Requests wait and none is lost while results are not taken."""
    world = World(back(5), seed=8)
    requests = [world.request(i) for i in range(200)]
    waiting = world.back.run(requests, Setup(starve=1).words(), "run 600")
    assert waiting.found == []
    assert len(waiting.begun) < 60
    events = world.back.run([], Setup().words(), "idle")
    assert events.found == [(one.name, world.twin.lookup(one)) for one in requests]


@pytest.mark.parametrize("cycles", [40, 41, 57, 90, 133])
def test_reset_in_mid_flight(back: Start, cycles: int) -> None:
    """After it nothing comes of what was asked before it, the table is empty, and the card works."""
    world = World(back(cycles, SETUPS["out of order"]), seed=cycles)
    old = [world.request(i) for i in range(300)]
    commands = [world.install(slot) for slot in range(20)]
    world.back.run([*old, *commands], f"run {cycles}")
    requests = [Request(1000 + i, key, *places) for i, (key, places) in enumerate(world.places.items())]
    events = world.back.run([], "drop", "reset 2", "idle")
    assert (events.found, events.said) == ([], [])
    assert world.back.run(requests).found == [(one.name, Lookup(False, MISS)) for one in requests]
    again = Command(INSTALL, 1, 17, requests[0].key, 4, epoch=2)
    found = world.back.run([again], "idle") and world.back.run([Request(1, requests[0].key, 4, 4)]).found
    assert found == [(1, Lookup(True, NONE, 17, 4))]


def test_until_the_table_is_empty_all_miss(back: Start) -> None:
    """A card that clears its table after a reset reads nothing of it."""
    world = World(back(6), seed=9)
    requests = [world.request(i) for i in range(20)]
    events = world.back.do(
        ["reset 2", *(f"L {r.name} {r.key} {r.bucket_1} {r.bucket_2} 0" for r in requests)]
    )
    events = world.back.run([], "run 30")
    assert events.found == [(one.name, Lookup(False, MISS)) for one in requests]


def test_bad_responses(back: Start) -> None:
    """A beat that the memory marks as bad holds nothing: a lookup is right, or a miss."""
    world = World(back(7), seed=10)
    requests = [world.request(i) for i in range(1500)]
    events = world.back.run(requests, Setup(error_pct=20).words(), "idle")
    wrong = 0
    for (name, found), one in zip(events.found, requests, strict=True):
        right = world.twin.lookup(one)
        assert name == one.name
        assert found in (right, Lookup(False, MISS))
        wrong += found != right
    assert events.errors > 500
    assert 100 < wrong < 900


def _written(events: Events, commands: list[Command], start: State) -> list[tuple[int, State]]:
    """The table from each cycle on. The memory tells when it was written; in the order of commands."""
    states = [(-1, dict(start))]
    writes = iter(events.writes)
    for command in commands:
        now = dict(states[-1][1])
        if command.kind == REMOVE and now.get(command.slot, (0, 0))[0] != command.key:
            continue
        addr, cycle = next(writes)
        bucket = command.slot // 4
        assert addr == (bucket % PORTS << PORT_SHIFT) + bucket // PORTS * 64 + command.slot % 4 // 2 * 32
        if command.kind == REMOVE:
            del now[command.slot]
        else:
            now[command.slot] = (command.key, command.line)
        states.append((cycle, now))
    assert next(writes, None) is None
    return states


def _possible(states: list[tuple[int, State]], begun: int, ended: int, request: Request) -> set[Lookup]:
    """What a lookup may find that was inside from one cycle to another."""
    if request.reason != NONE:
        return {Lookup(False, request.reason)}
    ends = [cycle for cycle, _ in states[1:]] + [1 << 62]
    during = [Twin(table=state) for (at, state), end in zip(states, ends, strict=True)
              if end >= begun and at <= ended]  # fmt: skip
    firsts = {one.lookup(Request(0, request.key, request.bucket_1, request.bucket_1)) for one in during}
    seconds = {one.lookup(Request(0, request.key, request.bucket_2, request.bucket_2)) for one in during}
    return {first if first.hit else second for first, second in product(firsts, seconds)}


@pytest.mark.parametrize("seed", range(3))
def test_table_writes_beside_lookups(back: Start, seed: int) -> None:
    """A lookup finds what was in the table while it was inside; after a removal's answer nobody finds it."""
    world = World(back(seed, SETUPS["gaps and waits"]), seed)
    start = dict(world.twin.table)
    commands: list[Command] = []
    for _ in range(250):
        slot = world.random.choice([*world.twin.table, *range(SLOTS)])
        held = world.twin.table.get(slot)
        command = world.install(slot)
        if held:
            command = Command(REMOVE, command.number, slot, held[0])
        commands.append(command)
        world.twin.command(command)
    requests = [world.request(i) for i in range(4000)]
    events = world.back.run([*requests, *commands])
    states = _written(events, commands, start)
    kinds = set()
    for (name, found, cycle), one in zip(events.results, requests, strict=True):
        possible = _possible(states, events.begun[name], cycle, one)
        assert found in possible
        kinds.add(len(possible))
    assert len(kinds) > 1, "no lookup met a write"
    removed = {(a.slot, cycle) for a, cycle in events.answers if a.seen & 1}
    for slot, answered in removed:
        again = min((c for c, state in states if c > answered and slot in state), default=1 << 62)
        assert not [
            r for _, r, cycle in events.results if r.hit and r.slot == slot and answered <= cycle < again
        ]
