# SPDX-License-Identifier: Apache-2.0
"""script/bench card measures the simulated card's lookups, and would see a wrong answer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import card
from card_sim import Card


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Those of the card that tests are built with, at one latency."""
    monkeypatch.setattr(card, "BUCKET_BITS", 10)
    monkeypatch.setattr(card, "PACKETS", 6000)
    return lambda: list(card.rows(1, (100,)))


def test_rows(rows: Callable[[], list[dict[str, Any]]]) -> None:
    """Lookups a clock and the model's packets a second, with the share of hits in second buckets."""
    lookup, model = rows()
    assert (lookup["id"], model["id"]) == ("card.lookup", "card.model")
    assert 0 < lookup["values"][0] <= 1
    assert model["values"][0] > 0
    assert 4 < lookup["params"]["second_bucket_percent"] < 9


def test_lost_entries_are_seen(
    rows: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a bucket that never got into memory no rate is told."""
    poke = Card.poke
    monkeypatch.setattr(Card, "poke", lambda self, bucket, made: bucket % 8 and poke(self, bucket, made))
    with pytest.raises(AssertionError, match="a key was not found"):
        rows()


def test_wrong_slots_are_seen(
    rows: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry in another place of its bucket than was said hits, but is not taken for right."""
    poke = Card.poke

    def swapped(self: Card, bucket: int, made: Any) -> None:
        data = bytes(self.ffi.buffer(made))
        self.ffi.memmove(made, data[32:] + data[:32], 64)
        poke(self, bucket, made)

    monkeypatch.setattr(Card, "poke", swapped)
    monkeypatch.setattr(card, "CHANGE_CYCLES", card.PACKETS + 1)  # none, which would overwrite some
    with pytest.raises(AssertionError, match="other slots"):
        rows()


def test_changes_are_seen(rows: Callable[[], list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was installed for nobody's key is missed afterwards."""
    change = card._change
    monkeypatch.setattr(card, "_change", lambda to, come, leave: change(to, leave, leave))
    with pytest.raises(AssertionError):
        rows()
