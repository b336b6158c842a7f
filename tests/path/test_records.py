# SPDX-License-Identifier: Apache-2.0
"""Every record of tests/path/records against every realization of the packet path."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from path_packets import build, mac
from path_records import FOLDER, Burst, Entry, PathUnderTest, merged, records, setups
from tiara.domain.layout import Event, State, Status, Verdict

RECORDS = records()
SETUPS = setups()
BACKGROUND = {
    Event.GENERATION_CHANGE,
    Event.SWEPT_EXPIRED,
    Event.SWEPT_GONE,
    Event.SWEPT_TENTATIVE,
    Event.INSERT_RACE,
    Event.TOUCH_RACE,
}
"""Events of no packet: a sweep may be due in any burst, and who wins a race is nobody's promise."""

Step = Mapping[str, Any]


class Play:
    """One record being run against one realization."""

    def __init__(self, path: PathUnderTest, record: Mapping[str, Any]) -> None:
        self.path = path
        self.config: Mapping[str, Any] = SETUPS[record["setup"]]
        self.waiting: list[Step] = []
        path.new(self.config)
        if not record.get("unconfigured", False):
            path.publish(self.config)

    def run(self, step: Step) -> None:
        """Do what the step's own key says."""
        kind = next(key for key in step if key in STEPS)
        STEPS[kind](self, step)

    def frame(self, step: Step) -> None:
        """A frame from the port; `with_next`: in one burst with the next one."""
        self.waiting.append(step)
        if step.get("with_next", False):
            return
        burst = self.path.receive([bytes.fromhex(one["in_hex"]) for one in self.waiting])
        self.check(burst, self.waiting)
        self.waiting = []

    def injected(self, step: Step) -> None:
        """A frame from the kernel side."""
        self.check(self.path.inject(bytes.fromhex(step["inject_hex"])), [step])

    def check(self, burst: Burst, steps: list[Step]) -> None:
        """Each frame ended as its step says, and no other packet events were counted."""
        for step, left in zip(steps, burst.left, strict=True):
            assert left.verdict.label == step["verdict"]
            assert left.way == (step.get("to", "sent") if "out_hex" in step else "dropped")
            if "out_hex" in step:
                assert left.frame.hex() == step["out_hex"]
        events = Counter({e.label: n for e, n in burst.events.items() if e not in BACKGROUND})
        assert events == Counter(steps[-1].get("events", []))

    def wait(self, step: Step) -> None:
        """Seconds pass."""
        self.path.wait(step["wait"])

    def change(self, step: Step) -> None:
        """A new generation with what the step changes."""
        self.config = merged(self.config, step["change"])
        self.path.publish(self.config)

    def push(self, step: Step) -> None:
        """The control plane pushes a connection."""
        said = step["push"]
        entry = Entry(said["backend"], State[said["state"].upper()], True, said.get("idle", 0))
        status = self.path.push(endpoint(said["client"]), said["service"], entry)
        assert status == Status[said.get("status", "ok").upper()]

    def entry(self, step: Step) -> None:
        """What a lookup finds now."""
        said = step["entry"]
        expected = None
        if not said.get("absent", False):
            expected = Entry(said["backend"], State[said["state"].upper()], said.get("pushed", False),
                             said.get("idle", 0))  # fmt: skip
        assert self.path.find(endpoint(said["client"]), said["service"]) == expected

    def neighbour(self, step: Step) -> None:
        """What is known of next hops."""
        for address, (state, name) in step["neighbour"].items():
            assert self.path.neighbour(address) == (state, mac(name))

    def room(self, step: Step) -> None:
        """What frames and port have room for from now on."""
        said = step["room"]
        self.path.room(said.get("headroom", 128), said.get("tx", -1), said.get("kernel", -1))

    def counters(self, step: Step) -> None:
        """Flow counters of a service and of a backend."""
        said = step["counters"]
        expected = (said["pkts"], said["bytes"], said["connections"])
        assert self.path.counters(said["service"], said["backend"]) == (expected, expected)


STEPS = {
    "in": Play.frame,
    "inject": Play.injected,
    "wait": Play.wait,
    "change": Play.change,
    "push": Play.push,
    "entry": Play.entry,
    "neighbour": Play.neighbour,
    "room": Play.room,
    "counters": Play.counters,
}


def endpoint(text: str) -> tuple[str, int]:
    """("198.18.64.7", 40000) of "198.18.64.7:40000"."""
    address, port = text.split(":")
    return address, int(port)


@pytest.mark.parametrize("record", [record for _, record in RECORDS], ids=[name for name, _ in RECORDS])
def test_record(path_under_test: PathUnderTest, record: Mapping[str, Any]) -> None:
    """The record's description holds: each packet in gives the packet out, verdict and events written."""
    play = Play(path_under_test, record)
    for step in record["step"]:
        play.run(step)


@pytest.mark.parametrize("record", [record for _, record in RECORDS], ids=[name for name, _ in RECORDS])
def test_text_is_hex(record: Mapping[str, Any]) -> None:
    """What people read in a record, built by scapy, is what the machines are given."""
    for step in record["step"]:
        for key in ("in", "out", "inject"):
            if key in step:
                assert build(step[key]).hex() == step[key + "_hex"]


def test_descriptions_differ() -> None:
    """No two records claim the same."""
    described = Counter(record["description"] for _, record in RECORDS)
    assert [text for text, cnt in described.items() if cnt > 1] == []


NO_RECORD = {Verdict.NONE, Verdict.FORWARDED_BY_CARD, Verdict.CARD_REMOVING}
"""The latter two: meson:path-offload."""


def test_every_verdict_has_a_record() -> None:
    """Each verdict that leaves the packet path is shown by a record, but those that a card has to do with."""
    shown = {step["verdict"] for _, record in RECORDS for step in record["step"] if "verdict" in step}
    assert {verdict.label for verdict in Verdict if verdict not in NO_RECORD} - shown == set()


def test_every_setup_is_used() -> None:
    """A set-up that no record starts from is a mistake."""
    used = {record["setup"] for _, record in RECORDS}
    assert set(tomllib.loads((FOLDER / "setups.toml").read_text())) - used == set()
