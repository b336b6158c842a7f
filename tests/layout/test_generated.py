# SPDX-License-Identifier: Apache-2.0
"""Generated files are what the headers make, and say so."""

from pathlib import Path

import generate
import pytest

OUTPUTS = (
    "controlplane/tiara/native/libtiara.cdef",
    "controlplane/tiara/domain/layout.py",
    "dataplane/layout/layout_id.h",
    "docs/layout.md",
    "fpga/rtl/tiara_layout_pkg.sv",
)


def test_regenerating_changes_nothing(root: Path) -> None:
    """What is committed is what the generator writes."""
    assert generate.stale(root) == []


@pytest.mark.parametrize("path", OUTPUTS)
def test_says_that_it_is_generated(root: Path, path: str) -> None:
    """The head of each generated file names the command that makes it."""
    head = (root / path).read_text().splitlines()[:3]
    assert any("script/check generate" in line for line in head)


def test_no_output_is_forgotten(root: Path) -> None:
    """The list above is the generator's."""
    assert {Path(path) for path in OUTPUTS} == set(generate.outputs(root))
