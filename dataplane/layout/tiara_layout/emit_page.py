# SPDX-License-Identifier: Apache-2.0
"""Writes docs/layout.md: a byte ruler for each struct and a table for each enum."""

from __future__ import annotations

from .description import Enum, Layout, Member, Struct, layout_id
from .emit_c import GENERATED
from .header import Comments, comments

_ROW_BYTES = 8
_CELL = 9

_HEAD = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- {generated} -->
# The shared layout

Every byte that the data plane (C), the control plane (Python, through cffi) and a card (RTL) share
is described once, in `dataplane/include/tiara/layout.h`. This page is made from that header as a
compiler sees it.

Layout id: `{id:016x}`. It is a hash of all names, offsets, sizes, signedness and enum values below.
It stands in the segment's header, in libtiara, in `tiara-dataplane` (`readelf -n`, owner Tiara) and
in the RTL package; a program attaches only to a segment with its own id.

How to read a ruler: eight bytes a row, the offset of the first at the left, the lowest address
first. Numbers are little-endian but for `tiara_be16` and `tiara_be32`, which are in network byte
order. An offset (`*_off`) counts bytes from the start of the segment, 0 means none.

"""


def page(layout: Layout, header_text: str) -> str:
    """The whole page."""
    notes = comments(header_text)
    parts = [_HEAD.format(generated=GENERATED, id=layout_id(layout)), "## Structs\n\n"]
    parts += [_struct(struct, notes.get(struct.name, Comments())) for struct in layout.structs]
    parts.append("## Enums\n\n")
    parts += [_enum(enum, notes.get(enum.name, Comments())) for enum in layout.enums]
    return "".join(parts).rstrip() + "\n"


def _struct(struct: Struct, notes: Comments) -> str:
    head = f"### struct {struct.name}, {struct.size_bytes:,} bytes\n\n"
    above = f"{notes.above}\n\n" if notes.above else ""
    table = "| offset | bytes | name | type | |\n|---:|---:|---|---|---|\n"
    rows = "".join(_row(member, notes.beside.get(member.name, "")) for member in struct.members)
    return f"{head}{above}```\n{ruler(struct)}```\n\n{table}{rows}\n"


def _row(m: Member, note: str) -> str:
    kind = m.type if m.count is None else f"{m.type}[{m.count}]"
    return f"| {m.offset} | {m.size_bytes} | {m.name} | {kind} | {_cell_text(note)} |\n"


def _enum(enum: Enum, notes: Comments) -> str:
    above = f"{notes.above}\n\n" if notes.above else ""
    table = "| value | name | |\n|---:|---|---|\n"
    rows = "".join(
        f"| {value} | {name} | {_cell_text(notes.beside.get(name, ''))} |\n" for name, value in enum.values
    )
    return f"### enum {enum.name}\n\n{above}{table}{rows}\n"


def _cell_text(text: str) -> str:
    return text.replace("|", "\\|")


def ruler(struct: Struct) -> str:
    """The struct drawn in rows of eight bytes; a member of many whole rows takes one."""
    width = _CELL * _ROW_BYTES - 1
    lines = [" " * 6 + "".join(f"{i:<{_CELL}}" for i in range(_ROW_BYTES)).rstrip()]
    rule = " " * 5 + "+" + "-" * width + "+"
    lines.append(rule)
    row = ""
    for member in struct.members:
        at, left = member.offset, member.size_bytes
        while left:
            room = _ROW_BYTES - at % _ROW_BYTES
            whole_rows = left // _ROW_BYTES * _ROW_BYTES if room == _ROW_BYTES else 0
            cnt = whole_rows or min(room, left)
            row = row or f"{at:>4} |"
            row += _box(member, min(cnt, _ROW_BYTES), cnt > _ROW_BYTES) + "|"
            at, left = at + cnt, left - cnt
            if at % _ROW_BYTES == 0:
                lines += [row, rule]
                row = ""
    return "\n".join(lines + ([row] if row else [])) + "\n"


def _box(member: Member, cnt: int, many: bool) -> str:
    text = f" {member.name}" + (f"[{member.count}]" if member.count is not None else "")
    text += f", {member.size_bytes} bytes" if many else ""
    width = _CELL * cnt - 1
    if len(text) > width:
        text = text.strip()
    return f"{text if len(text) <= width else text[: width - 1] + '~':<{width}}"
