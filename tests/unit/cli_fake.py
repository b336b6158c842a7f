# SPDX-License-Identifier: Apache-2.0
"""A control plane for tests of its clients: answers from memory, applies writes at once.

It keeps the API's words (names, revisions, codes, error details) and nothing of the real server.
"""

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from tiara.v1 import backend_pool_pb2 as pool_pb
from tiara.v1 import backend_pool_pb2_grpc as pool_grpc
from tiara.v1 import configuration_pb2 as configuration_pb
from tiara.v1 import configuration_pb2_grpc as configuration_grpc
from tiara.v1 import connection_pb2 as connection_pb
from tiara.v1 import connection_pb2_grpc as connection_grpc
from tiara.v1 import node_pb2 as node_pb
from tiara.v1 import node_pb2_grpc as node_grpc
from tiara.v1 import packet_pb2 as packet_pb
from tiara.v1 import packet_pb2_grpc as packet_grpc
from tiara.v1 import virtual_service_pb2 as service_pb
from tiara.v1 import virtual_service_pb2_grpc as service_grpc

CREATED_S = 1_767_323_045  # 2026-01-02T03:04:05Z
CODE = grpc.StatusCode
RECORD = struct.Struct("!IHHIHBB")


@dataclass
class World:
    """What the fake knows; tests set and read it."""

    pools: dict[str, pool_pb.BackendPool] = field(default_factory=dict)
    backends: dict[str, pool_pb.Backend] = field(default_factory=dict)
    services: dict[str, service_pb.VirtualService] = field(default_factory=dict)
    connections: list[connection_pb.Connection] = field(default_factory=list)
    node: node_pb.Node = field(default_factory=node_pb.Node)
    statistics: node_pb.Statistics = field(default_factory=node_pb.Statistics)
    requests: list[Any] = field(default_factory=list)
    pushed: bytes = b""
    flushed: connection_pb.FlushConnectionsResponse = field(
        default_factory=lambda: connection_pb.FlushConnectionsResponse(complete=True)
    )
    explanation: packet_pb.ExplainPacketResponse = field(default_factory=packet_pb.ExplainPacketResponse)
    dump: list[connection_pb.DumpConnectionsResponse] = field(default_factory=list)
    push_refusals: dict[int, int] = field(default_factory=dict)
    fail: dict[str, tuple[grpc.StatusCode, str, list[Any]]] = field(default_factory=dict)
    page: int = 2
    plan: configuration_pb.Plan = field(default_factory=configuration_pb.Plan)
    exported: configuration_pb.ExportConfigurationResponse = field(
        default_factory=configuration_pb.ExportConfigurationResponse
    )
    revisions: list[configuration_pb.Revision] = field(default_factory=list)
    events: list[configuration_pb.Event] = field(default_factory=list)
    # The steps of each watch to come, and how it ends; OK: it is silent from then on.
    silence: Event = field(default_factory=Event)
    # What a watch of connections says before it is refused.
    passes: list[connection_pb.WatchConnectionsResponse] = field(default_factory=list)
    watches: list[tuple[list[configuration_pb.WatchResponse], grpc.StatusCode]] = field(default_factory=list)

    def stored(self, resource: Any, name: str) -> Any:
        """Fills what the server sets."""
        self.node.stored_revision += 1
        self.node.applied_revision = self.node.stored_revision
        self.node.generation += 1
        resource.name = name
        resource.revision = self.node.stored_revision
        resource.uid = resource.uid or f"{resource.revision:032x}"
        resource.etag = f"e{resource.revision}"
        resource.create_time.FromSeconds(CREATED_S)
        return resource

    def updated(self, table: dict[str, Any], wanted: Any, mask: Any, context: Any) -> Any:
        """Takes the fields that the mask names."""
        found = find(table, wanted.name, context)
        if wanted.etag not in ("", found.etag):
            refuse(context, CODE.ABORTED, f"{wanted.name} has changed: read it again", [])
        mask.MergeMessage(wanted, found, replace_message_field=True, replace_repeated_field=True)
        return self.stored(found, wanted.name)

    def deleted(self) -> Empty:
        """A delete is a revision too."""
        self.stored(pool_pb.Backend(), "")
        return Empty()

    def heard(self, method: str, request: Any, context: Any) -> None:
        """Records a call, and fails it where a test says so."""
        self.requests.append(request)
        if method in self.fail:
            refuse(context, *self.fail[method])

    def page_of(self, items: list[Any], request: Any) -> tuple[list[Any], str]:
        """A small page, so that clients must turn pages."""
        start = int(request.page_token or 0)
        end = min(start + min(self.page, request.page_size or 100), len(items))
        return items[start:end], str(end) if end < len(items) else ""


def refuse(context: Any, code: grpc.StatusCode, message: str, details: list[Any]) -> NoReturn:
    """Ends a call with google.rpc details."""
    packed = [_packed(detail) for detail in details]
    number = code.value[0]
    context.abort_with_status(
        rpc_status.to_status(status_pb2.Status(code=number, message=message, details=packed))
    )
    raise AssertionError("abort returns never")


def _packed(detail: Any) -> AnyMessage:
    if isinstance(detail, AnyMessage):
        return detail
    packed = AnyMessage()
    packed.Pack(detail)
    return packed


def bad_field(name: str, description: str) -> error_details_pb2.BadRequest:
    """The detail of an invalid field."""
    violation = error_details_pb2.BadRequest.FieldViolation(field=name, description=description)
    return error_details_pb2.BadRequest(field_violations=[violation])


def remedy(text: str) -> error_details_pb2.Help:
    """The detail that says what to do."""
    return error_details_pb2.Help(links=[error_details_pb2.Help.Link(description=text)])


def find(table: dict[str, Any], name: str, context: Any) -> Any:
    """What has this name, or NOT_FOUND."""
    if name not in table:
        refuse(context, CODE.NOT_FOUND, f"{name} does not exist", [])
    return table[name]


def need_new(table: dict[str, Any], name: str, context: Any) -> None:
    """ALREADY_EXISTS where the name is taken."""
    if name in table:
        refuse(context, CODE.ALREADY_EXISTS, f"{name} exists", [])


class Pools(pool_grpc.BackendPoolServiceServicer):
    """Pools and backends."""

    def __init__(self, world: World) -> None:
        self.world = world

    def CreateBackendPool(self, request: Any, context: Any) -> Any:
        self.world.heard("CreateBackendPool", request, context)
        name = f"backendPools/{request.backend_pool_id}"
        need_new(self.world.pools, name, context)
        self.world.pools[name] = self.world.stored(request.backend_pool, name)
        return self.world.pools[name]

    def GetBackendPool(self, request: Any, context: Any) -> Any:
        self.world.heard("GetBackendPool", request, context)
        return find(self.world.pools, request.name, context)

    def ListBackendPools(self, request: Any, context: Any) -> Any:
        self.world.heard("ListBackendPools", request, context)
        page, token = self.world.page_of([p for _, p in sorted(self.world.pools.items())], request)
        return pool_pb.ListBackendPoolsResponse(backend_pools=page, next_page_token=token)

    def UpdateBackendPool(self, request: Any, context: Any) -> Any:
        self.world.heard("UpdateBackendPool", request, context)
        return self.world.updated(self.world.pools, request.backend_pool, request.update_mask, context)

    def DeleteBackendPool(self, request: Any, context: Any) -> Any:
        self.world.heard("DeleteBackendPool", request, context)
        find(self.world.pools, request.name, context)
        members = [name for name in self.world.backends if name.startswith(f"{request.name}/")]
        if members and not request.force:
            message = f"{request.name} has {len(members)} backends"
            refuse(context, CODE.FAILED_PRECONDITION, message, [remedy("delete them or set force")])
        for name in members:
            del self.world.backends[name]
        del self.world.pools[request.name]
        return self.world.deleted()

    def CreateBackend(self, request: Any, context: Any) -> Any:
        self.world.heard("CreateBackend", request, context)
        pool = find(self.world.pools, request.parent, context)
        name = f"{request.parent}/backends/{request.backend_id}"
        need_new(self.world.backends, name, context)
        if pool.HasField("health_check"):
            request.backend.status.health = pool_pb.HEALTH_STATE_UP
        self.world.backends[name] = self.world.stored(request.backend, name)
        return self.world.backends[name]

    def GetBackend(self, request: Any, context: Any) -> Any:
        self.world.heard("GetBackend", request, context)
        return find(self.world.backends, request.name, context)

    def ListBackends(self, request: Any, context: Any) -> Any:
        self.world.heard("ListBackends", request, context)
        if request.parent != "backendPools/-":
            find(self.world.pools, request.parent, context)
        prefix = request.parent.removesuffix("-") + ("" if request.parent.endswith("-") else "/")
        members = [b for name, b in sorted(self.world.backends.items()) if name.startswith(prefix)]
        page, token = self.world.page_of(members, request)
        return pool_pb.ListBackendsResponse(backends=page, next_page_token=token)

    def UpdateBackend(self, request: Any, context: Any) -> Any:
        self.world.heard("UpdateBackend", request, context)
        return self.world.updated(self.world.backends, request.backend, request.update_mask, context)

    def DisableBackend(self, request: Any, context: Any) -> Any:
        self.world.heard("DisableBackend", request, context)
        found = find(self.world.backends, request.name, context)
        found.status.disabled = True
        return self.world.stored(found, request.name)

    def DeleteBackend(self, request: Any, context: Any) -> Any:
        self.world.heard("DeleteBackend", request, context)
        find(self.world.backends, request.name, context)
        del self.world.backends[request.name]
        return self.world.deleted()

    def DrainBackend(self, request: Any, context: Any) -> Any:
        self.world.heard("DrainBackend", request, context)
        found = find(self.world.backends, request.name, context)
        found.status.draining = True
        return self.world.stored(found, request.name)

    def UndrainBackend(self, request: Any, context: Any) -> Any:
        self.world.heard("UndrainBackend", request, context)
        found = find(self.world.backends, request.name, context)
        found.status.draining = found.status.disabled = False
        return self.world.stored(found, request.name)


class Services(service_grpc.VirtualServiceServiceServicer):
    """Virtual services."""

    def __init__(self, world: World) -> None:
        self.world = world

    def CreateVirtualService(self, request: Any, context: Any) -> Any:
        self.world.heard("CreateVirtualService", request, context)
        find(self.world.pools, request.virtual_service.backend_pool, context)
        name = f"virtualServices/{request.virtual_service_id}"
        need_new(self.world.services, name, context)
        self.world.services[name] = self.world.stored(request.virtual_service, name)
        return self.world.services[name]

    def GetVirtualService(self, request: Any, context: Any) -> Any:
        self.world.heard("GetVirtualService", request, context)
        return find(self.world.services, request.name, context)

    def ListVirtualServices(self, request: Any, context: Any) -> Any:
        self.world.heard("ListVirtualServices", request, context)
        page, token = self.world.page_of([s for _, s in sorted(self.world.services.items())], request)
        return service_pb.ListVirtualServicesResponse(virtual_services=page, next_page_token=token)

    def UpdateVirtualService(self, request: Any, context: Any) -> Any:
        self.world.heard("UpdateVirtualService", request, context)
        return self.world.updated(self.world.services, request.virtual_service, request.update_mask, context)

    def DeleteVirtualService(self, request: Any, context: Any) -> Any:
        self.world.heard("DeleteVirtualService", request, context)
        find(self.world.services, request.name, context)
        del self.world.services[request.name]
        return self.world.deleted()


class Connections(connection_grpc.ConnectionServiceServicer):
    """The connection table."""

    def __init__(self, world: World) -> None:
        self.world = world

    def PushConnections(self, requests: Any, context: Any) -> Iterator[Any]:
        for request in requests:
            self.world.heard("PushConnections", request, context)
            if request.HasField("chunk"):
                yield self._answer(request.chunk)

    def _answer(self, chunk: connection_pb.PackedChunk) -> connection_pb.PushConnectionsResponse:
        self.world.pushed += chunk.records
        count = len(chunk.records) // RECORD.size
        refusals = [
            connection_pb.PushRefusal(index=index, reason=reason)  # type: ignore[arg-type]
            for index, reason in self.world.push_refusals.items()
        ]
        return connection_pb.PushConnectionsResponse(
            sequence=chunk.sequence, accepted=count - len(refusals), refusals=refusals
        )

    def DumpConnections(self, request: Any, context: Any) -> Iterator[Any]:
        self.world.heard("DumpConnections", request, context)
        yield from self.world.dump or self._pushed()

    def _pushed(self) -> list[connection_pb.DumpConnectionsResponse]:
        """What was pushed, as connections of the first service and its pool's first backend."""
        service = next(iter(self.world.services.values()))
        backend = next(name for name in self.world.backends if name.startswith(service.backend_pool))
        header = connection_pb.PackedHeader(format=1, record_bytes=RECORD.size)
        header.services.add(virtual_service=service.name, frontend=service.frontends[0])
        header.backends.add(backend=backend)
        chunk = connection_pb.PackedChunk(sequence=1, records=self.world.pushed)
        count = len(self.world.pushed) // RECORD.size
        trailer = connection_pb.PackedTrailer(records=count, chunks=1, complete=True, passes=1)
        return [
            connection_pb.DumpConnectionsResponse(header=header),
            connection_pb.DumpConnectionsResponse(chunk=chunk),
            connection_pb.DumpConnectionsResponse(trailer=trailer),
        ]

    def GetConnection(self, request: Any, context: Any) -> Any:
        self.world.heard("GetConnection", request, context)
        for found in self.world.connections:
            if (found.client_address, found.client_port) == (request.client_address, request.client_port):
                return found
        return refuse(context, CODE.NOT_FOUND, "no such connection in the table", [])

    def ListConnections(self, request: Any, context: Any) -> Any:
        self.world.heard("ListConnections", request, context)
        page, token = self.world.page_of(self.world.connections, request)
        return connection_pb.ListConnectionsResponse(connections=page, next_page_token=token)

    def WatchConnections(self, request: Any, context: Any) -> Iterator[Any]:
        self.world.heard("WatchConnections", request, context)
        yield from self.world.passes
        refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "narrow the filter", [])

    def FlushConnections(self, request: Any, context: Any) -> Any:
        self.world.heard("FlushConnections", request, context)
        return self.world.flushed


class Packets(packet_grpc.PacketServiceServicer):
    """What becomes of packets."""

    def __init__(self, world: World) -> None:
        self.world = world

    def ExplainPacket(self, request: Any, context: Any) -> Any:
        self.world.heard("ExplainPacket", request, context)
        return self.world.explanation


class Node(node_grpc.NodeServiceServicer):
    """The node."""

    def __init__(self, world: World) -> None:
        self.world = world

    def GetNode(self, request: Any, context: Any) -> Any:
        self.world.heard("GetNode", request, context)
        return self.world.node

    def WaitApplied(self, request: Any, context: Any) -> Any:
        self.world.heard("WaitApplied", request, context)
        node = self.world.node
        return node_pb.WaitAppliedResponse(applied_revision=node.applied_revision, generation=node.generation)

    def GetStatistics(self, request: Any, context: Any) -> Any:
        self.world.heard("GetStatistics", request, context)
        return self.world.statistics


class Configurations(configuration_grpc.ConfigurationServiceServicer):
    """Desired state as a whole: it says what a test has put into the world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def PlanConfiguration(self, request: Any, context: Any) -> Any:
        self.world.heard("PlanConfiguration", request, context)
        return self.world.plan

    def ApplyConfiguration(self, request: Any, context: Any) -> Any:
        self.world.heard("ApplyConfiguration", request, context)
        self.world.stored(pool_pb.Backend(), "")
        return configuration_pb.ApplyConfigurationResponse(
            revision=self.world.node.stored_revision, changes=self.world.plan.changes
        )

    def ExportConfiguration(self, request: Any, context: Any) -> Any:
        self.world.heard("ExportConfiguration", request, context)
        return self.world.exported

    def GetRevision(self, request: Any, context: Any) -> Any:
        self.world.heard("GetRevision", request, context)
        table = {str(found.revision): found for found in self.world.revisions}
        return find(table, str(request.revision), context)

    def ListRevisions(self, request: Any, context: Any) -> Any:
        self.world.heard("ListRevisions", request, context)
        page, token = self.world.page_of(self.world.revisions, request)
        return configuration_pb.ListRevisionsResponse(revisions=page, next_page_token=token)

    def ListEvents(self, request: Any, context: Any) -> Any:
        self.world.heard("ListEvents", request, context)
        page, token = self.world.page_of(self.world.events, request)
        return configuration_pb.ListEventsResponse(events=page, next_page_token=token)

    def Watch(self, request: Any, context: Any) -> Iterator[Any]:
        self.world.heard("Watch", request, context)
        steps, code = self.world.watches.pop(0)
        yield from steps
        if code == CODE.OK:
            self.world.silence.wait(20)
        refuse(context, code, "the watch ends", [])


@contextmanager
def serving(socket: Path) -> Iterator[World]:
    """A fake that listens on this unix socket."""
    world = World()
    server = grpc.server(ThreadPoolExecutor(4))
    pool_grpc.add_BackendPoolServiceServicer_to_server(Pools(world), server)
    service_grpc.add_VirtualServiceServiceServicer_to_server(Services(world), server)
    connection_grpc.add_ConnectionServiceServicer_to_server(Connections(world), server)
    node_grpc.add_NodeServiceServicer_to_server(Node(world), server)
    configuration_grpc.add_ConfigurationServiceServicer_to_server(Configurations(world), server)
    packet_grpc.add_PacketServiceServicer_to_server(Packets(world), server)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    try:
        yield world
    finally:
        server.stop(None).wait()
