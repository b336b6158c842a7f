# SPDX-License-Identifier: Apache-2.0
"""The RTL package puts every bit where C has it: its text is parsed here, not taken from its writer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tiara_layout.description import Layout, layout_id

STRUCT = re.compile(r"typedef struct packed \{\n(.*?)\n  \} (\w+)_t;", re.DOTALL)
MEMBER = re.compile(r"^\s*(logic|\w+_t)\s*((?:\[\d+:0\]\s*)*)\s*(\w+);$")
ENUM = re.compile(r"typedef enum logic \[(\d+):0\] \{\n(.*?)\n  \} (\w+)_e;", re.DOTALL)

Bits = dict[str, tuple[int, int]]


@pytest.fixture(scope="module")
def text(root: Path) -> str:
    return (root / "fpga/rtl/tiara_layout_pkg.sv").read_text()


def packed_structs(text: str) -> dict[str, Bits]:
    """Of each struct: first bit and width of each member. The last one written is the lowest."""
    found: dict[str, Bits] = {}
    for body, name in STRUCT.findall(text):
        members: Bits = {}
        at = 0
        for line in reversed(body.splitlines()):
            match = MEMBER.match(line)
            assert match, line
            width = (
                1 if match[1] == "logic" else sum(w for _, w in found[match[1].removesuffix("_t")].values())
            )
            for bound in re.findall(r"\[(\d+):0\]", match[2]):
                width *= int(bound) + 1
            members[match[3].rstrip("_")] = (at, width)
            at += width
        found[name] = members
    return found


def test_every_struct_bit_by_bit(text: str, layout: Layout) -> None:
    """Offset and width of each member are eight times C's."""
    expected = {s.name: {m.name: (8 * m.offset, 8 * m.size_bytes) for m in s.members} for s in layout.structs}
    assert packed_structs(text) == expected


def test_sizes(text: str, layout: Layout) -> None:
    """The byte counts beside the structs are C's."""
    sizes = re.findall(r"localparam int unsigned (\w+)Bytes = (\d+);\n  typedef struct packed", text)
    assert [int(size) for _, size in sizes] == [s.size_bytes for s in layout.structs]


def test_enum_values(text: str, layout: Layout) -> None:
    """Every enumerator's value appears under its own name, as an enum or as a constant."""
    values = {name.lower(): int(value) for name, value in re.findall(r"(\w+) = (?:\d+'d)?(\d+)[,;\n]", text)}
    for enum in layout.enums:
        for name, value in enum.values:
            assert values[name.removeprefix("TIARA_").replace("_", "").lower()] == value


def test_enums_are_typed(text: str) -> None:
    """State and verdict are types of the width of the bytes they stand in."""
    kinds = {name: int(high) + 1 for high, _, name in ENUM.findall(text)}
    assert kinds["tiara_state"] == 8
    assert kinds["tiara_verdict"] == 8


def test_layout_id(text: str, layout: Layout) -> None:
    """A card's register holds the same id."""
    assert f"LayoutId = 64'h{layout_id(layout):016x};" in text
