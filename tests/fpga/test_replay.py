# SPDX-License-Identifier: Apache-2.0
"""What breaks a protocol with one rule less breaks neither the engine nor the plain card."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from protocol_model import RULES, check, without

ARRIVES = re.compile(r"(\w+) (\w?) ?(\d+) arrives")


def program() -> Path:
    """The C side, built by script/test."""
    folder = Path(os.environ.get("TIARA_BUILD", Path(__file__).parents[2] / "build/release"))
    return folder / "tests/path/replay_offload"


def script(run: tuple[str, ...]) -> list[str]:
    """The run in the program's words: which message of its kind arrives, counted from 0, not its number."""
    arrivals = [ARRIVES.fullmatch(step) for step in run]
    numbers: dict[tuple[str, str], set[int]] = {}
    for found in arrivals:
        if found:
            numbers.setdefault((found[1], found[2]), set()).add(int(found[3]))
    lines = []
    for step, found in zip(run, arrivals, strict=True):
        if not found:
            lines.append(step)
        elif found[1] not in ("reset", "total"):
            nth = sorted(numbers[found[1], found[2]]).index(int(found[3]))
            lines.append(f"arrives {found[1]} {found[2] or '-'} {nth}")
    return lines


@pytest.mark.parametrize("rule", RULES)
def test_counterexample_is_harmless(rule: str) -> None:
    """Every packet reaches its connection's backend; the card has nothing that the CPU believes gone."""
    _, finding = check(without(rule))
    assert finding
    done = subprocess.run(
        [program()], input="\n".join(script(finding.run)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stderr}\n" + "\n".join(finding.run)
    arrived, named = map(int, done.stdout.split(" of "))
    assert arrived > 0 or named == 0
