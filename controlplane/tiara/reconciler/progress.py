# SPDX-License-Identifier: Apache-2.0
"""Which revision every worker uses, and why not a newer one."""

from __future__ import annotations

import asyncio

from tiara.domain.errors import DeadlineExceeded, Unavailable
from tiara.reconciler.actuator import Sighting

_PENDING_MAX = 64
"""Generations remembered while no data plane runs; a later one stands for those forgotten."""


class Progress:
    """Follows published generations until every worker of a running data plane has them."""

    def __init__(self) -> None:
        self.sighting = Sighting(0, problem="the segment has not been looked at yet")
        self.published_revision = 0
        self.applied_revision = 0
        self.problem = ""
        self._published: dict[int, int] = {}
        self._changed = asyncio.Condition()

    @property
    def live(self) -> bool:
        """True while a data plane runs."""
        return bool(self.sighting.info and self.sighting.info.dataplane_live)

    @property
    def started(self) -> bool:
        """True once the running data plane's workers may carry packets."""
        return self.live and bool(self.sighting.info and self.sighting.info.worker_cnt)

    @property
    def settled(self) -> bool:
        """True when nothing published waits for a worker."""
        return not self._published

    def reason(self, revision: int) -> str:
        """Why ``revision`` is not applied; "": it is."""
        if revision <= self.applied_revision:
            return ""
        if self.sighting.problem or self.problem:
            return self.sighting.problem or self.problem
        if not self.live:
            return "the data plane is not running: start tiara-dataplane"
        if not self.started:
            return "the data plane is starting: its workers do not run yet"
        collect = self.sighting.collect
        if revision > self.published_revision or not collect:
            return "it is being written to the segment"
        return f"worker {collect.slowest_worker} still uses an older generation than {collect.generation}"

    async def restart(self) -> None:
        """Another segment: nothing is in it yet."""
        self.published_revision = self.applied_revision = 0
        self._published.clear()
        await self._notify()

    async def publish(self, revision: int, generation: int) -> None:
        """``generation`` holds ``revision``."""
        self.published_revision = revision
        self._published[generation] = revision
        if len(self._published) > _PENDING_MAX:
            del self._published[min(self._published)]
        self.problem = ""
        await self._notify()

    async def see(self, sighting: Sighting) -> None:
        """Takes a look at the segment into account."""
        self.sighting = sighting
        collect = sighting.collect
        if not collect or not self.started:
            return
        done = [generation for generation in self._published if generation <= collect.applied_generation]
        for generation in done:
            self.applied_revision = max(self.applied_revision, self._published.pop(generation))
        if done:
            await self._notify()

    async def wait_applied(self, revision: int, timeout_s: float) -> None:
        """Until every worker uses it, or ``DeadlineExceeded`` with the reason."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self.applied_revision >= revision)
        except TimeoutError:
            raise DeadlineExceeded(
                f"revision {revision} is stored but not applied after {timeout_s:g} s: "
                f"{self.reason(revision)}"
            ) from None

    async def wait_published(self, revision: int, timeout_s: float) -> None:
        """Until the segment holds it, used or not."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(lambda: self.published_revision >= revision)
        except TimeoutError:
            raise Unavailable(
                f"revision {revision} is not in the segment: {self.reason(revision)}; try again then"
            ) from None

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
