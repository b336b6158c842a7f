# SPDX-License-Identifier: Apache-2.0
"""Desired state as a stream: a snapshot or what a reader missed, then changes as they come.

All readers share one bounded ring of recent steps and have no queue of their own: a reader is a
position in it, and one whose position has left the ring is too slow.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from tiara.domain.errors import Exhausted, OutOfRange, Unavailable
from tiara.domain.history import Difference
from tiara.domain.model import Backend, Resource
from tiara.reconciler.catalogue import Catalogue
from tiara.store import Store

RESOURCES_MAX = 16_384
"""Changed resources in the ring; the newest step is kept whatever its size."""

READERS_MAX = 128
"""Watches at a time."""

TOO_SLOW = "this reader is slower than the changes; watch again after the last revision that was synced"

_PAGE = 64
"""Past writes read from the store at a time."""


@dataclass(frozen=True, slots=True)
class Put:
    """A resource as it is now. ``revision``: of this step, or of the resource where only health changed."""

    value: Resource
    revision: int


@dataclass(frozen=True, slots=True)
class Removed:
    """The resource called ``name`` is gone."""

    name: str
    revision: int


@dataclass(frozen=True, slots=True)
class Synced:
    """Everything up to ``revision`` has been said."""

    revision: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing has changed for a while; the newest revision."""

    revision: int


Step = Put | Removed | Synced | Heartbeat


class Reader:
    """One watch: where it is in the ring, and whether it has fallen out of it."""

    def __init__(self) -> None:
        self.position = 0
        self.lost = asyncio.Event()

    def check(self) -> None:
        """Raises where steps that it has not seen are gone."""
        if self.lost.is_set():
            raise Exhausted(TOO_SLOW)


class Feed:
    """Where commits and health changes are announced, in order, and read by any number of watches."""

    def __init__(self, store: Store, catalogue: Catalogue, resources_max: int = RESOURCES_MAX) -> None:
        self._store = store
        self._catalogue = catalogue
        self._resources_max = resources_max
        self._ring: deque[tuple[Step, ...]] = deque()
        self._resources = 0
        self._next = 0
        self._readers: set[Reader] = set()
        self._health_at: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._ended = False

    @property
    def reader_cnt(self) -> int:
        """Watches that run."""
        return len(self._readers)

    def announce(self, revision: int, put: Sequence[Resource], removed: Sequence[Resource]) -> None:
        """A commit, once it is in the catalogue. Revisions come in order."""
        for value in removed:
            if isinstance(value, Backend):
                self._health_at.pop(value.uid, None)
        gone = [Removed(value.name, revision) for value in removed]
        self._add((*gone, *(Put(value, revision) for value in put), Synced(revision)))

    def observed(self, backend: Backend) -> None:
        """What is seen of a backend has changed."""
        self._health_at[backend.uid] = self._catalogue.revision
        self._add((Put(backend, backend.revision),))

    def end(self) -> None:
        """Ends every watch with ``Unavailable`` once it has said what is in the ring."""
        self._ended = True
        self._changed.set()

    async def watch(self, reader: Reader, after: int, heartbeat_s: float) -> AsyncGenerator[Step, None]:
        """From a snapshot (``after`` 0) or from revision ``after`` on, without end.

        ``OutOfRange``: not all after ``after`` is kept. ``Exhausted``: the reader was too slow, or there
        are too many. ``Unavailable``: the control plane stops.
        """
        if len(self._readers) >= READERS_MAX:
            raise Exhausted(f"{READERS_MAX} watches are running: end one, then watch again")
        self._readers.add(reader)
        try:
            async with aclosing(self._all(reader, after, heartbeat_s)) as steps:
                async for step in steps:
                    reader.check()
                    yield step
        finally:
            self._readers.discard(reader)

    async def _all(self, reader: Reader, after: int, heartbeat_s: float) -> AsyncGenerator[Step, None]:
        """The ring's position and the newest revision are of one moment: nothing is said twice or never."""
        reader.position = self._next
        newest = self._catalogue.revision
        async with aclosing(self._missed(after, newest) if after else self._snapshot(newest)) as past:
            async for step in past:
                yield step
        while True:
            for step in await self._come(reader, heartbeat_s):
                yield step

    def _add(self, steps: tuple[Step, ...]) -> None:
        self._ring.append(steps)
        self._resources += len(steps)
        self._next += 1
        while self._resources > self._resources_max and len(self._ring) > 1:
            self._resources -= len(self._ring.popleft())
        first = self._next - len(self._ring)
        for reader in self._readers:
            if reader.position < first:
                reader.lost.set()
        self._changed.set()
        self._changed = asyncio.Event()

    async def _come(self, reader: Reader, heartbeat_s: float) -> tuple[Step, ...]:
        if reader.position == self._next and not self._ended:
            try:
                async with asyncio.timeout(heartbeat_s):
                    await self._changed.wait()
            except TimeoutError:
                return (Heartbeat(self._catalogue.revision),)
        if reader.position == self._next:
            raise Unavailable("the control plane stops: watch again after the last revision that was synced")
        reader.check()
        steps = self._ring[reader.position - self._next]
        reader.position += 1
        return steps

    async def _snapshot(self, newest: int) -> AsyncGenerator[Step, None]:
        catalogue = self._catalogue
        values: deque[Resource] = deque(
            [*catalogue.pools.values(), *catalogue.all_backends(), *catalogue.services.values()]
        )
        while values:
            yield Put(values.popleft(), newest)
        yield Synced(newest)

    async def _missed(self, after: int, newest: int) -> AsyncGenerator[Step, None]:
        """Past writes up to the ring's, then the backends whose health may have changed meanwhile."""
        if after > newest:
            raise OutOfRange(f"after_revision: {after} is newer than the newest revision, {newest}")
        seen = [b for b in self._catalogue.all_backends() if self._health_at.get(b.uid, -1) >= after]
        revision = after
        while revision < newest:
            for entry in await self._store.entries_after(revision, min(_PAGE, newest - revision)):
                revision = entry.revision
                for difference in entry.differences:
                    for step in _steps(difference, revision):
                        yield step
                if revision < newest:
                    yield Synced(revision)
        for backend in seen:
            yield Put(backend, backend.revision)
        yield Synced(newest)


def _steps(difference: Difference, revision: int) -> Iterator[Step]:
    before, after = difference.before, difference.after
    if after is None or (before is not None and before.uid != after.uid):
        yield Removed(difference.name, revision)
    if after is not None:
        yield Put(after, revision)
