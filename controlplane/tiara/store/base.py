# SPDX-License-Identifier: Apache-2.0
"""The interface of a store. ``tests/unit/test_store.py`` is the contract that each must meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tiara.domain.history import Entry, Event, EventKind, Record
from tiara.domain.model import Backend, Pool, Resource, VirtualService


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything stored, as of one revision."""

    revision: int
    pools: tuple[Pool, ...] = ()
    backends: tuple[Backend, ...] = ()
    services: tuple[VirtualService, ...] = ()


@dataclass(frozen=True, slots=True)
class Put:
    """Creates or replaces a resource.

    ``expected`` is the revision that the stored one must have; 0: there must be none.
    """

    value: Resource
    expected: int


@dataclass(frozen=True, slots=True)
class Delete:
    """Deletes a resource by its name; ``expected`` is the revision it must have."""

    name: str
    expected: int


Change = Put | Delete


class Store(Protocol):
    """One monotonic 64-bit revision; a commit is applied whole or not at all."""

    async def load(self) -> Snapshot:
        """All resources, each with the revision of its last write, in order of name."""

    async def commit(self, changes: Sequence[Change], record: Record) -> int:
        """Applies all changes in one transaction and returns its revision, one above the last.

        The record and every difference are kept with it, for as long as there is room. Raises
        ``Aborted`` naming the resource whose revision is not the expected one, ``Exhausted`` when there
        is no room, ``StoreError`` otherwise; nothing was changed then.
        """

    async def entry(self, revision: int) -> Entry:
        """One past write, or ``NotFound``."""

    async def entries(self, before: int, limit: int, resource: str = "") -> list[Entry]:
        """Past writes below revision ``before`` (0: from the newest), newest first.

        ``resource``: only those that touched it or what is below it.
        """

    async def entries_after(self, revision: int, limit: int = 0) -> list[Entry]:
        """The next ``limit`` writes (0: all) after a revision, oldest first.

        ``OutOfRange`` where not all after it are kept, or where the store has not come to it yet.
        """

    async def entry_of(self, request_id: str) -> Entry | None:
        """The kept write that was made with this request id."""

    async def add_event(self, event: Event) -> Event:
        """Keeps an event, for as long as there is room, and gives it its number."""

    async def events(
        self, before: int, limit: int, kind: EventKind | None = None, resource: str = ""
    ) -> list[Event]:
        """Events below number ``before`` (0: from the newest), newest first, filtered likewise."""

    async def secret(self) -> bytes:
        """The 16 random bytes that key backend selection: made once, the same ever after."""

    async def probe(self) -> None:
        """Writes without changing anything. Raises as ``commit`` does."""

    async def close(self) -> None:
        """Ends; later calls fail."""
