# SPDX-License-Identifier: Apache-2.0
"""Writes what C needs: cffi's declarations and the layout id."""

from __future__ import annotations

from . import header
from .description import Enum, Layout, Struct, layout_id

GENERATED = "Generated from dataplane/include/tiara/layout.h by `script/check generate`. Do not edit."


def cdef(layout: Layout, status_text: str, tiara_text: str) -> str:
    """The declarations for cffi: layout.h as DWARF tells it, status.h and tiara.h as written."""
    parts = [
        "// SPDX-License-Identifier: Apache-2.0\n"
        f"// {GENERATED}\n// cffi compares these with the compiler's view (API mode).\n",
        "".join(f"typedef {under} {name};\n" for name, under in layout.typedefs),
        *(_enum(enum) for enum in layout.enums),
        *(_struct(struct) for struct in layout.structs),
        header.declarations(status_text),
        header.declarations(header.between_marks(tiara_text)),
    ]
    return "\n".join(parts)


def layout_id_header(layout: Layout) -> str:
    """dataplane/layout/layout_id.h."""
    return (
        "/* SPDX-License-Identifier: Apache-2.0 */\n"
        f"/* {GENERATED} */\n"
        "#ifndef TIARA_LAYOUT_ID_H\n#define TIARA_LAYOUT_ID_H\n\n"
        f"#define TIARA_LAYOUT_ID UINT64_C(0x{layout_id(layout):016x})\n\n#endif\n"
    )


def _enum(enum: Enum) -> str:
    rows = "".join(f"\t{name} = {value},\n" for name, value in enum.values)
    return f"enum {enum.name} {{\n{rows}}};\n"


def _struct(struct: Struct) -> str:
    rows = "".join(f"\t{member.declared};\n" for member in struct.members)
    return f"struct {struct.name} {{\n{rows}}};\n"
