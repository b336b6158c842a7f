# SPDX-License-Identifier: Apache-2.0
"""The layout id changes with everything that two programs must agree on, and with nothing else."""

from pathlib import Path

import pytest
from tiara_layout import dwarf
from tiara_layout.description import layout_id

BASE = "struct tiara_x { uint32_t a; uint32_t b; }; enum tiara_e { TIARA_E_ONE = 1 };"

CHANGES = {
    "member's name": ("uint32_t a", "uint32_t c"),
    "struct's name": ("tiara_x", "tiara_z"),
    "order": ("uint32_t a; uint32_t b;", "uint32_t b; uint32_t a;"),
    "size": ("uint32_t a; uint32_t b;", "uint64_t a; uint64_t b;"),
    "signedness": ("uint32_t a", "int32_t a"),
    "byte order": ("uint32_t a", "tiara_be32 a"),
    "two halves of one": ("uint32_t a; uint32_t b;", "uint64_t a;"),
    "one cut in two": ("uint32_t a", "uint16_t a[2]"),
    "enum value": ("ONE = 1", "ONE = 2"),
    "enum name": ("E_ONE", "E_UN"),
    "one more enumerator": ("ONE = 1", "ONE = 1, TIARA_E_TWO = 2"),
}


def id_of(folder: Path, body: str) -> int:
    header = folder / "small.h"
    header.write_text(f"#include <stdint.h>\ntypedef uint32_t tiara_be32;\n{body}\n")
    return layout_id(dwarf.read_header(header, []))


@pytest.mark.parametrize("name", CHANGES)
def test_changes_with(tmp_path: Path, name: str) -> None:
    """One change, another id."""
    old, new = CHANGES[name]
    assert old in BASE
    assert id_of(tmp_path, BASE.replace(old, new)) != id_of(tmp_path, BASE)


def test_does_not_change_with_comments_and_blanks(tmp_path: Path) -> None:
    """Text that no compiler sees does not part two programs."""
    assert id_of(tmp_path, "/* why */\n" + BASE.replace("; ", ";\n\n\t")) == id_of(tmp_path, BASE)
