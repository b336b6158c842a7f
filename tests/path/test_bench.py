# SPDX-License-Identifier: Apache-2.0
"""script/bench measures what it says: its programs check every answer, and print the rows by their ids."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

BUILD = Path(os.environ.get("TIARA_BUILD", Path(__file__).parents[2] / "build" / "release"))
RUNS = [
    ("bench-table", ["100000", "1"], {"table.insert", "limit.lines", "table.hit", "table.miss"}),
    ("bench-bulk", ["100000", "1"], {"push.native", "snapshot.native"}),
    ("bench-publish", ["2"], {"maglev.fill", "publish.change"}),
    *(
        ("bench-path", ["131072", mode, "1"], {"path.new", "path.established"})
        for mode in ("l2", "ipip", "vxlan")
    ),
]


@pytest.mark.parametrize(("program", "arguments", "ids"), RUNS)
def test_rows(program: str, arguments: list[str], ids: set[str]) -> None:
    """Every connection is found as it was put in and every packet sent to a server, or the program fails."""
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
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["id"] for row in rows} == ids
    assert all(value > 0 for row in rows for value in row["values"])
