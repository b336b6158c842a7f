# SPDX-License-Identifier: Apache-2.0
"""Writes fpga/rtl/tiara_layout_pkg.sv: packed structs, enums and the layout id for RTL."""

from __future__ import annotations

from .description import Enum, Layout, Member, Struct, layout_id
from .emit_c import GENERATED

# Names that SystemVerilog reserves, or C++ for Verilator's model, get a trailing underscore.
RESERVED = {"use", "cell", "config", "design", "event", "instance", "library", "priority", "queue", "type"}

_HEAD = """// SPDX-License-Identifier: Apache-2.0
// {generated}
//
// Byte k of a C struct is bits [8k+7:8k] of its packed struct: the first C member is the least
// significant, so members come in reverse order. A member in network byte order holds the first
// byte on the wire in its bits [7:0].

package tiara_layout_pkg;

  // A package offers more than one module uses.
  /* verilator lint_off UNUSEDPARAM */

  localparam logic [63:0] LayoutId = 64'h{id:016x};

"""


def package(layout: Layout) -> str:
    """The whole package."""
    parts = [_HEAD.format(generated=GENERATED, id=layout_id(layout))]
    parts += [_constants(e) if _is_constants(e) else _enum(e) for e in layout.enums]
    parts += [_struct(struct) for struct in layout.structs]
    return "".join(parts) + "  /* verilator lint_on UNUSEDPARAM */\n\nendpackage\n"


def member_name(member: Member) -> str:
    return member.name + "_" if member.name in RESERVED else member.name


def camel(name: str) -> str:
    """TIARA_BUCKET_ENTRIES and tiara_entry as BucketEntries and Entry."""
    return "".join(word.capitalize() for word in name.lower().removeprefix("tiara_").split("_"))


def _is_constants(enum: Enum) -> bool:
    """Flags may be or-ed and limits may be equal: neither is an enum in SystemVerilog."""
    values = [value for _, value in enum.values]
    return enum.is_flags or len(set(values)) < len(values)


def _constants(enum: Enum) -> str:
    rows = [
        f"  localparam int unsigned {camel(name)} = {value};\n"
        if not enum.is_flags
        else f"  localparam logic [{_bits(enum) - 1}:0] {camel(name)} = {_bits(enum)}'d{value};\n"
        for name, value in enum.values
    ]
    return f"  // enum {enum.name}\n{''.join(rows)}\n"


def _enum(enum: Enum) -> str:
    bits = _bits(enum)
    rows = ",\n".join(f"    {camel(name)} = {bits}'d{value}" for name, value in enum.values)
    return f"  typedef enum logic [{bits - 1}:0] {{\n{rows}\n  }} {enum.name}_e;\n\n"


def _bits(enum: Enum) -> int:
    return 8 if max(value for _, value in enum.values) < 256 else 32


def _struct(struct: Struct) -> str:
    rows = "".join(f"    {_member(member)}\n" for member in reversed(struct.members))
    bytes_ = f"  localparam int unsigned {camel(struct.name)}Bytes = {struct.size_bytes};\n"
    return f"{bytes_}  typedef struct packed {{\n{rows}  }} {struct.name}_t;\n\n"


def _member(m: Member) -> str:
    kind = m.type.removeprefix("struct ") + "_t" if m.is_struct else f"logic [{8 * m.element_bytes - 1}:0]"
    if m.count is None:
        return f"{kind} {member_name(m)};"
    if m.is_struct:
        return f"{kind} [{m.count - 1}:0] {member_name(m)};"
    return f"logic [{m.count - 1}:0][{8 * m.element_bytes - 1}:0] {member_name(m)};"
