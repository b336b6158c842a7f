# SPDX-License-Identifier: Apache-2.0
"""The default store: one SQLite file, one thread that touches it, one process that owns it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tiara.domain.errors import Aborted, Exhausted, StoreError
from tiara.domain.model import Backend, Pool, VirtualService
from tiara.store.base import Change, Delete, Put, Snapshot
from tiara.store.codec import decode, encode

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE resource (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('revision', 0);
"""

_T = TypeVar("_T")


class SqliteStore:
    """Use ``await SqliteStore.open(path)``. Write-ahead log; a commit is on the disk when it returns."""

    def __init__(self, path: Path, max_pages: int) -> None:
        self._path = path
        self._max_pages = max_pages
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._lock_fd = -1
        self._db: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, path: Path, *, max_pages: int = 0) -> SqliteStore:
        """Opens or creates the file. ``max_pages`` limits its size (0: the disk does).

        Raises ``StoreError`` when another process owns it, it is damaged, or of a newer version.
        """
        store = cls(path, max_pages)
        try:
            await store._run(store._open)
        except BaseException:
            await store.close()
            raise
        return store

    async def load(self) -> Snapshot:
        """See ``Store``."""
        return await self._run(self._load)

    async def commit(self, changes: Sequence[Change]) -> int:
        """See ``Store``."""
        return await self._run(lambda: self._commit(changes))

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
        if self._max_pages:
            self._db.execute(f"PRAGMA max_page_count = {self._max_pages:d}")
        damage = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if damage != "ok":
            raise self._damaged(damage.splitlines()[-1])
        self._create()

    def _own(self) -> None:
        lock = self._path.with_name(self._path.name + ".lock")
        self._lock_fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"the store {self._path} belongs to another running control plane") from None

    def _create(self) -> None:
        version = self._open_db.execute("PRAGMA user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise StoreError(
                f"the store {self._path} has version {version}, this program knows up to {_SCHEMA_VERSION}"
            )
        if version == 0:
            self._open_db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
            self._path.chmod(0o600)

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

    def _commit(self, changes: Sequence[Change]) -> int:
        db = self._open_db
        db.execute("BEGIN IMMEDIATE")
        try:
            revision = self._revision() + 1
            for change in changes:
                self._apply(change, revision)
            db.execute("UPDATE meta SET value = ? WHERE key = 'revision'", (revision,))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return revision

    def _apply(self, change: Change, revision: int) -> None:
        name = change.value.name if isinstance(change, Put) else change.name
        row = self._open_db.execute("SELECT revision FROM resource WHERE name = ?", (name,)).fetchone()
        found = row[0] if row else 0
        if found != change.expected or (isinstance(change, Delete) and not found):
            raise Aborted(name, f"{name} is at revision {found}, not {change.expected}; nothing was changed")
        if isinstance(change, Delete):
            self._open_db.execute("DELETE FROM resource WHERE name = ?", (name,))
            return
        self._open_db.execute(
            "INSERT OR REPLACE INTO resource VALUES (?, ?, ?)", (name, revision, encode(change.value))
        )

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
