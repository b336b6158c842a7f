# SPDX-License-Identifier: Apache-2.0
"""Field masks of updates (AIP-134): which fields of a message are taken over a stored one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from tiara.domain.checks import shown
from tiara.domain.errors import InvalidField

SERVER_SET = frozenset({"name", "uid", "etag", "create_time", "revision", "owner", "status"})
"""Top-level fields that no update changes."""

_M = TypeVar("_M", bound=Message)


def merged(stored: _M, given: _M, mask: FieldMask) -> _M:
    """``stored`` with the masked fields of ``given``. No mask: those that are set; "*": all."""
    result = type(stored)()
    result.CopyFrom(stored)
    for path in _paths(given, mask):
        _take(result, given, path)
    return result


def _paths(given: Message, mask: FieldMask) -> Iterator[list[str]]:
    if list(mask.paths) == ["*"]:
        names = [field.name for field in given.DESCRIPTOR.fields]
    elif not mask.paths:
        names = [field.name for field, _ in given.ListFields()]
    else:
        for path in mask.paths:
            yield _known(given.DESCRIPTOR, path)
        return
    yield from ([name] for name in names if name not in SERVER_SET)


def _known(descriptor: Any, path: str) -> list[str]:
    parts = path.split(".")
    if parts[0] in SERVER_SET:
        raise InvalidField("update_mask", f"{shown(path)} is set by the server")
    for i, part in enumerate(parts):
        field = descriptor.fields_by_name.get(part)
        if field is None:
            raise InvalidField("update_mask", f"{shown(path)}: there is no field {shown(part)}")
        last = i == len(parts) - 1
        if not last and (field.message_type is None or field.is_repeated):
            raise InvalidField("update_mask", f"{shown(path)}: {shown(part)} has no fields")
        if not last:
            descriptor = field.message_type
    return parts


def _take(into: Message, given: Message, path: list[str]) -> None:
    for part in path[:-1]:
        if not given.HasField(part) and not into.HasField(part):
            return
        into, given = getattr(into, part), getattr(given, part)
    name = path[-1]
    into.ClearField(name)
    source = type(into)()
    source.CopyFrom(given)
    for field in source.DESCRIPTOR.fields:
        if field.name != name:
            source.ClearField(field.name)
    into.MergeFrom(source)
