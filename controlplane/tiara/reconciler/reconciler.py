# SPDX-License-Identifier: Apache-2.0
"""The loop that makes the segment hold what the store says, and what the API reads of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import structlog

from tiara.domain.errors import InvalidField, NotFound, Unavailable
from tiara.domain.layout import OnConflict
from tiara.domain.model import Backend, BackendStatus, Health, Pool, Protocol, Resource, VirtualService
from tiara.domain.observed import (
    ConnectionFilter,
    ConnectionView,
    ExplanationView,
    FlushView,
    MetricsView,
    NodeView,
    PushResult,
    StatisticsView,
)
from tiara.domain.packet import PacketFlow
from tiara.domain.plan import PlanView
from tiara.health import Monitor, Target
from tiara.native import NativeError, locate
from tiara.native.values import Usage
from tiara.planner import Seen
from tiara.reconciler import report
from tiara.reconciler.actuator import Actuator, Applied, Sighting
from tiara.reconciler.catalogue import Catalogue
from tiara.reconciler.census import Census
from tiara.reconciler.configuration import Configuration, now_ms
from tiara.reconciler.connection_watch import ConnectionWatch, ConnectionWatches, Names
from tiara.reconciler.connections import resolve_filter
from tiara.reconciler.draft import Draft, Room
from tiara.reconciler.dump import Dumps
from tiara.reconciler.events import Events
from tiara.reconciler.explain import explain_packet
from tiara.reconciler.memory import leave_alone
from tiara.reconciler.notices import Notices
from tiara.reconciler.observed import Observed
from tiara.reconciler.plans import Proposal, answer, propose
from tiara.reconciler.progress import Progress
from tiara.reconciler.push import Dictionaries, PushBackend, PushService, PushSession, resolve
from tiara.reconciler.ramps import Ramps
from tiara.reconciler.wanted import Wanted
from tiara.reconciler.watch import Feed
from tiara.reconciler.work import Dirty, Work
from tiara.store import Store

LOOK_S = 0.2
"""Between two looks at the segment when nothing is going on."""

_EAGER_S = 0.002
"""The first pause while workers move to a new generation; doubles up to ``LOOK_S``."""

_RETRY_S = 0.5
"""Before work that the segment refused is tried again."""

PLAN_WAIT_S = 5.0
"""How long a plan waits for the newest revision to be in the segment."""

PUSH_WAIT_S = 10.0
"""How long a push waits for the names in its header to be in the segment."""

_T = TypeVar("_T")


class Reconciler:
    """Use ``await Reconciler.start(...)`` and ``await close()``. Writes go through ``configuration``."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        actuator: Actuator,
        clock_ms: Callable[[], int] = now_ms,
        node: str = "-",
    ) -> None:
        self.configuration = Configuration(store, catalogue, self._announced, self._room, clock_ms)
        self.standing = self.configuration.standing
        self.feed = Feed(store, catalogue)
        self.events = Events(store, clock_ms)
        self._store = store
        self._catalogue = catalogue
        self._actuator = actuator
        self._native = ThreadPoolExecutor(1, thread_name_prefix="native")
        self._census = Census(actuator.path)
        self.dumps = Dumps(actuator.path)
        self._connection_watches = ConnectionWatches(actuator.path)
        self._progress = Progress()
        self._observed = Observed(clock_ms)
        self._ramps = Ramps(clock_ms, self._slow_start_ms)
        self._monitor = Monitor(self._probed)
        self._notices = Notices(
            self.events,
            catalogue,
            self._progress,
            actuator,
            self._census,
            self._run_native,
            clock_ms,
            f"nodes/{node}",
        )
        self._checks = {pool.id: pool.health_check for pool in catalogue.pools.values()}
        self._backend_by_uid: dict[str, Backend] = {}
        self._dirty = Dirty()
        self._epoch = 0
        self._retry_at = 0.0
        self._pause_s = LOOK_S
        self._kick = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("reconciler")

    @classmethod
    async def start(
        cls,
        store: Store,
        instance: str = "default",
        *,
        where: Callable[[], Path] | None = None,
        clock_ms: Callable[[], int] = now_ms,
        node: str = "-",
    ) -> Reconciler:
        """Loads the store, adopts the segment if there is one, and begins to follow both.

        ``node``: the id of this node, for its events.
        """
        catalogue = Catalogue(await store.load())
        actuator = Actuator(where or (lambda: locate(instance)), await store.secret())
        reconciler = cls(store, catalogue, actuator, clock_ms, node)
        await reconciler._begin()
        return reconciler

    async def close(self) -> None:
        """Stops; what is published stays. Safe to call twice."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.standing.close()
        await self._monitor.close()
        await self._notices.close()
        await self.events.close()
        await self._census.close()
        await self._run_native(self._actuator.close)
        self._native.shutdown(wait=False)

    def end_watches(self) -> None:
        """Ends all watches with ``Unavailable``, at once: a server that stops waits for none."""
        self.feed.end()
        self._connection_watches.end()

    def status(self, backend: Backend) -> BackendStatus:
        """What is seen of a backend."""
        return replace(self._observed.status(backend), ramp_percent=self._ramps.percent(backend))

    async def wait_applied(self, revision: int, timeout_s: float) -> tuple[int, int]:
        """Waits until every worker uses ``revision`` (0: the newest); applied revision and generation."""
        stored = self._catalogue.revision
        if revision > stored:
            raise InvalidField("revision", f"{revision} is newer than the newest stored one, {stored}")
        await self._progress.wait_applied(revision or stored, timeout_s)
        collect = self._progress.sighting.collect
        return self._progress.applied_revision, collect.generation if collect else 0

    async def plan(self, wanted: Wanted) -> PlanView:
        """What applying would do now. Nothing is changed."""
        proposal = await self.configuration.consult(lambda draft: self._propose(draft, wanted))
        if self._progress.sighting.info is None:
            return answer(proposal, None, None)
        await self._progress.wait_published(proposal.revision, PLAN_WAIT_S)
        preview = await self._read(lambda: self._actuator.preview(proposal.question))
        affected = await self._census.affected(preview.services, preview.backends)
        return answer(proposal, preview, affected)

    def _propose(self, draft: Draft, wanted: Wanted) -> Proposal:
        self.configuration.draft_wanted(draft, wanted)
        self.configuration.check(draft)
        named = (value.name for value, _ in wanted.values)
        return propose(draft, named, lambda backend: self._foreseen(draft, backend))

    def node(self) -> NodeView:
        """The node as of the last look."""
        return report.node(self._progress, self._catalogue.revision)

    async def statistics(self, count_connections: bool) -> StatisticsView:
        """Counters; empty while there is no segment."""
        if self._progress.sighting.info is None:
            return StatisticsView()
        return await self._counters((await self._census.count()).usage if count_connections else None)

    async def metrics(self, scan_age_s: float | None) -> MetricsView:
        """All that /metrics shows; live connections of a scan at most that old (None: not counted)."""
        if self._progress.sighting.info is None:
            return MetricsView(self.node())
        count = await self._census.count(scan_age_s) if scan_age_s is not None else None
        statistics = await self._counters(count.usage if count else None)
        backends = list(self._catalogue.all_backends())
        statuses = await asyncio.to_thread(
            lambda: {(backend.pool, backend.id): self.status(backend) for backend in backends}
        )
        return MetricsView(
            self.node(),
            statistics,
            statuses,
            count.at_s if count else None,
            {
                service.id: service.max_new_connections_per_second
                for service in self._catalogue.services.values()
                if service.max_new_connections_per_second
            },
            {
                (backend.pool, backend.id): backend.max_connections
                for backend in backends
                if backend.max_connections
            },
        )

    async def _counters(self, usage: Usage | None) -> StatisticsView:
        found = await self._read(lambda: report.read(self._actuator))
        services, backends = list(self._catalogue.services.values()), list(self._catalogue.all_backends())
        return await asyncio.to_thread(
            lambda: report.complete(report.statistics(found, usage), services, backends)
        )

    async def find_connection(
        self, protocol: Protocol, client_address: str, client_port: int, address: str, port: int
    ) -> ConnectionView:
        """One connection, or ``NotFound``."""
        found = await self._read(
            lambda: self._actuator.find(protocol, client_address, client_port, address, port)
        )
        if found is None:
            raise NotFound(
                f"a connection {protocol.label} {client_address}:{client_port} to {address}:{port}"
            )
        return found

    async def list_connections(
        self, cursor: int, limit: int, wanted: ConnectionFilter
    ) -> tuple[list[ConnectionView], int | None]:
        """A page of connections, and the next cursor (None: the end)."""
        resolved = resolve_filter(self.configuration, wanted)
        return await self._read(lambda: self._actuator.connections(cursor, limit, resolved))

    @asynccontextmanager
    async def watch_connections(self, wanted: ConnectionFilter) -> AsyncIterator[ConnectionWatch]:
        """Passes over those that the filter wants."""
        resolved = resolve_filter(self.configuration, wanted)
        names = Names(
            lambda: self._read(lambda: self._actuator.native_filter(resolved)),
            lambda found: self._read(lambda: [self._actuator.view(one) for one in found]),
        )
        async with self._connection_watches.open(names) as watch:
            yield watch

    async def flush_connections(self, wanted: ConnectionFilter) -> FlushView:
        """Removes what the filter wants, a part of the table at a time: other calls get their turn."""
        resolved = resolve_filter(self.configuration, wanted)
        run = await self._read(lambda: self._actuator.begin_flush(resolved))
        while not await self._read(lambda: self._actuator.step_flush(run)):
            pass
        done = run.view()
        self._log.info("flushed", removed=done.removed, complete=done.complete)
        return done

    async def explain(self, packet: PacketFlow | bytes) -> ExplanationView:
        """What the data plane would do with a client's packet, or with an Ethernet frame."""
        return await self._read(lambda: explain_packet(self._actuator, packet))

    async def open_push(
        self, services: Sequence[PushService], backends: Sequence[PushBackend], on_conflict: OnConflict
    ) -> PushSession:
        """Resolves a stream's names and waits until the segment has them."""
        dictionaries = resolve(self.configuration, services, backends, on_conflict)
        await self._read(lambda: self._actuator.segment)
        await self._progress.wait_published(self._catalogue.revision, PUSH_WAIT_S)
        return PushSession(dictionaries, self._push)

    async def _push(self, records: bytes, known: Dictionaries) -> PushResult:
        return await self._read(lambda: self._actuator.push(records, known))

    async def _read(self, call: Callable[[], _T]) -> _T:
        try:
            return await self._run_native(call)
        except NativeError as error:
            raise Unavailable(f"the segment cannot be used now: {error}") from error

    async def _run_native(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._native, call)

    async def _begin(self) -> None:
        for backend in self._catalogue.all_backends():
            self._backend_by_uid[backend.uid] = backend
            self._observed.expect_drain(backend)
            self._notices.put(backend)
        await self._look()
        for backend in self._catalogue.all_backends():
            self._check_health(backend)
        self.events.start()
        self._notices.start(self._store, self.feed.observed)
        leave_alone(self._catalogue.backend_cnt)
        self._task = asyncio.create_task(self._follow(), name="reconciler")

    def _room(self) -> Room:
        info = self._progress.sighting.info
        return Room(info.backend_max, info.service_max) if info else Room()

    def _announced(self, put: Sequence[Resource], removed: Sequence[Resource]) -> None:
        self.feed.announce(self._catalogue.revision, put, removed)
        for value in (*put, *removed):
            match value:
                case Pool():
                    self._dirty.pools.add(value.id)
                    self._probe_anew(value)
                case Backend():
                    self._dirty.pools.add(value.pool)
                case VirtualService():
                    self._dirty.services.add(value.id)
                    self._dirty.pools.add(value.pool)
        for value in removed:
            if isinstance(value, Backend):
                self._forget(value)
        for value in put:
            if isinstance(value, Backend):
                self._welcome(value)
        leave_alone(len(put))
        self._kick.set()

    def _probe_anew(self, pool: Pool) -> None:
        """Where a pool's check changed, its backends' health is judged by the new one from here on."""
        before = self._checks.get(pool.id)
        after = self._catalogue.pools.get(pool.id)
        self._checks[pool.id] = after.health_check if after else None
        if before == self._checks[pool.id]:
            return
        for backend in self._catalogue.backends(pool.id).values():
            self._monitor.remove(backend.uid)
            if not self._checks[pool.id]:
                self._observed.forget(backend.uid)
                self.feed.observed(backend)
            self._check_health(backend)

    def _welcome(self, backend: Backend) -> None:
        known = backend.uid in self._backend_by_uid
        self._backend_by_uid[backend.uid] = backend
        self._observed.expect_drain(backend)
        self._notices.put(backend)
        if not known:
            self._check_health(backend)

    def _forget(self, backend: Backend) -> None:
        self._backend_by_uid.pop(backend.uid, None)
        self._observed.forget(backend.uid)
        self._ramps.forget(backend.uid)
        self._notices.remove(backend)
        self._monitor.remove(backend.uid)

    def _check_health(self, backend: Backend) -> None:
        check = self._catalogue.pools[backend.pool].health_check
        if check:
            target = Target(backend.uid, backend.address, check)
            self._monitor.add(target, self._observed.health(backend.uid))

    def _probed(self, uid: str, health: Health, reason: str) -> None:
        backend = self._backend_by_uid.get(uid)
        if backend is None:
            return
        before = self._observed.health(uid)
        if self._observed.record(uid, health, reason):
            self._notices.health(backend, health, reason)
            self._dirty.pools.add(backend.pool)
            self._kick.set()
        if health is not before:
            self.feed.observed(backend)

    async def _follow(self) -> None:
        while True:
            try:
                await self._cycle()
            except Exception:
                self._log.exception("reconciling failed; it is tried again")
                self._progress.problem = "an unexpected error; the control plane's log has it"
                self._retry_at = _now() + _RETRY_S
            await self._rest()

    async def _cycle(self) -> None:
        await self._look()
        due = self._observed.passed() | self._ramps.passed()
        self._dirty.pools |= due & self._catalogue.pools.keys()
        if self._progress.sighting.info and self._work_waits() and _now() >= self._retry_at:
            await self._apply(self._dirty.take(self._catalogue, self._seen))

    def _seen(self, backend: Backend) -> Seen:
        return self._ramps.seen(backend, self._observed.seen(backend))

    def _foreseen(self, draft: Draft, backend: Backend) -> Seen:
        duration_ms = _slow_start_ms(draft.pool(backend.pool))
        return self._ramps.foreseen(backend, self._observed.seen(backend), duration_ms)

    def _slow_start_ms(self, pool: str) -> int:
        return _slow_start_ms(self._catalogue.pools.get(pool))

    def _work_waits(self) -> bool:
        dirty = self._dirty
        return dirty.full or bool(dirty.pools or dirty.services)

    async def _look(self) -> None:
        sighting = await self._run_native(self._actuator.look)
        if sighting.epoch != self._epoch:
            self._epoch = sighting.epoch
            await self._adopt(sighting)
        await self._progress.see(sighting)
        info = sighting.info
        self._monitor.carry(info.start_cnt if info and info.dataplane_live else 0)
        self._notices.dataplane()

    async def _adopt(self, sighting: Sighting) -> None:
        self._dirty.full = True
        self._retry_at = 0.0
        checked = {
            uid
            for uid in sighting.down & self._backend_by_uid.keys()
            if self._catalogue.pools[self._backend_by_uid[uid].pool].health_check
        }
        for uid in self._observed.adopt_down(checked):
            self.feed.observed(self._backend_by_uid[uid])
        pools = {uid: backend.pool for uid, backend in self._backend_by_uid.items()}
        self._ramps.adopt(sighting.ramps, pools)
        await self._progress.restart()
        self._log.info("segment attached", generation=sighting.info.generation if sighting.info else 0)

    async def _apply(self, work: Work) -> None:
        try:
            applied = await self._run_native(lambda: self._actuator.apply(work))
        except Exception as error:
            self._dirty.give_back(work)
            if not isinstance(error, NativeError):
                raise
            self._refused(work, error)
            return
        await self._published(work, applied)

    def _refused(self, work: Work, error: NativeError) -> None:
        if self._progress.problem != error.message:
            self._log.warning("not applied", revision=work.revision, reason=error.message)
        self._progress.problem = error.message
        self._retry_at = _now() + _RETRY_S

    async def _published(self, work: Work, applied: Applied) -> None:
        self._log.debug(
            "published", revision=work.revision, generation=applied.generation, records=applied.written
        )
        await self._progress.publish(work.revision, applied.generation)
        await self._look()
        self._pause_s = _EAGER_S

    async def _rest(self) -> None:
        eager = self._progress.live and not self._progress.settled
        self._pause_s = min(self._pause_s * 2, LOOK_S) if eager else LOOK_S
        try:
            async with asyncio.timeout(self._pause_s):
                await self._kick.wait()
        except TimeoutError:
            pass
        self._kick.clear()


def _slow_start_ms(pool: Pool | None) -> int:
    return pool.slow_start.duration_ms if pool and pool.slow_start else 0


def _now() -> float:
    return asyncio.get_running_loop().time()
