# SPDX-License-Identifier: Apache-2.0
"""Probes backends with asyncio: a task each, resting while the data plane (which carries probes) does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tiara.domain.model import Health, HealthCheck
from tiara.health.judge import Judge
from tiara.health.probe import NoPath, Prober

Report = Callable[[str, Health, str], None]
"""(uid, health, reason)."""

Probe = Callable[[str, HealthCheck], Awaitable[str]]
"""(address, check) -> "" when it answered, else why not. ``NoPath``: nothing was learned."""

GRACE_S = 3.0
"""After a data plane's start failures say nothing for so long: neighbours are still being learned."""

JITTER = 0.1
"""Intervals vary by this share, so that probes of many backends spread out."""

_CONCURRENT = 256


@dataclass(frozen=True, slots=True)
class Target:
    """A backend to probe."""

    uid: str
    address: str
    check: HealthCheck


class Monitor:
    """Use ``add`` and ``remove`` for backends, ``carry`` to say whether probes can travel."""

    def __init__(self, report: Report, probe: Probe | None = None, grace_s: float = GRACE_S) -> None:
        self._report = report
        self._prober = Prober()
        self._probe = probe or self._prober
        self._grace_s = grace_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._carried = asyncio.Event()
        self._carrier = 0
        self._believe_from = 0.0
        self._room = asyncio.Semaphore(_CONCURRENT)

    def add(self, target: Target, health: Health = Health.UNKNOWN) -> None:
        """Begins to probe; ``health`` is what was known before."""
        self.remove(target.uid)
        self._tasks[target.uid] = asyncio.create_task(
            self._watch(target, health), name=f"health {target.uid}"
        )

    def remove(self, uid: str) -> None:
        """Stops; a probe in flight is not reported."""
        task = self._tasks.pop(uid, None)
        if task:
            task.cancel()

    def carry(self, start: int) -> None:
        """``start`` is the number of the running data plane's start; 0: none runs."""
        if start == self._carrier:
            return
        self._carrier = start
        self._believe_from = asyncio.get_running_loop().time() + self._grace_s
        if start:
            self._carried.set()
        else:
            self._carried.clear()

    async def close(self) -> None:
        """Stops all."""
        tasks = list(self._tasks.values())
        for uid in list(self._tasks):
            self.remove(uid)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._prober.close()

    async def _watch(self, target: Target, health: Health) -> None:
        judge = Judge(target.check.rise, target.check.fall, health)
        interval_s = target.check.interval_ms / 1000
        await asyncio.sleep(interval_s * random.random())
        while True:
            if not self._carried.is_set():
                judge.forget()
                await self._carried.wait()
            await self._once(target, judge)
            await asyncio.sleep(interval_s * random.uniform(1 - JITTER, 1 + JITTER))

    async def _once(self, target: Target, judge: Judge) -> None:
        carrier = self._carrier
        try:
            async with self._room:
                reason = await self._probe(target.address, target.check)
        except NoPath:
            return
        if carrier != self._carrier or (reason and self._doubtful()):
            return
        self._report(target.uid, judge.feed(not reason), reason)

    def _doubtful(self) -> bool:
        return asyncio.get_running_loop().time() < self._believe_from
