# SPDX-License-Identifier: Apache-2.0
"""From desired and observed state to what the data plane holds (meanings: docs/design/0006)."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tiara.domain.dataplane import EMPTY_TABLE, BackendKey, BackendSpec, SelectionTable, ServiceSpec
from tiara.domain.layout import Forward, Use
from tiara.domain.model import Backend, Forwarding, Pool, VirtualService, Vxlan
from tiara.domain.selection import rows_for
from tiara.planner.maglev import RowMaker
from tiara.planner.sources import source_ranges


@dataclass(frozen=True, slots=True)
class Seen:
    """What decides a backend's use beside its desired fields. Clock-free: the caller compared times."""

    down: bool = False
    draining: bool = False
    drained: bool = False


@dataclass(frozen=True, slots=True)
class PoolInput:
    """A pool, its backends in any order, and what is seen of them."""

    pool: Pool
    backends: tuple[tuple[Backend, Seen], ...] = ()


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """Records of all backends and the one selection table that the pool's services share."""

    pool: str
    backends: tuple[BackendSpec, ...]
    table: SelectionTable


def plan_pool(given: PoolInput, make_rows: RowMaker) -> PoolPlan:
    """Plans one pool. Depends on nothing but its arguments, and not on the order of backends."""
    ordered = sorted(given.backends, key=lambda pair: pair[0].id)
    open_anyway = given.pool.fail_open and all(
        seen.down for backend, seen in ordered if _wanted(backend, seen)
    )
    usable = [
        (backend, seen)
        for backend, seen in ordered
        if _wanted(backend, seen) and (open_anyway or not seen.down)
    ]
    specs = tuple(
        plan_backend(given.pool, backend, _use(backend, seen, open_anyway)) for backend, seen in ordered
    )
    return PoolPlan(given.pool.id, specs, _table(given, [backend for backend, _ in usable], make_rows))


def plan_backend(pool: Pool, backend: Backend, use: Use) -> BackendSpec:
    """One backend's record."""
    if pool.forwarding is not Forwarding.VXLAN:
        mode = Forward[pool.forwarding.name]
        return BackendSpec(
            backend.pool,
            backend.id,
            backend.uid,
            backend.address,
            use,
            mode,
            connection_max=backend.max_connections,
        )
    vxlan = pool.vxlan or Vxlan()
    return BackendSpec(
        backend.pool,
        backend.id,
        backend.uid,
        backend.address,
        use,
        Forward.VXLAN,
        vxlan.vni,
        vxlan.port,
        vxlan.inner_mac,
        backend.max_connections,
    )


def plan_service(service: VirtualService) -> tuple[ServiceSpec, ...]:
    """One record for each frontend."""
    times, sources = service.timeouts, source_ranges(service.allow_sources)
    return tuple(
        ServiceSpec(
            service.id,
            service.uid,
            frontend.address,
            frontend.protocol,
            frontend.port,
            times.tcp_new,
            times.tcp_established,
            times.tcp_closing,
            times.udp,
            sources,
            service.max_new_connections_per_second,
        )
        for frontend in service.frontends
    )


def shares(table: SelectionTable) -> Mapping[BackendKey, float]:
    """The share of rows that each backend of the table has, 0 to 1."""
    counts = Counter(array("I", table.rows))
    return {key: counts[i] / table.row_cnt for i, key in enumerate(table.backends)}


def _wanted(backend: Backend, seen: Seen) -> bool:
    return backend.weight > 0 and not backend.disabled and not seen.draining and not seen.drained


def _use(backend: Backend, seen: Seen, open_anyway: bool) -> Use:
    if seen.drained:
        return Use.GONE
    if backend.disabled or (seen.down and not (open_anyway and _wanted(backend, seen))):
        return Use.DOWN
    return Use.ACTIVE


def _table(given: PoolInput, usable: list[Backend], make_rows: RowMaker) -> SelectionTable:
    if not usable:
        return EMPTY_TABLE
    rows = rows_for(given.pool.selection_rows, len(given.backends))
    ids = [backend.id for backend in usable]
    weights = [backend.weight for backend in usable]
    keys = tuple((backend.pool, backend.id, backend.uid) for backend in usable)
    return SelectionTable(keys, make_rows(given.pool.id, ids, weights, rows))
