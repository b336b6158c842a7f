# SPDX-License-Identifier: Apache-2.0
"""All services of tiara.v1 on one server, with health and reflection."""

from __future__ import annotations

import grpc

from tiara.api.backend_pool import BackendPoolServicer
from tiara.api.bounds import MESSAGE_MAX_BYTES
from tiara.api.configuration import ConfigurationServicer
from tiara.api.connection import ConnectionServicer
from tiara.api.node import NodeServicer
from tiara.api.packet import PacketServicer
from tiara.api.standard import add_standard
from tiara.api.virtual_service import VirtualServiceServicer
from tiara.reconciler import Reconciler
from tiara.v1 import (
    backend_pool_pb2,
    backend_pool_pb2_grpc,
    configuration_pb2,
    configuration_pb2_grpc,
    connection_pb2,
    connection_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
    packet_pb2,
    packet_pb2_grpc,
    virtual_service_pb2,
    virtual_service_pb2_grpc,
)

SERVER_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES))
"""For ``grpc.aio.server``."""

_SERVED = (
    backend_pool_pb2,
    configuration_pb2,
    connection_pb2,
    node_pb2,
    packet_pb2,
    virtual_service_pb2,
)


def add_servicers(server: grpc.aio.Server, reconciler: Reconciler, node: str, version: str) -> None:
    """Registers them. ``node`` is this node's id."""
    backend_pool_pb2_grpc.add_BackendPoolServiceServicer_to_server(BackendPoolServicer(reconciler), server)
    virtual_service_pb2_grpc.add_VirtualServiceServiceServicer_to_server(
        VirtualServiceServicer(reconciler), server
    )
    connection_pb2_grpc.add_ConnectionServiceServicer_to_server(ConnectionServicer(reconciler), server)
    node_pb2_grpc.add_NodeServiceServicer_to_server(NodeServicer(reconciler, node, version), server)
    configuration_pb2_grpc.add_ConfigurationServiceServicer_to_server(
        ConfigurationServicer(reconciler), server
    )
    packet_pb2_grpc.add_PacketServiceServicer_to_server(PacketServicer(reconciler), server)
    services = [service for file in _SERVED for service in file.DESCRIPTOR.services_by_name.values()]
    add_standard(server, reconciler.standing, [service.full_name for service in services])
