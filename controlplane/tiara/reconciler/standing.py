# SPDX-License-Identifier: Apache-2.0
"""Whether this control plane takes work: it is not stopping, and its store takes writes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog

from tiara.domain.errors import Exhausted, StoreError

PROBE_S = 1.0
"""Between two tries of a store that failed."""


class Standing:
    """Belongs to the event loop. ``changed`` is set at the next change, and a new one takes its place."""

    def __init__(self, probe: Callable[[], Awaitable[object]], probe_s: float = PROBE_S) -> None:
        """``probe`` writes to the store without changing anything, and raises as a commit does."""
        self.draining = False
        self.storing = True
        self.changed = asyncio.Event()
        self._probe = probe
        self._probe_s = probe_s
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("standing")

    def drain(self) -> None:
        """The process is asked to stop: calls in flight end, new ones belong elsewhere."""
        self.draining = True
        self._tell()

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Around a commit: what the store raises there says how it is."""
        try:
            yield
        except (StoreError, Exhausted) as error:
            self._failed(error)
            raise
        self._set(True)

    async def close(self) -> None:
        """Stops trying."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _failed(self, error: Exception) -> None:
        self._set(False)
        if self._task is None:
            self._log.error("the store takes no writes", reason=str(error))
            self._task = asyncio.create_task(self._recover(), name="store probe")

    async def _recover(self) -> None:
        while not self.storing:
            await asyncio.sleep(self._probe_s)
            try:
                await self._probe()
            except (StoreError, Exhausted):
                continue
            self._set(True)
        self._task = None
        self._log.info("the store takes writes again")

    def _set(self, storing: bool) -> None:
        if storing != self.storing:
            self.storing = storing
            self._tell()

    def _tell(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
