# SPDX-License-Identifier: Apache-2.0
"""Which connections a request is about."""

from __future__ import annotations

from tiara.api.convert import duration_ms, state_out
from tiara.domain.checks import check_prefix
from tiara.domain.errors import InvalidField
from tiara.domain.layout import State
from tiara.domain.names import parse_backend_name, parse_service_name
from tiara.domain.observed import ConnectionFilter
from tiara.v1 import connection_pb2 as pb

_STATES = (State.NEW, State.ESTABLISHED, State.CLOSING, State.UDP)


_Request = pb.ListConnectionsRequest | pb.FlushConnectionsRequest | pb.WatchConnectionsRequest


def filter_in(request: _Request) -> ConnectionFilter:
    """Names need not exist yet; an idle time is rounded up to whole seconds."""
    idle_ms = duration_ms("min_idle", request.min_idle)
    return ConnectionFilter(
        parse_service_name("virtual_service", request.virtual_service) if request.virtual_service else "",
        parse_backend_name("backend", request.backend) if request.backend else None,
        check_prefix("client_prefix", request.client_prefix) if request.client_prefix else None,
        _state_in(request.state),
        -(-idle_ms // 1000),
    )


def _state_in(value: int) -> State | None:
    if value == pb.CONNECTION_STATE_UNSPECIFIED:
        return None
    for state in _STATES:
        if state_out(state) == value:
            return state
    raise InvalidField("state", f"must be NEW, ESTABLISHED, CLOSING or UDP, not {value}")
