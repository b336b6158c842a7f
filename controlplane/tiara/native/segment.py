# SPDX-License-Identifier: Apache-2.0
"""The segment as a Python object. One thread at a time; every call releases the GIL while in C."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiara.domain.dataplane import BackendKey, BackendSpec, ServiceKey, ServiceSpec, SourceRanges
from tiara.domain.layout import OnConflict, Role, Status
from tiara.domain.model import SOURCES_MAX, Protocol
from tiara.native import convert, scan
from tiara.native._libtiara import ffi, lib
from tiara.native.call import call as _call
from tiara.native.errors import NativeError
from tiara.native.explain import Explanation, explain
from tiara.native.scan import CFilter, Filter, Flush
from tiara.native.snapshot import Snapshot
from tiara.native.values import (
    Affected,
    BackendSlot,
    CollectInfo,
    Counters,
    Flow,
    Flows,
    NativeConnection,
    SegmentInfo,
    ServiceSlot,
    Usage,
    Worker,
)

END = 0xFFFFFFFFFFFFFFFF
"""The cursor of ``connections_list`` after the last page."""

_ALL = Filter()
_PATH_BYTES = 4096
_FLOW_BYTES = 32
_SAMPLE_BUCKETS = 4096


def layout_id() -> int:
    """The layout that this extension was compiled with."""
    return int(lib.tiara_layout_id())


def locate(instance: str) -> Path:
    """Where the segment of an instance is, or would be created."""
    path = ffi.new("char[]", _PATH_BYTES)
    _call(lib.tiara_segment_locate, instance.encode(), path, _PATH_BYTES)
    return Path(convert.text(path))


def create(
    path: Path,
    *,
    connections: int = 65536,
    worker_max: int = 1,
    service_max: int = 1024,
    backend_max: int = 1024,
    heap_bytes: int = 16 << 20,
) -> None:
    """Creates a segment: what the data plane does, here for tests and tools."""
    config = ffi.new(
        "struct tiara_segment_config *", [connections, worker_max, service_max, backend_max, heap_bytes]
    )
    _call(lib.tiara_segment_create, bytes(path), config)


def maglev_fill(offsets: Sequence[int], skips: Sequence[int], weights: Sequence[int], rows: int) -> bytes:
    """``tiara.planner.maglev.fill_plain`` at C's speed."""
    return _filled(lib.tiara_maglev_fill, rows, _words(offsets), _words(skips), _words(weights), len(weights))


def rendezvous_fill(seeds: Sequence[int], weights: Sequence[int], rows: int) -> bytes:
    """``tiara.planner.rendezvous.fill_plain`` at C's speed."""
    given = ffi.from_buffer("uint64_t[]", array("Q", seeds))
    return _filled(lib.tiara_rendezvous_fill, rows, given, _words(weights), len(weights))


def round_robin_fill(weights: Sequence[int], rows: int) -> bytes:
    """``tiara.planner.round_robin.fill_plain`` at C's speed."""
    return _filled(lib.tiara_round_robin_fill, rows, _words(weights), len(weights))


def select_row(client_address: str, client_port: int, secret: bytes, rows: int) -> int:
    """The row of the selection table that a client's connection starts from."""
    port = int.from_bytes(client_port.to_bytes(2, "big"), "little")
    return int(lib.tiara_select_row(convert.address_in(client_address), port, _secret(secret), rows))


def source_allowed(ranges: SourceRanges, address: str) -> bool:
    """Whether the packet path lets a source begin a connection."""
    given = ffi.new("struct tiara_source[]", [list(pair) for pair in ranges])
    return bool(lib.tiara_source_allowed(given, len(ranges), convert.address_in(address)))


class Segment:
    """A mapped segment. Use ``attach``; ``detach`` gives the role back."""

    def __init__(self, path: Path, handle: Any) -> None:
        self.path = path
        self._handle = handle
        self.info = self.describe()

    @classmethod
    def attach(cls, path: Path, role: Role = Role.READER) -> Segment:
        """Maps it and takes the role. ``NativeError``: BUSY, LAYOUT, NOT_FOUND, IO."""
        out = ffi.new("struct tiara_handle **")
        _call(lib.tiara_segment_attach, bytes(path), int(role), out)
        return cls(path, out[0])

    def detach(self) -> None:
        """Unmaps it; safe to call twice."""
        if self._handle is not None:
            lib.tiara_segment_detach(self._handle)
            self._handle = None

    def describe(self) -> SegmentInfo:
        """Sizes, liveness, and what the data plane tells of itself."""
        info = ffi.new("struct tiara_segment_info *")
        _call(lib.tiara_segment_describe, self._handle, info)
        return convert.segment_info(info)

    @contextmanager
    def change(self) -> Iterator[Change]:
        """One change at a time; aborted when the block ends without a commit."""
        out = ffi.new("struct tiara_change **")
        _call(lib.tiara_change_begin, self._handle, out)
        change = Change(out[0])
        try:
            yield change
        finally:
            change.abort()

    def collect(self) -> CollectInfo:
        """Frees what no worker uses any more; tells which generation every worker has."""
        info = ffi.new("struct tiara_collect_info *")
        _call(lib.tiara_generation_collect, self._handle, info)
        return CollectInfo(
            info.generation,
            info.applied_generation,
            info.roots_waiting,
            info.quarantined_services,
            info.quarantined_backends,
            info.slowest_worker,
        )

    def backends(self) -> Iterator[BackendSlot]:
        """All backend records of the current generation that are in use."""
        spec = ffi.new("struct tiara_backend_spec *")
        for idx in self._indices(lib.tiara_backend_read, spec):
            yield convert.backend_slot(idx, spec)

    def services(self) -> Iterator[ServiceSlot]:
        """All service records of the current generation that are in use."""
        spec = ffi.new("struct tiara_service_spec *")
        for idx in self._indices(lib.tiara_service_read, spec):
            sources = self.service_sources(idx) if spec.source_cnt else ()
            yield convert.service_slot(idx, spec, sources)

    def service_rows(self, idx: int) -> bytes:
        """Backend indices of a service's selection table, native uint32."""
        count = ffi.new("uint32_t *", 0)
        spec = ffi.new("struct tiara_service_spec *")
        _call(lib.tiara_service_read, self._handle, idx, spec)
        rows = bytearray(4 * spec.table_cnt)
        count[0] = spec.table_cnt
        _call(lib.tiara_service_rows, self._handle, idx, ffi.from_buffer("uint32_t[]", rows), count)
        return bytes(rows[: 4 * count[0]])

    def service_sources(self, idx: int) -> SourceRanges:
        """Who may begin connections to a service; empty: everybody."""
        found = ffi.new("struct tiara_source[]", SOURCES_MAX)
        count = ffi.new("uint32_t *", SOURCES_MAX)
        _call(lib.tiara_service_sources, self._handle, idx, found, count)
        return tuple((found[i].first, found[i].last) for i in range(count[0]))

    def push(
        self, records: bytes, service_idx: Sequence[int], backend_idx: Sequence[int], policy: OnConflict
    ) -> bytes:
        """Inserts packed v1 records; a status byte for each. INVALID: nothing was inserted."""
        count = len(records) // 16
        result = bytearray(count)
        _call(
            lib.tiara_connections_push,
            self._handle,
            ffi.from_buffer("struct tiara_packed_connection[]", records),
            count,
            _words(service_idx),
            len(service_idx),
            _words(backend_idx),
            len(backend_idx),
            int(policy),
            ffi.from_buffer("uint8_t[]", result),
        )
        return bytes(result)

    def find(
        self, protocol: Protocol, client_address: str, client_port: int, address: str, port: int
    ) -> NativeConnection | None:
        """One connection, or None."""
        found = ffi.new("struct tiara_connection *")
        try:
            _call(
                lib.tiara_connection_find,
                self._handle,
                convert.address_in(client_address),
                _port(client_port),
                convert.address_in(address),
                _port(port),
                int(protocol),
                found,
            )
        except NativeError as error:
            if error.status is Status.NOT_FOUND:
                return None
            raise
        return convert.connection(found)

    def connections_list(
        self, cursor: int, limit: int, wanted: Filter = _ALL
    ) -> tuple[list[NativeConnection], int]:
        """Up to ``limit`` connections and the next cursor. May be empty before the end."""
        found = CFilter(wanted, self.info.service_max, self.info.backend_max)
        where = ffi.new("uint64_t *", cursor)
        count = ffi.new("uint32_t *")
        page = ffi.new("struct tiara_connection[]", limit)
        _call(lib.tiara_connections_list, self._handle, where, found.pointer, page, limit, count)
        return [convert.connection(page[i]) for i in range(count[0])], where[0]

    def connections_count(self) -> Usage:
        """Counts live connections by scanning the table."""
        services = array("Q", bytes(8 * self.info.service_max))
        backends = array("Q", bytes(8 * self.info.backend_max))
        usage = ffi.new("struct tiara_usage *")
        _call(
            lib.tiara_connections_count,
            self._handle,
            ffi.from_buffer("uint64_t[]", services),
            ffi.from_buffer("uint64_t[]", backends),
            usage,
        )
        return Usage(
            usage.live, usage.differ, usage.offloaded, usage.capacity, tuple(services), tuple(backends)
        )

    def fill(self, first: int) -> float:
        """The share of slots in use, 0 to 1, of some thousand buckets spread from bucket ``first`` on."""
        sample = ffi.new("struct tiara_sample *")
        _call(lib.tiara_table_sample, self._handle, first, _SAMPLE_BUCKETS, sample)
        return float(sample.used / sample.slots)

    def connections_affected(self, services: Iterable[int], backends: Iterable[int]) -> Affected:
        """Live connections that end or select again where these indices are removed; scans the table."""
        return scan.affected(self._handle, services, backends, self.info.service_max, self.info.backend_max)

    def flush(self) -> Flush:
        """A flush of connections that is to be stepped through; control plane's role."""
        return Flush(self._handle, self.info.service_max, self.info.backend_max)

    def explain(self, frame: bytes) -> Explanation:
        """What would be done with this Ethernet frame; nothing is. Control plane's role."""
        return explain(self._handle, frame)

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """All connections as packed records, without stopping anything; any role may."""
        out = ffi.new("struct tiara_snapshot **")
        _call(lib.tiara_snapshot_begin, self._handle, out)
        try:
            yield Snapshot(out[0])
        finally:
            lib.tiara_snapshot_end(out[0])

    def counters(self) -> Counters:
        """Sums over workers."""
        total = ffi.new("struct tiara_worker_counters *")
        _call(lib.tiara_counters_read, self._handle, total)
        return convert.counters(total)

    def service_flow(self, idx: int) -> Flow:
        """A service's counters, summed over workers."""
        return self._flow(lib.tiara_service_counters, idx)

    def backend_flow(self, idx: int) -> Flow:
        """A backend's counters, summed over workers."""
        return self._flow(lib.tiara_backend_counters, idx)

    def flows(self) -> Flows:
        """All counters of services and backends at once, by index, summed over workers."""
        services = array("Q", bytes(_FLOW_BYTES * self.info.service_max))
        backends = array("Q", bytes(_FLOW_BYTES * self.info.backend_max))
        _call(
            lib.tiara_flow_counters_read,
            self._handle,
            ffi.from_buffer("struct tiara_flow_counter[]", services),
            ffi.from_buffer("struct tiara_flow_counter[]", backends),
        )
        return Flows(services, backends)

    def workers(self) -> list[Worker]:
        """Workers that have run."""
        slot = ffi.new("struct tiara_worker_slot *")
        found = []
        for idx in range(self.info.worker_max):
            _call(lib.tiara_worker_read, self._handle, idx, slot)
            if slot.generation or slot.busy_cycles or slot.idle_cycles:
                found.append(Worker(idx, slot.generation, slot.bursts, slot.busy_cycles, slot.idle_cycles))
        return found

    def disable_quarantine_for_test(self) -> None:
        """Only for the test that proves it needed: indices are reused at once."""
        lib.tiara_quarantine_disable_for_test(self._handle)

    def _flow(self, function: Any, idx: int) -> Flow:
        total = ffi.new("struct tiara_flow_counter *")
        _call(function, self._handle, idx, total)
        return convert.flow(total)

    def _indices(self, read: Any, spec: Any) -> Iterator[int]:
        idx = 0
        while True:
            try:
                _call(read, self._handle, idx, spec)
            except NativeError as error:
                if error.status is Status.NOT_FOUND:
                    return
                raise
            if spec.record.use:
                yield idx
            idx += 1


class Change:
    """A generation in the making. Nothing a reader sees changes before ``commit``."""

    def __init__(self, change: Any) -> None:
        self._change = change

    def abort(self) -> None:
        """Leaves no trace; safe to call twice and after ``commit``."""
        if self._change is not None:
            lib.tiara_change_abort(self._change)
            self._change = None

    def secret(self, secret: bytes) -> None:
        """Sets the selection secret, 16 bytes."""
        _call(lib.tiara_change_secret, self._change, _secret(secret))

    def put_backend(self, value: BackendSpec) -> int:
        """New or changed: its index."""
        spec = ffi.new("struct tiara_backend_spec *")
        convert.fill_backend(spec, value)
        return self._put(lib.tiara_change_backend_put, spec)

    def remove_backend(self, key: BackendKey) -> None:
        """Its connections select again; its index goes into quarantine."""
        pool, backend, uid = key
        _call(
            lib.tiara_change_backend_remove, self._change, pool.encode(), backend.encode(), bytes.fromhex(uid)
        )

    def table(self, rows: bytes, idx: Sequence[int], reuse_off: int) -> int:
        """A selection table's offset. ``rows`` are native uint32 positions in ``idx``."""
        out = ffi.new("uint64_t *")
        _call(
            lib.tiara_change_table,
            self._change,
            ffi.from_buffer("uint32_t[]", rows),
            len(rows) // 4,
            _words(idx),
            len(idx),
            reuse_off,
            out,
        )
        return int(out[0])

    def sources(self, ranges: SourceRanges, reuse_off: int) -> int:
        """The offset of a list of sources."""
        out = ffi.new("uint64_t *")
        given = ffi.new("struct tiara_source[]", [list(pair) for pair in ranges])
        _call(lib.tiara_change_sources, self._change, given, len(ranges), reuse_off, out)
        return int(out[0])

    def put_service(self, value: ServiceSpec, table_off: int, table_cnt: int, source_off: int = 0) -> int:
        """New or changed: its index. ``source_off`` is where ``value.sources`` are."""
        spec = ffi.new("struct tiara_service_spec *")
        convert.fill_service(spec, value, table_off, table_cnt, source_off)
        return self._put(lib.tiara_change_service_put, spec)

    def remove_service(self, key: ServiceKey) -> None:
        """Its packets end in no_service; its index goes into quarantine."""
        service, uid, vip, port, protocol = key
        _call(
            lib.tiara_change_service_remove,
            self._change,
            service.encode(),
            bytes.fromhex(uid),
            convert.address_in(vip),
            _port(port),
            protocol,
        )

    def commit(self, revision: int) -> int:
        """Publishes; the new generation, or 0 when nothing differed and none was made."""
        change, self._change = self._change, None
        out = ffi.new("uint64_t *")
        status = _call(lib.tiara_change_commit, change, revision, out)
        return 0 if status is Status.UNCHANGED else int(out[0])

    def _put(self, function: Any, spec: Any) -> int:
        out = ffi.new("uint32_t *")
        _call(function, self._change, spec, out)
        return int(out[0])


def _filled(fill: Any, rows: int, *given: Any) -> bytes:
    out = bytearray(4 * rows)
    _call(fill, *given, ffi.from_buffer("uint32_t[]", out), rows)
    return bytes(out)


def _words(numbers: Sequence[int]) -> Any:
    return ffi.from_buffer("uint32_t[]", array("I", numbers))


def _secret(secret: bytes) -> Any:
    low, high = secret[:8], secret[8:]
    return ffi.new("uint64_t[2]", [int.from_bytes(low, "little"), int.from_bytes(high, "little") >> 1])


def _port(port: int) -> int:
    return int.from_bytes(port.to_bytes(2, "big"), "little")
