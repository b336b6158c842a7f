# SPDX-License-Identifier: Apache-2.0
"""``/metrics``: what the node, its counters and its health checks say, for Prometheus."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tiara.domain.errors import TiaraError
from tiara.domain.model import Health
from tiara.domain.observed import FlowView, MetricsView
from tiara.reconciler import Reconciler

SCAN_S = 15.0
"""Live connections are counted by scanning the table, at most so often."""

_Rows = Iterable[tuple[Sequence[str], float]]

_FRONTEND = ("service", "protocol", "address", "port")
_BACKEND = ("pool", "backend")


def render(view: MetricsView, version: str) -> bytes:
    """The exposition text of one look."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_View(view, version))
    return generate_latest(registry)


@dataclass(frozen=True, eq=False)
class _View(Collector):
    view: MetricsView
    version: str

    def collect(self) -> Iterator[Metric]:
        """See ``prometheus_client.registry.Collector``."""
        yield from self._node()
        yield from self._packets()
        yield from self._table()
        yield from self._services()
        yield from self._backends()
        yield from self._workers()

    def _node(self) -> Iterator[Metric]:
        node = self.view.node
        build = (self.version, node.dataplane_version, node.layout_id)
        labels = ("version", "dataplane_version", "layout_id")
        yield _gauges("tiara_build_info", "Versions of both daemons, always 1.", labels, [(build, 1)])
        yield _gauge("tiara_dataplane_up", "1 while a data plane owns the segment.", node.dataplane_live)
        yield _counter("tiara_dataplane_starts", "Starts of a data plane.", node.dataplane_starts)
        yield _gauge("tiara_workers", "Workers that run, awake or asleep.", node.workers_online)
        yield _gauge("tiara_workers_awake", "Workers that run and do not sleep.", node.workers_awake)
        yield _gauge("tiara_generation", "The generation in force.", node.generation)
        yield _gauge(
            "tiara_generations_waiting",
            "Old generations kept because a worker has not left them.",
            node.generations_waiting,
        )
        yield _gauge("tiara_stored_revision", "The store's newest revision.", node.stored_revision)
        yield _gauge(
            "tiara_applied_revision", "The newest revision that every worker uses.", node.applied_revision
        )
        yield _gauge("tiara_segment_size_bytes", "Size of the shared segment.", node.segment_bytes)
        yield _gauges(
            "tiara_quarantined_indices",
            "Indices that may not be reused yet.",
            ("kind",),
            [(("service",), node.quarantined_services), (("backend",), node.quarantined_backends)],
        )

    def _packets(self) -> Iterator[Metric]:
        seen = self.view.statistics
        yield _counter("tiara_received_packets", "Frames received by workers.", seen.rx_pkts)
        yield _counter("tiara_received_bytes", "Bytes of the frames received by workers.", seen.rx_bytes)
        yield _counter("tiara_sent_packets", "Frames sent by workers.", seen.tx_pkts)
        yield _counter("tiara_sent_bytes", "Bytes of the frames sent by workers.", seen.tx_bytes)
        yield _counters(
            "tiara_verdict_packets",
            "Packets by what became of them.",
            ("verdict",),
            (((name,), count) for name, count in sorted(seen.verdicts.items())),
        )
        yield _counters(
            "tiara_events",
            "Things counted beside verdicts.",
            ("event",),
            (((name,), count) for name, count in sorted(seen.events.items())),
        )

    def _table(self) -> Iterator[Metric]:
        seen = self.view.statistics
        yield _gauge("tiara_table_capacity", "Connections that fit in the table.", seen.capacity)
        if self.view.counted_s is None:
            return
        yield _gauge("tiara_table_entries", "Live connections at the last scan.", seen.live)
        yield _gauge(
            "tiara_table_entries_differing",
            "Live connections whose backend is not the one selection would choose today, at the last scan.",
            seen.differ,
        )
        yield _gauge(
            "tiara_table_entries_offloaded",
            "Live connections that an offload card may have, at the last scan.",
            seen.offloaded,
        )
        yield _gauge("tiara_table_scan_timestamp_seconds", "When the last scan ended.", self.view.counted_s)

    def _services(self) -> Iterator[Metric]:
        flows = [
            ((service, frontend.protocol.label, frontend.address, str(frontend.port)), flow)
            for (service, frontend), flow in sorted(self.view.statistics.services.items())
        ]
        yield from self._flows("service", "frontend", _FRONTEND, flows)
        yield _counters(
            "tiara_service_refused_packets",
            "Packets that a service's limits refused, by frontend.",
            _FRONTEND,
            ((key, flow.limit_cnt) for key, flow in flows),
        )
        yield _gauges(
            "tiara_service_max_new_connections_per_second",
            "New connections a second that a service takes, where it has such a limit.",
            ("service",),
            (((name,), most) for name, most in sorted(self.view.rates.items())),
        )

    def _backends(self) -> Iterator[Metric]:
        flows = sorted(self.view.statistics.backends.items())
        yield from self._flows("backend", "backend", _BACKEND, flows)
        yield _gauges(
            "tiara_backend_tracked_connections",
            "Connections of a backend that its limit sees: expired ones too, until a sweep has passed.",
            _BACKEND,
            ((key, flow.limit_cnt) for key, flow in flows),
        )
        yield _gauges(
            "tiara_backend_max_connections",
            "Connections that a backend takes, where it has such a limit.",
            _BACKEND,
            sorted(self.view.rooms.items()),
        )
        shares = self.view.statistics.shares
        yield _gauges(
            "tiara_backend_selection_ratio",
            "Share of new connections that a backend should get.",
            _BACKEND,
            ((key, shares.get(key, 0.0)) for key, _ in flows),
        )
        seen = sorted(self.view.backends.items())
        yield _gauges(
            "tiara_backend_up",
            "0: its health check says down. 1: up, or nothing is known.",
            _BACKEND,
            ((key, status.health is not Health.DOWN) for key, status in seen),
        )
        yield _gauges(
            "tiara_backend_checked",
            "1: a health check has said up or down.",
            _BACKEND,
            ((key, status.health is not Health.UNKNOWN) for key, status in seen),
        )
        yield _gauges(
            "tiara_backend_draining",
            "1: no new connections.",
            _BACKEND,
            ((key, status.draining) for key, status in seen),
        )

    def _flows(
        self, noun: str, what: str, labels: Sequence[str], flows: Sequence[tuple[Sequence[str], FlowView]]
    ) -> Iterator[Metric]:
        name = f"tiara_{noun}"
        packets = ((key, flow.pkts) for key, flow in flows)
        yield _counters(f"{name}_packets", f"Packets forwarded, by {what}.", labels, packets)
        size = ((key, flow.bytes) for key, flow in flows)
        yield _counters(f"{name}_bytes", f"Bytes of clients' frames forwarded, by {what}.", labels, size)
        made = ((key, flow.connections) for key, flow in flows)
        yield _counters(f"{name}_connections", f"New connections, by {what}.", labels, made)
        if self.view.counted_s is not None:
            live = ((key, flow.live) for key, flow in flows)
            text = f"Live connections at the last scan, by {what}."
            yield _gauges(f"{name}_live_connections", text, labels, live)

    def _workers(self) -> Iterator[Metric]:
        workers = self.view.statistics.workers
        yield _counters(
            "tiara_worker_bursts",
            "Non-empty bursts.",
            ("worker",),
            (((str(worker.worker),), worker.bursts) for worker in workers),
        )
        yield _gauges(
            "tiara_worker_busy_ratio",
            "Share of its time in non-empty bursts since the data plane's start.",
            ("worker",),
            (((str(worker.worker),), worker.busy_share) for worker in workers),
        )


def _gauge(name: str, text: str, value: float) -> Metric:
    return _gauges(name, text, (), [((), value)])


def _gauges(name: str, text: str, labels: Sequence[str], rows: _Rows) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in rows:
        family.add_metric(key, float(value))
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    return _counters(name, text, (), [((), value)])


def _counters(name: str, text: str, labels: Sequence[str], rows: _Rows) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, value in rows:
        family.add_metric(key, value)
    return family


def parse_listen(text: str) -> tuple[str, int]:
    """Reads ADDRESS:PORT. ``ValueError``: it is none."""
    host, _, port = text.rpartition(":")
    address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{port!r} is no port")
    return str(address), int(port)


class MetricsServer:
    """Use ``await start(...)`` and ``await close()``. One scrape at a time; the others wait."""

    def __init__(self, reconciler: Reconciler, version: str, scan_s: float | None = SCAN_S) -> None:
        self._reconciler = reconciler
        self._version = version
        self._scan_s = scan_s
        self._one = asyncio.Lock()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listens; the address and port that it got. ``OSError``: they cannot be had."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError:
            await self.close()
            raise
        address: tuple[str, int] = self._runner.addresses[0][:2]
        return address

    async def close(self) -> None:
        """Stops; safe to call twice."""
        runner, self._runner = self._runner, None
        if runner:
            await runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        async with self._one:
            try:
                view = await self._reconciler.metrics(self._scan_s)
            except TiaraError as error:
                return web.Response(status=503, text=f"{error}\n")
            body = await asyncio.to_thread(render, view, self._version)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
