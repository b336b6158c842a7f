# SPDX-License-Identifier: Apache-2.0
"""Golden bytes: formats that outlive a release are written to the byte as they were first."""

from __future__ import annotations

import ipaddress
import json
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
FILES = {"packed_v1": "tiara_packed_connection", "entry": "tiara_entry"}


def records(name: str) -> list[Any]:
    found: list[Any] = json.loads((GOLDEN / f"{name}.json").read_text())["records"]
    return found


CASES = [
    pytest.param(kind, record, id=f"{name}: {record['description']}")
    for name, kind in FILES.items()
    for record in records(name)
]


def numbers(record: Any) -> dict[str, int]:
    """The fields as numbers."""
    fields = dict(record["fields"])
    fields["client_addr"] = int(ipaddress.IPv4Address(fields["client_addr"]))
    return fields


def golden(record: Any) -> bytes:
    return bytes.fromhex(record["hex"])


@pytest.mark.parametrize(("kind", "record"), CASES)
def test_by_the_generated_offsets(made: ModuleType, kind: str, record: Any) -> None:
    """Each field written at its generated offset, in the byte order its type names."""
    written = bytearray(made.SIZES[kind])
    for name, value in numbers(record).items():
        member = made.MEMBERS[kind][name]
        end = member.offset + member.element_bytes
        big = member.type.startswith("tiara_be")
        written[member.offset : end] = value.to_bytes(member.element_bytes, "big" if big else "little")
    assert written.hex() == golden(record).hex()


@pytest.mark.parametrize(("kind", "record"), CASES)
def test_by_cffi(made: ModuleType, extension: ModuleType, kind: str, record: Any) -> None:
    """The same bytes through the compiler's own struct."""
    ffi = extension.ffi
    written = ffi.new(f"struct {kind} *")
    for name, value in numbers(record).items():
        setattr(written, name, stored(made.MEMBERS[kind][name], value))
    assert bytes(ffi.buffer(written)).hex() == golden(record).hex()


@pytest.mark.parametrize("record", records("packed_v1"))
def test_packed_by_its_format_string(made: ModuleType, record: Any) -> None:
    """struct.Struct with the published format packs and unpacks a record."""
    values = tuple(numbers(record).values())
    assert struct.pack(made.PACKED_CONNECTION_FORMAT, *values).hex() == golden(record).hex()
    assert struct.unpack(made.PACKED_CONNECTION_FORMAT, golden(record)) == values


def stored(member: Any, value: int) -> int:
    """The number a little-endian machine stores so that memory holds network order."""
    if not member.type.startswith("tiara_be"):
        return value
    return int.from_bytes(value.to_bytes(member.element_bytes, "big"), "little")
