# SPDX-License-Identifier: Apache-2.0
"""Counts live connections on a thread and a read-only mapping of its own: a long scan delays nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tiara.domain.errors import Unavailable
from tiara.domain.layout import Role
from tiara.native import NativeError, Segment
from tiara.native.values import Affected, Usage

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Count:
    """What a scan found, and when it ended (Unix time)."""

    usage: Usage
    at_s: float


class Census:
    """``count`` scans the table, or answers with the last scan where that is young enough."""

    def __init__(self, where: Callable[[], Path]) -> None:
        self._where = where
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="census")
        self._one = asyncio.Lock()
        self._segment: Segment | None = None
        self._identity = (0, 0)
        self._last: Count | None = None
        self._ended = 0.0

    async def count(self, age_s: float = 0.0) -> Count:
        """At most ``age_s`` old. ``Unavailable``: there is no segment to scan."""
        async with self._one:
            if self._last and time.monotonic() - self._ended < age_s:
                return self._last
            usage = await self._scan(Segment.connections_count)
            self._last, self._ended = Count(usage, time.time()), time.monotonic()
            return self._last

    async def affected(self, services: Iterable[int], backends: Iterable[int]) -> Affected:
        """Live connections of any of these services or backends, given by index."""
        async with self._one:
            return await self._scan(lambda segment: segment.connections_affected(services, backends))

    async def close(self) -> None:
        """A scan in flight is waited for."""
        async with self._one:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._detach)
        self._thread.shutdown(wait=False)

    async def _scan(self, scan: Callable[[Segment], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, lambda: scan(self._attached())
            )
        except (NativeError, OSError) as error:
            raise Unavailable(f"the segment cannot be scanned now: {error}") from error

    def _attached(self) -> Segment:
        path = self._where()
        stat = path.stat()
        if self._segment is None or (stat.st_dev, stat.st_ino) != self._identity:
            self._detach()
            self._segment = Segment.attach(path, Role.READER)
            self._identity = (stat.st_dev, stat.st_ino)
        return self._segment

    def _detach(self) -> None:
        if self._segment is not None:
            self._segment.detach()
            self._segment = None
