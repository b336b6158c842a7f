# SPDX-License-Identifier: Apache-2.0
"""The API on a unix socket over a real segment: what is written is read, applied, paged and deleted."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import Api, FakeDataplane
from google.protobuf.duration_pb2 import Duration
from tiara.native import segment as native
from tiara.native.snapshot import Snapshot
from tiara.reconciler import Reconciler
from tiara.reconciler.dump import STREAMS_MAX
from tiara.server import node_id, start_api
from tiara.store import SqliteStore
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import connection_pb2 as cn
from tiara.v1 import node_pb2 as nd
from tiara.v1 import virtual_service_pb2 as vs

VIP = vs.Frontend(address="198.18.100.1", protocol=vs.PROTOCOL_TCP, port=80)
B1 = "backendPools/web/backends/b1"


async def make_pool(api: Api, name: str = "web") -> bp.BackendPool:
    """A pool with defaults."""
    request = bp.CreateBackendPoolRequest(
        backend_pool_id=name, backend_pool=bp.BackendPool(forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN)
    )
    pool: bp.BackendPool = await api.pools.CreateBackendPool(request)
    return pool


async def make_backend(api: Api, number: int, pool: str = "web") -> bp.Backend:
    """Backend b{number}."""
    request = bp.CreateBackendRequest(
        parent=f"backendPools/{pool}",
        backend_id=f"b{number}",
        backend=bp.Backend(address=f"198.18.{number // 200}.{number % 200 + 10}"),
    )
    backend: bp.Backend = await api.pools.CreateBackend(request)
    return backend


async def make_service(api: Api) -> vs.VirtualService:
    """Service web of pool web."""
    request = vs.CreateVirtualServiceRequest(
        virtual_service_id="web",
        virtual_service=vs.VirtualService(frontends=[VIP], backend_pool="backendPools/web"),
    )
    service: vs.VirtualService = await api.services.CreateVirtualService(request)
    return service


async def test_resources_come_back(api: Api) -> None:
    """Created, read and listed are the same; server-set fields are set, defaults are filled in."""
    pool = await make_pool(api)
    backend = await make_backend(api, 1)
    service = await make_service(api)
    assert (pool.name, pool.revision, len(pool.uid)) == ("backendPools/web", 1, 32)
    assert pool.policy == bp.SELECTION_POLICY_MAGLEV
    assert (backend.name, backend.weight, backend.revision) == (B1, 1, 2)
    assert service.timeouts.tcp_established.seconds == 1800
    assert await api.pools.GetBackendPool(bp.GetBackendPoolRequest(name=pool.name)) == pool
    assert await api.pools.GetBackend(bp.GetBackendRequest(name=B1)) == backend
    assert await api.services.GetVirtualService(vs.GetVirtualServiceRequest(name=service.name)) == service
    pools = await api.pools.ListBackendPools(bp.ListBackendPoolsRequest())
    assert list(pools.backend_pools) == [pool]
    services = await api.services.ListVirtualServices(vs.ListVirtualServicesRequest())
    assert list(services.virtual_services) == [service]


async def test_http_check_comes_back(api: Api) -> None:
    """As it was given, with defaults filled in."""
    given = bp.HttpCheck(
        port=443,
        path="/up?full=1",
        host="www.example.org:8443",
        expected_statuses=[bp.StatusRange(first=200, last=299), bp.StatusRange(first=401)],
        tls=True,
        verify=True,
    )
    for pool_id, http in (("full", given), ("plain", bp.HttpCheck(port=80))):
        pool = bp.BackendPool(
            forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN, health_check=bp.HealthCheck(http=http)
        )
        request = bp.CreateBackendPoolRequest(backend_pool_id=pool_id, backend_pool=pool)
        created = await api.pools.CreateBackendPool(request)
        assert await api.pools.GetBackendPool(bp.GetBackendPoolRequest(name=created.name)) == created
        if pool_id == "full":
            given.expected_statuses[1].last = 401
            assert created.health_check.http == given
        else:
            every = [bp.StatusRange(first=200, last=399)]
            assert created.health_check.http == bp.HttpCheck(port=80, path="/", expected_statuses=every)


@pytest.mark.parametrize("policy", [policy for policy in bp.SelectionPolicy.values() if policy])
async def test_policies_come_back(api: Api, policy: bp.SelectionPolicy.ValueType) -> None:
    """Every policy with its options, as given; each is part of the etag."""
    wanted = bp.BackendPool(
        forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN, policy=policy, source_affinity=True
    )
    wanted.slow_start.duration.FromMilliseconds(1500)
    request = bp.CreateBackendPoolRequest(backend_pool_id="web", backend_pool=wanted)
    created = await api.pools.CreateBackendPool(request)
    assert (created.policy, created.source_affinity) == (policy, True)
    assert created.slow_start == wanted.slow_start
    assert await api.pools.GetBackendPool(bp.GetBackendPoolRequest(name=created.name)) == created


async def test_names_and_server_fields_in_requests_are_ignored(api: Api) -> None:
    """A client may send back what it has read."""
    pool = await make_pool(api)
    request = bp.CreateBackendPoolRequest(backend_pool_id="copy", backend_pool=pool)
    copy = await api.pools.CreateBackendPool(request)
    assert copy.name == "backendPools/copy"
    assert copy.uid != pool.uid


async def test_weight_zero_is_not_unset(api: Api) -> None:
    """0 means no new connections; unset means 1."""
    await make_pool(api)
    request = bp.CreateBackendRequest(
        parent="backendPools/web", backend_id="b1", backend=bp.Backend(address="198.18.0.11", weight=0)
    )
    assert (await api.pools.CreateBackend(request)).weight == 0


async def test_pages_cover_everything_once(api: Api) -> None:
    """Pages of all pools' backends, in order of name, none twice and none left out."""
    for pool in ("web", "web-2", "dns"):
        await make_pool(api, pool)
        for i in range(7):
            await make_backend(api, i, pool)
    names: list[str] = []
    request = bp.ListBackendsRequest(parent="backendPools/-", page_size=4)
    while True:
        page = await api.pools.ListBackends(request)
        assert len(page.backends) <= 4
        names += [backend.name for backend in page.backends]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert len(names) == 21
    assert names == sorted(set(names))


async def test_page_tokens_belong_to_their_list(api: Api) -> None:
    """A token of one parent is refused for another."""
    for pool in ("web", "dns"):
        await make_pool(api, pool)
        for i in range(3):
            await make_backend(api, i, pool)
    page = await api.pools.ListBackends(bp.ListBackendsRequest(parent="backendPools/web", page_size=2))
    other = bp.ListBackendsRequest(parent="backendPools/dns", page_token=page.next_page_token)
    with pytest.raises(grpc.aio.AioRpcError, match="page_token"):
        await api.pools.ListBackends(other)


async def test_drain_and_undrain(api: Api) -> None:
    """Status says draining and until when; the etag stays; undrain clears it."""
    await make_pool(api)
    backend = await make_backend(api, 1)
    drained = await api.pools.DrainBackend(bp.DrainBackendRequest(name=B1, deadline=Duration(seconds=60)))
    assert drained.status.draining
    assert not drained.status.drained
    assert 55 < drained.status.drain_deadline.seconds - drained.create_time.seconds < 65
    assert drained.etag == backend.etag
    forced = await api.pools.DrainBackend(bp.DrainBackendRequest(name=B1, deadline=Duration()))
    assert forced.status.drained
    for _ in range(2):
        back = await api.pools.UndrainBackend(bp.UndrainBackendRequest(name=B1))
        assert not back.status.draining
    assert back.revision == forced.revision + 1


async def test_delete_from_the_top(api: Api) -> None:
    """Service, then the pool with force: everything is gone, and the names are free."""
    await make_pool(api)
    await make_backend(api, 1)
    service = await make_service(api)
    request = vs.DeleteVirtualServiceRequest(name=service.name, etag=service.etag)
    await api.services.DeleteVirtualService(request)
    await api.pools.DeleteBackendPool(bp.DeleteBackendPoolRequest(name="backendPools/web", force=True))
    await make_pool(api)
    backends = await api.pools.ListBackends(bp.ListBackendsRequest(parent="backendPools/web"))
    assert not backends.backends
    await make_backend(api, 1)


async def test_push_then_find_and_list(api: Api) -> None:
    """Two chunks are answered in order; the connections are found, listed by filter, and counted."""
    await make_pool(api)
    for i in (1, 2):
        await make_backend(api, i)
    await make_service(api)
    header = cn.PackedHeader(
        format=1,
        record_bytes=16,
        services=[cn.PackedService(virtual_service="virtualServices/web", frontend=VIP)],
        backends=[cn.PackedBackend(backend=f"backendPools/web/backends/b{i}") for i in (1, 2)],
    )
    record = bytes.fromhex("c6120007 9c40 0000 00000001 0005 03 00")
    other = bytes.fromhex("c6120007 9c41 0000 00000000 0005 03 00")
    moved = bytes.fromhex("c6120007 9c41 0000 00000001 0005 03 00")
    requests = [
        cn.PushConnectionsRequest(header=header),
        cn.PushConnectionsRequest(chunk=cn.PackedChunk(sequence=1, records=record + other)),
        cn.PushConnectionsRequest(chunk=cn.PackedChunk(sequence=2, records=record + moved)),
    ]
    answers = [answer async for answer in api.connections.PushConnections(iter(requests))]
    assert [(answer.sequence, answer.accepted) for answer in answers] == [(1, 2), (2, 1)]
    assert [(r.index, r.reason) for r in answers[1].refusals] == [(1, cn.PUSH_REFUSAL_REASON_CONFLICT)]
    found = await api.connections.GetConnection(
        cn.GetConnectionRequest(
            protocol=vs.PROTOCOL_TCP,
            client_address="198.18.0.7",
            client_port=40000,
            address="198.18.100.1",
            port=80,
        )
    )
    assert found.backend == "backendPools/web/backends/b2"
    assert (found.virtual_service, found.forwarding) == ("virtualServices/web", "l2")
    assert (found.pushed, found.state) == (True, cn.CONNECTION_STATE_ESTABLISHED)
    assert found.idle.seconds == 5
    assert await listed(api, backend=found.backend) == [found]
    assert len(await listed(api, virtual_service="virtualServices/web")) == 2
    assert await listed(api, backend=B1, virtual_service="virtualServices/web") != [found]
    statistics = await api.node.GetStatistics(nd.GetStatisticsRequest(count_connections=True))
    assert statistics.connections == 2
    assert [backend.connections for backend in statistics.backends] == [1, 1]


async def push_many(api: Api, first: int, count: int) -> None:
    """Connections of 198.19.0.0/16 to the service's VIP, on b1 and b2 in turn."""
    header = cn.PackedHeader(
        format=1,
        record_bytes=16,
        services=[cn.PackedService(virtual_service="virtualServices/web", frontend=VIP)],
        backends=[cn.PackedBackend(backend=f"backendPools/web/backends/b{i}") for i in (1, 2)],
    )
    records = b"".join(
        struct.pack("!IHHIHBB", 0xC6130000 + n, 4000, 0, n % 2, 7, 3, 0) for n in range(first, first + count)
    )
    requests = [
        cn.PushConnectionsRequest(header=header),
        cn.PushConnectionsRequest(chunk=cn.PackedChunk(sequence=1, records=records)),
    ]
    answers = [answer async for answer in api.connections.PushConnections(iter(requests))]
    assert [answer.accepted for answer in answers] == [count]


async def dumped(api: Api, **fields: int) -> list[cn.DumpConnectionsResponse]:
    """A whole stream."""
    return [answer async for answer in api.connections.DumpConnections(cn.DumpConnectionsRequest(**fields))]


async def kind_of_next(call: Any) -> str:
    """Which message a stream brings next."""
    answer: cn.DumpConnectionsResponse = await call.read()
    return answer.WhichOneof("message") or ""


async def test_dump_is_what_is_in_the_table(api: Api) -> None:
    """Header with names, uids and frontends, numbered chunks, trailer; each connection with its backend."""
    await make_pool(api)
    for i in (1, 2):
        await make_backend(api, i)
    service = await make_service(api)
    await push_many(api, 0, 30_000)
    answers = await dumped(api)
    assert [answer.WhichOneof("message") for answer in answers] == ["header", "chunk", "trailer"]
    header, chunk, trailer = answers[0].header, answers[1].chunk, answers[2].trailer
    assert (header.format, header.record_bytes) == (1, 16)
    assert list(header.services) == [
        cn.PackedService(virtual_service=service.name, uid=service.uid, frontend=VIP)
    ]
    assert [entry.backend for entry in header.backends] == [f"backendPools/web/backends/b{i}" for i in (1, 2)]
    assert all(len(entry.uid) == 32 for entry in header.backends)
    assert (chunk.sequence, len(chunk.records)) == (1, 16 * 30_000)
    assert trailer == cn.PackedTrailer(records=30_000, chunks=1, complete=True, passes=1)
    found = {record[0]: record[1:] for record in struct.iter_unpack("!IHHIHBB", chunk.records)}
    assert found == {0xC6130000 + n: (4000, 0, n % 2, 7, 3, 0) for n in range(30_000)}
    assert [answer.progress for answer in answers] == [0, 1, 1]


async def test_dump_in_formats_known(api: Api) -> None:
    """An unknown format is refused and those known are listed; 0 is the newest; an empty table is whole."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await dumped(api, format=2)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "known formats: 1" in (caught.value.details() or "")
    answers = await dumped(api, format=1)
    assert [answer.WhichOneof("message") for answer in answers] == ["header", "trailer"]
    assert answers[1].trailer == cn.PackedTrailer(complete=True, passes=1)


@pytest.fixture
async def large(store: SqliteStore, segment_path: Path, tmp_path: Path) -> AsyncIterator[Api]:
    """The API beside a table of two million."""
    native.create(segment_path, connections=1 << 21)
    fake = FakeDataplane(segment_path)
    started = await Reconciler.start(store, where=lambda: segment_path)
    server = await start_api(started, f"unix:{tmp_path}/api.sock", "test")
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/api.sock") as channel:
        yield Api(channel)
    await server.stop(0)
    await started.close()
    fake.stop()


async def test_slow_reader_holds_up_the_scan(large: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that pauses: the table is not read into memory ahead of it; then all of it comes."""
    reads: list[int] = []
    read = Snapshot.read

    def counted(snapshot: Snapshot, limit: int) -> bytes:
        reads.append(limit)
        return read(snapshot, limit)

    monkeypatch.setattr(Snapshot, "read", counted)
    await make_pool(large)
    for i in (1, 2):
        await make_backend(large, i)
    await make_service(large)
    for first in range(0, 1_800_000, 60_000):
        await push_many(large, first, 60_000)
    stream = aiter(large.connections.DumpConnections(cn.DumpConnectionsRequest()))
    await anext(stream)
    await asyncio.sleep(0.7)
    paused_at = len(reads)
    await asyncio.sleep(0.3)
    assert paused_at == len(reads) < 18
    answers = [answer async for answer in stream]
    assert sum(len(answer.chunk.records) for answer in answers) == 16 * 1_800_000
    assert answers[-1].trailer.complete
    assert len(reads) >= answers[-1].trailer.chunks > 25
    for _ in range(2 * STREAMS_MAX):  # who goes away in the middle frees his place
        call = large.connections.DumpConnections(cn.DumpConnectionsRequest())
        assert await kind_of_next(call) == "header"
        call.cancel()
        await asyncio.sleep(0.1)


async def test_dumps_are_bounded_and_end_with_their_reader(api: Api, reconciler: Reconciler) -> None:
    """As many at a time as there may be; one more is refused; those that ended count no more."""
    calls = []
    for _ in range(STREAMS_MAX):
        call = api.connections.DumpConnections(cn.DumpConnectionsRequest())
        assert await kind_of_next(call) == "header"
        calls.append(call)
    # All of an empty table has been sent: the streams end, and others may begin.
    for call in calls:
        assert await kind_of_next(call) == "trailer"
    async with AsyncExitStack() as held:
        for _ in range(STREAMS_MAX):
            await held.enter_async_context(reconciler.dumps.open())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await dumped(api)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(await dumped(api)) == 2


async def listed(api: Api, **filters: Any) -> list[cn.Connection]:
    """All pages."""
    found: list[cn.Connection] = []
    request = cn.ListConnectionsRequest(page_size=1, **filters)
    while True:
        page = await api.connections.ListConnections(request)
        found += page.connections
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_node(api: Api, dataplane: FakeDataplane) -> None:
    """The node says what runs and what is applied."""
    await make_pool(api)
    waited = await api.node.WaitApplied(nd.WaitAppliedRequest())
    node = await api.node.GetNode(nd.GetNodeRequest(name="nodes/-"))
    assert (node.name, node.stored_revision, node.applied_revision) == ("nodes/test", 1, 1)
    assert (node.dataplane_live, node.dataplane_starts) == (True, 1)
    assert node.generation == waited.generation
    assert (node.not_applied_reason, node.page_bytes, len(node.layout_id)) == ("", 4096, 16)


async def test_wait_applied_says_why_not(api: Api, dataplane: FakeDataplane, reconciler: Reconciler) -> None:
    """DEADLINE_EXCEEDED with the reason."""
    dataplane.stop()
    await make_pool(api)
    with pytest.raises(grpc.aio.AioRpcError, match="the data plane is not running") as caught:
        await api.node.WaitApplied(nd.WaitAppliedRequest(timeout=Duration(nanos=400_000_000)))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_node_ids_of_instances_differ() -> None:
    """Two instances on one machine are two nodes."""
    assert node_id("default") != node_id("second")
