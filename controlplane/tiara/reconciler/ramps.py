# SPDX-License-Identifier: Apache-2.0
"""Slow starts: since when each backend takes new connections, and which pool's next step is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from tiara.domain.model import Backend
from tiara.planner import RAMP_WHOLE, Seen, ramp_at, ramp_since

_LONG_AGO = 0
"""1970: a ramp that began then is over. A whole weight stays whole, whatever slow start its pool gets."""


class Ramps:
    """Moments by uid. A ramp begins when a backend is first planned as one that takes connections."""

    def __init__(self, clock_ms: Callable[[], int], duration_ms: Callable[[str], int]) -> None:
        """``duration_ms(pool)`` is its slow start's, 0: it has none."""
        self._clock_ms = clock_ms
        self._duration_ms = duration_ms
        self._since: dict[str, int] = {}
        self._due: dict[str, int] = {}

    def adopt(self, tenths: Mapping[str, int], pools: Mapping[str, str]) -> None:
        """An earlier control plane's ramps, by uid as the segment has them, go on where they were.

        What that one's death took of a step is given again. ``pools`` are those of known backends.
        """
        for uid in tenths.keys() & pools.keys() - self._since.keys():
            if tenths[uid]:
                self._since[uid] = self._began(tenths[uid], pools[uid])

    def seen(self, backend: Backend, seen: Seen) -> Seen:
        """For the planner: with the ramp's step as of now."""
        if not seen.takes(backend):
            self._since.pop(backend.uid, None)
            return seen
        self._since.setdefault(backend.uid, self._clock_ms())
        ramp = self._ramp(backend)
        if ramp == RAMP_WHOLE:
            self._since[backend.uid] = _LONG_AGO
            return seen
        self._expect(backend, ramp + 1)
        return replace(seen, ramp=ramp)

    def foreseen(self, backend: Backend, seen: Seen, duration_ms: int) -> Seen:
        """What ``seen`` would give with this slow start if it were planned now. Nothing is begun."""
        if not seen.takes(backend):
            return seen
        now = self._clock_ms()
        return replace(seen, ramp=ramp_at(now - self._since.get(backend.uid, now), duration_ms))

    def percent(self, backend: Backend) -> int:
        """Of its weight that counts while its ramp goes on; 0: none goes on."""
        ramp = self._ramp(backend)
        return 0 if ramp == RAMP_WHOLE else 100 * ramp // RAMP_WHOLE

    def forget(self, uid: str) -> None:
        """The backend is deleted."""
        self._since.pop(uid, None)

    def passed(self) -> set[str]:
        """Pools with a step that fell due since they were planned; there may be too many."""
        now = self._clock_ms()
        pools = {pool for pool, due in self._due.items() if due <= now}
        for pool in pools:
            del self._due[pool]
        return pools

    def _ramp(self, backend: Backend) -> int:
        since = self._since.get(backend.uid)
        if since is None:
            return RAMP_WHOLE
        return ramp_at(self._clock_ms() - since, self._duration_ms(backend.pool))

    def _expect(self, backend: Backend, ramp: int) -> None:
        due = self._since[backend.uid] + ramp_since(ramp, self._duration_ms(backend.pool))
        self._due[backend.pool] = min(due, self._due.get(backend.pool, due))

    def _began(self, ramp: int, pool: str) -> int:
        if ramp >= RAMP_WHOLE:
            return _LONG_AGO
        return self._clock_ms() - ramp_since(ramp, self._duration_ms(pool))
