# SPDX-License-Identifier: Apache-2.0
"""The generator refuses what would not mean the same to two programs."""

from pathlib import Path

import pytest
from tiara_layout import dwarf
from tiara_layout.description import LayoutError

REFUSED = {
    "pointer": ("struct tiara_x { void *p; };", "member 'p' is a pointer"),
    "pointer in an array": ("struct tiara_x { uint8_t *p[2]; };", "member 'p' is a pointer"),
    "bit-field": ("struct tiara_x { uint32_t a : 3; uint32_t b : 29; };", "member 'a' is a bit-field"),
    "padding before a member": (
        "struct tiara_x { uint8_t a; uint32_t b; };",
        "3 bytes of implicit padding before 'b'",
    ),
    "padding at the end": (
        "struct tiara_x { uint64_t a; uint8_t b; };",
        "7 bytes of implicit padding at the end",
    ),
    "padding by alignment": (
        "struct tiara_x { uint64_t a; } __attribute__((aligned(64)));",
        "56 bytes of implicit padding",
    ),
    "packed": ("struct tiara_x { uint8_t a; uint32_t b; } __attribute__((packed));", "is not aligned"),
    "_Atomic": ("struct tiara_x { _Atomic uint64_t a; };", "member 'a' is _Atomic"),
    "volatile": ("struct tiara_x { volatile uint64_t a; };", "member 'a' is volatile"),
    "int": ("struct tiara_x { int a; };", "is of type int: use a fixed-width type"),
    "long in an array": ("struct tiara_x { unsigned long a[2]; };", "use a fixed-width type"),
    "a private typedef of int": (
        "typedef unsigned tiara_count; struct tiara_x { tiara_count a; };",
        "use a fixed-width type",
    ),
    "plain char": ("struct tiara_x { char a; };", "is of type char"),
    "float": ("struct tiara_x { float a; };", "is of type float"),
    "bool": ("struct tiara_x { _Bool a; };", "is of type _Bool"),
    "enum": ("enum tiara_e { TIARA_E_A = 1 }; struct tiara_x { enum tiara_e a; };", "is of enum type"),
    "union": ("union tiara_x { uint32_t a; uint8_t b[4]; };", "union tiara_x is a union"),
    "union within": ("struct tiara_x { union { uint32_t a; uint8_t b[4]; } u; };", "member 'u' is a union"),
    "struct within": ("struct tiara_x { struct { uint32_t a; } s; };", "is a struct without a tag"),
    "nameless enum": ("enum { TIARA_A = 1 };", "enum '': its name must begin with tiara_"),
    "two dimensions": ("struct tiara_x { uint8_t a[2][2]; };", "has 2 dimensions"),
    "flexible array": ("struct tiara_x { uint32_t a; uint32_t b[]; };", "an array without a length"),
    "foreign name": ("struct other { uint32_t a; };", "must begin with tiara_"),
}


def read(folder: Path, body: str) -> object:
    header = folder / "small.h"
    header.write_text(f"#include <stdint.h>\n{body}\n")
    return dwarf.read_header(header, [])


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path: Path, name: str) -> None:
    """Each is refused in a sentence that names struct, member and reason."""
    body, said = REFUSED[name]
    with pytest.raises(LayoutError) as caught:
        read(tmp_path, body)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        "struct tiara_x { uint8_t a; uint8_t pad[3]; uint32_t b; };",
        "struct tiara_x { char name[64]; int32_t signed_one; uint32_t other; };",
        "struct tiara_y { uint64_t a; }; struct tiara_x { struct tiara_y y[4]; };",
    ],
)
def test_accepted(tmp_path: Path, body: str) -> None:
    """The rules leave room for what layout.h needs."""
    assert read(tmp_path, body)


def test_a_header_that_does_not_compile_is_reported(tmp_path: Path) -> None:
    """The compiler's own words are in the error."""
    with pytest.raises(LayoutError, match="unknown type name"):
        read(tmp_path, "struct tiara_x { no_such_type a; };")
