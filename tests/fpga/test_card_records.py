# SPDX-License-Identifier: Apache-2.0
"""Records and random traffic through the C path and the Verilated card beside it.

TIARA_CARD_PACKETS sets how many random packets a run sends: 500 for each of four seeds by default.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from card_beside import Beside
from card_sim import CALM, ROUGH, Card
from path_records import merged, records, setups
from path_runner import PathProgram
from tiara.domain.layout import CardReason

sys.path.append(str(Path(__file__).parents[1] / "path"))
from test_differential import Traffic
from test_records import Play

RECORDS = records()
PACKETS = int(os.environ.get("TIARA_CARD_PACKETS", "2000")) // 4
NEVER_TOGETHER = {CardReason.OPENS, CardReason.CLOSES, CardReason.OTHER}
"""They may change what the CPU offloads (OTHER: ARP); the next packet waits for that here."""


@pytest.fixture(scope="module")
def c_path() -> Iterator[PathProgram]:
    """The C packet path, one process for all."""
    path = PathProgram()
    yield path
    path.close()


@pytest.fixture(scope="module")
def card() -> Card:
    """One card, reset for each record."""
    return Card(CALM)


@pytest.mark.parametrize("record", [record for _, record in RECORDS], ids=[name for name, _ in RECORDS])
def test_record(c_path: PathProgram, card: Card, record: Mapping[str, Any]) -> None:
    """What the card forwards of it is what the record says, byte for byte; the rest goes up as declared."""
    play = Play(Beside(c_path, card), record)
    for step in record["step"]:
        play.run(step)


def test_records_reach_the_card(c_path: PathProgram, card: Card) -> None:
    """Over all records packets are forwarded by the card, and each reason to hand one up occurs."""
    beside = Beside(c_path, card)
    for _, record in RECORDS:
        play = Play(beside, record)
        for step in record["step"]:
            play.run(step)
    assert beside.seen.ways["sent"] > 15, beside.seen
    wanted = set(CardReason) - {CardReason.NONE, CardReason.NO_BACKEND}
    assert wanted <= set(beside.seen.reasons), wanted - set(beside.seen.reasons)


class Configurations:
    """Configurations drawn at random for the C path with a card beside it."""

    def __init__(self, beside: Beside, seed: int) -> None:
        self.random = random.Random(-seed)
        self.beside = beside
        rows = {"services": {"dns": {"rows": ["b3", "b2", "b4", "b5"]}}}
        self.config = merged(setups()["spread"], {"node": {"mtu": 120}, **rows})
        beside.new(self.config)
        beside.publish(self.config)

    def publish(self) -> None:
        """Uses and rows drawn anew."""
        names = list(self.config["backends"])
        uses = ["active", "active", "active", "down", "gone"]
        change = {
            "backends": {name: {"use": self.random.choice(uses)} for name in names},
            "services": {
                name: {"rows": self.random.choices(names, k=self.random.choice([1, 7, 13]))}
                for name in self.config["services"]
            },
        }
        self.config = merged(self.config, change)
        self.beside.publish(self.config)


def groups(beside: Beside, frames: list[bytes], most: int) -> Iterator[list[bytes]]:
    """Frames that may be in flight together."""
    group: list[bytes] = []
    for frame in frames:
        alone = beside.expect(frame)[0] in NEVER_TOGETHER
        if group and (alone or len(group) == most):
            yield group
            group = []
        group.append(frame)
        if alone:
            yield group
            group = []
    if group:
        yield group


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_random_traffic(c_path: PathProgram, seed: int) -> None:
    """Random packets amid changes and waits: C, the card and the rules in Python agree on each of them."""
    draw, traffic = random.Random(seed), Traffic(seed)
    card = Card(CALM if seed % 2 else ROUGH)
    beside = Beside(c_path, card, seed)
    both = Configurations(beside, seed)
    sent = 0
    while sent < PACKETS:
        if draw.random() < 0.05:
            both.publish()
        if draw.random() < 0.2:
            beside.wait(draw.choice([1, 1, 2, 6]))
        for group in groups(beside, [traffic.frame() for _ in range(20)], draw.choice([1, 4, 16])):
            beside.receive(group)
            sent += len(group)
    assert beside.seen.ways["sent"] > sent / 20, beside.seen
    assert len(beside.seen.reasons) > 6, beside.seen.reasons
    for name in ("web", "dns"):
        expected = beside.seen.pkts_by_service[name], beside.seen.bytes_by_service[name]
        assert card.totals(beside.order["services"].index(name), False) == expected
