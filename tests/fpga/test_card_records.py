# SPDX-License-Identifier: Apache-2.0
"""Records through the C path, the Python model and the Verilated card."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from card_beside import Beside
from card_sim import CALM, Card
from path_records import records
from path_runner import PathProgram
from tiara.domain.layout import CardReason

sys.path.append(str(Path(__file__).parents[1] / "path"))
from test_records import Play

RECORDS = records()


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
