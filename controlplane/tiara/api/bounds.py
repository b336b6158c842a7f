# SPDX-License-Identifier: Apache-2.0
"""Requests within the bounds that the proto declares (tiara/v1/bounds.proto), whatever the method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from tiara.api.rules import Check, bounds_of, checks_of, unset
from tiara.domain.errors import Exhausted, InvalidField
from tiara.v1 import bounds_pb2 as pb

REQUEST_MAX_BYTES = 4 << 20
"""Largest request, but where ``max_request_bytes`` says more."""

MESSAGE_MAX_BYTES = 32 << 20
"""Largest message that the server takes from the wire."""


def check_request(message: Message, size: int) -> None:
    """Raises ``InvalidField`` with the path of the first field outside of its bounds.

    ``size``: bytes of the encoded request; too many: ``Exhausted``.
    """
    plan = _plan(message.DESCRIPTOR)
    if size > plan.max_bytes:
        raise Exhausted(f"the request has {size} bytes, more than {plan.max_bytes}; nothing was changed")
    _check(plan, message, "", plan.masked)


@dataclass(frozen=True)
class _Field:
    """One field, as it is walked."""

    name: str
    required: str
    repeated: bool
    max_items: int
    checks: Sequence[Check]
    nested: Descriptor | None
    presence: bool

    @cached_property
    def plan(self) -> _Plan | None:
        """What is below it; made when first met, as messages may hold themselves."""
        return _plan(self.nested) if self.nested else None


@dataclass(frozen=True)
class _Plan:
    """One message."""

    fields: Sequence[_Field]
    oneofs: Sequence[tuple[str, str]]
    max_bytes: int
    masked: bool


@cache
def _plan(kind: Descriptor) -> _Plan:
    return _Plan(
        [_field(field) for field in sorted(kind.fields, key=lambda field: field.number) if _matters(field)],
        [_oneof(oneof) for oneof in kind.oneofs if oneof.GetOptions().Extensions[pb.one_required]],
        kind.GetOptions().Extensions[pb.max_request_bytes] or REQUEST_MAX_BYTES,
        any(field.message_type and field.message_type.name == "FieldMask" for field in kind.fields),
    )


def _matters(field: FieldDescriptor) -> bool:
    bounds = bounds_of(field)
    below = _nested(field)
    return bool(
        not bounds.bulk and (bounds.required or bounds.max_items or checks_of(field, bounds) or below)
    )


def _nested(field: FieldDescriptor) -> Descriptor | None:
    kind = field.message_type
    if not kind or kind.full_name.startswith("google.") or kind.GetOptions().map_entry:
        return None
    return kind


def _field(field: FieldDescriptor) -> _Field:
    bounds = bounds_of(field)
    return _Field(
        field.name,
        unset(field) if bounds.required else "",
        field.is_repeated,
        bounds.max_items,
        checks_of(field, bounds),
        _nested(field),
        field.has_presence,
    )


def _oneof(oneof: OneofDescriptor) -> tuple[str, str]:
    names = " or ".join(field.name for field in oneof.fields)
    return oneof.name, f"one must be set: {names}"


def _check(plan: _Plan, message: Any, prefix: str, masked: bool) -> None:
    partial = masked and bool(prefix)
    for field in plan.fields:
        value = _value_of(field, message)
        if value is not None:
            _within(field, f"{prefix}{field.name}", value, masked)
        elif field.required and not partial:
            raise InvalidField(f"{prefix}{field.name}", field.required)
    for name, sentence in plan.oneofs:
        if not partial and message.WhichOneof(name) is None:
            raise InvalidField(f"{prefix}{name}", sentence)


def _value_of(field: _Field, message: Any) -> Any:
    """None where it is not set."""
    if field.presence:
        return getattr(message, field.name) if message.HasField(field.name) else None
    return getattr(message, field.name) or None


def _within(field: _Field, path: str, value: Any, masked: bool) -> None:
    if not field.repeated:
        _one_within(field, path, value, masked)
        return
    if field.max_items and len(value) > field.max_items:
        raise InvalidField(path, f"{len(value)} are more than {field.max_items}")
    for i, item in enumerate(value):
        _one_within(field, f"{path}[{i}]", item, masked=False)


def _one_within(field: _Field, path: str, value: Any, masked: bool) -> None:
    for check in field.checks:
        check(path, value)
    if field.plan:
        _check(field.plan, value, f"{path}.", masked)
