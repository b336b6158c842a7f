# SPDX-License-Identifier: Apache-2.0
"""/metrics over a real segment: every counter where it was put, and promtool has no word against it."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from conftest import Api, FakeDataplane
from prometheus_client.parser import text_string_to_metric_families
from tiara import client
from tiara.domain.layout import MEMBERS, SIZES, Event, Verdict
from tiara.domain.model import Health
from tiara.metrics import MetricsServer, parse_listen
from tiara.reconciler import Reconciler
from tiara.store import SqliteStore
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import connection_pb2 as cn
from tiara.v1 import node_pb2 as nd
from tiara.v1 import virtual_service_pb2 as vs

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
Scrape = Callable[[], "asyncio.Future[Samples]"]

SERVICES = 1024
"""Of the fake data plane's segment."""


def named(metric: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """A sample's key."""
    return metric, frozenset(labels.items())


def parsed(text: str) -> Samples:
    """All samples of an exposition."""
    return {
        named(sample.name, **sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Scraper:
    """A metrics server, and its address."""

    def __init__(self, reconciler: Reconciler, scan_s: float | None) -> None:
        self.server = MetricsServer(reconciler, "7.8.9", scan_s)
        self.url = ""

    async def text(self) -> str:
        """What it says now."""
        async with aiohttp.ClientSession() as session, session.get(self.url) as answer:
            assert (answer.status, answer.content_type) == (200, "text/plain")
            return await answer.text()

    async def samples(self) -> Samples:
        """Likewise, by name and labels."""
        return parsed(await self.text())


@pytest.fixture
async def scraper(reconciler: Reconciler) -> AsyncIterator[Scraper]:
    """It scans at each scrape."""
    made = Scraper(reconciler, 0.0)
    host, port = await made.server.start("127.0.0.1", 0)
    made.url = f"http://{host}:{port}/metrics"
    yield made
    await made.server.close()


@pytest.fixture
async def filled(api: Api) -> Api:
    """A pool "web" of b1 and b2, a service of two frontends; three pushed connections."""
    check = bp.HealthCheck(tcp=bp.TcpCheck(port=80))
    await api.pools.CreateBackendPool(
        bp.CreateBackendPoolRequest(
            backend_pool_id="web",
            backend_pool=bp.BackendPool(
                forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN, selection_rows=251, health_check=check
            ),
        )
    )
    for number in (1, 2):
        await api.pools.CreateBackend(
            bp.CreateBackendRequest(
                parent="backendPools/web",
                backend_id=f"b{number}",
                backend=bp.Backend(address=f"198.18.0.{number + 10}"),
            )
        )
    wanted = vs.VirtualService(
        frontends=[client.parse_frontend(f"{text}:443") for text in ("tcp:198.18.100.1", "udp:198.18.100.1")],
        backend_pool="backendPools/web",
    )
    await api.services.CreateVirtualService(
        vs.CreateVirtualServiceRequest(virtual_service_id="web", virtual_service=wanted)
    )
    await api.node.WaitApplied(nd.WaitAppliedRequest())
    await push(api, 3)
    return api


async def push(api: Api, count: int, first_port: int = 40000) -> None:
    """TCP connections to b1."""
    header, records = client.pack_connections(
        client.PushedConnection(
            service="virtualServices/web",
            frontend="tcp:198.18.100.1:443",
            backend="backendPools/web/backends/b1",
            client_address="198.18.0.7",
            client_port=first_port + i,
            state=cn.CONNECTION_STATE_ESTABLISHED,
        )
        for i in range(count)
    )
    async for _ in api.connections.PushConnections(iter(client.push_requests(header, records))):
        pass


class Counters:
    """Worker 0's lines of the segment, to write what a data plane would count."""

    def __init__(self, dataplane: FakeDataplane) -> None:
        self._dataplane = dataplane
        self._base = dataplane._read("counter_off")

    def worker(self, member: str, at: int, value: int) -> None:
        """A member of tiara_worker_counters."""
        self._put(MEMBERS["tiara_worker_counters"][member].offset + 8 * at, value)

    def flow(self, idx: int, pkts: int, size: int, connections: int, limit: int) -> None:
        """A tiara_flow_counter: services first, then backends."""
        at = SIZES["tiara_worker_counters"] + SIZES["tiara_flow_counter"] * idx
        for i, value in enumerate((pkts, size, connections, limit)):
            self._put(at + 8 * i, value)

    def _put(self, at: int, value: int) -> None:
        struct.pack_into("<Q", self._dataplane._map, self._base + at, value)


async def test_every_counter(filled: Api, dataplane: FakeDataplane, scraper: Scraper) -> None:
    """Each verdict, event and flow has the number that the worker wrote, under its own name only."""
    put = Counters(dataplane)
    expected = {}
    for verdict in Verdict:
        if verdict:
            put.worker("verdict_pkts", verdict, 1000 + verdict)
            expected[named("tiara_verdict_packets_total", verdict=verdict.label)] = 1000 + verdict
    for event in Event:
        if event:
            put.worker("event_cnt", event, 2000 + event)
            expected[named("tiara_events_total", event=event.label)] = 2000 + event
    totals = ("rx_pkts", "rx_bytes", "tx_pkts", "tx_bytes")
    names = ("received_packets", "received_bytes", "sent_packets", "sent_bytes")
    for value, (member, name) in enumerate(zip(totals, names, strict=True)):
        put.worker(member, 0, 3000 + value)
        expected[named(f"tiara_{name}_total")] = 3000 + value
    frontend = {"service": "web", "address": "198.18.100.1", "port": "443"}
    lines = [
        (0, "service", frontend | {"protocol": "tcp"}),
        (1, "service", frontend | {"protocol": "udp"}),
        (SERVICES, "backend", {"pool": "web", "backend": "b1"}),
        (SERVICES + 1, "backend", {"pool": "web", "backend": "b2"}),
    ]
    for number, (idx, noun, labels) in enumerate(lines, 1):
        put.flow(idx, 10 * number + 1, 10 * number + 2, 10 * number + 3, 10 * number + 4)
        for value, what in enumerate(("packets", "bytes", "connections"), 1):
            expected[named(f"tiara_{noun}_{what}_total", **labels)] = 10 * number + value
        if noun == "service":
            expected[named("tiara_service_refused_packets_total", **labels)] = 10 * number + 4
    found = await scraper.samples()
    counters = {key: value for key, value in found.items() if key[0].endswith("_total")}
    expected[named("tiara_dataplane_starts_total")] = 1
    assert counters == expected


async def test_gauges(
    filled: Api, dataplane: FakeDataplane, scraper: Scraper, reconciler: Reconciler
) -> None:
    """State, revisions, the table, live connections and health, by backend."""
    reconciler._probed((await backend(filled, "b2")).uid, *down())
    await filled.pools.DrainBackend(bp.DrainBackendRequest(name="backendPools/web/backends/b1"))
    dataplane.start_workers(2)
    await until_looked_at(filled, 2)
    await filled.node.WaitApplied(nd.WaitAppliedRequest())
    found = await scraper.samples()
    node = await filled.node.GetNode(nd.GetNodeRequest())
    frontend = {"service": "web", "address": "198.18.100.1", "port": "443"}
    b1, b2 = ({"pool": "web", "backend": name} for name in ("b1", "b2"))
    expected = {
        named("tiara_build_info", version="7.8.9", dataplane_version="", layout_id=node.layout_id): 1,
        named("tiara_dataplane_up"): 1,
        named("tiara_workers"): 2,
        named("tiara_workers_awake"): 0,
        named("tiara_generation"): node.generation,
        named("tiara_generations_waiting"): 0,
        named("tiara_stored_revision"): node.stored_revision,
        named("tiara_applied_revision"): node.stored_revision,
        named("tiara_segment_size_bytes"): node.segment_bytes,
        named("tiara_quarantined_indices", kind="service"): 0,
        named("tiara_quarantined_indices", kind="backend"): 0,
        named("tiara_table_capacity"): 65536,
        named("tiara_table_entries"): 3,
        named("tiara_table_entries_differing"): 3,
        named("tiara_table_entries_offloaded"): 0,
        named("tiara_service_live_connections", protocol="tcp", **frontend): 3,
        named("tiara_service_live_connections", protocol="udp", **frontend): 0,
        named("tiara_backend_live_connections", **b1): 3,
        named("tiara_backend_live_connections", **b2): 0,
        named("tiara_backend_tracked_connections", **b1): 3,
        named("tiara_backend_tracked_connections", **b2): 0,
        named("tiara_backend_selection_ratio", **b1): 0,
        named("tiara_backend_selection_ratio", **b2): 0,
        named("tiara_backend_up", **b1): 1,
        named("tiara_backend_up", **b2): 0,
        named("tiara_backend_checked", **b1): 0,
        named("tiara_backend_checked", **b2): 1,
        named("tiara_backend_draining", **b1): 1,
        named("tiara_backend_draining", **b2): 0,
    }
    gauges = {key: value for key, value in found.items() if not key[0].endswith("_total")}
    assert gauges.pop(named("tiara_table_scan_timestamp_seconds")) > 1.7e9
    assert gauges == expected


async def until_looked_at(api: Api, workers: int) -> None:
    """The control plane looks at the segment a few times a second."""
    for _ in range(1000):
        if (await api.node.GetNode(nd.GetNodeRequest())).workers_online == workers:
            return
        await asyncio.sleep(0.01)
    raise AssertionError


async def backend(api: Api, name: str) -> bp.Backend:
    """One of pool web."""
    found: bp.Backend = await api.pools.GetBackend(
        bp.GetBackendRequest(name=f"backendPools/web/backends/{name}")
    )
    return found


def down() -> tuple[Health, str]:
    """What a probe reports of a dead backend."""
    return Health.DOWN, "connect: refused"


async def test_live_connections_come_from_a_scan_of_some_age(filled: Api, reconciler: Reconciler) -> None:
    """Between two scans the numbers stay; without scans they are not shown at all."""
    seldom, never = Scraper(reconciler, 3600.0), Scraper(reconciler, None)
    for made in (seldom, never):
        host, port = await made.server.start("127.0.0.1", 0)
        made.url = f"http://{host}:{port}/metrics"
    assert (await seldom.samples())[named("tiara_table_entries")] == 3
    await push(filled, 2, 50000)
    assert (await seldom.samples())[named("tiara_table_entries")] == 3
    statistics = await filled.node.GetStatistics(nd.GetStatisticsRequest(count_connections=True))
    assert statistics.connections == 5
    assert named("tiara_table_entries") not in await never.samples()
    assert "live" not in await never.text()
    for made in (seldom, never):
        await made.server.close()


async def test_without_a_segment(tmp_path: Path) -> None:
    """Before a data plane has ever run there are metrics, and they say so."""
    store = await SqliteStore.open(tmp_path / "store.db")
    alone = await Reconciler.start(store, where=lambda: tmp_path / "none")
    made = Scraper(alone, 0.0)
    host, port = await made.server.start("127.0.0.1", 0)
    made.url = f"http://{host}:{port}/metrics"
    found = await made.samples()
    assert (found[named("tiara_dataplane_up")], found[named("tiara_generation")]) == (0, 0)
    await made.server.close()
    await alone.close()
    await store.close()


async def test_other_paths(filled: Api, scraper: Scraper) -> None:
    """There is nothing else."""
    async with aiohttp.ClientSession() as session:
        async with session.get(scraper.url.removesuffix("metrics")) as answer:
            assert answer.status == 404
        async with session.post(scraper.url) as answer:
            assert answer.status == 405


async def test_promtool_is_content(filled: Api, scraper: Scraper) -> None:
    """Names, units, types and help texts are as Prometheus wants them."""
    promtool = shutil.which("promtool")
    assert promtool, "promtool is missing: run script/setup --dev"
    process = await asyncio.create_subprocess_exec(
        promtool, "check", "metrics", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate((await scraper.text()).encode())
    assert (process.returncode, said.decode()) == (0, "")


@pytest.mark.parametrize("text", ["", "9464", "localhost:9464", "127.0.0.1:", "127.0.0.1:65536", ":9464"])
def test_bad_listen(text: str) -> None:
    """An address and a port, both."""
    with pytest.raises(ValueError):
        parse_listen(text)


def test_listen() -> None:
    """IPv6 in brackets."""
    assert parse_listen("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert parse_listen("[::1]:0") == ("::1", 0)
