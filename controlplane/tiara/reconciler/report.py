# SPDX-License-Identifier: Apache-2.0
"""From what the segment tells to what the API shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tiara.domain.dataplane import BackendKey
from tiara.domain.model import Backend, VirtualService
from tiara.domain.observed import FlowView, NodeView, StatisticsView, WorkerView
from tiara.native.values import BackendSlot, Counters, Flow, Flows, ServiceSlot, Usage, Worker
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


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters as the segment has them, by index, and what the indices meant then."""

    counters: Counters
    flows: Flows
    capacity: int
    services: list[ServiceSlot]
    backends: list[BackendSlot]
    shares: list[dict[BackendKey, float]]
    workers: list[Worker]


def read(actuator: Actuator) -> Reading:
    """On the native thread, which it holds for no longer than it must."""
    segment, held = actuator.segment, actuator.held
    return Reading(
        segment.counters(),
        segment.flows(),
        segment.info.connections,
        list(held.services.values()),
        list(held.backends.values()),
        [actuator.shares(pool) for pool in list(held.pool_keys)],
        segment.workers(),
    )


def statistics(found: Reading, usage: Usage | None) -> StatisticsView:
    """By name, with the live connections of a scan."""
    counters, flows = found.counters, found.flows
    return StatisticsView(
        counters.verdicts,
        counters.events,
        counters.rx_pkts,
        counters.rx_bytes,
        counters.tx_pkts,
        counters.tx_bytes,
        usage.live if usage else 0,
        usage.capacity if usage else found.capacity,
        usage.differ if usage else 0,
        usage.offloaded if usage else 0,
        {
            (slot.spec.service, slot.spec.frontend): _flow(
                flows.service(slot.idx), usage and _at(usage.per_service, slot.idx)
            )
            for slot in found.services
        },
        {
            (slot.spec.pool, slot.spec.backend): _flow(
                flows.backend(slot.idx), usage and _at(usage.per_backend, slot.idx)
            )
            for slot in found.backends
        },
        {key[:2]: share for shares in found.shares for key, share in shares.items()},
        tuple(_worker(worker) for worker in found.workers),
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
    counted = flow.limit_cnt if flow.limit_cnt < 1 << 63 else 0
    return FlowView(flow.pkts, flow.bytes, flow.connections, live if isinstance(live, int) else 0, counted)


def _worker(worker: Worker) -> WorkerView:
    total = worker.busy_cycles + worker.idle_cycles
    return WorkerView(
        worker.idx, worker.generation, worker.bursts, worker.busy_cycles / total if total else 0.0
    )
