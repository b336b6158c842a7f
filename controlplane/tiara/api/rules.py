# SPDX-License-Identifier: Apache-2.0
"""What ``tiara.v1.bounds`` of one field asks of one value. Each raises ``InvalidField``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration

from tiara.domain.checks import check_host, check_id, check_ipv4, check_mac, check_path, check_uid, shown
from tiara.domain.errors import InvalidField
from tiara.v1 import bounds_pb2 as pb

Check = Callable[[str, Any], object]
"""Gets the value's path and the value."""

DURATION_MAX_MS = 3650 * 86_400_000
MASK_PATHS_MAX = 100
MASK_PATH_MAX_BYTES = 256

_INTEGERS = frozenset(
    {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}
    | {FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64}
)
_FORMATS: dict[int, Check] = {
    pb.FORMAT_ID: check_id,
    pb.FORMAT_UID: check_uid,
    pb.FORMAT_IPV4: check_ipv4,
    pb.FORMAT_MAC: check_mac,
    pb.FORMAT_HTTP_PATH: check_path,
    pb.FORMAT_HTTP_HOST: check_host,
}


def bounds_of(field: FieldDescriptor) -> pb.Bounds:
    """What the proto declares."""
    return field.GetOptions().Extensions[pb.bounds]


def checks_of(field: FieldDescriptor, bounds: pb.Bounds) -> list[Check]:
    """What one value of the field (of a repeated one: one item) must pass."""
    if field.enum_type:
        return [_enum(field.enum_type)]
    if field.cpp_type in _INTEGERS:
        return [_number(bounds)]
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _text(bounds)
    if field.message_type:
        return _known(field.message_type.full_name, bounds)
    return []


def unset(field: FieldDescriptor) -> str:
    """What is said of a required field that is not set."""
    if field.is_repeated:
        return "at least one is needed"
    if field.enum_type:
        return f"must be {_named(field.enum_type)}; it is not set"
    return "must be set"


def _enum(kind: EnumDescriptor) -> Check:
    def check(path: str, value: int) -> None:
        if value not in kind.values_by_number:
            raise InvalidField(path, f"must be {_named(kind)}, not {value}")

    return check


def _named(kind: EnumDescriptor) -> str:
    prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    names = [value.name.removeprefix(prefix) for value in kind.values if value.number]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _number(bounds: pb.Bounds) -> Check:
    low = bounds.min if bounds.HasField("min") else None
    high = bounds.max if bounds.HasField("max") else None

    def check(path: str, value: int) -> None:
        if (low is not None and value < low) or (high is not None and value > high):
            raise InvalidField(path, f"{value} is not in {_range(low, high)}")

    return check


def _range(low: object, high: object) -> str:
    if high is None:
        return f"{low} or more"
    return f"{low} to {high}" if low is not None else f"up to {high}"


def _text(bounds: pb.Bounds) -> list[Check]:
    found: list[Check] = []
    if bounds.max_bytes:
        found.append(_length(bounds.max_bytes))
    if bounds.format:
        found.append(_FORMATS[bounds.format])
    if bounds.resource:
        found.append(_resource(bounds.resource))
    return found


def _length(most: int) -> Check:
    def check(path: str, value: str | bytes) -> None:
        size = len(value.encode()) if isinstance(value, str) else len(value)
        if size > most:
            raise InvalidField(path, f"{size} bytes are more than {most}")

    return check


def _resource(patterns: Sequence[str]) -> Check:
    known = " or ".join(f"'{pattern}'" for pattern in patterns)
    matchers = [re.compile(re.sub(r"\{\w+\}", "([^/]*)", pattern)) for pattern in patterns]

    def check(path: str, value: str) -> None:
        found = next(filter(None, (matcher.fullmatch(value) for matcher in reversed(matchers))), None)
        if not found:
            raise InvalidField(path, f"{shown(value)} is not {known}")
        for part in found.groups():
            check_id(path, part)

    return check


def _known(name: str, bounds: pb.Bounds) -> list[Check]:
    match name:
        case "google.protobuf.Duration":
            return [_duration(bounds)]
        case "google.protobuf.Timestamp":
            return [_timestamp]
        case "google.protobuf.FieldMask":
            return [_mask]
    return []


def _duration(bounds: pb.Bounds) -> Check:
    low = bounds.min_ms
    high = bounds.max_ms if bounds.HasField("max_ms") else DURATION_MAX_MS

    def check(path: str, value: Duration) -> None:
        nanos = _nanoseconds(path, value)
        if not low * 1_000_000 <= nanos <= high * 1_000_000:
            raise InvalidField(path, f"{nanos / 1e9:.12g} s is not in {low / 1000:g} s to {_upper(high)}")
        if bounds.step_ms and nanos % (bounds.step_ms * 1_000_000):
            unit = "whole seconds" if bounds.step_ms == 1000 else f"a multiple of {bounds.step_ms} ms"
            raise InvalidField(path, f"{value.ToJsonString()} is not {unit}")

    return check


def _upper(high_ms: int) -> str:
    return f"{high_ms // 86_400_000} days" if high_ms >= 86_400_000 * 10 else f"{high_ms / 1000:g} s"


def _nanoseconds(path: str, value: Duration) -> int:
    if not -999_999_999 <= value.nanos <= 999_999_999 or value.seconds * value.nanos < 0:
        raise InvalidField(path, "is no duration: nanos must be under 1 s and have the sign of seconds")
    return value.seconds * 1_000_000_000 + value.nanos


def _timestamp(path: str, value: Any) -> None:
    if not (0 <= value.nanos <= 999_999_999 and -62_135_596_800 <= value.seconds <= 253_402_300_799):
        raise InvalidField(path, "is no moment: years 1 to 9999, and nanos from 0 to 999999999")


def _mask(path: str, value: Any) -> None:
    if len(value.paths) > MASK_PATHS_MAX:
        raise InvalidField(path, f"{len(value.paths)} paths are more than {MASK_PATHS_MAX}")
    for i, item in enumerate(value.paths):
        _length(MASK_PATH_MAX_BYTES)(f"{path}.paths[{i}]", item)
