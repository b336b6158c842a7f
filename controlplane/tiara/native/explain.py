# SPDX-License-Identifier: Apache-2.0
"""What libtiara says of a packet, as a frozen value."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from tiara.domain.layout import Event, ExplainWay, State, Verdict
from tiara.native import convert
from tiara.native._libtiara import ffi, lib
from tiara.native.call import call
from tiara.native.values import NativeConnection

HEADROOM_BYTES = 128
"""How much longer a frame may leave than it came."""

_NONE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class NativeFlow:
    """Addresses and ports of a packet that was fit to be looked at; ports are 0 but for TCP and UDP."""

    protocol: int
    client_address: str
    client_port: int
    address: str
    port: int
    tcp_flags: int


@dataclass(frozen=True, slots=True)
class NativeLookup:
    """What a service's tables say of it. ``row_backend_idx`` None: the pool has no row."""

    service_idx: int
    hash: int
    buckets: tuple[int, int]
    row: int
    row_count: int
    row_backend_idx: int | None
    before: NativeConnection | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """``struct tiara_explanation`` and the frame as it leaves, empty where it is dropped."""

    generation: int
    verdict: Verdict
    way: ExplainWay
    events: tuple[Event, ...]
    flow: NativeFlow | None
    lookup: NativeLookup | None
    backend_idx: int | None
    state: State
    fresh: bool
    ip_offset: int
    frame: bytes


def explain(handle: Any, frame: bytes) -> Explanation:
    """See ``tiara_explain``: what would be done with this Ethernet frame; nothing is."""
    found = ffi.new("struct tiara_explanation *")
    left = bytearray(len(frame) + HEADROOM_BYTES)
    call(
        lib.tiara_explain,
        handle,
        ffi.from_buffer("uint8_t[]", frame),
        len(frame),
        found,
        ffi.from_buffer("uint8_t[]", left),
        len(left),
    )
    return Explanation(
        found.generation,
        Verdict(found.verdict),
        ExplainWay(found.way),
        tuple(event for event in Event if found.events >> event & 1),
        _flow(found) if found.parsed else None,
        _lookup(found) if found.has_service else None,
        _index(found.backend_idx),
        State(found.state),
        found.fresh,
        found.l3_off,
        bytes(left[: found.left_bytes]),
    )


def _flow(found: Any) -> NativeFlow:
    return NativeFlow(
        found.protocol,
        convert.address_out(found.client_addr),
        socket.ntohs(found.client_port),
        convert.address_out(found.vip),
        socket.ntohs(found.port),
        found.tcp_flags,
    )


def _lookup(found: Any) -> NativeLookup:
    return NativeLookup(
        found.service_idx,
        found.hash,
        (found.bucket[0], found.bucket[1]),
        found.row,
        found.row_cnt,
        _index(found.row_backend_idx),
        convert.connection(found.connection) if found.found else None,
    )


def _index(idx: int) -> int | None:
    return None if idx == _NONE else idx
