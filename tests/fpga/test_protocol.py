# SPDX-License-Identifier: Apache-2.0
"""The card protocol holds, and each of its rules is needed (docs/design/0016)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from protocol_model import RULES, Rules, check, without


def test_the_protocol_holds() -> None:
    """No run within the bounds breaks a property."""
    states, finding = check(Rules())
    assert finding is None
    assert states > 100_000, "the model has lost most of its behaviour"


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(rule: str) -> None:
    """Without it there is a run that breaks a property."""
    _, finding = check(without(rule))
    assert finding is not None
    assert finding.run


BROKEN = {
    "no generation, freed at FIN": replace(Rules(), key_waits=False, newest_only=False),
    "generation checked, freed at FIN": replace(Rules(), key_waits=False),
    "generation, waits for the acknowledgement, no sequence": replace(Rules(), newest_only=False),
    "sequence and wait, but the CPU forgets what it installed": replace(Rules(), remember=False),
}


@pytest.mark.parametrize("design", BROKEN)
def test_known_broken_designs(design: str) -> None:
    """Each looks right, and is found."""
    assert check(BROKEN[design])[1] is not None
