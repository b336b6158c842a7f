# SPDX-License-Identifier: Apache-2.0
"""What happens by itself becomes an event, once, and stays in the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest
from conftest import Api, FakeDataplane
from tiara.domain.errors import StoreError
from tiara.domain.history import Event, EventKind
from tiara.domain.layout import OnConflict
from tiara.domain.model import (
    Backend,
    Drain,
    Forwarding,
    Frontend,
    Health,
    HealthCheck,
    Pool,
    Protocol,
    VirtualService,
)
from tiara.native import segment as native
from tiara.reconciler import PushBackend, PushService, Reconciler, level, notices
from tiara.reconciler import events as event_log
from tiara.reconciler.drains import Drains
from tiara.reconciler.events import Events
from tiara.store import SqliteStore
from tiara.v1 import configuration_pb2 as cf

NODE = "nodes/n1"


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    """Stands still until a test moves it."""
    return Clock()


Start = Callable[[], Awaitable[Reconciler]]


@pytest.fixture
async def start(
    store: SqliteStore, segment_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Starts a control plane that looks often; the one before is closed first."""
    monkeypatch.setattr(notices, "LOOK_S", 0.02)
    monkeypatch.setattr(notices, "FILL_S", 0.02)
    monkeypatch.setattr(notices, "COUNT_S", 0.02)
    running: list[Reconciler] = []

    async def begin() -> Reconciler:
        while running:
            await running.pop().close()
        running.append(await Reconciler.start(store, where=lambda: segment_path, clock_ms=clock, node="n1"))
        return running[0]

    yield begin
    for last in running:
        await last.close()


async def fill(reconciler: Reconciler, backends: int = 2) -> list[Backend]:
    """A pool "web" with backends b0.. and a service, applied."""
    configuration = reconciler.configuration
    check = HealthCheck(9, 300_000, rise=1, fall=1)
    await configuration.create_pool(Pool("web", "", Forwarding.L2, selection_rows=1021, health_check=check))
    made = [
        await configuration.create_backend(Backend("web", f"b{i}", "", f"198.18.0.{i + 11}"))
        for i in range(backends)
    ]
    frontend = Frontend("198.18.100.1", Protocol.TCP, 80)
    service = await configuration.create_service(VirtualService("web", "", (frontend,), "web"))
    await reconciler.wait_applied(service.revision, 10)
    return made


async def push(reconciler: Reconciler, backend: Backend, count: int) -> None:
    """So many connections of this backend."""
    session = await reconciler.open_push(
        [PushService("web")], [PushBackend("web", backend.id)], OnConflict.CONFLICT_KEEP
    )
    records = [
        (0xC6130000 + n).to_bytes(4, "big") + bytes.fromhex("9c40 0000 00000000 0005 03 00")
        for n in range(count)
    ]
    await session.push(b"".join(records))


async def told(reconciler: Reconciler, count: int, kind: EventKind | None = None) -> list[tuple[str, str]]:
    """Waits for so many events of a kind, oldest first; resource and message."""
    deadline = time.monotonic() + 10
    while len(found := await reconciler.events.list(0, 100, kind)) < count:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.01)
    return [(event.resource, event.message) for event in reversed(found)]


async def settled(reconciler: Reconciler, kind: EventKind) -> int:
    """How many there are after some more looks."""
    await asyncio.sleep(0.2)
    return len(await reconciler.events.list(0, 100, kind))


async def test_backend_down_and_up(dataplane: FakeDataplane, start: Start) -> None:
    """With the reason, when it turns, and not at each probe."""
    reconciler = await start()
    backend = (await fill(reconciler))[0]
    reconciler._probed(backend.uid, Health.UP, "")
    for _ in range(3):
        reconciler._probed(backend.uid, Health.DOWN, "connect: refused")
    reconciler._probed(backend.uid, Health.UP, "")
    assert await told(reconciler, 1, EventKind.BACKEND_DOWN) == [(backend.name, "connect: refused")]
    assert await told(reconciler, 1, EventKind.BACKEND_UP) == [(backend.name, "its health check found it up")]


async def test_drain_deadline(dataplane: FakeDataplane, start: Start, clock: Clock) -> None:
    """A backend with connections is drained when its deadline passes, and the watch sees it."""
    reconciler = await start()
    backend = (await fill(reconciler))[0]
    await push(reconciler, backend, 3)
    drained = await reconciler.configuration.drain_backend("web", "b0", 60_000)
    await reconciler.wait_applied(drained.revision, 10)
    assert await settled(reconciler, EventKind.DRAIN_DONE) == 0
    seen = reconciler.feed._next
    clock.ms += 60_000
    ((resource, message),) = await told(reconciler, 1, EventKind.DRAIN_DONE)
    assert (resource, "deadline has passed" in message) == (backend.name, True)
    assert reconciler.feed._next == seen + 1
    assert await settled(reconciler, EventKind.DRAIN_DONE) == 1


async def test_drained_by_its_clients(dataplane: FakeDataplane, start: Start) -> None:
    """Without a deadline it is done when its last connection is gone, and only once."""
    reconciler = await start()
    backend, other = await fill(reconciler)
    await push(reconciler, backend, 3)
    drained = await reconciler.configuration.drain_backend("web", "b0", None)
    await reconciler.wait_applied(drained.revision, 10)
    assert await settled(reconciler, EventKind.DRAIN_DONE) == 0
    dataplane.set_tick(30_000)
    assert await told(reconciler, 1, EventKind.DRAIN_DONE) == [(backend.name, "no connection of it is left")]
    assert await settled(reconciler, EventKind.DRAIN_DONE) == 1
    await reconciler.configuration.undrain_backend("web", "b0")
    await reconciler.configuration.drain_backend("web", "b0", None)
    await told(reconciler, 2, EventKind.DRAIN_DONE)
    await reconciler.configuration.drain_backend("web", other.id, None)
    assert [name for name, _ in await told(reconciler, 3, EventKind.DRAIN_DONE)] == [
        backend.name,
        backend.name,
        other.name,
    ]


async def test_drain_waits_for_the_workers(
    dataplane: FakeDataplane, start: Start, segment_path: Path
) -> None:
    """A worker that does not know of the drain may still choose the backend: no scan says it is empty."""
    reconciler = await start()
    await fill(reconciler)
    dataplane.report(_generation(segment_path))
    await reconciler.configuration.drain_backend("web", "b0", None)
    assert await settled(reconciler, EventKind.DRAIN_DONE) == 0
    dataplane.report(0)
    await told(reconciler, 1, EventKind.DRAIN_DONE)


def _generation(path: Path) -> int:
    segment = native.Segment.attach(path)
    try:
        return segment.describe().generation
    finally:
        segment.detach()


async def test_done_drains_are_not_told_again(dataplane: FakeDataplane, start: Start, clock: Clock) -> None:
    """A restart of the control plane is no reason; a drain that ended meanwhile is."""
    reconciler = await start()
    one, two = await fill(reconciler)
    await push(reconciler, two, 1)
    await reconciler.configuration.drain_backend("web", "b0", None)
    await told(reconciler, 1, EventKind.DRAIN_DONE)
    clock.ms += 1000
    await reconciler.configuration.drain_backend("web", "b1", None)
    assert await settled(reconciler, EventKind.DRAIN_DONE) == 1
    reconciler = await start()
    assert await settled(reconciler, EventKind.DRAIN_DONE) == 1
    dataplane.set_tick(30_000)
    assert [name for name, _ in await told(reconciler, 2, EventKind.DRAIN_DONE)] == [one.name, two.name]
    reconciler = await start()
    assert await settled(reconciler, EventKind.DRAIN_DONE) == 2


async def test_table_fill(segment_path: Path, start: Start) -> None:
    """Over 80 % once; again only after it was under 75 %."""
    native.create(segment_path, connections=4096)
    dataplane = FakeDataplane(segment_path)
    reconciler = await start()
    backend = (await fill(reconciler))[0]
    await push(reconciler, backend, 3200)
    assert await settled(reconciler, EventKind.TABLE_FILL) == 0
    await push(reconciler, backend, 3400)
    ((resource, message),) = await told(reconciler, 1, EventKind.TABLE_FILL)
    assert (resource, message[:38]) == (NODE, "the connection table is 83 % full: whe")
    assert await settled(reconciler, EventKind.TABLE_FILL) == 1
    dataplane.stop()


async def test_publish_delayed(
    dataplane: FakeDataplane, start: Start, segment_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revision that a worker does not take is told once, with the worker; applied ones never are."""
    monkeypatch.setattr(level, "DELAY_S", 60)
    reconciler = await start()
    await fill(reconciler)
    monkeypatch.setattr(level, "DELAY_S", 0.3)
    dataplane.report(_generation(segment_path))
    await reconciler.configuration.drain_backend("web", "b0", None)
    ((resource, message),) = await told(reconciler, 1, EventKind.PUBLISH_DELAYED)
    assert resource == NODE
    assert message.startswith(
        "revision 5 is not applied after 0.3 s: worker 0 still uses an older generation"
    )
    assert await settled(reconciler, EventKind.PUBLISH_DELAYED) == 1
    dataplane.report(0)
    await reconciler.wait_applied(5, 10)
    assert await settled(reconciler, EventKind.PUBLISH_DELAYED) == 1


async def test_dataplane_starts_and_stops(segment_path: Path, start: Start) -> None:
    """Told when it changes, not when the control plane begins to look."""
    native.create(segment_path)
    dataplane = FakeDataplane(segment_path)
    reconciler = await start()
    assert await settled(reconciler, EventKind.DATAPLANE) == 0
    dataplane.stop()
    await told(reconciler, 1, EventKind.DATAPLANE)
    dataplane = FakeDataplane(segment_path)
    assert await told(reconciler, 2, EventKind.DATAPLANE) == [
        (NODE, "the data plane stopped"),
        (NODE, "the data plane started"),
    ]
    dataplane.stop()


async def test_failing_store_stops_nothing(
    dataplane: FakeDataplane, start: Start, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are lost then, and only they: health goes on, writes too, later events are kept."""
    reconciler = await start()
    backend = (await fill(reconciler))[0]

    async def fail(event: Event) -> Event:
        raise StoreError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(store, "add_event", fail)
        reconciler._probed(backend.uid, Health.DOWN, "lost")
        await asyncio.wait_for(reconciler.events._idle.wait(), 10)
        assert reconciler.status(backend).health is Health.DOWN
    reconciler._probed(backend.uid, Health.UP, "kept")
    assert await told(reconciler, 1) == [(backend.name, "kept")]


async def test_events_outlive_a_restart(dataplane: FakeDataplane, start: Start) -> None:
    """What happened just before the end is stored before it."""
    reconciler = await start()
    backend = (await fill(reconciler))[0]
    for _ in range(20):
        reconciler._probed(backend.uid, Health.DOWN, "no")
        reconciler._probed(backend.uid, Health.UP, "yes")
    reconciler = await start()
    assert len(await reconciler.events.list(0, 100)) == 40


async def test_a_burst_is_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """More at once than may wait are logged only; what waits is kept in order."""
    monkeypatch.setattr(event_log, "WAITING_MAX", 5)
    events = Events(store, lambda: 1)
    for number in range(9):
        events.happened(EventKind.BACKEND_DOWN, f"b{number}", "")
    events.start()
    await events.close()
    assert [event.resource for event in await store.events(0, 9)] == ["b4", "b3", "b2", "b1", "b0"]


async def test_list_events(api: Api, reconciler: Reconciler) -> None:
    """Newest first, by pages, by kind, by resource or what is below it."""
    for number in range(5):
        reconciler.events.happened(
            EventKind.BACKEND_DOWN, f"backendPools/web/backends/b{number}", "no answer"
        )
    reconciler.events.happened(EventKind.DATAPLANE, "nodes/n1", "the data plane stopped")
    await told(reconciler, 6)
    request = cf.ListEventsRequest(page_size=2, kind=cf.EVENT_KIND_BACKEND_DOWN, resource="backendPools/web")
    numbers = []
    while True:
        page = await api.configuration.ListEvents(request)
        numbers += [event.number for event in page.events]
        assert all(event.kind == cf.EVENT_KIND_BACKEND_DOWN for event in page.events)
        request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    assert numbers == [5, 4, 3, 2, 1]
    (last,) = (await api.configuration.ListEvents(cf.ListEventsRequest(resource="nodes"))).events
    assert (last.number, last.resource, last.message) == (6, "nodes/n1", "the data plane stopped")
    assert last.time.seconds > 1_700_000_000


@pytest.mark.parametrize(
    "request_",
    [
        cf.ListEventsRequest(kind=99),  # type: ignore[arg-type]
        cf.ListEventsRequest(page_size=-1),
        cf.ListEventsRequest(page_token="nonsense"),
    ],
)
async def test_bad_list_of_events(api: Api, request_: cf.ListEventsRequest) -> None:
    """Refused by field."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.configuration.ListEvents(request_)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_fill_has_hysteresis() -> None:
    """Between both thresholds nothing is said."""
    fill = level.Fill()
    said = [bool(fill.see(share)) for share in (0.79, 0.81, 0.79, 0.83, 0.76, 0.74, 0.79, 0.81)]
    assert said == [False, True, False, False, False, True, False, True]


def test_delay_is_of_one_revision() -> None:
    """A stream of revisions, each applied in time, is not late; what is told once is not told again."""
    delay = level.Delay()
    for second in range(10):
        assert not delay.see(second, second + 5, second + 4, True, "")
    assert not delay.see(11, 15, 14, False, "")
    assert not delay.see(12, 15, 14, True, "")
    assert not delay.see(14, 16, 14, True, "")
    assert delay.see(14.1, 16, 14, True, "worker 3") == "revision 15 is not applied after 2 s: worker 3"
    assert not delay.see(99, 17, 14, True, "")
    assert not delay.see(100, 18, 17, True, "")
    assert delay.see(103, 18, 17, True, "why")


def test_runs() -> None:
    """Starts are told apart by their number: one that was too short to be seen stopped is another."""
    runs = level.Runs()
    said = [
        runs.see(live, number) for live, number in ((True, 1), (True, 1), (True, 2), (False, 2), (True, 3))
    ]
    assert said == [
        "",
        "",
        "the data plane was started again",
        "the data plane stopped",
        "the data plane started",
    ]


def test_drains_are_done_once() -> None:
    """Another deadline is another drain; another weight is not."""
    drains, backend = Drains(), Backend("web", "b1", "u1", "198.18.0.1", drain=Drain(), revision=4)
    drains.put(backend)
    assert drains.waiting(3) == []
    assert drains.done(drains.waiting(4)) == [backend]
    heavier = Backend("web", "b1", "u1", "198.18.0.1", weight=7, drain=Drain(), revision=5)
    drains.put(heavier)
    assert drains.waiting() == []
    again = Backend("web", "b1", "u1", "198.18.0.1", drain=Drain(50), revision=6)
    drains.put(again)
    assert drains.done([heavier]) == []
    assert drains.passed(49) == []
    assert drains.passed(50) == [again]
    drains.put(backend)
    drains.remove(backend)
    assert drains.waiting() == []
