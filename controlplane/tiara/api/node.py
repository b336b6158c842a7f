# SPDX-License-Identifier: Apache-2.0
"""NodeService."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from tiara.api.convert import duration_ms
from tiara.domain.checks import shown
from tiara.domain.errors import InvalidField, NotFound
from tiara.domain.model import Frontend
from tiara.domain.names import backend_name, service_name
from tiara.domain.observed import FlowView, StatisticsView
from tiara.reconciler import Reconciler
from tiara.v1 import node_pb2 as pb
from tiara.v1 import node_pb2_grpc

WAIT_DEFAULT_MS = 10_000


class NodeServicer(node_pb2_grpc.NodeServiceServicer):
    """See proto/tiara/v1/node.proto."""

    def __init__(self, reconciler: Reconciler, node: str, version: str) -> None:
        self._reconciler = reconciler
        self._name = f"nodes/{node}"
        self._version = version

    async def GetNode(self, request: pb.GetNodeRequest, context: object) -> pb.Node:
        """Gets this node."""
        if request.name and not request.name.startswith("nodes/"):
            raise InvalidField("name", f"{shown(request.name)} is not 'nodes/{{node}}'")
        if request.name not in ("", "nodes/-", self._name):
            raise NotFound(shown(request.name), "name")
        view = self._reconciler.node()
        node = pb.Node(
            name=self._name,
            version=self._version,
            dataplane_version=view.dataplane_version,
            layout_id=view.layout_id,
            dataplane_live=view.dataplane_live,
            dataplane_starts=view.dataplane_starts,
            page_bytes=view.page_bytes,
            segment_bytes=view.segment_bytes,
            workers_online=view.workers_online,
            workers_awake=view.workers_awake,
            stored_revision=view.stored_revision,
            applied_revision=view.applied_revision,
            generation=view.generation,
            generations_waiting=view.generations_waiting,
            quarantined_services=view.quarantined_services,
            quarantined_backends=view.quarantined_backends,
            not_applied_reason=view.not_applied_reason,
            address=view.address,
        )
        if view.first_forward_ns is not None:
            node.first_forward.CopyFrom(_nanoseconds(view.first_forward_ns))
        return node

    async def WaitApplied(self, request: pb.WaitAppliedRequest, context: object) -> pb.WaitAppliedResponse:
        """Waits until a revision is applied."""
        timeout_ms = (
            duration_ms("timeout", request.timeout) if request.HasField("timeout") else WAIT_DEFAULT_MS
        )
        revision, generation = await self._reconciler.wait_applied(request.revision, timeout_ms / 1000)
        return pb.WaitAppliedResponse(applied_revision=revision, generation=generation)

    async def GetStatistics(self, request: pb.GetStatisticsRequest, context: object) -> pb.Statistics:
        """Reads counters."""
        return _statistics_out(await self._reconciler.statistics(request.count_connections))


def _statistics_out(view: StatisticsView) -> pb.Statistics:
    backends = sorted((backend_name(*key), key) for key in view.backends)
    return pb.Statistics(
        verdicts=view.verdicts,
        events=view.events,
        rx_packets=view.rx_pkts,
        rx_bytes=view.rx_bytes,
        tx_packets=view.tx_pkts,
        tx_bytes=view.tx_bytes,
        connections=view.live,
        connection_capacity=view.capacity,
        differ_from_selection=view.differ,
        offloaded_connections=view.offloaded,
        services=[_service_out(key, view.services[key]) for key in sorted(view.services)],
        backends=[
            _backend_out(name, view.backends[key], view.shares.get(key, 0.0)) for name, key in backends
        ],
        workers=[
            pb.WorkerStatistics(
                worker=worker.worker,
                generation=worker.generation,
                bursts=worker.bursts,
                busy_share=worker.busy_share,
            )
            for worker in view.workers
        ],
    )


def _service_out(key: tuple[str, Frontend], flow: FlowView) -> pb.ServiceStatistics:
    service, frontend = key
    return pb.ServiceStatistics(
        virtual_service=service_name(service),
        frontend=str(frontend),
        packets=flow.pkts,
        bytes=flow.bytes,
        connections_total=flow.connections,
        connections=flow.live,
        refused_packets=flow.limit_cnt,
    )


def _backend_out(name: str, flow: FlowView, share: float) -> pb.BackendStatistics:
    return pb.BackendStatistics(
        backend=name,
        packets=flow.pkts,
        bytes=flow.bytes,
        connections_total=flow.connections,
        connections=flow.live,
        wanted_share=share,
        tracked_connections=flow.limit_cnt,
    )


def _nanoseconds(value: int) -> Duration:
    return Duration(seconds=value // 1_000_000_000, nanos=value % 1_000_000_000)
