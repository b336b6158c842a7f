# SPDX-License-Identifier: Apache-2.0
"""Events in the SQLite store. Every call is inside a transaction of its caller, or only reads."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from tiara.domain.errors import StoreError
from tiara.domain.history import Event, EventKind

EVENTS_MAX = 10_000
"""Events kept."""

_NUMBER_MAX = (1 << 63) - 1


class Happened:
    """The table ``event`` of one database."""

    def __init__(self, db: sqlite3.Connection, events: int) -> None:
        self._db = db
        self._events = events

    def add(self, event: Event) -> Event:
        """Keeps it and forgets the oldest ones where there is no room."""
        number = self._db.execute(
            "INSERT INTO event (at_ms, kind, resource, message) VALUES (?, ?, ?, ?)",
            (event.at_ms, event.kind.value, event.resource, event.message),
        ).lastrowid
        assert number is not None
        self._db.execute("DELETE FROM event WHERE number <= ?", (number - self._events,))
        return replace(event, number=number)

    def list(self, before: int, limit: int, kind: EventKind | None, resource: str) -> list[Event]:
        """Newest first; ``before`` 0: from the newest."""
        rows = self._db.execute(
            "SELECT kind, resource, message, at_ms, number FROM event WHERE number < :before "
            "AND :kind IN ('', kind) "
            "AND (:resource IN ('', resource) OR (resource > :low AND resource < :high)) "
            "ORDER BY number DESC LIMIT :limit",
            {
                "before": before or _NUMBER_MAX,
                "kind": kind.value if kind else "",
                "resource": resource,
                "low": f"{resource}/",
                "high": f"{resource}0",
                "limit": limit,
            },
        )
        return [_event(*row) for row in rows.fetchall()]


def _event(kind: str, resource: str, message: str, at_ms: int, number: int) -> Event:
    try:
        return Event(EventKind(kind), resource, message, at_ms, number)
    except ValueError as error:
        raise StoreError(f"the store's event {number} cannot be read: {error}") from error
