# SPDX-License-Identifier: Apache-2.0
"""Drains that are not done yet: until their deadline, or until no connection of the backend is left."""

from __future__ import annotations

from collections.abc import Iterable

from tiara.domain.model import Backend


class Drains:
    """Each drain is done once. Says so, and tells nobody itself."""

    def __init__(self) -> None:
        self._seen: dict[str, Backend] = {}
        self._waiting: dict[str, Backend] = {}

    def put(self, backend: Backend) -> None:
        """A backend as it is stored now; a drain that is seen again is not begun again."""
        before = self._seen.get(backend.uid)
        if backend.drain is None:
            self.remove(backend)
            return
        self._seen[backend.uid] = backend
        if before is None or before.drain != backend.drain or backend.uid in self._waiting:
            self._waiting[backend.uid] = backend

    def remove(self, backend: Backend) -> None:
        """It is deleted, or no longer drained."""
        self._seen.pop(backend.uid, None)
        self._waiting.pop(backend.uid, None)

    def waiting(self, revision: int | None = None) -> list[Backend]:
        """Backends whose drain is not done; only those that ``revision`` has already, where given."""
        return [
            backend for backend in self._waiting.values() if revision is None or backend.revision <= revision
        ]

    def done(self, backends: Iterable[Backend]) -> list[Backend]:
        """Takes those out whose drain is still the one that is meant."""
        done = [backend for backend in backends if self._waiting.get(backend.uid) == backend]
        for backend in done:
            del self._waiting[backend.uid]
        return done

    def passed(self, now_ms: int) -> list[Backend]:
        """Takes those out whose deadline has passed."""
        return self.done([b for b in self.waiting() if b.drain and b.drain.passed(now_ms)])
