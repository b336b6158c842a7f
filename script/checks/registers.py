# SPDX-License-Identifier: Apache-2.0
"""What fpga/rtl/registers.toml makes: the register package, the C header and the page."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

SOURCE = "fpga/rtl/registers.toml"
PACKAGE = "fpga/rtl/tiara_regs_pkg.sv"
HEADER = "dataplane/include/tiara/card_regs.h"
PAGE = "fpga/doc/registers.md"
WORD_BYTES = 4
_ACCESS = ("ro", "rw", "wo")
_GENERATED = f"Generated from {SOURCE} by `script/check generate`. Do not edit."


class RegisterError(Exception):
    """The description contradicts itself."""


@dataclass(frozen=True)
class Field:
    """Bits of a register that have a name of their own."""

    name: str
    bit: int
    what: str
    bits: int = 1

    @property
    def mask(self) -> int:
        return ((1 << self.bits) - 1) << self.bit


@dataclass(frozen=True)
class Register:
    """One register, or `count` in a row. offset in bytes; reset None: a build or the moment decides."""

    name: str
    offset: int
    access: str
    what: str
    count: int = 1
    reset: int | None = None
    fields: tuple[Field, ...] = ()

    @property
    def end(self) -> int:
        return self.offset + WORD_BYTES * self.count


@dataclass(frozen=True)
class Counter:
    """One counter behind COUNTER_READ; its place in the list is its number."""

    name: str
    what: str


@dataclass(frozen=True)
class Map:
    """All of it."""

    address_bits: int
    registers: tuple[Register, ...]
    counters: tuple[Counter, ...]


def read(text: str) -> Map:
    """The checked description."""
    raw = tomllib.loads(text)
    registers = tuple(_register(entry) for entry in raw["register"])
    found = Map(raw["address_bits"], registers, tuple(Counter(**entry) for entry in raw["counter"]))
    _verify(found)
    return found


def _register(entry: dict[str, object]) -> Register:
    fields = entry.pop("field", [])
    assert isinstance(fields, list)
    return Register(**entry, fields=tuple(Field(**one) for one in fields))  # type: ignore[arg-type]


def _verify(found: Map) -> None:
    end = 0
    for register in found.registers:
        if register.offset % WORD_BYTES or register.offset < end:
            raise RegisterError(f"{register.name}: at {register.offset:#x}, which is no free word")
        if register.access not in _ACCESS:
            raise RegisterError(f"{register.name}: access {register.access} is none of {', '.join(_ACCESS)}")
        taken = 0
        for field in register.fields:
            if field.mask & taken or field.mask >> 31:  # an enumerator of C is an int
                raise RegisterError(f"{register.name}: field {field.name} is in taken bits, or in bit 31")
            taken |= field.mask
        end = register.end
    if end > 1 << found.address_bits:
        raise RegisterError(f"{end:#x} bytes do not fit in {found.address_bits} bits of address")


def outputs(text: str) -> dict[str, str]:
    """Text of each generated file by its path."""
    found = read(text)
    return {PACKAGE: _package(found), HEADER: _header(found), PAGE: _page(found)}


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.lower().split("_"))


def _package(found: Map) -> str:
    rows = [
        "// SPDX-License-Identifier: Apache-2.0",
        f"// {_GENERATED}",
        "",
        "package tiara_regs_pkg;",
        "",
        "  // A package offers more than one module uses.",
        "  /* verilator lint_off UNUSEDPARAM */",
        "",
        f"  localparam int unsigned RegAddressBits = {found.address_bits};",
        "",
        "  // Offsets in bytes; Cnt where there are several in a row.",
    ]
    for register in found.registers:
        name = _camel(register.name)
        rows.append(
            f"  localparam logic [{found.address_bits - 1}:0] Reg{name} = "
            f"{found.address_bits}'h{register.offset:03x};"
        )
        if register.count > 1:
            rows.append(f"  localparam int unsigned Reg{name}Cnt = {register.count};")
        for field in register.fields:
            rows.append(f"  localparam int unsigned Reg{name}{_camel(field.name)}Bit = {field.bit};")
            if field.bits > 1:
                rows.append(f"  localparam int unsigned Reg{name}{_camel(field.name)}Bits = {field.bits};")
    magic = next((r.reset for r in found.registers if r.name == "MAGIC"), None)
    rows += ["", f"  localparam logic [31:0] RegMagicValue = 32'h{magic or 0:08x};", ""]
    rows += [
        f"  localparam int unsigned CounterCnt = {len(found.counters)};",
        "  typedef enum logic [3:0] {",
        ",\n".join(f"    Counter{_camel(c.name)} = 4'd{i}" for i, c in enumerate(found.counters)),
        "  } tiara_counter_e;",
        "",
        "  /* verilator lint_on UNUSEDPARAM */",
        "",
        "endpackage",
    ]
    return "\n".join(rows) + "\n"


def _header(found: Map) -> str:
    rows = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        f"/* {_GENERATED} */",
        "#ifndef TIARA_CARD_REGS_H",
        "#define TIARA_CARD_REGS_H",
        "",
        "/* Offsets in bytes; fpga/doc/registers.md says what they mean. */",
        "enum tiara_card_reg {",
        *(f"\tTIARA_CARD_REG_{r.name} = 0x{r.offset:03x}," for r in found.registers),
        "};",
        "",
        "/* Masks of fields, and lengths of registers in a row. */",
        "enum tiara_card_reg_part {",
        *_parts(found),
        "};",
        "",
        "/* What COUNTER_READ takes. */",
        "enum tiara_card_counter {",
        *(f"\tTIARA_CARD_COUNTER_{c.name} = {i}," for i, c in enumerate(found.counters)),
        f"\tTIARA_CARD_COUNTER_CNT = {len(found.counters)},",
        "};",
        "",
        "#endif",
    ]
    return "\n".join(rows) + "\n"


def _parts(found: Map) -> Iterator[str]:
    for register in found.registers:
        if register.name == "MAGIC":
            yield f"\tTIARA_CARD_REG_MAGIC_VALUE = 0x{register.reset or 0:08x},"
        if register.count > 1:
            yield f"\tTIARA_CARD_REG_{register.name}_CNT = {register.count},"
        for field in register.fields:
            yield f"\tTIARA_CARD_REG_{register.name}_{field.name} = 0x{field.mask:08x},"


def _page(found: Map) -> str:
    rows = [
        "<!-- SPDX-License-Identifier: Apache-2.0 -->",
        f"<!-- {_GENERATED} -->",
        "# Registers of the card",
        "",
        "32 bits each, behind AXI4-Lite; only whole, aligned words are written. `ro` is read only,",
        "`wo` reads 0. A write to `ro`, a narrower one and an access that is not listed answer SLVERR and",
        "do nothing.",
        "",
        "| offset | name | access | after rst_ni | |",
        "|---|---|---|---|---|",
    ]
    for register in found.registers:
        many = f"[{register.count}]" if register.count > 1 else ""
        reset = "" if register.reset is None else f"{register.reset:#x}"
        name = f"0x{register.offset:03x} | {register.name}{many}"
        rows.append(f"| {name} | {register.access} | {reset} | {register.what} |")
        for field in register.fields:
            bits = str(field.bit) if field.bits == 1 else f"{field.bit + field.bits - 1}:{field.bit}"
            rows.append(f"| | · {field.name} [{bits}] | | | {field.what} |")
    rows += ["", "## Counters", "", "64 bits each.", "", "| number | name | |", "|---|---|---|"]
    rows += [f"| {i} | {c.name} | {c.what} |" for i, c in enumerate(found.counters)]
    return "\n".join(rows) + "\n"
