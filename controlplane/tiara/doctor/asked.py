# SPDX-License-Identifier: Apache-2.0
"""What the control plane knows of its balancer; a caller who may only read gets less."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import grpc

from tiara.cli.pool import mode_text
from tiara.cli.session import Session
from tiara.cli.values import short
from tiara.doctor.facts import Backend, Balancer
from tiara.v1 import backend_pool_pb2, connection_pb2, node_pb2, packet_pb2, virtual_service_pb2

FIRST_CALL_S = 2.0
EXPLAINED_MAX = 512
SAMPLED_MAX = 1000
SILENT_S = 3
_CLIENT = "192.0.2.1"  # of TEST-NET-1 (RFC 5737): asked about, nothing is sent
_SYN = 2

Service = virtual_service_pb2.VirtualService


def balancer(session: Session) -> Balancer:
    """RpcError: no control plane answers."""
    node = session.call(session.node.GetNode, node_pb2.GetNodeRequest(), FIRST_CALL_S)
    statistics = session.call(session.node.GetStatistics, node_pb2.GetStatisticsRequest())
    pools = session.pages(session.pools.ListBackendPools, backend_pool_pb2.ListBackendPoolsRequest())
    services = session.pages(
        session.services.ListVirtualServices, virtual_service_pb2.ListVirtualServicesRequest()
    )
    backends = _backends(session)
    reached = _reached(session, services.virtual_services, backends) if node.dataplane_live else {}
    return Balancer(
        version=node.version,
        dataplane_version=node.dataplane_version,
        layout_id=node.layout_id,
        live=node.dataplane_live,
        workers=node.workers_online,
        stored=node.stored_revision,
        applied=node.applied_revision,
        not_applied=node.not_applied_reason,
        pools={short(pool.name): mode_text(pool.forwarding_mode) for pool in pools.backend_pools},
        backends=backends,
        verdicts=dict(statistics.verdicts),
        reached=reached,
    )


def _backends(session: Session) -> tuple[Backend, ...]:
    request = backend_pool_pb2.ListBackendsRequest(parent="backendPools/-")
    listed = session.pages(session.pools.ListBackends, request).backends
    found = {one.name: Backend(short(one.name), one.address, _down(one)) for one in listed}
    for one in _connections(session):
        if one.backend in found:
            backend = found[one.backend]
            found[one.backend] = replace(
                backend, fresh=backend.fresh + _is_fresh(one), known=backend.known + 1
            )
    return tuple(found.values())


def _down(backend: backend_pool_pb2.Backend) -> str:
    is_down = backend.status.health == backend_pool_pb2.HEALTH_STATE_DOWN
    return (backend.status.reason or "its health check fails") if is_down else ""


def _connections(session: Session) -> Sequence[connection_pb2.Connection]:
    """Some of them, in no order; none where the table is not to be read now."""
    request = connection_pb2.ListConnectionsRequest()
    try:
        answer = session.pages(
            session.connections.ListConnections, request, SAMPLED_MAX, lambda page: len(page.connections)
        )
    except grpc.RpcError:
        return ()
    return list(answer.connections)


def _is_fresh(one: connection_pb2.Connection) -> bool:
    return one.state == connection_pb2.CONNECTION_STATE_NEW and one.idle.seconds >= SILENT_S


def _reached(
    session: Session, services: Sequence[Service], backends: Iterable[Backend]
) -> dict[str, str] | None:
    """Clients are made up until each backend has had one, or there have been enough of them."""
    by_pool = {short(service.backend_pool): service for service in services}
    found: dict[str, str] = {}
    try:
        for pool, service in by_pool.items():
            missing = {one.name for one in backends if one.name.startswith(f"{pool}/")}
            for flow in _flows(service, EXPLAINED_MAX // len(by_pool)):
                if not missing:
                    break
                answer = session.call(
                    session.packets.ExplainPacket, packet_pb2.ExplainPacketRequest(flow=flow)
                )
                found[short(answer.backend)] = answer.verdict
                missing.discard(short(answer.backend))
    except grpc.RpcError as error:
        if _code(error) != grpc.StatusCode.PERMISSION_DENIED:
            raise
        return None
    found.pop("", None)
    return found


def _flows(service: Service, count: int) -> Iterator[packet_pb2.PacketFlow]:
    """First packets of clients that the service allows, each from another port."""
    frontend, client = service.frontends[0], _CLIENT
    if service.allow_sources:
        allowed = ipaddress.IPv4Network(service.allow_sources[0])
        client = str(allowed[min(1, allowed.num_addresses - 1)])
    for port in range(1, count + 1):
        yield packet_pb2.PacketFlow(
            protocol=frontend.protocol,
            client_address=client,
            client_port=port,
            address=frontend.address,
            port=frontend.port,
            tcp_flags=_SYN if frontend.protocol == virtual_service_pb2.PROTOCOL_TCP else 0,
        )


def _code(error: Any) -> grpc.StatusCode | None:
    return error.code() if isinstance(error, grpc.Call) else None
