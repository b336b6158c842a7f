# SPDX-License-Identifier: Apache-2.0
"""The table as a packed stream, read on a thread and a read-only mapping of its own for each stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tiara.domain.dataplane import BackendKey, ServiceKey
from tiara.domain.errors import Exhausted, Unavailable
from tiara.domain.layout import Limit, Role, Status
from tiara.native import NativeError, Segment
from tiara.native.snapshot import RECORD_BYTES, Snapshot

STREAMS_MAX = 4
"""Dumps at a time: each has a thread and a chunk in memory."""

_BUCKET_ENTRIES = 4

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DumpChunk:
    """Whole records, and how much of the table was read, 0 to 1."""

    records: bytes
    progress: float


class Dump:
    """One stream: its dictionaries, then ``chunks()``, then what is known at the end."""

    def __init__(self, where: Callable[[], Path]) -> None:
        self._where = where
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dump")
        self._held = ExitStack()
        self._snapshot: Snapshot | None = None
        self._buckets = 1
        self.services: list[ServiceKey] = []
        self.backends: list[BackendKey] = []
        self.records = 0
        self.passes = 0
        self.problem = "the stream was not read to its end"

    async def begin(self) -> None:
        """Attaches, and reads the dictionaries. ``Unavailable``: there is no segment."""
        try:
            await self._run(self._begin)
        except (NativeError, OSError) as error:
            raise Unavailable(f"the segment cannot be read now: {error}") from error

    async def chunks(self) -> AsyncGenerator[DumpChunk, None]:
        """A chunk is read when it is asked for: a slow reader costs one chunk, not the table."""
        done = False
        while not done:
            try:
                chunk, done = await self._run(self._read)
            except NativeError as error:
                if error.status is not Status.BUSY:
                    raise Unavailable(f"the segment cannot be read on: {error}") from error
                self.problem = str(error)
                return
            self.records += len(chunk.records) // RECORD_BYTES
            if chunk.records:
                yield chunk
        self.problem = ""

    async def end(self) -> None:
        """A read in flight is waited for. Safe to call twice."""
        await asyncio.shield(self._run(self._held.close))
        self._thread.shutdown(wait=False)

    def _begin(self) -> None:
        segment = Segment.attach(self._where(), Role.READER)
        self._held.callback(segment.detach)
        self._buckets = segment.info.connections // _BUCKET_ENTRIES
        self._snapshot = self._held.enter_context(segment.snapshot())
        self.services = self._snapshot.services()
        self.backends = self._snapshot.backends()

    def _read(self) -> tuple[DumpChunk, bool]:
        assert self._snapshot is not None
        records = self._snapshot.read(Limit.PACKED_CHUNK_BYTES)
        info = self._snapshot.info()
        self.passes = info.passes
        return DumpChunk(records, 1 - info.left_buckets / self._buckets), info.done

    async def _run(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


class Dumps:
    """All streams of a control plane."""

    def __init__(self, where: Callable[[], Path]) -> None:
        self._where = where
        self._running = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Dump]:
        """``Unavailable``: there is no segment. ``Exhausted``: ``STREAMS_MAX`` are running."""
        if self._running == STREAMS_MAX:
            raise Exhausted(f"{STREAMS_MAX} dumps are running: wait until one has ended")
        self._running += 1
        dump = Dump(self._where)
        try:
            await dump.begin()
            yield dump
        finally:
            self._running -= 1
            await dump.end()
