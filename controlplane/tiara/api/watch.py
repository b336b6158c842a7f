# SPDX-License-Identifier: Apache-2.0
"""ConfigurationService.Watch: the reconciler's feed as messages, and the end of readers that do not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

import grpc
from grpc_status import rpc_status

from tiara.api.convert import backend_out, duration_ms, pool_out, service_out
from tiara.api.errors import status_of
from tiara.domain.errors import Exhausted
from tiara.domain.model import Backend, Pool, Resource
from tiara.reconciler import Reconciler
from tiara.reconciler.watch import TOO_SLOW, Heartbeat, Put, Reader, Removed, Step, Synced
from tiara.v1 import configuration_pb2 as pb

HEARTBEAT_MS = 10_000
"""Between two heartbeats."""

GRACE_S = 1.0
"""How long a reader that was lost may take until it takes one more message, and with it its error."""

_Context = grpc.aio.ServicerContext[Any, Any]


async def watch(
    reconciler: Reconciler, request: pb.WatchRequest, context: _Context
) -> AsyncGenerator[pb.WatchResponse, None]:
    """See proto/tiara/v1/configuration.proto."""
    heartbeat_s = _heartbeat_ms(request) / 1000
    reader = Reader()
    guard = asyncio.create_task(_end_lost(reader, context, asyncio.current_task()))
    try:
        async with aclosing(reconciler.feed.watch(reader, request.after_revision, heartbeat_s)) as steps:
            async for step in steps:
                yield _response(reconciler, step)
    finally:
        guard.cancel()


async def _end_lost(reader: Reader, context: _Context, call: asyncio.Task[Any] | None) -> None:
    """A reader that takes nothing keeps its call from ever running again: it is ended from outside.

    The status is handed to gRPC, which delivers it once the client reads; the call's task ends now.
    """
    await reader.lost.wait()
    await asyncio.sleep(GRACE_S)
    status = status_of(Exhausted(TOO_SLOW))
    with suppress(TimeoutError, grpc.aio.BaseError):
        async with asyncio.timeout(GRACE_S):
            await context.abort_with_status(rpc_status.to_status(status))
    if call is not None:
        call.cancel()


def _heartbeat_ms(request: pb.WatchRequest) -> int:
    return duration_ms("heartbeat", request.heartbeat) if request.HasField("heartbeat") else HEARTBEAT_MS


def _response(reconciler: Reconciler, step: Step) -> pb.WatchResponse:
    match step:
        case Put(value=value):
            return pb.WatchResponse(put=_resource(reconciler, value), revision=step.revision)
        case Removed(name=name):
            return pb.WatchResponse(removed=name, revision=step.revision)
        case Synced():
            return pb.WatchResponse(synced=pb.WatchSynced(), revision=step.revision)
        case Heartbeat():
            return pb.WatchResponse(heartbeat=pb.WatchHeartbeat(), revision=step.revision)


def _resource(reconciler: Reconciler, value: Resource) -> pb.WatchedResource:
    match value:
        case Pool():
            return pb.WatchedResource(backend_pool=pool_out(value))
        case Backend():
            return pb.WatchedResource(backend=backend_out(value, reconciler.status(value)))
        case _:
            return pb.WatchedResource(virtual_service=service_out(value))
