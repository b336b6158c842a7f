# SPDX-License-Identifier: Apache-2.0
"""The default store: one SQLite file, one thread that touches it, one process that owns it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tiara.domain.errors import Aborted, Exhausted, StoreError
from tiara.domain.history import Entry, Event, EventKind, Record
from tiara.domain.model import Backend, Pool, VirtualService
from tiara.store.base import Change, Delete, Put, Snapshot
from tiara.store.codec import decode, encode
from tiara.store.happened import EVENTS_MAX, Happened
from tiara.store.past import BODIES_BYTES_MAX, REVISIONS_MAX, Body, Past, Touched
from tiara.store.schema import SCHEMA_VERSION, upgrade, version_of

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept. ``pages`` limits the file's size (0: the disk does)."""

    pages: int = 0
    revisions: int = REVISIONS_MAX
    bodies_bytes: int = BODIES_BYTES_MAX
    events: int = EVENTS_MAX


class SqliteStore:
    """Use ``await SqliteStore.open(path)``. Write-ahead log; a commit is on the disk when it returns."""

    def __init__(self, path: Path, bounds: Bounds) -> None:
        self._path = path
        self._bounds = bounds
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._lock_fd = -1
        self._db: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, path: Path, bounds: Bounds | None = None) -> SqliteStore:
        """Opens or creates the file; one of an older version is brought to this one.

        Raises ``StoreError`` when another process owns it, it is damaged, or of a newer version.
        """
        store = cls(path, bounds or Bounds())
        try:
            await store._run(store._open)
        except BaseException:
            await store.close()
            raise
        return store

    async def load(self) -> Snapshot:
        """See ``Store``."""
        return await self._run(self._load)

    async def commit(self, changes: Sequence[Change], record: Record) -> int:
        """See ``Store``."""
        return await self._run(lambda: self._commit(changes, record))

    async def entry(self, revision: int) -> Entry:
        """See ``Store``."""
        return await self._run(lambda: self._past.entry(revision))

    async def entries(self, before: int, limit: int, resource: str = "") -> list[Entry]:
        """See ``Store``."""
        return await self._run(lambda: self._past.entries(before, limit, resource))

    async def entries_after(self, revision: int, limit: int = 0) -> list[Entry]:
        """See ``Store``."""
        return await self._run(lambda: self._past.entries_after(revision, self._revision(), limit))

    async def entry_of(self, request_id: str) -> Entry | None:
        """See ``Store``."""
        return await self._run(lambda: self._past.entry_of(request_id))

    async def add_event(self, event: Event) -> Event:
        """See ``Store``."""
        return await self._run(lambda: self._add_event(event))

    async def events(
        self, before: int, limit: int, kind: EventKind | None = None, resource: str = ""
    ) -> list[Event]:
        """See ``Store``."""
        return await self._run(lambda: self._happened.list(before, limit, kind, resource))

    async def secret(self) -> bytes:
        """See ``Store``."""
        return await self._run(self._secret)

    async def probe(self) -> None:
        """See ``Store``."""
        await self._run(self._probe)

    async def close(self) -> None:
        """See ``Store``."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _run(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._guarded(call))

    def _guarded(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except sqlite3.Error as error:
            raise self._explained(error) from error
        except OSError as error:
            raise StoreError(f"the store {self._path} cannot be used: {error.strerror}") from error

    def _explained(self, error: sqlite3.Error) -> Exception:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return Exhausted(f"no room left for the store {self._path}; nothing was changed")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return self._damaged(str(error))
        return StoreError(f"the store {self._path} failed: {error}; nothing was changed")

    def _damaged(self, how: str) -> StoreError:
        return StoreError(
            f"the store {self._path} is damaged ({how}); move it away to start empty, or restore a copy"
        )

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._own()
        self._db = sqlite3.connect(self._path, isolation_level=None, timeout=1)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if self._bounds.pages:
            self._db.execute(f"PRAGMA max_page_count = {self._bounds.pages:d}")
        damage = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise self._damaged(damage.splitlines()[-1])
        self._upgrade()

    def _own(self) -> None:
        lock = self._path.with_name(self._path.name + ".lock")
        self._lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"the store {self._path} belongs to another running control plane") from None

    def _upgrade(self) -> None:
        version = version_of(self._open_db)
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"the store {self._path} has version {version}, this program knows up to {SCHEMA_VERSION}"
            )
        upgrade(self._open_db)
        if not version:
            self._path.chmod(0o600)

    @property
    def _past(self) -> Past:
        return Past(self._open_db, self._bounds.revisions, self._bounds.bodies_bytes)

    @property
    def _happened(self) -> Happened:
        return Happened(self._open_db, self._bounds.events)

    @property
    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreError(f"the store {self._path} is closed")
        return self._db

    def _load(self) -> Snapshot:
        rows = self._open_db.execute("SELECT name, body, revision FROM resource ORDER BY name").fetchall()
        values = [decode(*row) for row in rows]
        return Snapshot(
            self._revision(),
            tuple(value for value in values if isinstance(value, Pool)),
            tuple(value for value in values if isinstance(value, Backend)),
            tuple(value for value in values if isinstance(value, VirtualService)),
        )

    def _revision(self) -> int:
        revision: int = self._open_db.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0]
        return revision

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._open_db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _commit(self, changes: Sequence[Change], record: Record) -> int:
        with self._transaction() as db:
            revision = self._revision() + 1
            touched: Touched = {}
            for change in changes:
                self._apply(change, revision, touched)
            db.execute("UPDATE meta SET value = ? WHERE key = 'revision'", (revision,))
            self._past.add(revision, record, touched)
        return revision

    def _apply(self, change: Change, revision: int, touched: Touched) -> None:
        name = change.value.name if isinstance(change, Put) else change.name
        before = self._body(name)
        if before.revision != change.expected or (isinstance(change, Delete) and not before.revision):
            raise Aborted(
                name, f"{name} is at revision {before.revision}, not {change.expected}; nothing was changed"
            )
        after = Body(encode(change.value), revision) if isinstance(change, Put) else Body()
        touched[name] = touched[name][0] if name in touched else before, after
        if after.text is None:
            self._open_db.execute("DELETE FROM resource WHERE name = ?", (name,))
        else:
            self._open_db.execute(
                "INSERT OR REPLACE INTO resource VALUES (?, ?, ?)", (name, revision, after.text)
            )

    def _body(self, name: str) -> Body:
        row = self._open_db.execute("SELECT body, revision FROM resource WHERE name = ?", (name,)).fetchone()
        return Body(*row) if row else Body()

    def _add_event(self, event: Event) -> Event:
        with self._transaction():
            return self._happened.add(event)

    def _secret(self) -> bytes:
        db = self._open_db
        db.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secrets.token_bytes(16),))
        secret: bytes = db.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0]
        return secret

    def _probe(self) -> None:
        db = self._open_db
        db.execute("BEGIN IMMEDIATE")
        try:
            # Takes pages as a resource does: an update that changes nothing needs no room
            db.execute("INSERT INTO meta VALUES ('probe', zeroblob(8192))")
            db.execute("DELETE FROM meta WHERE key = 'probe'")
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
