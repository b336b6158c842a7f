# SPDX-License-Identifier: Apache-2.0
"""What happens by itself, logged at once and stored behind it: a failing store stops nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from tiara.domain.errors import TiaraError
from tiara.domain.history import Event, EventKind
from tiara.store import Store

WAITING_MAX = 10_000
"""Events that wait for the store; what comes beyond is only logged."""

_CLOSE_S = 2.0


class Events:
    """``happened`` may be called from anywhere on the event loop and never waits."""

    def __init__(self, store: Store, clock_ms: Callable[[], int]) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self._waiting: deque[Event] = deque()
        self._come = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._failing = False
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("events")

    def start(self) -> None:
        """Begins to store; what happened before is not lost."""
        self._task = asyncio.create_task(self._follow(), name="events")

    async def close(self) -> None:
        """Stores what waits, for as long as the store takes it within 2 s."""
        if self._task is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._idle.wait()
        except TimeoutError:
            self._log.warning("events not stored", count=len(self._waiting))
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def happened(self, kind: EventKind, resource: str, message: str) -> None:
        """Logs it, and stores it soon."""
        self._log.info(kind.value, resource=resource, message=message)
        if len(self._waiting) >= WAITING_MAX:
            self._fail("more events at once than the store takes")
            return
        self._waiting.append(Event(kind, resource, message, self._clock_ms()))
        self._idle.clear()
        self._come.set()

    async def last(self, kind: EventKind, resource: str) -> Event | None:
        """The newest one of a resource."""
        return next(iter(await self._store.events(0, 1, kind, resource)), None)

    async def list(
        self, before: int, limit: int, kind: EventKind | None = None, resource: str = ""
    ) -> list[Event]:
        """See ``Store.events``."""
        return await self._store.events(before, limit, kind, resource)

    async def _follow(self) -> None:
        while True:
            await self._come.wait()
            self._come.clear()
            while self._waiting:
                await self._keep(self._waiting[0])
                self._waiting.popleft()
            self._idle.set()

    async def _keep(self, event: Event) -> None:
        try:
            await self._store.add_event(event)
        except TiaraError as error:
            self._fail(str(error))
        else:
            self._failing = False

    def _fail(self, reason: str) -> None:
        """One line for a run of failures."""
        if not self._failing:
            self._log.warning("events are not stored", reason=reason)
        self._failing = True
