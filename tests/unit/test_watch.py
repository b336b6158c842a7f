# SPDX-License-Identifier: Apache-2.0
"""Watch over a real server: snapshot, SYNCED, changes in order; resume, heartbeats, slow readers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import Api, FakeDataplane
from google.protobuf.duration_pb2 import Duration
from tiara.domain.errors import Exhausted, OutOfRange
from tiara.domain.model import Backend, Forwarding, Health, HealthCheck, Pool
from tiara.reconciler import Reconciler
from tiara.reconciler import watch as feeds
from tiara.reconciler.wanted import Wanted
from tiara.reconciler.watch import Heartbeat, Put, Reader, Removed, Step, Synced
from tiara.server import start_api
from tiara.store import Bounds, SqliteStore
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import configuration_pb2 as cf
from tiara.v1 import configuration_pb2_grpc

WAIT_S = 20
SMALL_WINDOW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65535)]

Line = tuple[str, str, int]


def line(step: cf.WatchResponse) -> Line:
    """What it does, to what, at which revision."""
    match step.WhichOneof("step"):
        case "put":
            resource: Any = getattr(step.put, str(step.put.WhichOneof("resource")))
            return "put", resource.name, step.revision
        case "removed":
            return "removed", step.removed, step.revision
        case kind:
            return str(kind), "", step.revision


class Watching:
    """One watch that is being read."""

    def __init__(self, api: Api, after: int = 0, heartbeat_s: int = 300) -> None:
        self._call = api.configuration.Watch(
            cf.WatchRequest(after_revision=after, heartbeat=Duration(seconds=heartbeat_s))
        )

    async def next(self) -> cf.WatchResponse:
        """The next step; an error of the call is raised."""
        step = await asyncio.wait_for(self._call.read(), WAIT_S)
        assert isinstance(step, cf.WatchResponse)
        return step

    async def until(self, revision: int) -> list[Line]:
        """Steps up to SYNCED at this revision."""
        found: list[Line] = []
        while not found or found[-1] != ("synced", "", revision):
            found.append(line(await self.next()))
        return found

    def end(self) -> None:
        """Hangs up."""
        self._call.cancel()


@pytest.fixture
async def watch(api: Api) -> AsyncIterator[Callable[..., Watching]]:
    """Begins watches, and ends them with the test."""
    begun: list[Watching] = []

    def begin(after: int = 0, heartbeat_s: int = 300, at: Api = api) -> Watching:
        begun.append(Watching(at, after, heartbeat_s))
        return begun[-1]

    yield begin
    for one in begun:
        one.end()


async def make_pool(api: Api, name: str = "web", check: int = 0) -> bp.BackendPool:
    """By the API."""
    pool = bp.BackendPool(forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN, selection_rows=1021)
    if check:
        pool.health_check.tcp.port = check
    created: bp.BackendPool = await api.pools.CreateBackendPool(
        bp.CreateBackendPoolRequest(backend_pool_id=name, backend_pool=pool)
    )
    return created


async def make_backend(api: Api, number: int, pool: str = "web") -> bp.Backend:
    """By the API."""
    created: bp.Backend = await api.pools.CreateBackend(
        bp.CreateBackendRequest(
            parent=f"backendPools/{pool}",
            backend_id=f"b{number}",
            backend=bp.Backend(address=f"198.18.1.{number}"),
        )
    )
    return created


async def drain(api: Api, name: str) -> bp.Backend:
    """By the API."""
    drained: bp.Backend = await api.pools.DrainBackend(bp.DrainBackendRequest(name=name))
    return drained


async def refusal(watching: Watching) -> grpc.aio.AioRpcError:
    """How the watch ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        while True:
            await watching.next()
    return caught.value


async def test_snapshot_then_changes(api: Api, watch: Callable[..., Watching]) -> None:
    """All resources, SYNCED, then each change with its revision, and SYNCED after each revision."""
    pool = await make_pool(api)
    first = await make_backend(api, 1)
    watching = watch()
    assert await watching.until(2) == [
        ("put", pool.name, 2),
        ("put", first.name, 2),
        ("synced", "", 2),
    ]
    second = await make_backend(api, 2)
    await drain(api, second.name)
    await api.pools.DeleteBackend(bp.DeleteBackendRequest(name=first.name))
    assert await watching.until(5) == [
        ("put", second.name, 3),
        ("synced", "", 3),
        ("put", second.name, 4),
        ("synced", "", 4),
        ("removed", first.name, 5),
        ("synced", "", 5),
    ]


async def test_puts_are_what_get_answers(api: Api, watch: Callable[..., Watching]) -> None:
    """The whole resource comes, with its etag, its revision and what is seen of it."""
    await make_pool(api)
    created = await make_backend(api, 1)
    watching = watch()
    await watching.until(2)
    await drain(api, created.name)
    step = await watching.next()
    assert step.put.backend == await api.pools.GetBackend(bp.GetBackendRequest(name=created.name))
    assert step.put.backend.status.draining
    assert step.put.backend.revision == step.revision == 3


async def test_empty(watch: Callable[..., Watching]) -> None:
    """Nothing stored yet: SYNCED at 0 at once."""
    assert await watch().until(0) == [("synced", "", 0)]


async def test_order_under_concurrent_writes(api: Api, watch: Callable[..., Watching]) -> None:
    """Whenever a watch begins, its copy ends up as the store; revisions come in order and none is missing."""
    await make_pool(api)
    writers = [asyncio.create_task(_write(api, number)) for number in range(1, 9)]
    reading = []
    for _ in range(6):
        reading.append(asyncio.create_task(_replica(watch(), 77)))
        await asyncio.sleep(0.03)
    await asyncio.gather(*writers)
    listed = await api.pools.ListBackends(bp.ListBackendsRequest(parent="backendPools/web"))
    expected = {backend.name: backend.revision for backend in listed.backends}
    for replica, synced in await asyncio.gather(*reading):
        assert replica == expected
        assert synced == list(range(synced[0], 78))


async def _write(api: Api, number: int) -> None:
    """Ten revisions; of an even backend nine, and it stays."""
    name = f"backendPools/web/backends/b{number}"
    for last in (False, True):
        await make_backend(api, number)
        await drain(api, name)
        await api.pools.UndrainBackend(bp.UndrainBackendRequest(name=name))
        await drain(api, name)
        if number % 2 or not last:
            await api.pools.DeleteBackend(bp.DeleteBackendRequest(name=name))


async def _replica(watching: Watching, last: int) -> tuple[dict[str, int], list[int]]:
    replica: dict[str, int] = {}
    synced: list[int] = []
    while not synced or synced[-1] != last:
        step = await watching.next()
        match step.WhichOneof("step"):
            case "put" if step.put.HasField("backend"):
                replica[step.put.backend.name] = step.put.backend.revision
            case "removed":
                del replica[step.removed]
            case "synced":
                synced.append(step.revision)
    return replica, synced


async def test_what_comes_during_the_snapshot(reconciler: Reconciler) -> None:
    """A change between two of its resources follows it."""
    await _pool_of(reconciler, 3)
    live = reconciler.feed.watch(Reader(), 0, 1)
    assert isinstance(await anext(live), Put)
    await reconciler.configuration.delete_backend("web", "b1", "")
    found = [await anext(live) for _ in range(4)]
    assert found[-1] == Synced(4)
    assert [await anext(live), await anext(live)] == [Removed("backendPools/web/backends/b1", 5), Synced(5)]
    await live.aclose()


async def test_resume_is_exactly_once(api: Api, watch: Callable[..., Watching]) -> None:
    """Broken after any SYNCED and resumed while writes go on: every step once, none left out."""
    await make_pool(api, "p1")
    dice = random.Random(7)
    writer = asyncio.create_task(_write_pools(api, range(2, 81)))
    begin = await _some_revisions(watch(), 1)
    seen, after = [], begin[-1][2]
    while after != 80:
        steps = await _some_revisions(watch(after), dice.randint(1, 12), 80)
        seen += steps[1:] if steps[0] == ("synced", "", after) else steps
        after = steps[-1][2]
    await writer
    assert seen == [
        step
        for revision in range(begin[-1][2] + 1, 81)
        for step in (("put", f"backendPools/p{revision}", revision), ("synced", "", revision))
    ]


async def _some_revisions(watching: Watching, count: int, last: int = 0) -> list[Line]:
    """Steps up to so many SYNCED, or to that of the last revision; then hangs up."""
    steps: list[Line] = []
    while count and ("synced", "", last) not in steps[-1:]:
        steps.append(line(await watching.next()))
        count -= steps[-1][0] == "synced"
    watching.end()
    return steps


async def _write_pools(api: Api, numbers: range) -> None:
    for number in numbers:
        await make_pool(api, f"p{number}")
        await asyncio.sleep(0.005)


async def test_resume_after_a_restart(tmp_path: Path, dataplane: FakeDataplane, segment_path: Path) -> None:
    """Another process of the control plane goes on where the client was: the store has what it missed."""
    store = await SqliteStore.open(tmp_path / "store.db")
    first = await Reconciler.start(store, where=lambda: segment_path)
    await _pool_of(first, 3)
    await first.configuration.delete_backend("web", "b1", "")
    await first.close()
    second = await Reconciler.start(store, where=lambda: segment_path)
    steps = await _steps(second, 2, 3)
    assert [(type(step).__name__, step.revision) for step in steps] == [
        ("Put", 3),
        ("Synced", 3),
        ("Put", 4),
        ("Synced", 4),
        ("Removed", 5),
        ("Synced", 5),
    ]
    await second.close()
    await store.close()


async def _pool_of(reconciler: Reconciler, backends: int) -> Pool:
    """A pool with health checks that nobody runs, and backends b1 to b{backends}."""
    check = HealthCheck(9, 300_000)
    pool = await reconciler.configuration.create_pool(
        Pool("web", "", Forwarding.L2, selection_rows=1021, health_check=check)
    )
    for number in range(1, backends + 1):
        await reconciler.configuration.create_backend(Backend("web", f"b{number}", "", f"198.18.1.{number}"))
    return pool


async def _steps(reconciler: Reconciler, after: int, synced: int) -> list[Step]:
    """Up to so many SYNCED."""
    found: list[Step] = []
    async for step in reconciler.feed.watch(Reader(), after, 60):
        found.append(step)
        if sum(isinstance(step, Synced) for step in found) == synced:
            break
    return found


async def test_resume_at_the_newest(reconciler: Reconciler) -> None:
    """Nothing was missed: SYNCED alone says so."""
    await _pool_of(reconciler, 2)
    assert await _steps(reconciler, 3, 1) == [Synced(3)]


async def test_replaced_in_one_write(reconciler: Reconciler) -> None:
    """Another server under an old name: the old one is removed first, live and from the store alike."""
    await _pool_of(reconciler, 1)
    feed, reader = reconciler.feed, Reader()
    live = feed.watch(reader, 2, 60)
    assert await anext(live) == Synced(2)
    old = reconciler.configuration.backend("web", "b1")
    new = await _replace(reconciler, old)
    expected: list[Step] = [Removed(old.name, 3), Put(new, 3), Synced(3)]
    assert [await anext(live) for _ in range(3)] == expected
    await live.aclose()
    assert await _steps(reconciler, 2, 1) == expected


async def _replace(reconciler: Reconciler, old: Backend) -> Backend:
    wanted = Wanted("ops", ((replace(old, uid="", address="198.18.1.99"), "backend"),), whole=False)
    revision = reconciler.configuration.catalogue.revision
    await reconciler.configuration.apply(wanted, revision, allow_removal=True)
    return reconciler.configuration.backend(old.pool, old.id)


async def test_too_old(tmp_path: Path, dataplane: FakeDataplane, segment_path: Path) -> None:
    """What is no longer kept, or was never there, is OUT_OF_RANGE; from 0 it begins again."""
    store = await SqliteStore.open(tmp_path / "store.db", Bounds(revisions=2))
    reconciler = await Reconciler.start(store, where=lambda: segment_path)
    await _pool_of(reconciler, 4)
    server = await start_api(reconciler, f"unix:{tmp_path}/api.sock", "test")
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/api.sock") as channel:
        api = Api(channel)
        for after, said in ((2, "no longer kept"), (6, "newer than the newest revision, 5")):
            error = await refusal(Watching(api, after))
            assert error.code() is grpc.StatusCode.OUT_OF_RANGE
            assert said in str(error.details())
        assert (await Watching(api, 3).until(5))[-1] == ("synced", "", 5)
        assert len(await Watching(api).until(5)) == 6
    await server.stop(0)
    await reconciler.close()
    await store.close()


async def test_heartbeats(api: Api) -> None:
    """They come while nothing changes, with the newest revision; a change comes between them at once."""
    call = api.configuration.Watch(cf.WatchRequest(heartbeat=Duration(nanos=100_000_000)))

    async def read() -> Line:
        async with asyncio.timeout(WAIT_S):
            step = await call.read()
        assert isinstance(step, cf.WatchResponse)
        return line(step)

    assert [await read() for _ in range(3)] == [
        ("synced", "", 0),
        ("heartbeat", "", 0),
        ("heartbeat", "", 0),
    ]
    await make_pool(api)
    rest = [step for step in [await read() for _ in range(6)] if step != ("heartbeat", "", 0)]
    assert rest[:3] == [("put", "backendPools/web", 1), ("synced", "", 1), ("heartbeat", "", 1)]
    call.cancel()


@pytest.mark.parametrize(
    "heartbeat", [Duration(nanos=99_000_000), Duration(seconds=301), Duration(seconds=-1)]
)
async def test_heartbeat_out_of_bounds(api: Api, heartbeat: Duration) -> None:
    """Named, with the bounds."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.configuration.Watch(cf.WatchRequest(heartbeat=heartbeat)).read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert str(caught.value.details()).startswith("heartbeat: ")


async def test_health_changes(api: Api, reconciler: Reconciler, watch: Callable[..., Watching]) -> None:
    """They come as the backend with its own revision, between the revisions of others."""
    await _pool_of(reconciler, 2)
    watching = watch()
    await watching.until(3)
    backend = reconciler.configuration.backend("web", "b1")
    reconciler._probed(backend.uid, Health.DOWN, "connect: refused")
    step = await watching.next()
    assert line(step) == ("put", backend.name, 2)
    assert step.put.backend.status.health == bp.HEALTH_STATE_DOWN
    assert step.put.backend.status.reason == "connect: refused"
    await make_pool(api, "other")
    reconciler._probed(backend.uid, Health.UP, "")
    assert [line(await watching.next()) for _ in range(3)] == [
        ("put", "backendPools/other", 4),
        ("synced", "", 4),
        ("put", backend.name, 2),
    ]


async def test_resume_tells_missed_health(reconciler: Reconciler) -> None:
    """Health that may have changed since the last revision seen is said again; older health is not."""
    await _pool_of(reconciler, 2)
    one, two = (reconciler.configuration.backend("web", name) for name in ("b1", "b2"))
    reconciler._probed(one.uid, Health.UP, "")
    await reconciler.configuration.create_pool(Pool("x", "", Forwarding.L2))
    reconciler._probed(two.uid, Health.DOWN, "no answer")
    assert await _steps(reconciler, 4, 1) == [Put(two, 3), Synced(4)]
    expected = [Put(reconciler.configuration.pool("x"), 4), Put(one, 2), Put(two, 3), Synced(4)]
    assert await _steps(reconciler, 3, 1) == expected


class Keeping:
    """A reader that keeps up: a flood waits for it."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching
        self.read = 0

    async def flood(self, reconciler: Reconciler, backend: Backend, until: Callable[[], bool]) -> None:
        """Health changes until something is so."""
        for _ in range(8000):
            for _ in range(16):
                reconciler.feed.observed(backend)
            for _ in range(16):
                assert line(await self._watching.next()) == ("put", backend.name, 2)
                self.read += 1
            if until():
                return
        raise AssertionError("it never came so far")


async def test_reader_that_does_not_read(
    reconciler: Reconciler, api: Api, tmp_path: Path, watch: Callable[..., Watching]
) -> None:
    """It is dropped with RESOURCE_EXHAUSTED without being asked; others go on; what is kept stays bounded."""
    reconciler.feed._resources_max = 256
    await _pool_of(reconciler, 1)
    backend = reconciler.configuration.backend("web", "b1")
    good = watch()
    await good.until(2)
    keeping = Keeping(good)
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/api.sock", options=SMALL_WINDOW) as channel:
        slow = configuration_pb2_grpc.ConfigurationServiceStub(channel).Watch(cf.WatchRequest())
        await slow.read()
        await keeping.flood(reconciler, backend, lambda: reconciler.feed.reader_cnt == 1)
        assert sum(map(len, reconciler.feed._ring)) <= 256
        received = 0
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await asyncio.wait_for(slow.read(), WAIT_S) is not grpc.aio.EOF:
                received += 1
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "slower than the changes" in str(caught.value.details())
        assert received < keeping.read


async def test_reader_that_reads_too_late(
    reconciler: Reconciler, api: Api, tmp_path: Path, watch: Callable[..., Watching]
) -> None:
    """It gets what was under way, then the error at once, and can resume."""
    reconciler.feed._resources_max = 64
    await _pool_of(reconciler, 1)
    backend = reconciler.configuration.backend("web", "b1")
    good = watch()
    await good.until(2)
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/api.sock", options=SMALL_WINDOW) as channel:
        slow = configuration_pb2_grpc.ConfigurationServiceStub(channel).Watch(cf.WatchRequest())
        await slow.read()
        await Keeping(good).flood(
            reconciler, backend, lambda: any(reader.lost.is_set() for reader in reconciler.feed._readers)
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await asyncio.wait_for(slow.read(), WAIT_S) is not grpc.aio.EOF:
                pass
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await watch(2).until(2) == [("put", backend.name, 2), ("synced", "", 2)]


async def test_the_newest_step_is_kept_whatever_its_size(reconciler: Reconciler) -> None:
    """A write larger than the ring still reaches a reader that keeps up."""
    await _pool_of(reconciler, 5)
    reconciler.feed._resources_max = 2
    live = reconciler.feed.watch(Reader(), 6, 60)
    assert await anext(live) == Synced(6)
    await reconciler.configuration.delete_pool("web", "", force=True)
    found = [await anext(live) for _ in range(7)]
    assert [type(step) for step in found] == [Removed] * 6 + [Synced]
    await live.aclose()


async def test_lost_between_two_writes(reconciler: Reconciler) -> None:
    """A reader whose next step has left the ring is told so, and never skips one."""
    await _pool_of(reconciler, 1)
    reconciler.feed._resources_max = 4
    reader = Reader()
    live = reconciler.feed.watch(reader, 2, 60)
    assert await anext(live) == Synced(2)
    backend = reconciler.configuration.backend("web", "b1")
    for _ in range(4):
        reconciler.feed.observed(backend)
    assert await anext(live) == Put(backend, 2)
    assert not reader.lost.is_set()
    for _ in range(4):
        reconciler.feed.observed(backend)
    with pytest.raises(Exhausted):
        await anext(live)
    assert reconciler.feed.reader_cnt == 0


async def test_the_end_of_the_control_plane(
    api: Api, reconciler: Reconciler, watch: Callable[..., Watching]
) -> None:
    """A watch says what it has still to say, then ends at once: the server waits for none."""
    await make_pool(api)
    idle = watch()
    await idle.until(1)
    await make_pool(api, "last")
    reconciler.end_watches()
    assert await idle.until(2) == [("put", "backendPools/last", 2), ("synced", "", 2)]
    assert (await refusal(idle)).code() is grpc.StatusCode.UNAVAILABLE
    assert (await refusal(watch())).code() is grpc.StatusCode.UNAVAILABLE


async def test_future(reconciler: Reconciler) -> None:
    """A revision that was never made here."""
    with pytest.raises(OutOfRange):
        await _steps(reconciler, 1, 1)


async def test_so_many_watches(
    api: Api, reconciler: Reconciler, watch: Callable[..., Watching], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One too many is refused; one that ended makes room."""
    monkeypatch.setattr(feeds, "READERS_MAX", 2)
    first, second = watch(), watch()
    await first.until(0)
    await second.until(0)
    assert (await refusal(watch())).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    first.end()
    for _ in range(500):
        if reconciler.feed.reader_cnt < 2:
            break
        await asyncio.sleep(0.01)
    await watch().until(0)


async def test_idle_reader_only_beats(reconciler: Reconciler) -> None:
    """A heartbeat says the newest revision."""
    live = reconciler.feed.watch(Reader(), 0, 0.01)
    assert [await anext(live) for _ in range(3)] == [Synced(0), Heartbeat(0), Heartbeat(0)]
    await live.aclose()
