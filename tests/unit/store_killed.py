# SPDX-License-Identifier: Apache-2.0
"""Kills processes inside a commit: ``python store_killed.py FOLDER`` leaves a store for each statement.

Each child commits once, then is killed with SIGKILL before the n-th statement of its second commit and
event. Prints how many stores there are.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tiara.domain.history import Event, EventKind, Record
from tiara.domain.model import Backend, Forwarding, Pool
from tiara.store import Bounds, Delete, Put, SqliteStore

_POOL = Pool("web", "a" * 32, Forwarding.L2)
_BACKEND = Backend("web", "b1", "b" * 32, "198.18.0.11")


async def _write(path: Path, statement: int) -> None:
    store = await SqliteStore.open(path, Bounds(revisions=1, events=1))
    await store.commit([Put(_POOL, 0)], Record(request_id="first"))
    await store.add_event(Event(EventKind.DATAPLANE, "nodes/a", "first", 1))
    left = statement

    def count(_: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    await store._run(lambda: store._open_db.set_trace_callback(count))
    await store.commit([Put(_BACKEND, 0), Delete(_POOL.name, 1)], Record(request_id="second"))
    await store.add_event(Event(EventKind.DATAPLANE, "nodes/a", "second", 2))


def _killed(path: Path, statement: int) -> bool:
    child = os.fork()
    if child == 0:
        asyncio.run(_write(path, statement))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def main() -> None:
    """See above."""
    statement = 0
    while _killed(Path(sys.argv[1]) / f"{statement}.db", statement):
        statement += 1
    print(statement)


main()
