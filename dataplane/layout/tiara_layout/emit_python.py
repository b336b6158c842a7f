# SPDX-License-Identifier: Apache-2.0
"""Writes controlplane/tiara/domain/layout.py: enums, sizes and offsets for Python."""

from __future__ import annotations

from .description import Enum, Layout, Member, Struct, layout_id
from .emit_c import GENERATED

_HEAD = '''# SPDX-License-Identifier: Apache-2.0
# {generated}
"""Constants of the shared layout and of libtiara's calls: enums, struct sizes and member offsets."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from types import MappingProxyType
from typing import Final, NamedTuple

LAYOUT_ID: Final = 0x{id:016X}
"""What a segment, libtiara and tiara-dataplane must agree on."""


class _Labelled(IntEnum):
    @property
    def label(self) -> str:
        """The lower-case name, as metrics and tables show it."""
        return self.name.lower()


class Member(NamedTuple):
    """A struct's member: offset and element size in bytes, array length (0: no array), C type."""

    offset: int
    element_bytes: int
    length: int
    type: str


'''


def module(layout: Layout, call_enums: tuple[Enum, ...]) -> str:
    """The whole module. call_enums: those of status.h and tiara.h, which are not in the layout id."""
    parts = [_HEAD.format(generated=GENERATED, id=layout_id(layout))]
    parts += [_enum(enum, "layout.h") for enum in layout.enums]
    parts += [_enum(enum, "libtiara's calls") for enum in call_enums]
    parts.append(_sizes(layout))
    parts.append(_members(layout))
    parts.append(_formats(layout))
    return "".join(parts).rstrip() + "\n"


def class_name(enum: Enum) -> str:
    """tiara_entry_flag is EntryFlag."""
    return "".join(word.capitalize() for word in enum.name.removeprefix("tiara_").split("_"))


def _enum(enum: Enum, source: str) -> str:
    doc = f'    """enum {enum.name} of {source}."""\n\n'
    values = enum.short_values()
    if len({value for _, value in values}) < len(values):
        rows = "".join(f"    {name}: Final = {value}\n" for name, value in values)
        return f"class {class_name(enum)}:\n{doc}{rows}\n\n"
    base = "IntFlag" if enum.is_flags else "_Labelled"
    rows = "".join(f"    {name} = {value}\n" for name, value in values)
    return f"class {class_name(enum)}({base}):\n{doc}{rows}\n\n"


def _sizes(layout: Layout) -> str:
    rows = "".join(f'        "{s.name}": {s.size_bytes},\n' for s in layout.structs)
    doc = '"""Bytes of each struct by its C tag."""\n\n'
    return f"SIZES: Final[Mapping[str, int]] = MappingProxyType(\n    {{\n{rows}    }}\n)\n{doc}"


def _members(layout: Layout) -> str:
    rows = "".join(_struct(struct) for struct in layout.structs)
    doc = '"""Members of each struct by its C tag, in order."""\n\n'
    kind = "Mapping[str, Mapping[str, Member]]"
    return f"MEMBERS: Final[{kind}] = MappingProxyType(\n    {{\n{rows}    }}\n)\n{doc}"


def _struct(struct: Struct) -> str:
    rows = "".join(f'            "{m.name}": {_member(m)},\n' for m in struct.members)
    return f'        "{struct.name}": {{\n{rows}        }},\n'


def _member(m: Member) -> str:
    return f'Member({m.offset}, {m.element_bytes}, {m.count or 0}, "{m.type}")'


def _formats(layout: Layout) -> str:
    packed = layout.struct("tiara_packed_connection")
    code = "!" + "".join({1: "B", 2: "H", 4: "I"}[m.element_bytes] for m in packed.members)
    names = ", ".join(m.name for m in packed.members)
    return (
        f'PACKED_CONNECTION_FORMAT: Final = "{code}"\n'
        f'"""struct.Struct format of a packed connection:\n{names}."""\n'
    )
