# SPDX-License-Identifier: Apache-2.0
"""script/bench policies measures the planner's own tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tiara.domain.model import Policy

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import policies


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every policy has its rows, and what rendezvous hashing promises is seen in them."""
    monkeypatch.setattr(policies, "ROWS", 4093)
    rows = list(policies.measure(1))
    assert {row["id"] for row in rows} == {"policy.fill", "policy.off", "policy.moved"}
    assert {row["params"]["policy"] for row in rows} == set(Policy)
    for row in rows:
        if row["id"] == "policy.fill":
            assert all(value > 0 for value in row["values"])
        if row["id"] == "policy.moved":
            still = row["params"]["policy"] == Policy.RENDEZVOUS
            assert (max(row["values"]) == 0) == still, row
