# SPDX-License-Identifier: Apache-2.0
"""What every gRPC server has: grpc.health.v1 and reflection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tiara.reconciler import Standing

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING

_WITHOUT_STORE = frozenset({"tiara.v1.ConnectionService", "tiara.v1.NodeService"})
"""Services that answer from the segment, whatever the store does."""


class Health:
    """Follows a ``Standing``: "" is the whole server, each service has its full name."""

    def __init__(self, standing: Standing, services: Sequence[str]) -> None:
        self.servicer = health.aio.HealthServicer()
        self._standing = standing
        self._names = ("", *services)
        self._update: asyncio.Task[None] | None = None
        standing.on_change = self._changed
        self._changed()

    def _changed(self) -> None:
        self._update = asyncio.create_task(self._tell(), name="health")

    async def _tell(self) -> None:
        for name in self._names:
            await self.servicer.set(name, SERVING if self._serves(name) else NOT_SERVING)

    def _serves(self, name: str) -> bool:
        return not self._standing.draining and (self._standing.storing or name in _WITHOUT_STORE)


def add_standard(server: grpc.aio.Server, standing: Standing, services: Sequence[str]) -> None:
    """``services``: full names of those that the server has already."""
    health_pb2_grpc.add_HealthServicer_to_server(Health(standing, services).servicer, server)
    named = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(named, server)
