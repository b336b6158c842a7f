# SPDX-License-Identifier: Apache-2.0
"""Filters and scans of the connection table. Sets of indices go to C as a byte for each index."""

from __future__ import annotations

import socket
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from tiara.domain.layout import State
from tiara.native._libtiara import ffi, lib
from tiara.native.call import call
from tiara.native.values import Affected


@dataclass(frozen=True, slots=True)
class Filter:
    """``struct tiara_filter``. None: any; ``idle_min`` in ticks of 1 s."""

    services: frozenset[int] | None = None
    backends: frozenset[int] | None = None
    client: IPv4Network | None = None
    state: State | None = None
    idle_min: int = 0


def indices(chosen: Iterable[int] | None, count: int) -> Any:
    """A byte for each of ``count`` indices; NULL for None. Keep it as long as C may read it."""
    if chosen is None:
        return ffi.NULL
    marks = bytearray(count)
    for idx in chosen:
        marks[idx] = 1
    return ffi.from_buffer("uint8_t[]", marks)


class CFilter:
    """A filter as C reads it; keeps alive what it points to."""

    def __init__(self, wanted: Filter, service_max: int, backend_max: int) -> None:
        self._services = indices(wanted.services, service_max)
        self._backends = indices(wanted.backends, backend_max)
        self.pointer = ffi.new("struct tiara_filter *")
        self.pointer.services = self._services
        self.pointer.backends = self._backends
        if wanted.client:
            self.pointer.client_addr = socket.htonl(int(wanted.client.network_address))
            self.pointer.client_mask = socket.htonl(int(wanted.client.netmask))
        self.pointer.idle_min_ticks = wanted.idle_min
        self.pointer.state_mask = 0 if wanted.state is None else 1 << wanted.state


class Flush:
    """A flush under way: ``step`` until it is done. Made by ``Segment.flush``."""

    def __init__(self, handle: Any, service_max: int, backend_max: int) -> None:
        self._handle = handle
        self._max = (service_max, backend_max)
        self._flush = ffi.new("struct tiara_flush *")

    def step(self, wanted: Filter) -> bool:
        """Goes through some of the table, a few milliseconds; True: done."""
        found = CFilter(wanted, *self._max)
        call(lib.tiara_connections_flush, self._handle, found.pointer, self._flush)
        return bool(self._flush.done)

    @property
    def removed(self) -> int:
        """Connections removed so far."""
        return int(self._flush.removed)

    @property
    def complete(self) -> bool:
        """Done, and none that was there all the time is left."""
        return bool(self._flush.complete)


def affected(
    handle: Any, services: Iterable[int], backends: Iterable[int], service_max: int, backend_max: int
) -> Affected:
    """See ``tiara_connections_affected``: what a change would end or move that removes these indices."""
    of_services = array("Q", bytes(8 * service_max))
    of_backends = array("Q", bytes(8 * backend_max))
    out = ffi.new("struct tiara_affected *")
    call(
        lib.tiara_connections_affected,
        handle,
        indices(services, service_max),
        indices(backends, backend_max),
        out,
        ffi.from_buffer("uint64_t[]", of_services),
        ffi.from_buffer("uint64_t[]", of_backends),
    )
    return Affected(out.live, out.ended, out.moved, of_services, of_backends)


def rows_differ(before: bytes, numbers: Sequence[int], after: bytes, others: Sequence[int]) -> int:
    """How many rows of two tables name another backend.

    ``before`` and ``after`` are native uint32 positions in ``numbers`` and ``others``, where equal numbers
    are the same backend. ``NativeError`` INVALID: row counts differ, or a row is no position.
    """
    tables, kept = [], []
    for rows, idx in ((before, numbers), (after, others)):
        table = ffi.new("struct tiara_rows *")
        of_rows, of_idx = ffi.from_buffer("uint32_t[]", rows), ffi.from_buffer("uint32_t[]", array("I", idx))
        table.rows, table.row_cnt, table.idx, table.idx_cnt = of_rows, len(rows) // 4, of_idx, len(idx)
        kept += [of_rows, of_idx]  # the buffers live as long as these
        tables.append(table)
    differ = ffi.new("uint32_t *")
    call(lib.tiara_rows_differ, *tables, differ)
    return int(differ[0])
