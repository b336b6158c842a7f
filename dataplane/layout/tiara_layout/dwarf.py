# SPDX-License-Identifier: Apache-2.0
"""DWARF to Layout: compiles a header with debug information, or reads a finished binary."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection

from .description import Enum, Layout, LayoutError, Member, Struct

# pyelftools carries no types: its entries and units are Any here and nowhere else.
Die = Any
Unit = Any

FIXED_WIDTH = {f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)}
NOTE_SECTION = ".note.tiara"
NOTE_OWNER = "Tiara"

_FORBIDDEN = {
    "DW_TAG_pointer_type": "a pointer: another process maps the segment elsewhere; use an offset or an index",
    "DW_TAG_atomic_type": "_Atomic: use a plain type and the __atomic builtins where it is accessed",
    "DW_TAG_volatile_type": "volatile: use a plain type and the __atomic builtins where it is accessed",
    "DW_TAG_const_type": "const: use a plain type",
    "DW_TAG_enumeration_type": "of enum type, whose width no header fixes: use uint8_t and name the enum "
    "in a comment",
    "DW_TAG_union_type": "a union: give each shape its own struct of the same size",
}


def read_header(header: Path, include: list[Path]) -> Layout:
    """The Layout of one header's own types, checked against all rules."""
    with tempfile.TemporaryDirectory() as folder:
        obj = Path(folder) / "layout.o"
        _compile(header, include, obj)
        with obj.open("rb") as file:
            return _read_unit(next(ELFFile(file).get_dwarf_info().iter_CUs()), header)


def read_header_enums(header: Path, include: list[Path]) -> tuple[Enum, ...]:
    """Only the enums of a header that is not itself part of the layout."""
    with tempfile.TemporaryDirectory() as folder:
        obj = Path(folder) / "enums.o"
        _compile(header, include, obj)
        with obj.open("rb") as file:
            unit = next(ELFFile(file).get_dwarf_info().iter_CUs())
            return tuple(_enum(die) for die in _declared_in(unit, header) if _is_enum(die))


def read_binary(binary: Path, wanted: Layout) -> list[Layout]:
    """What each compilation unit of a finished binary says of the types named in `wanted`.

    Only whole definitions are returned; a unit may know some of the types only.
    """
    structs = {s.name for s in wanted.structs}
    enums = {e.name for e in wanted.enums}
    found: list[Layout] = []
    with binary.open("rb") as file:
        elf = ELFFile(file)
        if not elf.has_dwarf_info():
            return []
        for unit in elf.get_dwarf_info().iter_CUs():
            dies = [die for die in _named(unit) if _name(die) in structs | enums]
            layout = Layout(
                tuple(_struct(d, checked=False) for d in dies if _is_struct(d) and _name(d) in structs),
                tuple(_enum(d) for d in dies if _is_enum(d) and _name(d) in enums),
            )
            if layout.structs or layout.enums:
                found.append(layout)
    return found


def read_note(binary: Path) -> int | None:
    """The layout id in a binary's ELF note, None when it carries none."""
    with binary.open("rb") as file:
        section = ELFFile(file).get_section_by_name(NOTE_SECTION)
        if not isinstance(section, NoteSection):
            return None
        for note in section.iter_notes():
            if note["n_name"] == NOTE_OWNER:
                return int.from_bytes(note["n_descdata"], "little")
    return None


def _compile(header: Path, include: list[Path], obj: Path) -> None:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    flags = ["-std=gnu11", "-g", "-gdwarf-5", "-fno-eliminate-unused-debug-types", "-c", "-x", "c", "-"]
    paths = [f"-I{path}" for path in include]
    source = f'#include "{header.resolve()}"\n'
    done = subprocess.run(
        [*compiler, *paths, *flags, "-o", str(obj)], input=source, text=True, capture_output=True, check=False
    )
    if done.returncode != 0:
        raise LayoutError(f"{header}: does not compile by itself:\n{done.stderr.rstrip()}")


def _read_unit(unit: Unit, header: Path) -> Layout:
    dies = list(_declared_in(unit, header))
    for die in dies:
        _check_name(die)
    return Layout(
        tuple(_struct(die, checked=True) for die in dies if _is_struct(die)),
        tuple(_enum(die) for die in dies if _is_enum(die)),
        tuple((_name(die), _name(_type_of(die))) for die in dies if _is_typedef(die)),
    )


def _check_name(die: Die) -> None:
    if not _name(die).startswith("tiara_"):
        raise LayoutError(f"{_tag(die)} '{_name(die)}': its name must begin with tiara_")
    if _is_union(die):
        raise LayoutError(f"union {_name(die)} is {_FORBIDDEN[die.tag]}")


def _declared_in(unit: Unit, header: Path) -> Iterator[Die]:
    files = unit.dwarfinfo.line_program_for_CU(unit)["file_entry"]
    own = {i for i, entry in enumerate(files) if entry.name.decode() == header.name}
    dies = [die for die in unit.get_top_DIE().iter_children() if _int(die, "DW_AT_decl_file") in own]
    wanted = [die for die in dies if _is_enum(die) or (_name(die) and _is_declared(die))]
    yield from sorted(wanted, key=lambda die: _int(die, "DW_AT_decl_line") or 0)


def _named(unit: Unit) -> Iterator[Die]:
    for die in unit.get_top_DIE().iter_children():
        if "DW_AT_name" in die.attributes and "DW_AT_declaration" not in die.attributes:
            yield die


def _struct(die: Die, *, checked: bool) -> Struct:
    name = _name(die)
    if "DW_AT_declaration" in die.attributes:
        raise LayoutError(f"struct {name}: declared but not defined")
    members = tuple(_member(name, child) for child in die.iter_children() if child.tag == "DW_TAG_member")
    struct = Struct(name, _must_int(die, "DW_AT_byte_size"), members)
    if checked:
        _check_padding(struct)
    return struct


def _member(struct: str, die: Die) -> Member:
    name = _name(die)
    where = f"struct {struct}: member '{name}'"
    if {"DW_AT_bit_size", "DW_AT_data_bit_offset"} & die.attributes.keys():
        raise LayoutError(f"{where} is a bit-field: its place is up to the compiler; use a whole byte")
    kind, count = _type_of(die), None
    if kind.tag == "DW_TAG_array_type":
        kind, count = _type_of(kind), _array_count(where, kind)
    offset = _int(die, "DW_AT_data_member_location") or 0
    return Member(name, offset, *_plain_type(where, kind, count))


def _plain_type(where: str, die: Die, count: int | None) -> tuple[str, int, int | None, bool]:
    """Name, bytes and signedness of an allowed element type."""
    under = _strip_typedefs(die)
    if under.tag in _FORBIDDEN:
        raise LayoutError(f"{where} is {_FORBIDDEN[under.tag]}")
    if _is_struct(under) and not (_is_struct(die) and _name(die)):
        raise LayoutError(
            f"{where} is a struct without a tag of its own: declare it before as struct tiara_..."
        )
    if _is_struct(die):
        return f"struct {_name(die)}", _must_int(die, "DW_AT_byte_size"), count, False
    name = _name(die)
    if name == "char" and count is not None:
        return name, 1, count, False
    if name not in FIXED_WIDTH and name not in ("tiara_be16", "tiara_be32"):
        raise LayoutError(f"{where} is of type {name or under.tag}: use a fixed-width type such as uint32_t")
    return name, _must_int(under, "DW_AT_byte_size"), count, name.startswith("int")


def _array_count(where: str, die: Die) -> int:
    ranges = [child for child in die.iter_children() if child.tag == "DW_TAG_subrange_type"]
    if len(ranges) != 1:
        raise LayoutError(f"{where} has {len(ranges)} dimensions: use one")
    if (count := _int(ranges[0], "DW_AT_count")) is not None:
        return count
    upper = _int(ranges[0], "DW_AT_upper_bound")
    if upper is None:
        raise LayoutError(f"{where} is an array without a length: say how long it is")
    return upper + 1


def _check_padding(struct: Struct) -> None:
    end = 0
    for member in struct.members:
        if member.offset != end:
            raise LayoutError(_padding(struct.name, member.offset - end, f"before '{member.name}'"))
        if not member.is_struct and member.offset % member.element_bytes:
            raise LayoutError(
                f"struct {struct.name}: member '{member.name}' at {member.offset} is not aligned to its "
                f"{member.element_bytes} bytes: move it or drop the packed attribute"
            )
        end += member.size_bytes
    if end != struct.size_bytes:
        raise LayoutError(_padding(struct.name, struct.size_bytes - end, "at the end"))


def _padding(struct: str, cnt: int, where: str) -> str:
    return f"struct {struct}: {cnt} bytes of implicit padding {where}: write uint8_t pad[{cnt}]"


def _enum(die: Die) -> Enum:
    values = tuple(
        (_name(child), _must_int(child, "DW_AT_const_value"))
        for child in die.iter_children()
        if child.tag == "DW_TAG_enumerator"
    )
    return Enum(_name(die), values)


def _strip_typedefs(die: Die) -> Die:
    while _is_typedef(die):
        die = _type_of(die)
    return die


def _type_of(die: Die) -> Die:
    return die.get_DIE_from_attribute("DW_AT_type")


def _name(die: Die) -> str:
    attribute = die.attributes.get("DW_AT_name")
    return attribute.value.decode() if attribute else ""


def _int(die: Die, attribute: str) -> int | None:
    found = die.attributes.get(attribute)
    return int(found.value) if found else None


def _must_int(die: Die, attribute: str) -> int:
    value = _int(die, attribute)
    if value is None:
        raise LayoutError(f"{_tag(die)} {_name(die)}: the debug information has no {attribute}")
    return value


def _tag(die: Die) -> str:
    """struct, union or enum."""
    words = {"structure": "struct", "enumeration": "enum"}
    word = str(die.tag).removeprefix("DW_TAG_").removesuffix("_type")
    return words.get(word, word)


def _is_declared(die: Die) -> bool:
    return _is_struct(die) or _is_union(die) or _is_typedef(die)


def _is_struct(die: Die) -> bool:
    return bool(die.tag == "DW_TAG_structure_type")


def _is_union(die: Die) -> bool:
    return bool(die.tag == "DW_TAG_union_type")


def _is_enum(die: Die) -> bool:
    return bool(die.tag == "DW_TAG_enumeration_type")


def _is_typedef(die: Die) -> bool:
    return bool(die.tag == "DW_TAG_typedef")
