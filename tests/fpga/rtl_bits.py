# SPDX-License-Identifier: Apache-2.0
"""Packed structs of the RTL's packages as numbers: members by name, places read from the packages' text."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

RTL = Path(__file__).parents[2] / "fpga/rtl"
PACKAGES = [RTL / "tiara_layout_pkg.sv", RTL / "tiara_card_pkg.sv"]

_ENUM = re.compile(r"typedef enum logic \[(\d+):0\] \{\n(.*?)\n  \} (\w+);", re.DOTALL)
_STRUCT = re.compile(r"typedef struct packed \{\n(.*?)\n  \} (\w+);", re.DOTALL)
_MEMBER = re.compile(r"^\s*(\w+)\s*((?:\[\s*\d+:0\]\s*)*)\s*(\w+);")

Places = dict[str, tuple[int, int]]
"""First bit and width of each member; the last one written is the lowest."""


@cache
def widths() -> dict[str, int]:
    """Bits of every type of the packages."""
    found = {"logic": 1}
    for path in PACKAGES:
        for high, _, name in _ENUM.findall(path.read_text()):
            found[name] = int(high) + 1
    for name, members in structs().items():
        found[name] = sum(width for _, width in members.values())
    return found


@cache
def structs() -> dict[str, Places]:
    """Every packed struct."""
    known = {"logic": 1}
    found: dict[str, Places] = {}
    for path in PACKAGES:
        text = path.read_text()
        known |= {name: int(high) + 1 for high, _, name in _ENUM.findall(text)}
        for body, name in _STRUCT.findall(text):
            members: Places = {}
            at = 0
            for line in reversed(body.splitlines()):
                match = _MEMBER.match(line)
                assert match, line
                width = known[match[1]]
                for bound in re.findall(r"\[\s*(\d+):0\]", match[2]):
                    width *= int(bound) + 1
                members[match[3].rstrip("_")] = (at, width)
                at += width
            found[name] = members
            known[name] = at
    return found


def pack(struct: str, **members: int | bytes) -> int:
    """A struct's bits; bytes are put in the wire's order, members that are not named are 0."""
    value = 0
    for name, given in members.items():
        at, width = structs()[struct][name]
        number = int.from_bytes(given, "little") if isinstance(given, bytes) else given
        assert number >> width == 0, f"{struct}.{name} has {width} bits"
        value |= number << at
    return value


def unpack(struct: str, value: int) -> dict[str, int]:
    """The members of a struct's bits; structs within it stay numbers."""
    return {name: value >> at & ((1 << width) - 1) for name, (at, width) in structs()[struct].items()}
