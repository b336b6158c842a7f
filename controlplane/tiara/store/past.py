# SPDX-License-Identifier: Apache-2.0
"""Past writes in the SQLite store. Every call is inside a transaction of its caller, or only reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from tiara.domain.errors import NotFound, OutOfRange
from tiara.domain.history import Difference, Entry, Record
from tiara.domain.model import Resource
from tiara.store.codec import decode

REVISIONS_MAX = 10_000
"""Past writes kept."""

BODIES_BYTES_MAX = 64 << 20
"""Bytes of the resources in them. The newest write is kept whatever its size."""

_REVISION_MAX = (1 << 63) - 1
"""SQLite's largest integer; clients may name larger ones."""

_RECORD = "at_ms, who, peer, method, request_id, digest"


@dataclass(frozen=True, slots=True)
class Body:
    """A stored resource as text; None: there was none."""

    text: str | None = None
    revision: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.text.encode()) if self.text else 0


Touched = dict[str, tuple[Body, Body]]
"""By name: before and after."""


class Past:
    """The tables ``history`` and ``difference`` of one database."""

    def __init__(self, db: sqlite3.Connection, revisions: int, bodies_bytes: int) -> None:
        self._db = db
        self._revisions = revisions
        self._bodies_bytes = bodies_bytes

    def add(self, revision: int, record: Record, touched: Touched) -> None:
        """Keeps a write and forgets the oldest ones where there is no room."""
        start = self._bytes()
        end = start + sum(before.size + after.size for before, after in touched.values())
        self._db.execute(
            "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                revision,
                start,
                record.at_ms,
                record.who,
                record.peer,
                record.method,
                record.request_id,
                record.digest,
            ),
        )
        self._db.executemany(
            "INSERT INTO difference VALUES (?, ?, ?, ?, ?)",
            (
                (revision, name, before.revision, before.text, after.text)
                for name, (before, after) in touched.items()
                if before != after
            ),
        )
        self._db.execute("UPDATE meta SET value = ? WHERE key = 'history_bytes'", (end,))
        self._prune(revision, end)

    def entry(self, revision: int) -> Entry:
        """Or ``NotFound``."""
        found = self._entries("WHERE revision = ?", (min(revision, _REVISION_MAX),))
        if not found:
            raise NotFound(f"revision {revision}")
        return found[0]

    def entries(self, before: int, limit: int, resource: str) -> list[Entry]:
        """Newest first; ``before`` 0: from the newest."""
        bound = min(before or _REVISION_MAX, _REVISION_MAX)
        if not resource:
            return self._entries("WHERE revision < ? ORDER BY revision DESC LIMIT ?", (bound, limit))
        rows = self._db.execute(
            "SELECT revision FROM difference WHERE name = ? AND revision < ? "
            "UNION SELECT revision FROM difference WHERE name > ? AND name < ? AND revision < ? "
            "ORDER BY revision DESC LIMIT ?",
            (resource, bound, f"{resource}/", f"{resource}0", bound, limit),
        )
        return [self.entry(revision) for (revision,) in rows.fetchall()]

    def entries_after(self, revision: int, newest: int, limit: int) -> list[Entry]:
        """Oldest first, or ``OutOfRange``; ``limit`` 0: all."""
        if revision > newest:
            raise OutOfRange(f"revision {revision} is newer than the newest one, {newest}")
        found = self._entries(
            "WHERE revision > ? ORDER BY revision LIMIT ?", (revision, limit or _REVISION_MAX)
        )
        if revision < newest and (not found or found[0].revision != revision + 1):
            raise OutOfRange(f"what came after revision {revision} is no longer kept")
        return found

    def entry_of(self, request_id: str) -> Entry | None:
        """The newest write made with it."""
        where = "WHERE request_id = ? AND request_id != '' ORDER BY revision DESC LIMIT 1"
        return next(iter(self._entries(where, (request_id,))), None)

    def _bytes(self) -> int:
        end: int = self._db.execute("SELECT value FROM meta WHERE key = 'history_bytes'").fetchone()[0]
        return end

    def _prune(self, newest: int, end: int) -> None:
        kept = self._db.execute(
            "SELECT revision FROM history WHERE revision > ? AND start >= ? ORDER BY revision LIMIT 1",
            (newest - self._revisions, end - self._bodies_bytes),
        ).fetchone()
        first = kept[0] if kept else newest
        self._db.execute("DELETE FROM difference WHERE revision < ?", (first,))
        self._db.execute("DELETE FROM history WHERE revision < ?", (first,))

    def _entries(self, where: str, values: Iterable[object]) -> list[Entry]:
        rows = self._db.execute(f"SELECT revision, {_RECORD} FROM history {where}", tuple(values))
        return [Entry(row[0], Record(*row[1:]), self._differences(row[0])) for row in rows.fetchall()]

    def _differences(self, revision: int) -> tuple[Difference, ...]:
        rows = self._db.execute(
            "SELECT name, before, before_revision, after FROM difference WHERE revision = ? ORDER BY name",
            (revision,),
        )
        return tuple(
            Difference(name, _decoded(name, Body(before, old)), _decoded(name, Body(after, revision)))
            for name, before, old, after in rows.fetchall()
        )


def _decoded(name: str, body: Body) -> Resource | None:
    return None if body.text is None else decode(name, body.text, body.revision)
