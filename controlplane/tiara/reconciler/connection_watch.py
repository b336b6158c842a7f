# SPDX-License-Identifier: Apache-2.0
"""The table watched by passes over it, on a thread and a read-only mapping of its own for each watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from tiara.domain.errors import Exhausted, Unavailable
from tiara.domain.layout import Role
from tiara.domain.model import Protocol
from tiara.domain.observed import ConnectionView
from tiara.native import NativeError, Segment
from tiara.native.scan import Filter
from tiara.native.segment import END
from tiara.native.values import NativeConnection

WATCHES_MAX = 4
"""Watches at a time: each has a thread."""

CONNECTIONS_MAX = 10_000
"""Connections that one watch may match."""

_PAGE = 1000

_T = TypeVar("_T")
_Key = tuple[Protocol, str, int, str, int]


@dataclass(frozen=True, slots=True)
class Pass:
    """How one pass differs from the one before; ``gone`` as they were last seen."""

    added: list[ConnectionView]
    changed: list[ConnectionView]
    gone: list[ConnectionView]


@dataclass(frozen=True, slots=True)
class Names:
    """Answered where the names of the segment's indices are known: on the native thread."""

    filter: Callable[[], Awaitable[Filter | None]]
    """The filter as indices of now; None: what it names is not in the segment."""
    views: Callable[[list[NativeConnection]], Awaitable[list[ConnectionView]]]


class ConnectionWatch:
    """One watch. ``passes()`` never ends by itself."""

    def __init__(self, where: Callable[[], Path], names: Names, ended: asyncio.Event) -> None:
        self._where = where
        self._ended = ended
        self._names = names
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")
        self._segment: Segment | None = None
        self._identity = (0, 0)
        self._seen: dict[_Key, NativeConnection] = {}
        self._shown: dict[_Key, ConnectionView] = {}

    async def passes(self, interval_s: float) -> AsyncGenerator[Pass, None]:
        """The first has all that match. A pass is made when it is asked for: a slow reader costs one pass.

        ``Exhausted``: more than ``CONNECTIONS_MAX`` match. ``Unavailable``: there is no segment, or the
        control plane stops.
        """
        while True:
            started = time.monotonic()
            yield await self._pass()
            await self._rest(max(interval_s, time.monotonic() - started))

    async def end(self) -> None:
        """A read in flight is waited for."""
        await asyncio.shield(self._run(self._detach))
        self._thread.shutdown(wait=False)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
            raise Unavailable("the control plane stops: watch again")

    async def _pass(self) -> Pass:
        try:
            wanted = await self._names.filter()
            await self._run(self._attach)
            found = await self._scan(wanted) if wanted else {}
            missed = [one for key, one in self._seen.items() if key not in found]
            if wanted:
                found |= await self._run(lambda: self._still_there(missed, wanted))
        except (NativeError, OSError) as error:
            raise Unavailable(f"the segment cannot be read now: {error}") from error
        return await self._compare(found)

    async def _compare(self, found: dict[_Key, NativeConnection]) -> Pass:
        before, self._seen = self._seen, found
        gone = [self._shown.pop(key) for key in before if key not in found]
        added = await self._show([key for key in found if key not in before])
        changed = await self._show(
            [key for key in found if key in before and _differs(found[key], before[key])]
        )
        return Pass(added, changed, gone)

    async def _show(self, keys: list[_Key]) -> list[ConnectionView]:
        views = await self._names.views([self._seen[key] for key in keys])
        self._shown.update(zip(keys, views, strict=True))
        return views

    async def _scan(self, wanted: Filter) -> dict[_Key, NativeConnection]:
        """By slices, so that a watch that ends does not wait for the table's end."""
        found: dict[_Key, NativeConnection] = {}
        cursor = 0
        while cursor != END:
            page, cursor = await self._run(partial(self._attached.connections_list, cursor, _PAGE, wanted))
            found.update((_key(one), one) for one in page)
            if len(found) > CONNECTIONS_MAX:
                raise Exhausted(f"more than {CONNECTIONS_MAX} connections match: narrow the filter")
        return found

    def _still_there(self, missed: list[NativeConnection], wanted: Filter) -> dict[_Key, NativeConnection]:
        """Entries move while they are read: what a pass has not met may be there all the same."""
        there = {}
        for one in missed:
            key = _key(one)
            found = self._attached.find(*key)
            if found and not _differs(found, one) and found.idle_ticks >= wanted.idle_min:
                there[key] = found
        return there

    @property
    def _attached(self) -> Segment:
        assert self._segment is not None
        return self._segment

    def _attach(self) -> None:
        path = self._where()
        stat = path.stat()
        if self._segment is None or (stat.st_dev, stat.st_ino) != self._identity:
            self._detach()
            self._segment = Segment.attach(path, Role.READER)
            self._identity = (stat.st_dev, stat.st_ino)

    def _detach(self) -> None:
        if self._segment is not None:
            self._segment.detach()
            self._segment = None

    async def _run(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


class ConnectionWatches:
    """All watches of a control plane."""

    def __init__(self, where: Callable[[], Path]) -> None:
        self._where = where
        self._running = 0
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Ends every watch with ``Unavailable``."""
        self._ended.set()

    @asynccontextmanager
    async def open(self, names: Names) -> AsyncIterator[ConnectionWatch]:
        """``Exhausted``: ``WATCHES_MAX`` are running."""
        if self._running >= WATCHES_MAX:
            raise Exhausted(f"{WATCHES_MAX} watches of connections are running: end one, then watch again")
        self._running += 1
        watch = ConnectionWatch(self._where, names, self._ended)
        try:
            yield watch
        finally:
            self._running -= 1
            await watch.end()


def _key(one: NativeConnection) -> _Key:
    return one.protocol, one.client_address, one.client_port, one.address, one.port


def _differs(one: NativeConnection, other: NativeConnection) -> bool:
    return _kind(one) != _kind(other)


def _kind(one: NativeConnection) -> tuple[int, int, int]:
    return one.state, one.backend_idx, one.service_idx
