# SPDX-License-Identifier: Apache-2.0
"""bench/synth.py: unsound designs are refused, tables are block memory, the committed page is its rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import synth  # noqa: E402

UNSOUND = {
    "a latch": ("always @(*) if (a_i) q_o = b_i;", "latch"),
    "a latch that is meant": ("always_latch if (a_i) q_o = b_i;", "latch"),
    "two drivers": (
        "wire w = a_i; assign w = b_i; assign q_o = w;",
        "multiple conflicting drivers",
    ),
    "a loop": ("logic x; assign x = q_o ^ a_i; assign q_o = !x & b_i;", "found logic loop"),
    "a loop through a module": (
        "logic x; tiara_around u_around (.a_i(q_o), .b_o(x)); assign q_o = x ^ a_i ^ b_i;",
        "found logic loop",
    ),
}
AROUND = "module tiara_around (input logic a_i, output logic b_o); assign b_o = !a_i; endmodule\n"


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_design_is_refused(name: str, tmp_path: Path) -> None:
    """A latch, two drivers of a wire, and a loop of logic, through a module too."""
    body, said = UNSOUND[name]
    ports = "input logic a_i, input logic b_i, output logic q_o"
    (tmp_path / "tiara_unsound.sv").write_text(f"module tiara_unsound ({ports});\n{body}\nendmodule\n")
    (tmp_path / "tiara_around.sv").write_text(AROUND)
    with pytest.raises(synth.RefusedError, match=said):
        synth.inspect("tiara_unsound", {}, tmp_path)


@pytest.mark.parametrize("card", synth.CARDS)
def test_the_card_is_sound(card: str) -> None:
    """No latch, no wire with two drivers, no loop of logic, at the size of a board too."""
    synth.inspect(synth.TOP, synth.CARDS[card])


def test_figures_of_a_module() -> None:
    """Two places of a beat and their valid bits; a level between them, or two."""
    found = synth.synthesize("tiara_skid", {"Width": 8})
    assert list(found) == ["skid"]
    assert found["skid"].count == 1
    assert found["skid"].takes["FF"] == 18
    assert found["skid"].takes["BRAM"] == found["skid"].takes["URAM"] == 0
    assert 1 <= found["skid"].levels <= 2


def test_tables_are_block_memory() -> None:
    """The totals of 1024 services, 128 bits each: four blocks of 36 Kb, and no flip-flop a bit."""
    found = synth.synthesize("tiara_totals", {"IndexBits": 10})
    assert {name: one.count for name, one in found.items()} == {"totals": 1, "ram": 1}
    assert found["ram"].takes["BRAM"] == 4
    assert sum(one.takes["FF"] for one in found.values()) < 600


def test_page_is_made_of_its_rows() -> None:
    """docs/card-resources.md is what the newest committed run makes."""
    newest = sorted((ROOT / "bench/results").glob("*-synth.json"))[-1]
    rows = json.loads(newest.read_text())["rows"]
    assert {row["params"]["card"] for row in rows} == set(synth.CARDS)
    assert (ROOT / "docs/card-resources.md").read_text() == synth.page(rows)
