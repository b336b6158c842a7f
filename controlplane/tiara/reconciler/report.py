# SPDX-License-Identifier: Apache-2.0
"""From what the segment tells to what the API shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tiara.domain.model import Backend, VirtualService
from tiara.domain.observed import FlowView, NodeView, StatisticsView, WorkerView
from tiara.native.values import Flow, Usage, Worker
from tiara.reconciler.actuator import Actuator
from tiara.reconciler.progress import Progress


def node(progress: Progress, stored_revision: int) -> NodeView:
    """The node as of the last look at its segment."""
    info, collect = progress.sighting.info, progress.sighting.collect
    reason = progress.reason(stored_revision)
    if info is None or collect is None:
        return NodeView(stored_revision=stored_revision, not_applied_reason=reason)
    first = info.first_forward_ns - info.start_ns if info.first_forward_ns else None
    return NodeView(
        dataplane_version=info.version,
        layout_id=f"{info.layout_id:016x}",
        dataplane_live=info.dataplane_live,
        dataplane_starts=info.start_cnt,
        first_forward_ns=first,
        page_bytes=info.page_bytes,
        segment_bytes=info.total_bytes,
        workers_online=info.worker_cnt if info.dataplane_live else 0,
        workers_awake=info.worker_online if info.dataplane_live else 0,
        stored_revision=stored_revision,
        applied_revision=progress.applied_revision,
        generation=collect.generation,
        generations_waiting=collect.roots_waiting,
        quarantined_services=collect.quarantined_services,
        quarantined_backends=collect.quarantined_backends,
        not_applied_reason=reason,
        address=info.address,
    )


def statistics(actuator: Actuator, usage: Usage | None) -> StatisticsView:
    """Counters of everything the segment holds, with the live connections of a scan. On the native thread."""
    segment, held = actuator.segment, actuator.held
    counters, flows = segment.counters(), segment.flows()
    pools = {key[0] for key in held.backends}
    return StatisticsView(
        counters.verdicts,
        counters.events,
        counters.rx_pkts,
        counters.rx_bytes,
        counters.tx_pkts,
        counters.tx_bytes,
        usage.live if usage else 0,
        usage.capacity if usage else segment.info.connections,
        usage.differ if usage else 0,
        {
            (slot.spec.service, slot.spec.frontend): _flow(
                flows.service(slot.idx), usage and _at(usage.per_service, slot.idx)
            )
            for slot in held.services.values()
        },
        {
            key[:2]: _flow(flows.backend(slot.idx), usage and _at(usage.per_backend, slot.idx))
            for key, slot in held.backends.items()
        },
        {key[:2]: share for pool in pools for key, share in actuator.shares(pool).items()},
        tuple(_worker(worker) for worker in segment.workers()),
    )


def complete(
    view: StatisticsView, services: Sequence[VirtualService], backends: Sequence[Backend]
) -> StatisticsView:
    """The same with zeros for what is stored and not yet in the segment, and without what was deleted."""
    return replace(
        view,
        services={
            (service.id, frontend): view.services.get((service.id, frontend), FlowView())
            for service in services
            for frontend in service.frontends
        },
        backends={
            (backend.pool, backend.id): view.backends.get((backend.pool, backend.id), FlowView())
            for backend in backends
        },
    )


def _at(counts: tuple[int, ...], idx: int) -> int:
    return counts[idx] if idx < len(counts) else 0


def _flow(flow: Flow, live: int | Usage | None) -> FlowView:
    return FlowView(flow.pkts, flow.bytes, flow.connections, live if isinstance(live, int) else 0)


def _worker(worker: Worker) -> WorkerView:
    total = worker.busy_cycles + worker.idle_cycles
    return WorkerView(
        worker.idx, worker.generation, worker.bursts, worker.busy_cycles / total if total else 0.0
    )
