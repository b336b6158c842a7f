# SPDX-License-Identifier: Apache-2.0
"""What the segment holds follows what is stored and seen, with as little writing as possible."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import FakeDataplane
from tiara.domain.dataplane import BackendSpec
from tiara.domain.errors import DeadlineExceeded, InvalidField, Unavailable
from tiara.domain.history import Record
from tiara.domain.layout import OnConflict, Use
from tiara.domain.model import (
    Backend,
    Forwarding,
    Frontend,
    Health,
    HealthCheck,
    Policy,
    Pool,
    Protocol,
    SlowStart,
    VirtualService,
)
from tiara.native import Segment
from tiara.native import segment as native
from tiara.reconciler import PushBackend, PushService, Reconciler
from tiara.store import Put, SqliteStore

FRONTEND = Frontend("198.18.100.1", Protocol.TCP, 80)


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


@pytest.fixture
async def start(
    store: SqliteStore, segment_path: Path, clock: Clock
) -> AsyncIterator[Callable[[], asyncio.Future[Reconciler]]]:
    """Starts a control plane on the test's store and segment; the one before is closed first."""
    running: list[Reconciler] = []

    async def begin() -> Reconciler:
        while running:
            await running.pop().close()
        running.append(await Reconciler.start(store, where=lambda: segment_path, clock_ms=clock))
        return running[0]

    yield lambda: asyncio.ensure_future(begin())
    for last in running:
        await last.close()


Start = Callable[[], "asyncio.Future[Reconciler]"]


async def fill(reconciler: Reconciler, backends: int = 3, pool: Pool | None = None) -> int:
    """A pool "web" with backends b0.. and a service; the revision."""
    configuration = reconciler.configuration
    await configuration.create_pool(pool or Pool("web", "", Forwarding.L2, selection_rows=1021))
    for i in range(backends):
        await configuration.create_backend(Backend("web", f"b{i}", "", f"198.18.0.{i + 11}"))
    service = await configuration.create_service(VirtualService("web", "", (FRONTEND,), "web"))
    return service.revision


def held(path: Path) -> dict[str, BackendSpec]:
    """Backends of the segment."""
    segment = Segment.attach(path)
    try:
        return {slot.spec.backend: slot.spec for slot in segment.backends()}
    finally:
        segment.detach()


def rows_of(path: Path) -> Counter[str]:
    """How many rows of the only service's table each backend has."""
    segment = Segment.attach(path)
    try:
        names = {slot.idx: slot.spec.backend for slot in segment.backends()}
        (service,) = segment.services()
        return Counter(names[idx] for idx in array("I", segment.service_rows(service.idx)))
    finally:
        segment.detach()


def selected(path: Path) -> set[str]:
    """Backends in the selection table of the only service."""
    return set(rows_of(path))


def generation(path: Path) -> int:
    """The current one."""
    segment = Segment.attach(path)
    try:
        return segment.describe().generation
    finally:
        segment.detach()


async def until(condition: Callable[[], object]) -> None:
    """Waits at most 10 s."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def ramp_of(path: Path, backend: str, tenths: int) -> None:
    """Waits until so many tenths of its weight count."""
    await until(lambda: held(path)[backend].ramp_tenths == tenths)


async def test_writes_reach_the_segment(dataplane: FakeDataplane, start: Start, segment_path: Path) -> None:
    """After wait_applied the segment has the backends, the service and its table."""
    reconciler = await start()
    revision = await fill(reconciler)
    applied, _ = await reconciler.wait_applied(revision, 10)
    assert applied == revision
    assert set(held(segment_path)) == {"b0", "b1", "b2"}
    assert selected(segment_path) == {"b0", "b1", "b2"}
    assert reconciler.node().not_applied_reason == ""


async def test_restart_rewrites_nothing(dataplane: FakeDataplane, start: Start, segment_path: Path) -> None:
    """A control plane that adopts what it once wrote makes no generation, and says "applied" at once."""
    revision = await fill(reconciler := await start())
    await reconciler.wait_applied(revision, 10)
    before = generation(segment_path)
    reconciler = await start()
    assert await reconciler.wait_applied(0, 10) == (revision, before)
    assert generation(segment_path) == before


async def test_restart_removes_what_was_deleted_meanwhile(
    dataplane: FakeDataplane, start: Start, segment_path: Path, tmp_path: Path
) -> None:
    """The segment may hold more than the store: it goes."""
    await (reconciler := await start()).wait_applied(await fill(reconciler), 10)
    await reconciler.close()
    empty = await SqliteStore.open(tmp_path / "other.db")
    other = await Reconciler.start(empty, where=lambda: segment_path)
    await until(lambda: held(segment_path) == {})
    segment = Segment.attach(segment_path)
    assert list(segment.services()) == []
    segment.detach()
    await other.close()
    await empty.close()


async def test_without_a_segment_writes_are_stored(start: Start, segment_path: Path) -> None:
    """The data plane never ran: writes return, and wait_applied says why they are not applied."""
    reconciler = await start()
    revision = await fill(reconciler)
    with pytest.raises(DeadlineExceeded, match="there is no segment: start tiara-dataplane"):
        await reconciler.wait_applied(revision, 0.3)
    native.create(segment_path)
    fake = FakeDataplane(segment_path)
    assert (await reconciler.wait_applied(revision, 10))[0] == revision
    fake.stop()


async def test_with_a_dead_data_plane_nothing_counts_as_applied(
    dataplane: FakeDataplane, start: Start, segment_path: Path
) -> None:
    """The generation is published for the next data plane, which then makes it applied."""
    dataplane.stop()
    reconciler = await start()
    revision = await fill(reconciler)
    with pytest.raises(DeadlineExceeded, match="the data plane is not running"):
        await reconciler.wait_applied(revision, 0.5)
    assert set(held(segment_path)) == {"b0", "b1", "b2"}
    again = FakeDataplane(segment_path)
    assert (await reconciler.wait_applied(revision, 10))[0] == revision
    again.stop()


async def test_a_stopped_worker_delays_applied(dataplane: FakeDataplane, start: Start) -> None:
    """Applied means: every online worker uses it. The reason names the worker."""
    reconciler = await start()
    await until(lambda: reconciler.node().generation)
    dataplane.report(reconciler.node().generation)
    revision = await fill(reconciler)
    with pytest.raises(DeadlineExceeded, match="worker 0 still uses an older generation"):
        await reconciler.wait_applied(revision, 0.5)
    dataplane.report(0)
    assert (await reconciler.wait_applied(revision, 10))[0] == revision


async def test_a_starting_data_plane_has_applied_nothing(dataplane: FakeDataplane, start: Start) -> None:
    """It has the segment, but no worker yet: no packet sees the revision, and the reason says so."""
    dataplane.start_workers(0)
    reconciler = await start()
    revision = await fill(reconciler)
    with pytest.raises(DeadlineExceeded, match="its workers do not run yet"):
        await reconciler.wait_applied(revision, 0.5)
    assert (reconciler.node().dataplane_live, reconciler.node().workers_online) == (True, 0)
    dataplane.start_workers(3)
    assert (await reconciler.wait_applied(revision, 10))[0] == revision


async def test_workers_run_asleep_or_awake(dataplane: FakeDataplane, start: Start) -> None:
    """A worker that sleeps runs; with the data plane's process all are gone."""
    reconciler = await start()
    dataplane.start_workers(2)
    await until(lambda: reconciler.node().workers_online == 2)
    assert reconciler.node().workers_awake == 0
    await until(lambda: reconciler.node().generation)
    dataplane.report(reconciler.node().generation)
    await until(lambda: reconciler.node().workers_awake == 1)
    dataplane.stop()
    await until(lambda: reconciler.node().workers_online == 0)
    assert reconciler.node().workers_awake == 0


async def test_too_many_generations_wait_then_go_on(
    dataplane: FakeDataplane, start: Start, segment_path: Path
) -> None:
    """With a stopped worker publishing ends in a reason that names it; nothing is lost afterwards."""
    reconciler = await start()
    await until(lambda: reconciler.node().generation)
    dataplane.report(reconciler.node().generation)
    for i in range(20):
        await reconciler.configuration.create_pool(Pool(f"p{i}", "", Forwarding.L2))
        backend = await reconciler.configuration.create_backend(
            Backend(f"p{i}", f"b{i}", "", f"198.18.0.{i + 11}")
        )
        await asyncio.sleep(0.02)
    await until(lambda: "worker 0" in reconciler.node().not_applied_reason)
    assert reconciler.node().generations_waiting <= 8
    dataplane.report(0)
    assert (await reconciler.wait_applied(backend.revision, 10))[0] == backend.revision
    assert len(held(segment_path)) == 20


async def test_a_replaced_segment_is_filled_again(
    dataplane: FakeDataplane, start: Start, segment_path: Path
) -> None:
    """A data plane that starts with a new segment gets everything; until then nothing is applied."""
    await (reconciler := await start()).wait_applied(revision := await fill(reconciler), 10)
    dataplane.stop()
    fresh = segment_path.with_name("fresh")
    native.create(fresh)
    fresh.rename(segment_path)
    await until(lambda: set(held(segment_path)) == {"b0", "b1", "b2"})
    assert reconciler.node().applied_revision == 0
    fake = FakeDataplane(segment_path)
    assert (await reconciler.wait_applied(revision, 10))[0] == revision
    fake.stop()


async def test_drain_then_deadline(
    dataplane: FakeDataplane, start: Start, segment_path: Path, clock: Clock
) -> None:
    """Draining keeps the record ACTIVE and out of the table; past the deadline it is GONE, by itself."""
    await (reconciler := await start()).wait_applied(await fill(reconciler), 10)
    drained = await reconciler.configuration.drain_backend("web", "b1", 60_000)
    await reconciler.wait_applied(drained.revision, 10)
    assert selected(segment_path) == {"b0", "b2"}
    assert held(segment_path)["b1"].use is Use.ACTIVE
    assert reconciler.status(drained).draining
    clock.ms += 60_001
    await until(lambda: held(segment_path)["b1"].use is Use.GONE)
    assert reconciler.status(drained).drained


async def test_drain_deadline_survives_a_restart(
    dataplane: FakeDataplane, start: Start, segment_path: Path, clock: Clock
) -> None:
    """The deadline is a moment, not a duration: a restart neither loses nor extends it."""
    await (reconciler := await start()).wait_applied(await fill(reconciler), 10)
    await reconciler.configuration.drain_backend("web", "b1", 60_000)
    reconciler = await start()
    await reconciler.wait_applied(0, 10)
    assert held(segment_path)["b1"].use is Use.ACTIVE
    clock.ms += 60_001
    await until(lambda: held(segment_path)["b1"].use is Use.GONE)


async def test_undrain(dataplane: FakeDataplane, start: Start, segment_path: Path) -> None:
    """A forced drain that is ended brings the backend back under its old index."""
    await (reconciler := await start()).wait_applied(await fill(reconciler), 10)
    drained = await reconciler.configuration.drain_backend("web", "b1", 0)
    await reconciler.wait_applied(drained.revision, 10)
    assert held(segment_path)["b1"].use is Use.GONE
    back = await reconciler.configuration.undrain_backend("web", "b1")
    await reconciler.wait_applied(back.revision, 10)
    assert held(segment_path)["b1"].use is Use.ACTIVE
    assert selected(segment_path) == {"b0", "b1", "b2"}


async def test_recreated_backend_is_another(
    dataplane: FakeDataplane, start: Start, segment_path: Path
) -> None:
    """Deleted and created again under its name: another uid, another index while the old is in quarantine."""
    await (reconciler := await start()).wait_applied(await fill(reconciler), 10)
    before = held(segment_path)["b1"]
    await reconciler.configuration.delete_backend("web", "b1", "")
    again = await reconciler.configuration.create_backend(Backend("web", "b1", "", "198.18.0.12"))
    await reconciler.wait_applied(again.revision, 10)
    assert held(segment_path)["b1"].uid == again.uid != before.uid
    assert reconciler.node().quarantined_backends == 1


async def test_deleted_service_leaves(dataplane: FakeDataplane, start: Start, segment_path: Path) -> None:
    """Its frontend can be given to another service at once."""
    await (reconciler := await start()).wait_applied(await fill(reconciler), 10)
    await reconciler.configuration.delete_service("web", "")
    other = await reconciler.configuration.create_service(VirtualService("other", "", (FRONTEND,), "web"))
    await reconciler.wait_applied(other.revision, 10)
    segment = Segment.attach(segment_path)
    assert [slot.spec.service for slot in segment.services()] == ["other"]
    segment.detach()


async def ramping(
    reconciler: Reconciler, clock: Clock, policy: Policy = Policy.RENDEZVOUS, check: HealthCheck | None = None
) -> Backend:
    """Pool "web" with b0 and b1 at their whole weight, and b2 that begins a ramp of 9 s now."""
    pool = Pool(
        "web",
        "",
        Forwarding.L2,
        policy=policy,
        selection_rows=1021,
        health_check=check,
        slow_start=SlowStart(9000),
    )
    await reconciler.wait_applied(await fill(reconciler, backends=2, pool=pool), 10)
    clock.ms += 9000
    await asyncio.sleep(0)
    fresh = await reconciler.configuration.create_backend(Backend("web", "b2", "", "198.18.0.13"))
    await reconciler.wait_applied(fresh.revision, 10)
    return fresh


@pytest.mark.parametrize("policy", Policy)
async def test_slow_start(
    dataplane: FakeDataplane, start: Start, segment_path: Path, clock: Clock, policy: Policy
) -> None:
    """A new backend comes to its share in ten steps by itself, and then nothing more is published."""
    fresh = await ramping(reconciler := await start(), clock, policy)
    seen = []
    for step in range(1, 11):
        await ramp_of(segment_path, "b2", step)
        seen.append(rows_of(segment_path)["b2"])
        assert reconciler.status(fresh).ramp_percent == (10 * step if step < 10 else 0)
        clock.ms += 1000
    wanted = [1021 * step / (20 + step) for step in range(1, 11)]
    assert seen == pytest.approx(wanted, abs=45)
    assert seen == sorted(seen)
    before = generation(segment_path)
    clock.ms += 100_000
    await asyncio.sleep(0.5)
    assert generation(segment_path) == before


async def test_slow_start_survives_a_restart(
    dataplane: FakeDataplane, start: Start, segment_path: Path, clock: Clock
) -> None:
    """Another control plane goes on with the step it finds, rewrites nothing, and ends the ramp."""
    await ramping(await start(), clock)
    clock.ms += 4500
    await ramp_of(segment_path, "b2", 5)
    before, rows = generation(segment_path), rows_of(segment_path)
    reconciler = await start()
    await reconciler.wait_applied(0, 10)
    assert (generation(segment_path), rows_of(segment_path)) == (before, rows)
    clock.ms += 1000
    await ramp_of(segment_path, "b2", 6)
    clock.ms += 4000
    await ramp_of(segment_path, "b2", 10)


@pytest.mark.parametrize("how", ["drain", "down"])
async def test_slow_start_after_coming_back(
    dataplane: FakeDataplane, start: Start, segment_path: Path, clock: Clock, how: str
) -> None:
    """A backend that was drained or down ramps up again; the others keep their whole weight."""
    check = HealthCheck(9, 300_000, rise=1, fall=1)
    backend = await ramping(reconciler := await start(), clock, check=check)
    clock.ms += 9000
    await ramp_of(segment_path, "b2", 10)
    if how == "drain":
        await reconciler.configuration.drain_backend("web", "b2", None)
    else:
        reconciler._probed(backend.uid, Health.DOWN, "connect: refused")
    await until(lambda: selected(segment_path) == {"b0", "b1"})
    assert held(segment_path)["b2"].ramp_tenths == 0
    if how == "drain":
        await reconciler.configuration.undrain_backend("web", "b2")
    else:
        reconciler._probed(backend.uid, Health.UP, "")
    await ramp_of(segment_path, "b2", 1)
    assert {name: spec.ramp_tenths for name, spec in held(segment_path).items()} == {
        "b0": 10,
        "b1": 10,
        "b2": 1,
    }


async def test_undrained_while_away_ramps(
    dataplane: FakeDataplane, start: Start, segment_path: Path, clock: Clock, store: SqliteStore
) -> None:
    """A control plane killed between storing an undrain and applying it: the next one begins the ramp."""
    await ramping(reconciler := await start(), clock)
    clock.ms += 9000
    await ramp_of(segment_path, "b2", 10)
    drained = await reconciler.configuration.drain_backend("web", "b2", None)
    await reconciler.wait_applied(drained.revision, 10)
    await reconciler.close()
    record = Record(clock.ms, "test", "", "BackendPoolService/UndrainBackend", "", "d")
    await store.commit([Put(replace(drained, drain=None), drained.revision)], record)
    await start()
    await until(lambda: selected(segment_path) == {"b0", "b1", "b2"})
    assert held(segment_path)["b2"].ramp_tenths == 1


async def test_without_slow_start_a_weight_counts_at_once(
    dataplane: FakeDataplane, start: Start, segment_path: Path
) -> None:
    """No ramp unless it was asked for."""
    await (reconciler := await start()).wait_applied(await fill(reconciler), 10)
    assert {spec.ramp_tenths for spec in held(segment_path).values()} == {10}


async def test_source_affinity_reaches_the_service(
    dataplane: FakeDataplane, start: Start, segment_path: Path
) -> None:
    """The pool's wish is a flag of each of its services' records, and a restart finds it equal."""
    pool = Pool("web", "", Forwarding.L2, selection_rows=1021, source_affinity=True)
    await (reconciler := await start()).wait_applied(await fill(reconciler, pool=pool), 10)
    segment = Segment.attach(segment_path)
    assert [slot.spec.source_affinity for slot in segment.services()] == [True]
    segment.detach()
    before = generation(segment_path)
    reconciler = await start()
    await reconciler.wait_applied(0, 10)
    assert generation(segment_path) == before


CHECKED = Pool(
    "web", "", Forwarding.L2, selection_rows=1021, health_check=HealthCheck(9, 300_000, rise=1, fall=1)
)


async def test_down_and_up(dataplane: FakeDataplane, start: Start, segment_path: Path) -> None:
    """A check's verdict takes a backend out of the table and brings it back; no revision is needed."""
    await (reconciler := await start()).wait_applied(revision := await fill(reconciler, pool=CHECKED), 10)
    backend = reconciler.configuration.backend("web", "b1")
    reconciler._probed(backend.uid, Health.DOWN, "connect: refused")
    await until(lambda: held(segment_path)["b1"].use is Use.DOWN)
    assert selected(segment_path) == {"b0", "b2"}
    assert reconciler.status(backend).reason == "connect: refused"
    reconciler._probed(backend.uid, Health.UP, "")
    await until(lambda: selected(segment_path) == {"b0", "b1", "b2"})
    assert reconciler.node().applied_revision == revision


async def test_down_survives_a_restart(dataplane: FakeDataplane, start: Start, segment_path: Path) -> None:
    """What was down stays down until a check says otherwise: no new connections to a dead backend."""
    await (reconciler := await start()).wait_applied(await fill(reconciler, pool=CHECKED), 10)
    backend = reconciler.configuration.backend("web", "b1")
    reconciler._probed(backend.uid, Health.DOWN, "connect: refused")
    await until(lambda: held(segment_path)["b1"].use is Use.DOWN)
    before = generation(segment_path)
    reconciler = await start()
    await reconciler.wait_applied(0, 10)
    assert generation(segment_path) == before
    assert reconciler.status(backend).health is Health.DOWN


async def test_push_needs_a_segment(start: Start) -> None:
    """Pushing without a segment says what to start."""
    reconciler = await start()
    await fill(reconciler)
    with pytest.raises(Unavailable, match="start tiara-dataplane"):
        await reconciler.open_push([PushService("web")], [], OnConflict.CONFLICT_KEEP)


async def test_push_while_names_change(dataplane: FakeDataplane, start: Start) -> None:
    """A stream whose backend is deleted between two chunks is refused, never sent to another backend."""
    reconciler = await start()
    await fill(reconciler)
    session = await reconciler.open_push(
        [PushService("web")], [PushBackend("web", "b1")], OnConflict.CONFLICT_KEEP
    )
    record = bytes.fromhex("c6120007 9c40 0000 00000000 0005 03 00")
    assert (await session.push(record)).accepted == 1
    await reconciler.configuration.delete_backend("web", "b1", "")
    again = await reconciler.configuration.create_backend(Backend("web", "b1", "", "198.18.0.12"))
    await reconciler.wait_applied(again.revision, 10)
    with pytest.raises(Exception, match=r"header.backends\[0\]"):
        await session.push(record)


async def test_records_must_stay_in_their_pool(dataplane: FakeDataplane, start: Start) -> None:
    """A backend of another pool is refused by record; nothing of the chunk goes in."""
    reconciler = await start()
    await fill(reconciler)
    await reconciler.configuration.create_pool(Pool("dns", "", Forwarding.L2, selection_rows=251))
    await reconciler.configuration.create_backend(Backend("dns", "d1", "", "198.18.0.30"))
    session = await reconciler.open_push(
        [PushService("web")], [PushBackend("web", "b1"), PushBackend("dns", "d1")], OnConflict.CONFLICT_KEEP
    )
    good = bytes.fromhex("c6120007 9c40 0000 00000000 0005 03 00")
    bad = bytes.fromhex("c6120008 9c40 0000 00000001 0005 03 00")
    with pytest.raises(InvalidField) as caught:
        await session.push(good + bad)
    assert caught.value.field == "chunk.records[1].backend_pos"
    assert (await reconciler.statistics(True)).live == 0


async def test_statistics_name_everything(dataplane: FakeDataplane, start: Start) -> None:
    """Every frontend and backend is there, with its wanted share; shares of a pool add up."""
    await (reconciler := await start()).wait_applied(await fill(reconciler), 10)
    view = await reconciler.statistics(True)
    assert set(view.services) == {("web", FRONTEND)}
    assert set(view.backends) == {("web", "b0"), ("web", "b1"), ("web", "b2")}
    assert sum(view.shares.values()) == pytest.approx(1)
    assert "no_service" in view.verdicts
    assert "none" not in view.verdicts


async def test_room_of_the_segment_is_known(
    dataplane: FakeDataplane, start: Start, segment_path: Path
) -> None:
    """A backend over the segment's room is refused when it is created, not silently left out."""
    reconciler = await start()
    await reconciler.configuration.create_pool(Pool("web", "", Forwarding.L2))
    reconciler.configuration._room = lambda: type(reconciler._room())(backends=1, frontends=0)
    await reconciler.configuration.create_backend(Backend("web", "b0", "", "198.18.0.10"))
    with pytest.raises(Exception, match="room for 1 backends"):
        await reconciler.configuration.create_backend(Backend("web", "b1", "", "198.18.0.11"))


async def test_a_write_goes_on_without_its_caller(dataplane: FakeDataplane, start: Start) -> None:
    """A client that hangs up in the middle of a write leaves memory and store equal."""
    reconciler = await start()
    for i in range(20):
        task = asyncio.ensure_future(reconciler.configuration.create_pool(Pool(f"p{i}", "", Forwarding.L2)))
        for _ in range(i % 5):
            await asyncio.sleep(0)
        task.cancel()
    await reconciler.configuration.create_pool(Pool("last", "", Forwarding.L2))
    stored = await reconciler.configuration._store.load()
    assert {pool.id for pool in stored.pools} == set(reconciler.configuration.catalogue.pools)
    assert stored.revision == reconciler.configuration.catalogue.revision
