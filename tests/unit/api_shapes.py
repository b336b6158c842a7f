# SPDX-License-Identifier: Apache-2.0
"""Requests made from the API's own descriptors: the smallest valid one, and values beside bounds."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import tiara.v1
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from tiara.v1 import bounds_pb2 as pb

ITEMS_MAX = 70_000
"""Longer lists than this are not made."""

_INT32, _UINT32 = FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32
_LOWEST = {_INT32: -(1 << 31), _UINT32: 0, FieldDescriptor.CPPTYPE_UINT64: 0}
_HIGHEST = {_INT32: (1 << 31) - 1, _UINT32: (1 << 32) - 1}

_WRITTEN: dict[int, tuple[list[str], list[str]]] = {
    pb.FORMAT_ID: (["a", "a" * 63, "a-0"], ["A", "a" * 64, "a-", "1a", "a\0", "a/b", "é", "a\n"]),
    pb.FORMAT_UID: (["0" * 32], ["0" * 31, "0" * 33, "A" * 32, "g" * 32]),
    pb.FORMAT_IPV4: (
        ["198.18.0.1", "1.0.0.0", "223.255.255.255"],
        ["0.0.0.1", "127.0.0.1", "224.0.0.1", "1.2.3", "01.2.3.4", "::1", "1.2.3.4 "],
    ),
    pb.FORMAT_MAC: (["02:54:49:41:52:41"], ["03:54:49:41:52:41", "02-54-49-41-52-41", "0" * 12]),
    pb.FORMAT_HTTP_PATH: (["/", "/" + "x" * 1023], ["x", "/" + "x" * 1024, "/#", "/ "]),
    pb.FORMAT_HTTP_HOST: (["a", "www.example.org:65535"], ["a:0", "a:65536", "-", "a b", "a" * 254]),
}


@dataclass(frozen=True)
class Site:
    """A field of a request: its path, and a way to the message that holds it."""

    path: str
    field: FieldDescriptor
    owner: Callable[[Any], Any]
    partial: bool
    """Required is not asked for here: the request has an update mask."""

    @property
    def bounds(self) -> pb.Bounds:
        """What the proto declares."""
        return self.field.GetOptions().Extensions[pb.bounds]


def methods() -> list[MethodDescriptor]:
    """All of tiara.v1, in order of name."""
    files = [
        importlib.import_module(f"tiara.v1.{module.name}").DESCRIPTOR
        for module in pkgutil.iter_modules(tiara.v1.__path__)
        if module.name.endswith("_pb2")
    ]
    services = [service for file in files for service in file.services_by_name.values()]
    return sorted((method for service in services for method in service.methods), key=lambda m: m.full_name)


def new(kind: Descriptor) -> Any:
    """An empty message."""
    return GetMessageClass(kind)()


def base(kind: Descriptor) -> Any:
    """The smallest message of this kind that is within its bounds."""
    message = new(kind)
    for field in kind.fields:
        if field.GetOptions().Extensions[pb.bounds].required:
            put(message, field, inside(field)[0])
    for oneof in kind.oneofs:
        if oneof.GetOptions().Extensions[pb.one_required]:
            put(message, oneof.fields[0], inside(oneof.fields[0])[0])
    return message


def sites(kind: Descriptor) -> Iterator[Site]:
    """Every field of a request, at every depth, but what a method checks itself."""
    masked = any(field.message_type and field.message_type.name == "FieldMask" for field in kind.fields)
    yield from _sites(kind, "", lambda message: message, masked, False)


def _sites(
    kind: Descriptor, prefix: str, owner: Callable[[Any], Any], masked: bool, partial: bool
) -> Iterator[Site]:
    for field in kind.fields:
        bounds = field.GetOptions().Extensions[pb.bounds]
        if bounds.bulk:
            continue
        site = Site(f"{prefix}{field.name}", field, owner, partial)
        yield site
        if kind_below := below(field):
            at = f"{site.path}[0]" if field.is_repeated else site.path
            loose = (partial or masked) and not field.is_repeated
            yield from _sites(kind_below, f"{at}.", _into(site, kind_below), masked, loose)


def _into(site: Site, kind: Descriptor) -> Callable[[Any], Any]:
    def descend(root: Any) -> Any:
        holder, field = site.owner(root), site.field
        if field.is_repeated:
            items = getattr(holder, field.name)
            return items[0] if items else _added(items, kind)
        if not holder.HasField(field.name):
            getattr(holder, field.name).CopyFrom(base(kind))
        return getattr(holder, field.name)

    return descend


def _added(items: Any, kind: Descriptor) -> Any:
    items.append(base(kind))
    return items[0]


def below(field: FieldDescriptor) -> Descriptor | None:
    """The message of ours that it holds."""
    kind = field.message_type
    return kind if kind and kind.file.package == "tiara.v1" else None


def put(message: Any, field: FieldDescriptor, value: Any) -> None:
    """Sets a field, or puts a value (of a repeated one: all its items) in the place of what is there."""
    message.ClearField(field.name)
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type:
        getattr(message, field.name).CopyFrom(value)
        getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, value)


def inside(field: FieldDescriptor) -> list[Any]:
    """Values just within; at least one."""
    bounds = field.GetOptions().Extensions[pb.bounds]
    if not field.is_repeated:
        return _inside(field, bounds)
    one = _inside(field, bounds)[:1]
    most = bounds.max_items
    return [one, one * most] if 0 < most <= ITEMS_MAX else [one]


def outside(site: Site, items_max: int = ITEMS_MAX) -> list[tuple[str, Any]]:
    """Values just beyond, each with the path that an error must name."""
    field, bounds = site.field, site.bounds
    found = [("", value) for value in _outside(field, bounds, site.partial)]
    if not field.is_repeated:
        return [(site.path + tail, value) for tail, value in found]
    listed = [(f"{site.path}[0]", [value]) for _, value in found]
    if 0 < bounds.max_items <= items_max:
        listed.append((site.path, _inside(field, bounds)[:1] * (bounds.max_items + 1)))
    if bounds.required and not site.partial:
        listed.append((site.path, []))
    return listed


def _inside(field: FieldDescriptor, bounds: pb.Bounds) -> list[Any]:
    if field.enum_type:
        return [value.number for value in field.enum_type.values if value.number]
    if kind := below(field):
        return [base(kind)]
    if field.message_type:
        return _known_inside(field.message_type.name, bounds)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        texts = _texts_inside(bounds)
        return [text.encode() for text in texts] if field.type == FieldDescriptor.TYPE_BYTES else list(texts)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return [True, False]
    ends = [getattr(bounds, name) for name in ("min", "max") if bounds.HasField(name)]
    return ends or [1, _HIGHEST.get(field.cpp_type, 1 << 62)]


def _outside(field: FieldDescriptor, bounds: pb.Bounds, partial: bool) -> list[Any]:
    if field.enum_type:
        last = max(field.enum_type.values_by_number)
        return [last + 1, -1, *([0] if bounds.required and not partial and not field.is_repeated else [])]
    if below(field):
        return []
    if field.message_type:
        return _known_outside(field.message_type.name, bounds)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        texts = _texts_outside(bounds) + ([""] if bounds.required and not partial else [])
        return [text.encode() for text in texts] if field.type == FieldDescriptor.TYPE_BYTES else list(texts)
    return list(_numbers_outside(field, bounds, partial))


def _numbers_outside(field: FieldDescriptor, bounds: pb.Bounds, partial: bool) -> Iterator[int]:
    unset_is_zero = not field.has_presence and (not bounds.required or partial)
    if bounds.HasField("min") and bounds.min > _LOWEST.get(field.cpp_type, -(1 << 63)):
        below = bounds.min - 1
        if below or not unset_is_zero:
            yield below
    if bounds.HasField("max") and bounds.max < _HIGHEST.get(field.cpp_type, (1 << 63)):
        yield bounds.max + 1
    if bounds.required and not field.has_presence and not partial:
        yield 0


def _texts_inside(bounds: pb.Bounds) -> list[str]:
    if bounds.format:
        return _WRITTEN[bounds.format][0]
    if bounds.resource:
        return [_named(pattern, part) for pattern in bounds.resource for part in ("a", "a" * 63)]
    return ["x" * bounds.max_bytes] if bounds.max_bytes else ["x"]


def _texts_outside(bounds: pb.Bounds) -> list[str]:
    if bounds.format:
        return _WRITTEN[bounds.format][1]
    if bounds.resource:
        bad = [_named(bounds.resource[0], part) for part in ("a" * 64, "A", "a/b", "..", "a\0", "%61")]
        return [*bad, "/" + _named(bounds.resource[0], "a"), _named(bounds.resource[0], "a") + "/"]
    most = bounds.max_bytes
    return ["x" * (most + 1), "é" * (most // 2 + 1)] if most else []


def _named(pattern: str, part: str) -> str:
    words = pattern.split("/")
    return "/".join(part if word.startswith("{") else word for word in words)


def _known_inside(name: str, bounds: pb.Bounds) -> list[Any]:
    if name == "Duration":
        ends = [bounds.min_ms, *([bounds.max_ms] if bounds.max_ms else [])]
        return [_nanoseconds(end * 1_000_000) for end in ends]
    if name == "Timestamp":
        return [Timestamp(seconds=253_402_300_799, nanos=999_999_999), Timestamp(seconds=-62_135_596_800)]
    assert name == "FieldMask", name
    return [FieldMask(paths=["x" * 256] * 100), FieldMask()]


def _known_outside(name: str, bounds: pb.Bounds) -> list[Any]:
    if name == "Duration":
        high = (bounds.max_ms or 3650 * 86_400_000) * 1_000_000
        numbers = [bounds.min_ms * 1_000_000 - 1, high + 1, -1, -(10**18), 1 << 62]
        odd = [bounds.min_ms * 1_000_000 + 1] if bounds.step_ms else []
        broken = [
            Duration(seconds=1, nanos=-1),
            Duration(nanos=1_000_000_000),
            Duration(seconds=(1 << 63) - 1),
        ]
        return [*map(_nanoseconds, numbers + odd), *broken]
    if name == "Timestamp":
        return [Timestamp(nanos=-1), Timestamp(nanos=10**9), Timestamp(seconds=253_402_300_800)]
    return [FieldMask(paths=["x"] * 101)]


def _nanoseconds(value: int) -> Duration:
    sign = -1 if value < 0 else 1
    return Duration(seconds=sign * (abs(value) // 10**9), nanos=sign * (abs(value) % 10**9))
