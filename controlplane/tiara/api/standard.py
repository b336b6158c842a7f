# SPDX-License-Identifier: Apache-2.0
"""What every gRPC server has: grpc.health.v1 and reflection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tiara.domain.checks import shown
from tiara.domain.errors import NotFound
from tiara.reconciler import Standing

_Status = health_pb2.HealthCheckResponse

_WITHOUT_STORE = frozenset({"tiara.v1.ConnectionService", "tiara.v1.NodeService"})
"""Services that answer from the segment, whatever the store does."""


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # The package has no types
    """Says what a ``Standing`` does: "" is the whole server, each service has its full name."""

    def __init__(self, standing: Standing, services: Sequence[str]) -> None:
        self._standing = standing
        self._names = ("", *services)

    async def Check(self, request: Any, context: object) -> Any:
        """How it is now."""
        if request.service not in self._names:
            raise NotFound(f"the service {shown(request.service)}", "service")
        return _Status(status=self._status(request.service))

    async def Watch(self, request: Any, context: object) -> AsyncIterator[Any]:
        """How it is now, and each change; a service that is not there may come."""
        told = None
        while True:
            changed = self._standing.changed
            status = self._status(request.service)
            if status != told:
                told = status
                yield _Status(status=status)
            await changed.wait()

    def _status(self, name: str) -> int:
        if name not in self._names:
            return int(_Status.SERVICE_UNKNOWN)
        serves = not self._standing.draining and (self._standing.storing or name in _WITHOUT_STORE)
        return int(_Status.SERVING if serves else _Status.NOT_SERVING)


def add_standard(server: grpc.aio.Server, standing: Standing, services: Sequence[str]) -> None:
    """``services``: full names of those that the server has already."""
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(standing, services), server)
    named = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(named, server)
