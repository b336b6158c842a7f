# SPDX-License-Identifier: Apache-2.0
"""Parser, service match, hash, packet FIFO and rewrite in RTL, under cocotb (tests/fpga/cocotb_front.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from rtl_build import folder, run_cocotb

TOP = Path(__file__).parent / "rtl/tiara_front.sv"
CASES = [
    "hash_golden",
    "each_way",
    "checksum_carry",
    "every_reason",
    "limits",
    "every_length",
    "back_to_back",
    "reset_in_mid_packet",
    "tables_change",
]


@pytest.mark.parametrize("case", CASES)
def test_front(case: str) -> None:
    """See the docstring of the case."""
    assert run_cocotb(TOP, "cocotb_front", case) == (1, 0)


def test_stress() -> None:
    """Mixed frames under seven patterns of idle and back-pressure, on each stream and on all."""
    assert run_cocotb(TOP, "cocotb_front", "stress/.*") == (7, 0)


def test_the_runner_notices() -> None:
    """A test that must fail does."""
    assert run_cocotb(TOP, "cocotb_front", "must_fail") == (1, 1)


def test_assertions_are_on() -> None:
    """A source that breaks the first property of tiara_parser ends the simulation."""
    assert run_cocotb(TOP, "cocotb_front", "broken_source") == (1, 1)
    log = folder() / TOP.stem / "cocotb_front-broken-source.log"
    assert "Assertion failed in tiara_front.u_parser.p1_keep" in log.read_text()
