# SPDX-License-Identifier: Apache-2.0
"""Calls that are wrong, hostile or at random, made from the descriptors of whatever methods there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import grpc
from api_shapes import Site, base, inside, new, outside, put, sites
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import DecodeError, Message
from tiara.api.bounds import MESSAGE_MAX_BYTES, REQUEST_MAX_BYTES
from tiara.domain.caller import Scope
from tiara.security.scopes import needed_scope
from tiara.v1 import bounds_pb2 as pb
from tiara.v1 import connection_pb2 as cn

Code = grpc.StatusCode

INVALID = frozenset({Code.INVALID_ARGUMENT})
ANY = frozenset(Code) - {Code.UNKNOWN, Code.INTERNAL, Code.DATA_LOSS, Code.CANCELLED, Code.UNIMPLEMENTED}
"""What a call may end with whose request is within its bounds. CANCELLED: nobody did."""

POOLS, BACKENDS, SERVICES = ("web", "idle"), ("b1", "b2"), ("web", "two")
"""What exists, or did: a call may have deleted it."""

HOSTILE = (
    "../../../../etc/passwd",
    "backendPools/../virtualServices/web",
    "backendPools/web/backends/b1/../b2",
    "backendPools//backends/",
    "'; DROP TABLE resource; --",
    '" OR 1=1 --',
    "web\0",
    "\0" * 40,
    "\r\nInjected: yes",
    "\x1b[2J\x1b[1;31m",
    "%s%s%n%n%x",
    "{0.__class__.__mro__}",
    "${jndi:x}",
    "$(id)`id`|id;id",
    "\u202eneddih",
    "\uff37\uff25\uff22",
    "\U0001f4a9" * 20,
    "e\u0301" * 100,
    "*",
    "-",
    "a" * 100_000,
    "/" * 5000,
    "[" * 5000,
    "9" * 400,
    "-1",
    "NaN",
    "null",
    "true",
    "W10=",
    "WyJwb29scyIsIjk5OSJd",
)


@dataclass(frozen=True)
class Case:
    """One call, and how it may end."""

    kind: str
    method: MethodDescriptor
    requests: tuple[bytes, ...]
    allowed: frozenset[grpc.StatusCode]
    field: str = ""
    """What a BadRequest must name."""
    caller: str = "socket"
    """Who calls, and over which listener: a key of the test's callers."""

    def __str__(self) -> str:
        first = self.requests[0] if self.requests else b""
        return f"{self.kind} {self.method.full_name} {first[:300]!r}"


Maker = Callable[[Random, Sequence[MethodDescriptor]], Case | None]
"""Makes a case for one of the methods; None where they have nothing of the kind."""


@cache
def sites_of(kind: Descriptor) -> tuple[Site, ...]:
    """All fields of a request."""
    return tuple(sites(kind))


def beyond(rng: Random, served: Sequence[MethodDescriptor]) -> Case | None:
    """One field just out of its bounds."""
    method = rng.choice(served)
    choices = sites_of(method.input_type)
    if not choices:
        return None
    site = rng.choice(choices)
    found = outside(site, 1000)
    if not found:
        return None
    path, value = rng.choice(found)
    message = base(method.input_type)
    put(site.owner(message), site.field, value)
    return Case("beyond", method, (message.SerializeToString(),), INVALID, path)


def hostile(rng: Random, served: Sequence[MethodDescriptor]) -> Case | None:
    """Text that hopes to be taken for something else."""
    method = rng.choice(served)
    texts = [site for site in sites_of(method.input_type) if site.field.type == FieldDescriptor.TYPE_STRING]
    if not texts:
        return None
    site, text = rng.choice(texts), rng.choice(HOSTILE)
    message = filled(rng, method.input_type)
    put(site.owner(message), site.field, [text] if site.field.is_repeated else text)
    return Case("hostile", method, (message.SerializeToString(),), ANY)


def stale(rng: Random, served: Sequence[MethodDescriptor]) -> Case | None:
    """An etag of before."""
    method = rng.choice([one for one in served if one.name.startswith(("Delete", "Update"))])
    message = base(method.input_type)
    for field in method.input_type.fields:
        holder = getattr(message, field.name) if field.name in _RESOURCES else message
        for name in ("name", "etag"):
            if name in holder.DESCRIPTOR.fields_by_name:
                value = _existing(rng, holder.DESCRIPTOR) if name == "name" else f"{rng.getrandbits(64):016x}"
                setattr(holder, name, value)
    return Case("stale", method, (message.SerializeToString(),), frozenset({Code.ABORTED}))


_RESOURCES = ("backend_pool", "backend", "virtual_service")


def _existing(rng: Random, kind: Descriptor) -> str:
    pattern = kind.fields_by_name["name"].GetOptions().Extensions[pb.bounds].resource[0]
    return _name(rng, pattern, {"backend": "b1", "pool": "web", "service": "web"})


def _name(rng: Random, pattern: str, ids: dict[str, str] | None = None) -> str:
    known = ids or {
        "pool": rng.choice(POOLS),
        "backend": rng.choice(BACKENDS),
        "service": rng.choice(SERVICES),
    }
    return pattern.format_map(known)


def wire(rng: Random, served: Sequence[MethodDescriptor]) -> Case | None:
    """Bytes that are no message."""
    method = rng.choice(served)
    raw = bytearray(filled(rng, method.input_type).SerializeToString() or b"\x0a\x01a")
    for _ in range(50):
        raw[rng.randrange(len(raw))] = rng.getrandbits(8)
        if not _parses(method.input_type, bytes(raw)):
            return Case("wire", method, (bytes(raw),), INVALID)
    return Case("wire", method, (b"\xff" * 9,), INVALID)


def _parses(kind: Descriptor, raw: bytes) -> bool:
    try:
        new(kind).ParseFromString(raw)
    except DecodeError:
        return False
    return True


def mask(rng: Random, served: Sequence[MethodDescriptor]) -> Case | None:
    """An update of fields at random, some of which there are."""
    method = rng.choice([one for one in served if "update_mask" in one.input_type.fields_by_name])
    message = filled(rng, method.input_type)
    paths = [site.path.partition(".")[2] for site in sites_of(method.input_type)]
    names = [path for path in paths if path and "[" not in path]
    words = rng.choice((names, [*paths, *HOSTILE[:6], "*", "", ".", "status.health", "name", "uid", "a.b"]))
    del message.update_mask.paths[:]
    message.update_mask.paths.extend(rng.choice(words) for _ in range(rng.randrange(4)))
    return Case("mask", method, (message.SerializeToString(),), ANY)


def within(rng: Random, served: Sequence[MethodDescriptor]) -> Case | None:
    """A request within its bounds."""
    method = rng.choice(served)
    return Case("within", method, (filled(rng, method.input_type).SerializeToString(),), ANY)


def filled(rng: Random, kind: Descriptor) -> Any:
    """A message within its bounds with a few fields at random, most names of what may exist."""
    message = base(kind)
    for site in sites_of(kind):
        if not site.bounds.required and rng.random() < 0.8:
            continue
        holder = site.owner(message)
        if site.bounds.resource and rng.random() < 0.9:
            put(holder, site.field, _name(rng, rng.choice(site.bounds.resource)))
        elif site.bounds.format == pb.FORMAT_ID and rng.random() < 0.9:
            put(holder, site.field, rng.choice((*POOLS, *BACKENDS, "a", "b", "c")))
        elif site.field.message_type is None:
            values = [value for value in inside(site.field) if _is_short(value)]
            put(holder, site.field, rng.choice(values or inside(site.field)[:1]))
    return message


def _is_short(value: Any) -> bool:
    return not isinstance(value, list) or len(value) < 100


def oversized(rng: Random, served: Sequence[MethodDescriptor]) -> Case | None:
    """More than the method takes, seldom more than the server does."""
    method = rng.choice(served)
    most = method.input_type.GetOptions().Extensions[pb.max_request_bytes] or REQUEST_MAX_BYTES
    size = MESSAGE_MAX_BYTES + 1 if rng.random() < 0.1 else most + 1
    raw = base(method.input_type).SerializeToString() + _padding(size)
    return Case("oversized", method, (raw,), frozenset({Code.RESOURCE_EXHAUSTED}))


def _padding(size: int) -> bytes:
    """A field that nobody knows: number 2000, of so many bytes."""
    return b"\x82\x7d" + _varint(size) + bytes(size)


def _varint(value: int) -> bytes:
    head = b""
    while value > 127:
        head, value = head + bytes([value & 127 | 128]), value >> 7
    return head + bytes([value])


def push(rng: Random, served: Sequence[MethodDescriptor]) -> Case | None:
    """A good header, and a chunk with a record that no push takes."""
    method = next((one for one in served if one.name == "PushConnections"), None)
    if method is None:
        return None
    header = cn.PackedHeader(
        format=1,
        record_bytes=16,
        services=[cn.PackedService(virtual_service="virtualServices/web")],
        backends=[cn.PackedBackend(backend="backendPools/web/backends/b1")],
    )
    good = bytes.fromhex("c6120007 9c40 0000 00000000 0005 03 00")
    bad = bytearray(good * rng.randrange(1, 9))
    bad[-1] = rng.randrange(1, 256)
    records = bytes(bad) if rng.random() < 0.5 else rng.randbytes(rng.choice((1, 15, 17, 160)))
    chunk = cn.PackedChunk(sequence=1, records=records)
    requests = (cn.PushConnectionsRequest(header=header), cn.PushConnectionsRequest(chunk=chunk))
    return Case("push", method, tuple(_raw(request) for request in requests), ANY - {Code.OK})


def scope(rng: Random, served: Sequence[MethodDescriptor]) -> Case | None:
    """A call by someone who may not make it, or over a connection that is none."""
    caller, code = rng.choice(
        (
            ("reader", Code.PERMISSION_DENIED),
            ("stranger", Code.UNAUTHENTICATED),
            ("forged", Code.UNAUTHENTICATED),
            ("plain", Code.UNAVAILABLE),
            ("distrustful", Code.UNAVAILABLE),
        )
    )
    writing = [one for one in served if needed_scope(path_of(one)) > Scope.READ]
    method = rng.choice(writing)
    message = filled(rng, method.input_type)
    if "validate_only" in method.input_type.fields_by_name:
        message.ClearField("validate_only")
    return Case("scope", method, (message.SerializeToString(),), frozenset({code}), caller=caller)


def path_of(method: MethodDescriptor) -> str:
    """As gRPC names it."""
    return f"/{method.containing_service.full_name}/{method.name}"


def _raw(message: Message) -> bytes:
    return message.SerializeToString()


MAKERS: dict[str, tuple[int, Maker]] = {
    "beyond": (30, beyond),
    "hostile": (25, hostile),
    "stale": (8, stale),
    "wire": (10, wire),
    "mask": (8, mask),
    "within": (20, within),
    "push": (4, push),
    "scope": (6, scope),
    "oversized": (1, oversized),
}
"""How often each kind comes, and who makes it."""


def cases(rng: Random, count: int, served: Sequence[MethodDescriptor]) -> Sequence[Case]:
    """So many, in random order."""
    makers = [maker for _, maker in MAKERS.values()]
    weights = [weight for weight, _ in MAKERS.values()]
    made: list[Case] = []
    while len(made) < count:
        case = rng.choices(makers, weights)[0](rng, served)
        if case:
            made.append(case)
    return made
