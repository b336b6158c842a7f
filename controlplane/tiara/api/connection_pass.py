# SPDX-License-Identifier: Apache-2.0
"""A pass of a watch of connections as messages of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

from tiara.api.convert import connection_out
from tiara.reconciler.connection_watch import Pass
from tiara.v1 import connection_pb2 as pb

CONNECTIONS_MAX = 1000
"""Of one message."""


def pass_out(found: Pass) -> Iterator[pb.WatchConnectionsResponse]:
    """At least one; the last one ends the pass."""
    steps = [("gone", view) for view in found.gone]
    steps += [("changed", view) for view in found.changed]
    steps += [("added", view) for view in found.added]
    for start in range(0, max(len(steps), 1), CONNECTIONS_MAX):
        response = pb.WatchConnectionsResponse(complete=start + CONNECTIONS_MAX >= len(steps))
        for kind, view in steps[start : start + CONNECTIONS_MAX]:
            getattr(response, kind).append(connection_out(view))
        yield response
