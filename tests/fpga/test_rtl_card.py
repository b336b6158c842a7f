# SPDX-License-Identifier: Apache-2.0
"""The whole card under cocotb (tests/fpga/cocotb_card.py): streams, memory's corner cases, resets, frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from rtl_build import run_cocotb

TOP = Path(__file__).parent / "rtl/tiara_small.sv"
CASES = [
    "memory_answers_errors",
    "memory_answers_out_of_order",
    "memory_stalls_for_long",
    "power_cycle_in_mid_packet",
    "restart_in_mid_packet",
    "minimum_and_maximum",
    "back_to_back",
    "bad_frames",
    "table_full",
    "service_table_full",
]


@pytest.mark.parametrize("case", CASES)
def test_card(case: str) -> None:
    """See the docstring of the case."""
    assert run_cocotb(TOP, "cocotb_card", case) == (1, 0)


def test_streams() -> None:
    """Every stream idle or under back-pressure, alone, all sources, all sinks, and all of them."""
    assert run_cocotb(TOP, "cocotb_card", "streams/.*") == (14, 0)


def test_the_runner_notices() -> None:
    """A test that must fail does."""
    assert run_cocotb(TOP, "cocotb_card", "must_fail") == (1, 1)
