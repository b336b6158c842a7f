# SPDX-License-Identifier: Apache-2.0
"""The API's contract: buf's rules, nothing broken since the baseline, bounds on what clients send."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from .protos import ProtocError, Protos
from .tree import Finding, Result, Tree, one_line, run

FOLDER = "proto"
BASELINE = f"{FOLDER}/baseline.binpb"
FREEZE = "give the change another number or name; where nothing is released yet, `script/check freeze`"

_LINE = re.compile(r"^(?P<where>[^:\n]+:\d+):\d+:(?P<what>.*)$", re.MULTILINE)
_WELL_KNOWN = {f"google.protobuf.{name}" for name in ("Duration", "FieldMask", "Timestamp")}


def check(tree: Tree) -> Result:
    """What buf says, and fields of requests that may hold anything without saying so."""
    if not shutil.which("buf"):
        return Result([Finding("pyproject.toml", "buf is not installed", "script/setup --dev")])
    lint = _buf(tree, "buf lint has its reasons", "lint")
    breaking = _breaking(tree)
    return Result([*lint, *breaking, *_unbounded(tree)])


def freeze(tree: Tree) -> int:
    """Makes what is in proto/ the baseline; 0 when that went well."""
    done = run(tree, "buf", "build", "--exclude-source-info", FOLDER, "-o", BASELINE)
    print(done.stderr.strip() if done.returncode else f"wrote {BASELINE}")
    return done.returncode


def _breaking(tree: Tree) -> Iterator[Finding]:
    if not (tree.root / BASELINE).is_file():
        yield Finding(BASELINE, "is not there", "run `script/check freeze`")
        return
    yield from _buf(tree, FREEZE, "breaking", "--against", BASELINE)


def _buf(tree: Tree, mend: str, *arguments: str) -> Iterator[Finding]:
    done = run(tree, "buf", arguments[0], FOLDER, *arguments[1:])
    found = list(_LINE.finditer(done.stdout))
    for match in found:
        yield Finding(match["where"], match["what"], mend)
    if done.returncode and not found:
        yield Finding(f"{FOLDER}/buf.yaml", f"buf {arguments[0]} fails", one_line(done))


def _unbounded(tree: Tree) -> Iterator[Finding]:
    try:
        protos = Protos.read(tree)
    except ProtocError:
        return  # The part "generated" says what protoc complains of
    for message in protos.requests:
        yield from _unbounded_of(protos, message)


def _unbounded_of(protos: Protos, message: Descriptor) -> Iterator[Finding]:
    for field in message.fields:
        if complaint := _complaint(field, protos.bounds(field)):
            mend = 'declare it in (bounds), or "free: true"'
            yield Finding(protos.where(field), f"{message.name}.{field.name} {complaint}", mend)


def _complaint(field: FieldDescriptor, bounds: Any) -> str:
    """Why the field may hold too much, empty when it may not."""
    if bounds.free or bounds.bulk:
        return ""
    if field.message_type and field.message_type.GetOptions().map_entry:
        return "is a map, and bounds do not reach into maps"
    if field.is_repeated and not bounds.max_items:
        return "may have any number of items"
    return "" if _is_bounded(field, bounds) else "may hold anything"


def _is_bounded(field: FieldDescriptor, bounds: Any) -> bool:
    if field.message_type:
        name = field.message_type.full_name
        return name in _WELL_KNOWN or not name.startswith("google.")
    if field.enum_type or field.type == field.TYPE_BOOL:
        return True
    if field.cpp_type == field.CPPTYPE_STRING:
        return bool(bounds.max_bytes or bounds.format or bounds.resource)
    return bool(bounds.HasField("min") or bounds.HasField("max"))
