# SPDX-License-Identifier: Apache-2.0
"""script/bench measures what it says: its programs check every answer, and print the rows by their ids."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("TIARA_BUILD", ROOT / "build" / "release"))
sys.path.insert(0, str(ROOT / "bench"))

import targets  # noqa: E402

TABLE = {
    "limit.lines",
    "table.bytes",
    "table.hit",
    "table.insert",
    "table.miss",
    "table.remove",
    "table.sweep",
    "table.touch",
}
PATH = {"path.established", "path.latency", "path.new", "table.sweep"}
RUNS = [
    ("bench-table", ["100000", "2"], TABLE),
    ("bench-tail", ["100000"], {"table.insert_tail"}),
    ("bench-occupancy", ["4096", "2"], {"table.occupancy"}),
    ("bench-scaling", ["100000", "1"], {"table.scaling"}),
    ("bench-churn", ["100000", "20000", "2"], {"table.churn"}),
    ("bench-bulk", ["100000", "1"], {"push.native", "snapshot.native"}),
    ("bench-publish", ["2"], {"maglev.fill", "publish.change"}),
    ("bench-consistency", ["65536", "8"], {"path.consistency"}),
    ("bench-flood", ["65536", "1"], {"path.flood"}),
    ("bench-offload", ["131072", "ipip", "1"], {"path.new", "card.commands", "card.decision"}),
    *(("bench-path", ["131072", mode, "1"], PATH) for mode in ("l2", "ipip", "vxlan")),
]
NONE_AT_ALL = {"broken", "refused"}  # by measure
MAY_BE_NONE = {"expired_by_sweep"}


def rows_of(program: str, arguments: list[str]) -> list[dict[str, Any]]:
    """What it prints. It ends with an error where an answer is not the expected one."""
    path = BUILD / "bench" / program
    assert path.exists(), f"no {path}: run script/test path"
    with tempfile.TemporaryDirectory(prefix="tiara-bench-", dir="/dev/shm") as folder:
        done = subprocess.run(
            [path, f"{folder}/segment", *arguments],
            env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("program", "arguments", "ids"), RUNS)
def test_rows(program: str, arguments: list[str], ids: set[str]) -> None:
    """Every connection is found as it was put in and every packet sent to a server, or the program fails."""
    rows = rows_of(program, arguments)
    assert {row["id"] for row in rows} == ids
    for row in rows:
        measure = row["params"].get("measure")
        if measure in NONE_AT_ALL:
            assert row["values"] == [0], row
        elif measure not in MAY_BE_NONE:
            assert all(value > 0 for value in row["values"]), row


def test_consistency_would_see_it() -> None:
    """Connections of removed backends moved and were seen to; most others would have, by selection."""
    rows = rows_of("bench-consistency", ["131072", "12"])
    of = {row["params"]["measure"]: row["values"][0] for row in rows}
    assert of["of_removed_backends"] > 0
    # 120 of 1000 services got new tables, in which one row in a hundred says the same.
    assert of["elsewhere_than_selection"] > 131072 * 0.12 * 0.95


def test_modelled_is_marked() -> None:
    """More threads than were run are a model's, and say so."""
    for row in rows_of("bench-scaling", ["100000", "1"]):
        cores = min(os.cpu_count() or 1, 2)
        expected = "measured" if row["params"]["threads"] <= cores else "modelled"
        assert row["params"]["basis"] == expected


def test_full_table_takes_longer() -> None:
    """The tail is ordered, and an insert into a full table takes longer than into one that is not."""
    value = {
        (row["params"]["percent_full"], row["params"]["quantile"]): row["values"][0]
        for row in rows_of("bench-tail", ["200000"])
    }
    for percent in (60, 90, 95):
        assert (
            value[percent, "p50"] <= value[percent, "p99"] <= value[percent, "p99.9"] <= value[percent, "max"]
        )
    assert value[60, "p50"] < value[95, "p50"]


def row(name: str, best: float, **params: Any) -> dict[str, Any]:
    """As the report has them."""
    return {
        "id": name,
        "params": {"page_bytes": 4096, "connections": 80_000_000, **params},
        "unit": "1/s",
        "best": best,
        "median": best,
        "repeats": 1,
    }


def test_targets() -> None:
    """A target is judged against the row of the same size and pages, and says how far it was missed."""
    rows = [
        row("limit.lines", 100),
        row("limit.lines", 10, page_bytes=2 << 20),
        row("table.hit", 80),
        row("table.miss", 71),
        row("table.churn", 0, measure="refused"),
        row("table.churn", 99, measure="lookups_rest"),
        row("table.churn", 100, measure="lookups_before"),
        row("path.new", 9_000_000, connections=79_986_688, forward="ipip"),
    ]
    judged = list(targets.judge(rows))
    assert [met for met, _ in judged] == [False, True, True, True, False]
    assert judged[0][1].split()[-3:] == ["missed", "by", "6%"]
    assert "0.80 >= 0.85 x limit.lines" in judged[0][1]


def test_no_peer_no_verdict() -> None:
    """Where the row to compare with is missing nothing is said to be met."""
    assert not list(targets.judge([row("table.hit", 80)]))
