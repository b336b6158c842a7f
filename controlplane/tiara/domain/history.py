# SPDX-License-Identifier: Apache-2.0
"""What was written, by whom, and what happened by itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tiara.domain.model import Resource

REQUEST_ID_BYTES_MAX = 64


@dataclass(frozen=True, slots=True)
class Record:
    """Who wrote, and with which call. ``digest`` is of the request, for calls repeated with one id."""

    at_ms: int = 0
    who: str = ""
    peer: str = ""
    method: str = ""
    request_id: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A resource before and after a write; None: it was not there."""

    name: str
    before: Resource | None
    after: Resource | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One past write."""

    revision: int
    record: Record
    differences: tuple[Difference, ...]


class EventKind(StrEnum):
    """What happened."""

    BACKEND_UP = "backend_up"
    BACKEND_DOWN = "backend_down"
    DRAIN_DONE = "drain_done"
    TABLE_FILL = "table_fill"
    PUBLISH_DELAYED = "publish_delayed"
    DATAPLANE = "dataplane"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that nobody asked for. ``number`` counts up from 1; 0: not stored yet."""

    kind: EventKind
    resource: str
    message: str
    at_ms: int
    number: int = 0
