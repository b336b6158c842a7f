# SPDX-License-Identifier: Apache-2.0
"""ConnectionService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

from tiara.api.connection_pass import pass_out
from tiara.api.convert import connection_out, duration_ms, frontend_in, frontend_out, protocol_in
from tiara.api.filters import filter_in
from tiara.api.pages import Token, after, page_size
from tiara.domain.dataplane import BackendKey, ServiceKey
from tiara.domain.errors import InvalidField, Unimplemented
from tiara.domain.layout import Limit, OnConflict
from tiara.domain.model import Frontend, Protocol
from tiara.domain.names import backend_name, parse_backend_name, parse_service_name, service_name
from tiara.domain.observed import ConnectionFilter, PushResult
from tiara.reconciler import PushBackend, PushService, PushSession, Reconciler
from tiara.reconciler.push import RECORD_BYTES
from tiara.v1 import connection_pb2 as pb
from tiara.v1 import connection_pb2_grpc

_ON_CONFLICT = {
    pb.ON_CONFLICT_UNSPECIFIED: OnConflict.CONFLICT_KEEP,
    pb.ON_CONFLICT_KEEP: OnConflict.CONFLICT_KEEP,
    pb.ON_CONFLICT_REPLACE: OnConflict.CONFLICT_REPLACE,
}


WATCH_INTERVAL_MS = 1000
"""Between two passes of a watch."""


class ConnectionServicer(connection_pb2_grpc.ConnectionServiceServicer):
    """See proto/tiara/v1/connection.proto."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    async def PushConnections(
        self, request_iterator: AsyncIterator[pb.PushConnectionsRequest], context: object
    ) -> AsyncIterator[pb.PushConnectionsResponse]:
        """Header, then chunks; each is answered in order."""
        session: PushSession | None = None
        sequence = 0
        async for request in request_iterator:
            if session is None:
                session = await self._open(request)
                continue
            chunk = _chunk_of(request)
            sequence += 1
            if chunk.sequence != sequence:
                raise InvalidField("chunk.sequence", f"is {chunk.sequence}, but {sequence} comes next")
            yield _push_out(sequence, await session.push(chunk.records))

    async def DumpConnections(
        self, request: pb.DumpConnectionsRequest, context: object
    ) -> AsyncIterator[pb.DumpConnectionsResponse]:
        """Header, chunks, trailer."""
        _check_format("format", request.format or Limit.PACKED_FORMAT)
        async with self._reconciler.dumps.open() as dump:
            yield pb.DumpConnectionsResponse(header=_header_out(dump.services, dump.backends))
            sequence = 0
            async with aclosing(dump.chunks()) as chunks:
                async for chunk in chunks:
                    sequence += 1
                    packed = pb.PackedChunk(sequence=sequence, records=chunk.records)
                    yield pb.DumpConnectionsResponse(chunk=packed, progress=chunk.progress)
            trailer = pb.PackedTrailer(
                records=dump.records,
                chunks=sequence,
                complete=not dump.problem,
                problem=dump.problem,
                passes=dump.passes,
            )
            yield pb.DumpConnectionsResponse(trailer=trailer, progress=1)

    async def GetConnection(self, request: pb.GetConnectionRequest, context: object) -> pb.Connection:
        """Looks one up."""
        found = await self._reconciler.find_connection(
            protocol_in("protocol", request.protocol),
            request.client_address,
            request.client_port,
            request.address,
            request.port,
        )
        return connection_out(found)

    async def ListConnections(
        self, request: pb.ListConnectionsRequest, context: object
    ) -> pb.ListConnectionsResponse:
        """Lists them."""
        size = page_size(request.page_size)
        wanted = filter_in(request)
        kind = f"connections {wanted}"
        position = after(kind, request.page_token) or "0"
        if not position.isdecimal() or int(position) >= 1 << 64:
            raise InvalidField("page_token", "is none of this list, with this parent and these filters")
        views, cursor = await self._reconciler.list_connections(int(position), size, wanted)
        token = Token(kind, str(cursor)).text() if cursor is not None else ""
        return pb.ListConnectionsResponse(
            connections=[connection_out(view) for view in views], next_page_token=token
        )

    async def WatchConnections(
        self, request: pb.WatchConnectionsRequest, context: object
    ) -> AsyncIterator[pb.WatchConnectionsResponse]:
        """Those that the filter fits, pass after pass."""
        interval_ms = WATCH_INTERVAL_MS
        if request.HasField("interval"):
            interval_ms = duration_ms("interval", request.interval)
        async with (
            self._reconciler.watch_connections(filter_in(request)) as watch,
            aclosing(watch.passes(interval_ms / 1000)) as passes,
        ):
            async for found in passes:
                for response in pass_out(found):
                    yield response

    async def FlushConnections(
        self, request: pb.FlushConnectionsRequest, context: object
    ) -> pb.FlushConnectionsResponse:
        """Removes those that the filter fits."""
        wanted = filter_in(request)
        if (wanted == ConnectionFilter()) != request.all:
            problem = "must not be set beside a filter" if request.all else "must be set where no filter is"
            raise InvalidField("all", problem)
        done = await self._reconciler.flush_connections(wanted)
        return pb.FlushConnectionsResponse(removed=done.removed, complete=done.complete)

    async def _open(self, request: pb.PushConnectionsRequest) -> PushSession:
        if request.WhichOneof("message") != "header":
            raise InvalidField("header", "must be the first message of the stream")
        header = request.header
        _check_format("header.format", header.format)
        if header.record_bytes != RECORD_BYTES:
            raise InvalidField("header.record_bytes", f"{header.record_bytes} is not {RECORD_BYTES}")
        policy = next((to for value, to in _ON_CONFLICT.items() if value == header.on_conflict), None)
        if policy is None:
            raise InvalidField("header.on_conflict", f"must be KEEP or REPLACE, not {header.on_conflict}")
        services = [_service_in(f"header.services[{i}]", entry) for i, entry in enumerate(header.services)]
        backends = [_backend_in(f"header.backends[{i}]", entry) for i, entry in enumerate(header.backends)]
        return await self._reconciler.open_push(services, backends, policy)


def _chunk_of(request: pb.PushConnectionsRequest) -> pb.PackedChunk:
    kind = request.WhichOneof("message")
    if kind == "header":
        raise InvalidField("header", "came twice")
    if kind is None:
        raise InvalidField("chunk", "must be set")
    return request.chunk


def _check_format(field: str, number: int) -> None:
    if number != Limit.PACKED_FORMAT:
        raise Unimplemented(f"{field}: {number} is not known; known formats: {Limit.PACKED_FORMAT}")


def _service_in(field: str, entry: pb.PackedService) -> PushService:
    service = parse_service_name(f"{field}.virtual_service", entry.virtual_service)
    frontend = frontend_in(f"{field}.frontend", entry.frontend) if entry.HasField("frontend") else None
    return PushService(service, entry.uid, frontend)


def _backend_in(field: str, entry: pb.PackedBackend) -> PushBackend:
    return PushBackend(*parse_backend_name(f"{field}.backend", entry.backend), entry.uid)


def _header_out(services: Sequence[ServiceKey], backends: Sequence[BackendKey]) -> pb.PackedHeader:
    return pb.PackedHeader(
        format=Limit.PACKED_FORMAT,
        record_bytes=RECORD_BYTES,
        services=[
            pb.PackedService(
                virtual_service=service_name(service),
                uid=uid,
                frontend=frontend_out(Frontend(address, Protocol(protocol), port)),
            )
            for service, uid, address, port, protocol in services
        ],
        backends=[
            pb.PackedBackend(backend=backend_name(pool, backend), uid=uid) for pool, backend, uid in backends
        ],
    )


def _push_out(sequence: int, result: PushResult) -> pb.PushConnectionsResponse:
    refused = [(i, pb.PUSH_REFUSAL_REASON_FULL) for i in result.full]
    refused += [(i, pb.PUSH_REFUSAL_REASON_CONFLICT) for i in result.conflict]
    return pb.PushConnectionsResponse(
        sequence=sequence,
        accepted=result.accepted,
        refusals=[pb.PushRefusal(index=i, reason=reason) for i, reason in sorted(refused)],
    )
