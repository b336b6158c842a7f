# SPDX-License-Identifier: Apache-2.0
"""Past writes and events as messages, a page at a time."""

from __future__ import annotations

from tiara.api.convert import timestamp
from tiara.api.pages import Token, after, page_size
from tiara.domain.errors import InvalidField
from tiara.domain.history import Event, EventKind
from tiara.reconciler import Reconciler
from tiara.v1 import configuration_pb2 as pb

_KIND = {
    pb.EVENT_KIND_BACKEND_UP: EventKind.BACKEND_UP,
    pb.EVENT_KIND_BACKEND_DOWN: EventKind.BACKEND_DOWN,
    pb.EVENT_KIND_DRAIN_DONE: EventKind.DRAIN_DONE,
    pb.EVENT_KIND_TABLE_FILL: EventKind.TABLE_FILL,
    pb.EVENT_KIND_PUBLISH_DELAYED: EventKind.PUBLISH_DELAYED,
    pb.EVENT_KIND_DATAPLANE: EventKind.DATAPLANE,
}
_KIND_OUT = {kind: value for value, kind in _KIND.items()}


async def list_events(reconciler: Reconciler, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
    """See proto/tiara/v1/configuration.proto."""
    size = page_size(request.page_size)
    kind = _kind_in(request.kind)
    of = f"events {kind or ''} {request.resource}"
    events = await reconciler.events.list(before(of, request.page_token), size + 1, kind, request.resource)
    more = Token(of, str(events[size - 1].number)).text() if len(events) > size else ""
    return pb.ListEventsResponse(events=[event_out(event) for event in events[:size]], next_page_token=more)


def event_out(event: Event) -> pb.Event:
    """One event."""
    return pb.Event(
        number=event.number,
        time=timestamp(event.at_ms),
        kind=_KIND_OUT[event.kind],
        resource=event.resource,
        message=event.message,
    )


def before(kind: str, token: str) -> int:
    """The number of the last one on the page before, in lists that go from the newest; 0: the first page."""
    position = after(kind, token) or "0"
    if not position.isdecimal() or int(position) >= 1 << 63:
        raise InvalidField("page_token", "is none of this list, with this parent and these filters")
    return int(position)


def _kind_in(value: int) -> EventKind | None:
    """None: any. Bounds admit no other number."""
    return next((kind for number, kind in _KIND.items() if number == value), None)
