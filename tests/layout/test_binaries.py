# SPDX-License-Identifier: Apache-2.0
"""What is shipped lays memory out as layout.h does: read back from the finished binaries."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiara_layout import dwarf
from tiara_layout.description import Layout, layout_id


@pytest.fixture(scope="module", params=["extension_file", "dataplane_file"])
def binary(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def test_dwarf_equals_the_header(binary: Path, layout: Layout) -> None:
    """Every unit that knows a layout type has it as layout.h has, and all types are there."""
    units = dwarf.read_binary(binary, layout)
    for unit in units:
        for struct in unit.structs:
            assert struct == layout.struct(struct.name)
        for enum in unit.enums:
            assert enum in layout.enums
    assert {s.name for unit in units for s in unit.structs} == {s.name for s in layout.structs}
    assert {e.name for unit in units for e in unit.enums} == {e.name for e in layout.enums}


def test_elf_note_is_the_layout_id(binary: Path, layout: Layout) -> None:
    """`readelf -n` tells which segments a program attaches to."""
    assert dwarf.read_note(binary) == layout_id(layout)


def test_a_binary_without_debug_information_has_nothing_to_compare(layout: Layout) -> None:
    """The comparison above can fail: a stranger's binary knows none of the types and has no note."""
    stranger = Path("/bin/true")
    assert dwarf.read_binary(stranger, layout) == []
    assert dwarf.read_note(stranger) is None
