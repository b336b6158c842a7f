# SPDX-License-Identifier: Apache-2.0
"""PacketService."""

from __future__ import annotations

from tiara.api.convert import connection_out, protocol_in, protocol_out, state_out
from tiara.domain.checks import check_range
from tiara.domain.layout import ExplainWay
from tiara.domain.model import Protocol
from tiara.domain.names import backend_name, service_name
from tiara.domain.observed import ExplanationView, SelectionView
from tiara.domain.packet import TCP_ACK, OuterHeaders, PacketFlow
from tiara.reconciler import Reconciler
from tiara.v1 import packet_pb2 as pb
from tiara.v1 import packet_pb2_grpc

_WAY = {
    ExplainWay.DROPPED: pb.PACKET_WAY_DROPPED,
    ExplainWay.SENT: pb.PACKET_WAY_SENT,
    ExplainWay.KERNEL: pb.PACKET_WAY_KERNEL,
}


class PacketServicer(packet_pb2_grpc.PacketServiceServicer):
    """See proto/tiara/v1/packet.proto."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler

    async def ExplainPacket(
        self, request: pb.ExplainPacketRequest, context: object
    ) -> pb.ExplainPacketResponse:
        """What would become of it."""
        return _explanation_out(await self._reconciler.explain(_packet_in(request)))


def _packet_in(request: pb.ExplainPacketRequest) -> PacketFlow | bytes:
    match request.WhichOneof("packet"):
        case "flow":
            return _flow_in(request.flow)
        case "frame":
            return request.frame
    raise AssertionError("bounds let a request without a packet pass")


def _flow_in(flow: pb.PacketFlow) -> PacketFlow:
    protocol = protocol_in("flow.protocol", flow.protocol)
    flags_max = 255 if protocol is Protocol.TCP else 0
    flags = check_range("flow.tcp_flags", flow.tcp_flags, 0, flags_max)
    return PacketFlow(
        protocol,
        flow.client_address,
        flow.client_port,
        flow.address,
        flow.port,
        flags or (TCP_ACK if protocol is Protocol.TCP else 0),
        flow.payload_bytes,
    )


def _explanation_out(view: ExplanationView) -> pb.ExplainPacketResponse:
    return pb.ExplainPacketResponse(
        verdict=view.verdict,
        meaning=view.meaning,
        way=_WAY[view.way],
        events=view.events,
        tier=view.tier,
        generation=view.generation,
        dataplane_live=view.dataplane_live,
        flow=_flow_out(view.flow) if view.flow else None,
        virtual_service=service_name(view.service) if view.service else "",
        selection=_selection_out(view.selection) if view.selection else None,
        connection=connection_out(view.connection) if view.connection else None,
        state=state_out(view.state),
        fresh=view.fresh,
        backend=backend_name(*view.backend) if view.backend else "",
        forwarding=view.forwarding,
        outer=_outer_out(view.outer) if view.outer else None,
        frame=view.frame,
    )


def _flow_out(flow: PacketFlow) -> pb.PacketFlow:
    return pb.PacketFlow(
        protocol=protocol_out(flow.protocol),
        client_address=flow.client_address,
        client_port=flow.client_port,
        address=flow.address,
        port=flow.port,
        tcp_flags=flow.tcp_flags,
    )


def _selection_out(selection: SelectionView) -> pb.PacketSelection:
    return pb.PacketSelection(
        hash=f"{selection.hash:016x}",
        buckets=selection.buckets,
        row=selection.row,
        rows=selection.rows,
        backend=backend_name(*selection.backend) if selection.backend else "",
    )


def _outer_out(outer: OuterHeaders) -> pb.OuterHeaders:
    return pb.OuterHeaders(
        source_mac=outer.source_mac,
        destination_mac=outer.destination_mac,
        source_address=outer.source_address,
        destination_address=outer.destination_address,
        source_port=outer.source_port,
        destination_port=outer.destination_port,
        vni=outer.vni,
    )
