# SPDX-License-Identifier: Apache-2.0
"""script/bench control measures an instance that runs: every row, and calls that did what they say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))

import control

SMALL = {"connections": 4096, "services": 64, "backends": 64, "heap-mb": 16}


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans, applies, watches, reads and writes have their rows; packets of all services found them."""
    for name, value in {"SERVICES": 3, "BACKENDS": 4, "FAN_OUTS": 5, "SIZES": SMALL}.items():
        monkeypatch.setattr(control, name, value)
    rows = list(control.measure(1.0, 1))
    found = {(row["id"], row["params"].get("measure", "")) for row in rows}
    assert found == {
        ("apply.time", "first"),
        ("apply.time", "one changed"),
        ("plan.time", "one changed"),
        ("watch.fanout", ""),
        ("api.read", "get"),
        ("api.read", "list"),
        ("api.write", "update"),
        ("api.write", "applied"),
    }
    assert all(value > 0 for row in rows for value in row["values"])
    quantiles = {
        (row["params"]["measure"], row["params"]["quantile"]): row["values"][0]
        for row in rows
        if row["id"].startswith("api.")
    }
    assert quantiles["get", "p50"] <= quantiles["get", "p99"]
    assert quantiles["update", "p50"] < quantiles["applied", "p99"]
