# SPDX-License-Identifier: Apache-2.0
"""What is seen of backends: health, and drains whose deadline has passed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from tiara.domain.model import Backend, BackendStatus, Health
from tiara.planner import Seen

_Result = tuple[Health, str]


class Observed:
    """Health by uid; drain deadlines in order. Says which pool must be planned again."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._health: dict[str, _Result] = {}
        self._deadlines: list[tuple[int, str]] = []

    def status(self, backend: Backend) -> BackendStatus:
        """For the API."""
        health, reason = self._health.get(backend.uid, (Health.UNKNOWN, ""))
        drain = backend.drain
        return BackendStatus(
            health,
            reason,
            drain is not None,
            drain.deadline_ms if drain else None,
            drain is not None and drain.passed(self._clock_ms()),
            backend.disabled,
        )

    def seen(self, backend: Backend) -> Seen:
        """For the planner."""
        drain = backend.drain
        return Seen(
            self._health.get(backend.uid, (Health.UNKNOWN, ""))[0] is Health.DOWN,
            drain is not None,
            drain is not None and drain.passed(self._clock_ms()),
        )

    def health(self, uid: str) -> Health:
        """What is known."""
        return self._health.get(uid, (Health.UNKNOWN, ""))[0]

    def record(self, uid: str, health: Health, reason: str) -> bool:
        """Takes a verdict; True when the backend went down or came back."""
        before = self.health(uid)
        self._health[uid] = (health, reason)
        return (before is Health.DOWN) is not (health is Health.DOWN)

    def adopt_down(self, uids: Iterable[str]) -> list[str]:
        """What an earlier control plane found down stays down until a check says otherwise; those it is."""
        fresh = [uid for uid in uids if uid not in self._health]
        for uid in fresh:
            self._health[uid] = (Health.DOWN, "down before the control plane's start")
        return fresh

    def forget(self, uid: str) -> None:
        """The backend is deleted."""
        self._health.pop(uid, None)

    def expect_drain(self, backend: Backend) -> None:
        """Remembers when to look at the backend's pool again."""
        if backend.drain and backend.drain.deadline_ms is not None:
            heapq.heappush(self._deadlines, (backend.drain.deadline_ms, backend.pool))

    def passed(self) -> set[str]:
        """Pools of drains whose deadline has passed since the last call; there may be too many."""
        pools = set()
        while self._deadlines and self._deadlines[0][0] <= self._clock_ms():
            pools.add(heapq.heappop(self._deadlines)[1])
        return pools
