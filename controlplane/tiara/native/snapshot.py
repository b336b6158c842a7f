# SPDX-License-Identifier: Apache-2.0
"""A snapshot of a live table as packed records. One thread at a time; the GIL is released while in C."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tiara.domain.dataplane import BackendKey, ServiceKey
from tiara.domain.layout import Status
from tiara.native import convert
from tiara.native._libtiara import ffi, lib
from tiara.native.call import call
from tiara.native.errors import NativeError

RECORD_BYTES = 16

_ROOM_LEFT = 1024
"""A chunk with less room than that, in records, is full: a bucket more might not fit."""


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """``struct tiara_snapshot_info``."""

    records: int
    followed: int
    scanned_buckets: int
    left_buckets: int
    passes: int
    done: bool


class Snapshot:
    """Use ``Segment.snapshot``. Records may come twice; see ``tiara.h`` for what is promised."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._info = ffi.new("struct tiara_snapshot_info *")
        self._room = bytearray()

    def services(self) -> list[ServiceKey]:
        """What a record's service position means."""
        spec = ffi.new("struct tiara_service_spec *")
        return [
            convert.service_slot(pos, spec).spec.key
            for pos in self._positions(lib.tiara_snapshot_service, spec)
        ]

    def backends(self) -> list[BackendKey]:
        """What a record's backend position means."""
        spec = ffi.new("struct tiara_backend_spec *")
        return [
            (convert.text(spec.pool), convert.text(spec.backend), bytes(spec.uid).hex())
            for _ in self._positions(lib.tiara_snapshot_backend, spec)
        ]

    def read(self, limit: int) -> bytes:
        """Records of at most ``limit`` bytes; fewer at the end only, or where the table is almost empty.

        ``NativeError`` BUSY: entries moved too fast; what was read before is right, but not all.
        """
        if len(self._room) != limit:
            self._room = bytearray(limit)
        records = ffi.from_buffer("struct tiara_packed_connection[]", self._room)
        room, filled = limit // RECORD_BYTES, 0
        count = ffi.new("uint32_t *")
        while not self._info.done and room - filled >= min(_ROOM_LEFT, room):
            call(lib.tiara_snapshot_next, self._handle, records + filled, room - filled, count, self._info)
            filled += count[0]
        return bytes(memoryview(self._room)[: filled * RECORD_BYTES])

    def info(self) -> SnapshotInfo:
        """How far it is."""
        info = self._info
        return SnapshotInfo(
            info.records, info.followed, info.scanned_buckets, info.left_buckets, info.passes, bool(info.done)
        )

    def _positions(self, read: Any, spec: Any) -> Iterator[int]:
        """Fills ``spec`` for each position."""
        pos = 0
        while True:
            try:
                call(read, self._handle, pos, spec)
            except NativeError as error:
                if error.status is Status.NOT_FOUND:
                    return
                raise
            yield pos
            pos += 1
