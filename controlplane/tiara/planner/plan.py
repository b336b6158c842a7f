# SPDX-License-Identifier: Apache-2.0
"""From desired and observed state to what the data plane holds (meanings: docs/design/0006)."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tiara.domain.dataplane import EMPTY_TABLE, BackendKey, BackendSpec, SelectionTable, ServiceSpec
from tiara.domain.layout import Forward, Use
from tiara.domain.model import Backend, Forwarding, Pool, VirtualService, Vxlan
from tiara.domain.selection import rows_for
from tiara.planner.policy import RowMaker
from tiara.planner.ramp import RAMP_WHOLE, ramped
from tiara.planner.sources import source_ranges


@dataclass(frozen=True, slots=True)
class Seen:
    """What decides a backend's use beside its desired fields. Clock-free: the caller compared times."""

    down: bool = False
    draining: bool = False
    drained: bool = False
    ramp: int = RAMP_WHOLE
    """Tenths of its weight that count, 1 to 10."""

    def takes(self, backend: Backend) -> bool:
        """Whether it is to have new connections: wanted, and not down."""
        return _wanted(backend, self) and not self.down


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
    usable = [(backend, seen) for backend, seen in ordered if _usable(backend, seen, open_anyway)]
    specs = tuple(
        plan_backend(
            given.pool,
            backend,
            _use(backend, seen, open_anyway),
            seen.ramp if _usable(backend, seen, open_anyway) else 0,
        )
        for backend, seen in ordered
    )
    return PoolPlan(given.pool.id, specs, _table(given, usable, make_rows))


def plan_backend(pool: Pool, backend: Backend, use: Use, ramp: int) -> BackendSpec:
    """One backend's record; ``ramp`` is in tenths, 0: it is not in the pool's table."""
    spec = BackendSpec(
        backend.pool,
        backend.id,
        backend.uid,
        backend.address,
        use,
        Forward[pool.forwarding.name],
        ramp_tenths=ramp,
        connection_max=backend.max_connections,
    )
    if pool.forwarding is not Forwarding.VXLAN:
        return spec
    vxlan = pool.vxlan or Vxlan()
    return replace(spec, vni=vxlan.vni, tunnel_port=vxlan.port, inner_mac=vxlan.inner_mac)


def plan_service(service: VirtualService, source_affinity: bool = False) -> tuple[ServiceSpec, ...]:
    """One record for each frontend; the pool says whether selection looks at clients' ports."""
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
            source_affinity,
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


def _usable(backend: Backend, seen: Seen, open_anyway: bool) -> bool:
    return _wanted(backend, seen) and (open_anyway or not seen.down)


def _use(backend: Backend, seen: Seen, open_anyway: bool) -> Use:
    if seen.drained:
        return Use.GONE
    if backend.disabled or (seen.down and not (open_anyway and _wanted(backend, seen))):
        return Use.DOWN
    return Use.ACTIVE


def _table(given: PoolInput, usable: Sequence[tuple[Backend, Seen]], make_rows: RowMaker) -> SelectionTable:
    if not usable:
        return EMPTY_TABLE
    pool = given.pool
    rows = rows_for(pool.selection_rows, len(given.backends))
    ids = [backend.id for backend, _ in usable]
    weights = ramped([backend.weight for backend, _ in usable], [seen.ramp for _, seen in usable])
    keys = tuple((backend.pool, backend.id, backend.uid) for backend, _ in usable)
    return SelectionTable(keys, make_rows(pool.policy, pool.id, ids, weights, rows))
