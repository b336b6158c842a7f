# SPDX-License-Identifier: Apache-2.0
"""Notices what changes by itself and makes events of it. Looks once a second, on nobody's path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from tiara.domain.errors import TiaraError, Unavailable
from tiara.domain.history import EventKind
from tiara.domain.model import Backend, Health
from tiara.reconciler.actuator import Actuator
from tiara.reconciler.catalogue import Catalogue
from tiara.reconciler.census import Census
from tiara.reconciler.drains import Drains
from tiara.reconciler.events import Events
from tiara.reconciler.level import Delay, Fill, Runs
from tiara.reconciler.progress import Progress
from tiara.store import Store

LOOK_S = 1.0
"""Between two looks."""

FILL_S = 5.0
"""Between two samples of the table."""

COUNT_S = 10.0
"""Between two scans for draining backends, at least; and nine tenths of the time no scan runs."""

_COUNT_SHARE = 10

_RunNative = Callable[[Callable[[], Any]], Awaitable[Any]]


class Notices:
    """Use ``start`` and ``close``; ``put`` and ``remove`` follow the catalogue."""

    def __init__(
        self,
        events: Events,
        catalogue: Catalogue,
        progress: Progress,
        actuator: Actuator,
        census: Census,
        run_native: _RunNative,
        clock_ms: Callable[[], int],
        node: str,
    ) -> None:
        """``node``: the name of the resource that the node's own events are about."""
        self._events = events
        self._catalogue = catalogue
        self._progress = progress
        self._actuator = actuator
        self._census = census
        self._run_native = run_native
        self._clock_ms = clock_ms
        self._node = node
        self._drains = Drains()
        self._fill, self._delay, self._runs = Fill(), Delay(), Runs()
        self._fill_at = self._count_at = 0.0
        self._counting: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("notices")

    def start(self, store: Store, drained: Callable[[Backend], None]) -> None:
        """``drained`` is called when a deadline has passed."""
        self._task = asyncio.create_task(self._follow(store, drained), name="notices")

    async def close(self) -> None:
        """A scan in flight is not waited for."""
        tasks = [task for task in (self._task, self._counting) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = self._counting = None

    def put(self, backend: Backend) -> None:
        """As it is stored now."""
        self._drains.put(backend)

    def remove(self, backend: Backend) -> None:
        """It is deleted."""
        self._drains.remove(backend)

    def health(self, backend: Backend, health: Health, reason: str) -> None:
        """It went down or came back."""
        if health is Health.DOWN:
            self._events.happened(EventKind.BACKEND_DOWN, backend.name, reason or "its health check failed")
        else:
            self._events.happened(
                EventKind.BACKEND_UP, backend.name, reason or "its health check found it up"
            )

    def dataplane(self) -> None:
        """The segment was looked at."""
        info = self._progress.sighting.info
        if said := self._runs.see(self._progress.live, info.start_cnt if info else 0):
            self._events.happened(EventKind.DATAPLANE, self._node, said)

    async def _follow(self, store: Store, drained: Callable[[Backend], None]) -> None:
        await self._forget_told(store)
        while True:
            try:
                await self._look(drained)
            except Exception:
                self._log.exception("looking for events failed; it is tried again")
            await asyncio.sleep(LOOK_S)

    async def _forget_told(self, store: Store) -> None:
        """Drains that an earlier process has told as done are not told again."""
        for backend in self._drains.waiting():
            try:
                event = await self._events.last(EventKind.DRAIN_DONE, backend.name)
                entries = await store.entries(0, 1, backend.name)
            except TiaraError as error:
                self._log.warning("drains may be told twice", reason=str(error))
                return
            if event and (not entries or entries[0].record.at_ms <= event.at_ms):
                self._drains.done([backend])

    async def _look(self, drained: Callable[[Backend], None]) -> None:
        self._see_delay()
        for backend in self._drains.passed(self._clock_ms()):
            self._events.happened(
                EventKind.DRAIN_DONE,
                backend.name,
                "its drain deadline has passed: connections that it still had go elsewhere",
            )
            drained(backend)
        now = time.monotonic()
        if now - self._fill_at >= FILL_S:
            self._fill_at = now
            await self._see_fill()
        if self._counting is None and now >= self._count_at and self._countable():
            self._counting = asyncio.create_task(self._count())

    def _see_delay(self) -> None:
        stored = self._catalogue.revision
        said = self._delay.see(
            time.monotonic(),
            stored,
            self._progress.applied_revision,
            self._progress.live,
            self._progress.reason(stored),
        )
        if said:
            self._events.happened(EventKind.PUBLISH_DELAYED, self._node, said)

    async def _see_fill(self) -> None:
        share = await self._run_native(self._actuator.fill)
        if share is not None and (said := self._fill.see(share)):
            self._events.happened(EventKind.TABLE_FILL, self._node, said)

    def _countable(self) -> list[Backend]:
        """Workers may still choose those whose drain they do not have."""
        return self._drains.waiting(self._progress.applied_revision) if self._progress.live else []

    async def _count(self) -> None:
        started, epoch = time.monotonic(), self._progress.sighting.epoch
        backends = self._countable()
        try:
            usage = (await self._census.count()).usage
            indices = await self._run_native(lambda: self._actuator.backend_indices(backends))
            if self._progress.sighting.epoch == epoch:
                self._empty(
                    [
                        backend
                        for backend, idx in zip(backends, indices, strict=True)
                        if idx is not None and not usage.per_backend[idx]
                    ]
                )
        except Unavailable:
            pass
        finally:
            now = time.monotonic()
            self._count_at = now + max(COUNT_S, (_COUNT_SHARE - 1) * (now - started))
            self._counting = None

    def _empty(self, backends: list[Backend]) -> None:
        for backend in self._drains.done(backends):
            self._events.happened(EventKind.DRAIN_DONE, backend.name, "no connection of it is left")
