# SPDX-License-Identifier: Apache-2.0
"""What is seen of the node, its connections and its counters."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network

from tiara.domain.layout import ExplainWay, State
from tiara.domain.model import BackendStatus, Frontend, Protocol
from tiara.domain.packet import OuterHeaders, PacketFlow


@dataclass(frozen=True, slots=True)
class NodeView:
    """The two daemons and the segment between them. Defaults: no segment yet."""

    dataplane_version: str = ""
    layout_id: str = ""
    dataplane_live: bool = False
    dataplane_starts: int = 0
    first_forward_ns: int | None = None
    page_bytes: int = 0
    segment_bytes: int = 0
    workers_online: int = 0
    workers_awake: int = 0
    stored_revision: int = 0
    applied_revision: int = 0
    generation: int = 0
    generations_waiting: int = 0
    quarantined_services: int = 0
    quarantined_backends: int = 0
    not_applied_reason: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """One entry of the connection table. Times in seconds; names may be empty: removed meanwhile."""

    protocol: Protocol
    client_address: str
    client_port: int
    address: str
    port: int
    service: str
    pool: str
    backend: str
    state: State
    idle: int
    expires: int
    pushed: bool
    offloaded: bool
    forwarding: str


@dataclass(frozen=True, slots=True)
class ConnectionFilter:
    """Which connections. Empty and None: any. ``backend`` is (pool, backend); ``idle`` in seconds."""

    service: str = ""
    backend: tuple[str, str] | None = None
    client: IPv4Network | None = None
    state: State | None = None
    idle: int = 0


@dataclass(frozen=True, slots=True)
class FlushView:
    """``complete`` False: entries moved faster than the table could be gone through; do it again."""

    removed: int
    complete: bool


@dataclass(frozen=True, slots=True)
class SelectionView:
    """Where a connection's key leads in the tables. ``backend`` None: the pool has no row, or its
    backend was removed."""

    hash: int
    buckets: tuple[int, int]
    row: int
    rows: int
    backend: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class ExplanationView:
    """What the data plane would do with a packet.

    ``flow`` None: not fit to be looked at. ``selection`` None: no service. ``connection``: before, None:
    none. ``state``: after, None: no connection. ``frame``: as it leaves, empty: dropped.
    """

    verdict: str
    meaning: str
    way: ExplainWay
    events: tuple[str, ...]
    tier: str
    generation: int
    dataplane_live: bool
    flow: PacketFlow | None
    service: str
    selection: SelectionView | None
    connection: ConnectionView | None
    state: State | None
    fresh: bool
    backend: tuple[str, str] | None
    forwarding: str
    outer: OuterHeaders | None
    frame: bytes


@dataclass(frozen=True, slots=True)
class FlowView:
    """Counters of a frontend or a backend; ``live`` is 0 unless counted.

    ``limit_cnt``: of a frontend, packets that limits refused; of a backend, entries that its limit sees.
    """

    pkts: int = 0
    bytes: int = 0
    connections: int = 0
    live: int = 0
    limit_cnt: int = 0


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker's counters."""

    worker: int
    generation: int
    bursts: int
    busy_share: float


@dataclass(frozen=True, slots=True)
class StatisticsView:
    """Counters since the segment was created. Defaults: no segment yet."""

    verdicts: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    rx_pkts: int = 0
    rx_bytes: int = 0
    tx_pkts: int = 0
    tx_bytes: int = 0
    live: int = 0
    capacity: int = 0
    differ: int = 0
    offloaded: int = 0
    services: dict[tuple[str, Frontend], FlowView] = field(default_factory=dict)
    backends: dict[tuple[str, str], FlowView] = field(default_factory=dict)
    shares: dict[tuple[str, str], float] = field(default_factory=dict)
    workers: tuple[WorkerView, ...] = ()


@dataclass(frozen=True, slots=True)
class MetricsView:
    """Everything that metrics show. ``counted_s``: when live connections were counted, None: never."""

    node: NodeView
    statistics: StatisticsView = StatisticsView()
    backends: dict[tuple[str, str], BackendStatus] = field(default_factory=dict)
    counted_s: float | None = None
    rates: dict[str, int] = field(default_factory=dict)
    """New connections a second by service, of those that have such a limit."""
    rooms: dict[tuple[str, str], int] = field(default_factory=dict)
    """Connections by backend, of those that have a limit."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """The answer to one chunk: positions by why they did not get in."""

    accepted: int
    full: tuple[int, ...] = ()
    conflict: tuple[int, ...] = ()
