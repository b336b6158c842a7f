# SPDX-License-Identifier: Apache-2.0
"""What a header lays out, as values: structs, members, enums, and the layout id made of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


class LayoutError(Exception):
    """A header breaks a rule of the layout. The message says where, what and how to mend it."""


@dataclass(frozen=True)
class Member:
    """One member of a struct. Sizes and offsets in bytes.

    type: the name as C writes it ("uint16_t", "tiara_be32", "char", "struct tiara_entry").
    count: elements of an array, None for a plain member.
    """

    name: str
    offset: int
    type: str
    element_bytes: int
    count: int | None = None
    signed: bool = False

    @property
    def size_bytes(self) -> int:
        return self.element_bytes * (1 if self.count is None else self.count)

    @property
    def declared(self) -> str:
        """The member as C declares it, without the semicolon."""
        return f"{self.type} {self.name}" + ("" if self.count is None else f"[{self.count}]")

    @property
    def is_struct(self) -> bool:
        return self.type.startswith("struct ")

    @property
    def is_pad(self) -> bool:
        return self.name.startswith("pad")


@dataclass(frozen=True)
class Struct:
    """A struct. `name` is its tag."""

    name: str
    size_bytes: int
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Enum:
    """An enum. `name` is its tag."""

    name: str
    values: tuple[tuple[str, int], ...]

    @property
    def prefix(self) -> str:
        """What all its enumerators begin with: TIARA_VERDICT_, or TIARA_ENTRY_ for tiara_entry_flag."""
        words = self.name.upper().split("_")
        for cnt in (len(words), len(words) - 1):
            prefix = "_".join(words[:cnt]) + "_"
            if all(name.startswith(prefix) for name, _ in self.values):
                return prefix
        return "TIARA_"

    @property
    def is_flags(self) -> bool:
        return self.name.endswith("_flag")

    def short_values(self) -> list[tuple[str, int]]:
        return [(name.removeprefix(self.prefix), value) for name, value in self.values]


@dataclass(frozen=True)
class Layout:
    """All structs, enums and typedefs of a header, in the order of their declaration."""

    structs: tuple[Struct, ...]
    enums: tuple[Enum, ...]
    typedefs: tuple[tuple[str, str], ...] = ()

    def struct(self, name: str) -> Struct:
        return next(s for s in self.structs if s.name == name)


def canonical_text(layout: Layout) -> str:
    """The text whose hash is the layout id: all names, offsets, sizes, signedness, enum values.

    Plain char is neither signed nor unsigned here: that differs between processors, the bytes do not.
    """
    lines: list[str] = []
    for struct in layout.structs:
        lines.append(f"struct {struct.name} {struct.size_bytes}")
        for m in struct.members:
            sign = "char" if m.type == "char" else "signed" if m.signed else "unsigned"
            lines.append(f" {m.name} {m.offset} {m.size_bytes} {m.element_bytes} {sign} {m.type}")
    for enum in layout.enums:
        lines.append(f"enum {enum.name}")
        lines.extend(f" {name} {value}" for name, value in enum.values)
    return "\n".join(lines) + "\n"


def layout_id(layout: Layout) -> int:
    """The first 64 bits of the canonical text's SHA-256."""
    return int.from_bytes(hashlib.sha256(canonical_text(layout).encode()).digest()[:8], "big")
