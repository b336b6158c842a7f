# SPDX-License-Identifier: Apache-2.0
"""What breaks a protocol with one rule less breaks neither the engine nor its card, plain or Verilated."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from card_replay import CardReplay
from card_sim import CALM, Card
from protocol_model import RULES, Finding, check, without

ARRIVES = re.compile(r"(\w+) (\w?) ?(\d+) arrives")
NEVER_SENT = {"numbered_harvest": ["missed remove a 0", "missed removed a 0"]}
"""A harvest that is asked again reports the same bits again, so the engine knows that the card used the
connection and does not begin to expire it: the removal of the run, which ends it, is not sent."""


def program() -> Path:
    """The C side, built by script/test."""
    folder = Path(os.environ.get("TIARA_BUILD", Path(__file__).parents[2] / "build/release"))
    return folder / "tests/path/replay_offload"


def script(finding: Finding) -> list[str]:
    """The run in the program's words: which message of its kind arrives, counted from 0, not its number."""
    lines = []
    for step in finding.run:
        found = ARRIVES.fullmatch(step)
        if not found:
            lines.append(step)
        elif found[1] not in ("reset", "total"):
            numbers = {m.number for m in finding.sent if (m.kind, m.key) == (found[1], found[2])}
            nth = sum(number < int(found[3]) for number in numbers)
            lines.append(f"arrives {found[1]} {found[2] or '-'} {nth}")
    return lines


@pytest.mark.parametrize("rule", RULES)
def test_counterexample_is_harmless(rule: str) -> None:
    """Every packet reaches its connection's backend; the cards have nothing that the CPU believes gone.

    Both cards answer each step alike, and every message of the run arrives.
    """
    _, finding = check(without(rule))
    assert finding
    replay = CardReplay(Card(CALM))
    done = subprocess.run(
        [program(), str(replay.buckets)], input="\n".join(script(finding)), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stderr}\n" + "\n".join(finding.run)
    missed = [line for line in done.stdout.splitlines() if line.startswith("missed")]
    assert missed == NEVER_SENT.get(rule, [])
    replay.play("\n".join(line for line in done.stdout.splitlines() if line not in missed))
    replay.card.close()
    assert replay.seen["table"] == len(script(finding))
    assert replay.seen["frame"] == replay.seen["sent"] + replay.seen["cpu"] > 3
