# SPDX-License-Identifier: Apache-2.0
"""Everything that touches the segment. Lives on one thread; the event loop only sees its values."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tiara.domain.dataplane import EMPTY_TABLE, BackendKey, ServiceKey
from tiara.domain.errors import InvalidField, NotFound, Unavailable
from tiara.domain.layout import Role, Status, Use
from tiara.domain.model import Backend, Protocol, VirtualService
from tiara.domain.names import backend_name, service_name
from tiara.domain.observed import ConnectionView, PushResult
from tiara.domain.plan import PoolRows
from tiara.native import NativeError, Segment, maglev_fill, rendezvous_fill, round_robin_fill
from tiara.native.scan import Filter, rows_differ
from tiara.native.segment import END
from tiara.native.values import CollectInfo, NativeConnection, SegmentInfo
from tiara.planner import Fills, PoolInput, PoolPlan, plan_pool, plan_service, row_maker, shares
from tiara.planner.rows import rows_moved
from tiara.reconciler.apply import Edit
from tiara.reconciler.connections import FlushRun, Resolved
from tiara.reconciler.held import Held
from tiara.reconciler.plans import Preview, Question
from tiara.reconciler.push import Dictionaries
from tiara.reconciler.work import Work

_ROWS_KEPT = 64
"""Filled tables kept in memory: a pool whose usable backends are the same is not filled again."""


_FILLS = Fills(maglev_fill, rendezvous_fill, round_robin_fill)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a look at the segment found. ``epoch`` counts the segments attached so far."""

    epoch: int
    info: SegmentInfo | None = None
    collect: CollectInfo | None = None
    down: frozenset[str] = frozenset()
    """Uids of the backends that were DOWN when this segment was attached."""
    ramps: Mapping[str, int] = field(default_factory=dict)
    """Tenths of their weights that counted then, by uid."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """The generation that holds the work, and how many records were written for it."""

    generation: int
    written: int


@dataclass(frozen=True, slots=True)
class _Indices:
    """A push's dictionaries as indices of one state of the segment."""

    known: Dictionaries
    epoch: tuple[int, int]
    services: array[int]
    backends: array[int]


class Actuator:
    """Attaches the segment of an instance, applies work to it, reads it."""

    def __init__(self, where: Callable[[], Path], secret: bytes) -> None:
        self._where = where
        self._secret = secret
        self._segment: Segment | None = None
        self._identity = (0, 0)
        self._epoch = 0
        self._down: frozenset[str] = frozenset()
        self._ramps: dict[str, int] = {}
        self._inputs: dict[str, PoolInput] = {}
        self._shares: dict[str, dict[BackendKey, float]] = {}
        self._resolved: _Indices | None = None
        self._sampled = 0
        self.held = Held()
        self._make_rows = lru_cache(_ROWS_KEPT)(row_maker(secret, _FILLS))

    @property
    def segment(self) -> Segment:
        """The attached one, or ``Unavailable`` with the remedy."""
        if self._segment is None:
            raise Unavailable("there is no segment yet: start tiara-dataplane once, then try again")
        return self._segment

    def path(self) -> Path:
        """Where the segment is, or will be."""
        return self._where()

    def look(self) -> Sighting:
        """Attaches if there is something new to attach, and collects."""
        try:
            self._follow()
            if self._segment is None:
                return Sighting(self._epoch, problem="there is no segment: start tiara-dataplane")
            collect = self._segment.collect()
            info = self._segment.describe()
            return Sighting(self._epoch, info, collect, self._down, self._ramps)
        except NativeError as error:
            return Sighting(self._epoch, problem=_attach_problem(error))

    def apply(self, work: Work) -> Applied:
        """Makes the segment hold the work with one generation, or changes nothing and raises."""
        segment = self.segment
        plans = {pool: self._plan(given) for pool, given in work.pools.items() if given}
        with segment.change() as change:
            edit = Edit(change, self.held)
            change.secret(self._secret)
            self._write(edit, work, plans)
            generation = change.commit(work.revision)
        edit.finish()
        self._remember(work)
        return Applied(generation or segment.describe().generation, edit.written)

    def preview(self, asked: Question) -> Preview:
        """What the segment would lose by a change, and which rows would move."""
        self.segment.describe()
        plans = {pool: self._plan(given) if given else None for pool, given in asked.pools.items()}
        services = self._ending_services(asked)
        return Preview(
            {self.held.services[key].idx: service_name(key[0]) for key in services},
            {
                self.held.backends[key].idx: backend_name(key[0], key[1])
                for pool, plan in plans.items()
                for key in self._ending_backends(pool, plan)
            },
            tuple(rows for plan in plans.values() if plan and (rows := self._rows_moved(plan)).moved),
        )

    def close(self) -> None:
        """Gives the role back."""
        if self._segment is not None:
            self._segment.detach()
            self._segment = None

    def shares(self, pool: str) -> dict[BackendKey, float]:
        """Shares of rows of a pool's selection table, by backend."""
        if pool not in self._shares and pool in self._inputs:
            self._shares[pool] = dict(shares(self._plan(self._inputs[pool]).table))
        return self._shares.get(pool, {})

    def fill(self) -> float | None:
        """The table's share of used slots, 0 to 1, by a sample that is another each time; None: no table."""
        if self._segment is None:
            return None
        self._sampled += 1
        return self._segment.fill(self._sampled)

    def backend_indices(self, backends: Sequence[Backend]) -> list[int | None]:
        """Where the segment has each; None: not there."""
        slots = [self.held.backends.get((b.pool, b.id, b.uid)) for b in backends]
        return [slot.idx if slot else None for slot in slots]

    def push(self, records: bytes, known: Dictionaries) -> PushResult:
        """Inserts one chunk."""
        indices = self._indices(known)
        try:
            result = self.segment.push(records, indices.services, indices.backends, known.on_conflict)
        except NativeError as error:
            if error.status is Status.INVALID:
                raise InvalidField(f"chunk.{error.field}", _without_field(error)) from None
            raise
        return _push_result(result)

    def find(
        self, protocol: Protocol, client_address: str, client_port: int, address: str, port: int
    ) -> ConnectionView | None:
        """One connection."""
        found = self.segment.find(protocol, client_address, client_port, address, port)
        return self.view(found) if found else None

    def connections(
        self, cursor: int, limit: int, wanted: Resolved
    ) -> tuple[list[ConnectionView], int | None]:
        """Connections from ``cursor`` on, and the next cursor (None: the end)."""
        segment = self.segment
        found = wanted.native(self.held)
        if found is None:
            return [], None
        page, cursor = segment.connections_list(cursor, limit, found)
        return [self.view(one) for one in page], None if cursor == END else cursor

    def native_filter(self, wanted: Resolved) -> Filter | None:
        """By the indices of now; None: the segment has nothing of that name."""
        return wanted.native(self.held)

    def begin_flush(self, wanted: Resolved) -> FlushRun:
        """Of the segment that is attached now."""
        return FlushRun(self.segment, wanted)

    def step_flush(self, run: FlushRun) -> bool:
        """Goes on; True: done."""
        if self._segment is not run.segment:
            raise Unavailable("the data plane has another segment now; flush again")
        return run.step(self.held)

    def _follow(self) -> None:
        path = self._where()
        try:
            stat = path.stat()
        except FileNotFoundError:
            return
        if self._segment is not None and (stat.st_dev, stat.st_ino) == self._identity:
            return
        self.close()
        self.held = Held()
        segment = Segment.attach(path, Role.CONTROLPLANE)
        self._segment, self._identity = segment, (stat.st_dev, stat.st_ino)
        self.held = Held.read(segment)
        self._down = frozenset(
            slot.spec.uid for slot in self.held.backends.values() if slot.spec.use is Use.DOWN
        )
        self._ramps = {slot.spec.uid: slot.spec.ramp_tenths for slot in self.held.backends.values()}
        self._epoch += 1

    def _plan(self, given: PoolInput) -> PoolPlan:
        return plan_pool(
            given,
            lambda policy, pool, backends, weights, rows: self._make_rows(
                policy, pool, tuple(backends), tuple(weights), rows
            ),
        )

    def _ending_services(self, asked: Question) -> list[ServiceKey]:
        kept = {spec.key for service in asked.services.values() if service for spec in plan_service(service)}
        return [key for name in asked.services for key in self.held.service_keys.get(name, set()) - kept]

    def _ending_backends(self, pool: str, plan: PoolPlan | None) -> list[BackendKey]:
        kept = {spec.key for spec in plan.backends if spec.use is not Use.GONE} if plan else set()
        return list(self.held.pool_keys.get(pool, set()) - kept)

    def _rows_moved(self, plan: PoolPlan) -> PoolRows:
        given = self._inputs.get(plan.pool)
        before = self._plan(given).table if given else EMPTY_TABLE
        return PoolRows(plan.pool, rows_moved(before, plan.table, rows_differ), plan.table.row_cnt)

    def _write(self, edit: Edit, work: Work, plans: dict[str, PoolPlan]) -> None:
        wanted_services = {
            spec.key: (spec, service.pool)
            for service in work.services.values()
            if service
            for spec in plan_service(service, _affinity(work, service))
        }
        wanted_backends = {spec.key for plan in plans.values() for spec in plan.backends}
        names = self.held.service_keys.keys() if work.full else work.services.keys()
        pools = self.held.pool_keys.keys() if work.full else work.pools.keys()
        edit.remove_services(
            [key for name in names for key in self.held.service_keys[name] - wanted_services.keys()]
        )
        edit.remove_backends([key for pool in pools for key in self.held.pool_keys[pool] - wanted_backends])
        for plan in plans.values():
            edit.put_backends(plan)
        tables: dict[str, int] = {}
        for spec, pool in wanted_services.values():
            table = plans[pool].table
            if pool not in tables:
                tables[pool] = edit.put_table(table, self._reuse_off(work, pool))
            edit.put_service(spec, tables[pool], table.row_cnt)

    def _reuse_off(self, work: Work, pool: str) -> int:
        for service in work.services.values():
            if service and service.pool == pool:
                for key in self.held.service_keys.get(service.id, ()):
                    return self.held.services[key].table_off
        return 0

    def _remember(self, work: Work) -> None:
        for pool, given in work.pools.items():
            self._shares.pop(pool, None)
            if given:
                self._inputs[pool] = given
            else:
                self._inputs.pop(pool, None)

    def _indices(self, known: Dictionaries) -> _Indices:
        """Looked up again after every change of the segment: names may have gone, indices moved."""
        last = self._resolved
        if last is None or last.known is not known or last.epoch != (self._epoch, self.held.version):
            last = self._resolved = _Indices(
                known,
                (self._epoch, self.held.version),
                array("I", [self._service_idx(i, key) for i, key in enumerate(known.services)]),
                array("I", [self._backend_idx(i, key) for i, key in enumerate(known.backends)]),
            )
        return last

    def _service_idx(self, i: int, key: ServiceKey) -> int:
        slot = self.held.services.get(key)
        if slot is None:
            raise NotFound(service_name(key[0]), f"header.services[{i}]")
        return slot.idx

    def _backend_idx(self, i: int, key: BackendKey) -> int:
        slot = self.held.backends.get(key)
        if slot is None:
            raise NotFound(backend_name(key[0], key[1]), f"header.backends[{i}]")
        return slot.idx

    def view(self, found: NativeConnection) -> ConnectionView:
        """A connection by names."""
        service = self.held.service_by_idx.get(found.service_idx)
        backend = self.held.backend_by_idx.get(found.backend_idx)
        return ConnectionView(
            found.protocol,
            found.client_address,
            found.client_port,
            found.address,
            found.port,
            service.service if service else "",
            backend.pool if backend else "",
            backend.backend if backend else "",
            found.state,
            found.idle_ticks,
            found.expires_ticks,
            found.pushed,
            found.offloaded,
            backend.forward.label if backend else "",
        )


def _affinity(work: Work, service: VirtualService) -> bool:
    given = work.pools[service.pool]
    return given is not None and given.pool.source_affinity


def _attach_problem(error: NativeError) -> str:
    match error.status:
        case Status.NOT_FOUND:
            return "there is no segment: start tiara-dataplane"
        case Status.BUSY:
            return f"the segment has another control plane: {error}"
        case _:
            return f"the segment cannot be used: {error}"


def _without_field(error: NativeError) -> str:
    return error.message.removeprefix(error.field).lstrip()


def _push_result(result: bytes) -> PushResult:
    accepted = result.count(Status.OK)
    if accepted == len(result):
        return PushResult(accepted)
    return PushResult(
        accepted,
        tuple(i for i, status in enumerate(result) if status == Status.FULL),
        tuple(i for i, status in enumerate(result) if status == Status.CONFLICT),
    )
