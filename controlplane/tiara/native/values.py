# SPDX-License-Identifier: Apache-2.0
"""What the segment tells, as frozen values: addresses are text, ports are host order."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from tiara.domain.dataplane import BackendSpec, ServiceSpec
from tiara.domain.layout import State
from tiara.domain.model import Protocol


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """``struct tiara_segment_info`` and its node."""

    layout_id: int
    total_bytes: int
    created_ns: int
    page_bytes: int
    worker_max: int
    service_max: int
    backend_max: int
    connections: int
    heap_bytes: int
    heap_used_bytes: int
    generation: int
    revision: int
    tick: int
    dataplane_live: bool
    worker_online: int
    worker_cnt: int
    address: str
    port_mac: str
    tsc_hz: int
    start_cnt: int
    start_ns: int
    first_forward_ns: int
    version: str


@dataclass(frozen=True, slots=True)
class CollectInfo:
    """``struct tiara_collect_info``."""

    generation: int
    applied_generation: int
    roots_waiting: int
    quarantined_services: int
    quarantined_backends: int
    slowest_worker: int


@dataclass(frozen=True, slots=True)
class BackendSlot:
    """A backend's record as the segment has it."""

    idx: int
    spec: BackendSpec


@dataclass(frozen=True, slots=True)
class ServiceSlot:
    """A service's record as the segment has it."""

    idx: int
    spec: ServiceSpec
    table_off: int
    table_cnt: int
    source_off: int = 0


@dataclass(frozen=True, slots=True)
class NativeConnection:
    """``struct tiara_connection``."""

    protocol: Protocol
    client_address: str
    client_port: int
    address: str
    port: int
    state: State
    pushed: bool
    offloaded: bool
    service_idx: int
    backend_idx: int
    idle_ticks: int
    expires_ticks: int


@dataclass(frozen=True, slots=True)
class Usage:
    """``struct tiara_usage``, with counts by index where asked for."""

    live: int
    differ: int
    offloaded: int
    capacity: int
    per_service: tuple[int, ...]
    per_backend: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Affected:
    """``struct tiara_affected``: live connections, those that would end, others that would move."""

    live: int
    ended: int
    moved: int
    per_service: Sequence[int]
    per_backend: Sequence[int]

    @property
    def total(self) -> int:
        """Each connection once."""
        return self.ended + self.moved


@dataclass(frozen=True, slots=True)
class Counters:
    """``struct tiara_worker_counters``, summed; verdicts and events by their labels."""

    verdicts: dict[str, int]
    events: dict[str, int]
    rx_pkts: int
    rx_bytes: int
    tx_pkts: int
    tx_bytes: int


@dataclass(frozen=True, slots=True)
class Flow:
    """``struct tiara_flow_counter``."""

    pkts: int = 0
    bytes: int = 0
    connections: int = 0
    limit_cnt: int = 0


@dataclass(frozen=True, slots=True)
class Flows:
    """Arrays of ``struct tiara_flow_counter``, by index."""

    services: array[int]
    backends: array[int]

    def service(self, idx: int) -> Flow:
        """A service's."""
        return Flow(*self.services[4 * idx : 4 * idx + 4])

    def backend(self, idx: int) -> Flow:
        """A backend's."""
        return Flow(*self.backends[4 * idx : 4 * idx + 4])


@dataclass(frozen=True, slots=True)
class Worker:
    """``struct tiara_worker_slot``."""

    idx: int
    generation: int
    bursts: int
    busy_cycles: int
    idle_cycles: int
