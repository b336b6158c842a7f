# SPDX-License-Identifier: Apache-2.0
"""The contract of a store, then what only SQLite can do wrong.

A second implementation joins the contract by one more line in ``OPENERS``.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiara.domain.errors import Aborted, Exhausted, NotFound, OutOfRange, StoreError
from tiara.domain.history import Difference, Entry, Event, EventKind, Record
from tiara.domain.model import (
    Backend,
    Drain,
    Forwarding,
    Frontend,
    HealthCheck,
    HttpCheck,
    Policy,
    Pool,
    Protocol,
    SlowStart,
    Timeouts,
    VirtualService,
    Vxlan,
)
from tiara.store import Bounds, Delete, Put, Snapshot, SqliteStore, Store
from tiara.store.codec import decode, encode

POOL = Pool("web", "a" * 32, Forwarding.VXLAN, Vxlan(7), health_check=HealthCheck(80), create_ms=5)
BACKEND = Backend("web", "b1", "b" * 32, "198.18.0.11", weight=3, drain=Drain(99), create_ms=6)
HTTP_POOL = Pool(
    "app",
    "d" * 32,
    Forwarding.L2,
    health_check=HealthCheck(443, http=HttpCheck("/up", "a.example", ((200, 204), (401, 401)), True, True)),
)
RAMPING_POOL = Pool(
    "slow",
    "e" * 32,
    Forwarding.L2,
    policy=Policy.RENDEZVOUS,
    source_affinity=True,
    slow_start=SlowStart(90_000),
)
SERVICE = VirtualService(
    "web", "c" * 32, (Frontend("198.18.100.1", Protocol.UDP, 53),), "web", Timeouts(udp=9), create_ms=7
)

RECORD = Record(1_700_000_000_000, "admin socket", "unix:", "BackendPoolService/CreateBackend", "r-1", "d1")
BOUNDS = Bounds(revisions=5, bodies_bytes=4000, events=3)
"""So small that tests reach them."""

GOLDEN = Path(__file__).parent / "golden"

Opener = Callable[[Path], Awaitable[Store]]


async def _sqlite(folder: Path) -> Store:
    return await SqliteStore.open(folder / "store.db", BOUNDS)


OPENERS: list[Opener] = [_sqlite]


@pytest.fixture(params=OPENERS)
async def reopen(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[], Awaitable[Store]]]:
    """Closes the store that is open and opens it again, as a restart does."""
    opened: list[Store] = []

    async def again() -> Store:
        for old in opened:
            await old.close()
        opened[:] = [await request.param(tmp_path)]
        return opened[0]

    yield again
    for old in opened:
        await old.close()


async def test_empty(reopen: Callable[[], Awaitable[Store]]) -> None:
    """A new store is at revision 0 and holds nothing."""
    assert await (await reopen()).load() == Snapshot(0)


async def test_everything_survives_a_restart(reopen: Callable[[], Awaitable[Store]]) -> None:
    """Resources come back as they were written, with the revision of their last write."""
    store = await reopen()
    assert await store.commit([Put(POOL, 0), Put(BACKEND, 0)], RECORD) == 1
    assert await store.commit([Put(SERVICE, 0), Put(HTTP_POOL, 0), Put(RAMPING_POOL, 0)], RECORD) == 2
    expected = Snapshot(
        2,
        (replace(HTTP_POOL, revision=2), replace(RAMPING_POOL, revision=2), replace(POOL, revision=1)),
        (replace(BACKEND, revision=1),),
        (replace(SERVICE, revision=2),),
    )
    assert await store.load() == expected
    assert await (await reopen()).load() == expected


def test_records_of_before_have_defaults() -> None:
    """A pool that was stored before there were affinity and slow start has neither."""
    fields = json.loads(encode(POOL))
    del fields["source_affinity"], fields["slow_start"]
    assert decode(POOL.name, json.dumps(fields), 3) == replace(POOL, revision=3)


async def test_revision_never_goes_back(reopen: Callable[[], Awaitable[Store]]) -> None:
    """Deleting everything and restarting does not make a revision again."""
    store = await reopen()
    await store.commit([Put(POOL, 0)], RECORD)
    assert await store.commit([Delete(POOL.name, 1)], RECORD) == 2
    store = await reopen()
    assert await store.commit([Put(POOL, 0)], RECORD) == 3


async def test_replace_needs_the_revision(reopen: Callable[[], Awaitable[Store]]) -> None:
    """A write on top of another's is refused."""
    store = await reopen()
    await store.commit([Put(BACKEND, 0)], RECORD)
    assert await store.commit([Put(replace(BACKEND, weight=4), 1)], RECORD) == 2
    with pytest.raises(Aborted):
        await store.commit([Put(replace(BACKEND, weight=5), 1)], RECORD)
    assert (await store.load()).backends[0].weight == 4


@pytest.mark.parametrize(
    "bad", [Put(POOL, 0), Put(POOL, 7), Delete(POOL.name, 9), Delete("virtualServices/none", 0)]
)
async def test_a_commit_is_whole_or_nothing(
    reopen: Callable[[], Awaitable[Store]], bad: Put | Delete
) -> None:
    """One change that does not fit undoes the others; no revision is used up."""
    store = await reopen()
    await store.commit([Put(POOL, 0)], RECORD)
    before = await store.load()
    with pytest.raises(Aborted):
        await store.commit([Put(BACKEND, 0), bad], RECORD)
    assert await store.load() == before
    assert await store.commit([Put(BACKEND, 0)], RECORD) == 2


async def test_probe_changes_nothing(reopen: Callable[[], Awaitable[Store]]) -> None:
    """It may come at any time."""
    store = await reopen()
    before = await store.load()
    await store.probe()
    await store.probe()
    assert await store.load() == before


async def test_secret_is_made_once(reopen: Callable[[], Awaitable[Store]]) -> None:
    """16 random bytes that outlive restarts."""
    secret = await (await reopen()).secret()
    assert len(secret) == 16
    assert secret != bytes(16)
    assert await (await reopen()).secret() == secret


async def test_history_tells_what_was_written(reopen: Callable[[], Awaitable[Store]]) -> None:
    """An entry has its record and each resource before and after, with the revisions they had."""
    store = await reopen()
    await store.commit([Put(POOL, 0), Put(BACKEND, 0)], RECORD)
    heavier = replace(BACKEND, weight=4)
    await store.commit([Put(heavier, 1), Put(SERVICE, 0)], replace(RECORD, request_id="r-2"))
    await store.commit([Delete(SERVICE.name, 2)], Record())
    store = await reopen()
    second = Entry(
        2,
        replace(RECORD, request_id="r-2"),
        (
            Difference(BACKEND.name, replace(BACKEND, revision=1), replace(heavier, revision=2)),
            Difference(SERVICE.name, None, replace(SERVICE, revision=2)),
        ),
    )
    third = Entry(3, Record(), (Difference(SERVICE.name, replace(SERVICE, revision=2), None),))
    assert await store.entry(2) == second
    assert await store.entries(0, 2) == [third, second]
    assert [entry.revision for entry in await store.entries(3, 9)] == [2, 1]
    assert await store.entries_after(1) == [second, third]
    assert await store.entries_after(1, 1) == [second]
    assert await store.entries_after(3) == []


async def test_history_of_a_resource(reopen: Callable[[], Awaitable[Store]]) -> None:
    """What touched it or what is below it; a name that only begins alike is another."""
    store = await reopen()
    await store.commit([Put(POOL, 0)], RECORD)
    await store.commit([Put(BACKEND, 0)], RECORD)
    await store.commit([Put(replace(POOL, id="web-2"), 0)], RECORD)
    await store.commit([Put(SERVICE, 0), Put(replace(BACKEND, id="b2"), 0)], RECORD)
    found = {name: await store.entries(0, 9, name) for name in (POOL.name, BACKEND.name, SERVICE.name)}
    assert [entry.revision for entry in found[POOL.name]] == [4, 2, 1]
    assert [entry.revision for entry in found[BACKEND.name]] == [2]
    assert [entry.revision for entry in found[SERVICE.name]] == [4]
    assert [entry.revision for entry in await store.entries(4, 1, POOL.name)] == [2]
    assert await store.entries(0, 9, "backendPools/we") == []


async def test_replaced_in_one_commit(reopen: Callable[[], Awaitable[Store]]) -> None:
    """Deleted and created anew under one name: one difference, from the one to the other."""
    store = await reopen()
    await store.commit([Put(BACKEND, 0)], RECORD)
    other = replace(BACKEND, uid="e" * 32, address="198.18.0.12")
    await store.commit([Delete(BACKEND.name, 1), Put(other, 0)], RECORD)
    assert (await store.load()).backends == (replace(other, revision=2),)
    expected = Difference(BACKEND.name, replace(BACKEND, revision=1), replace(other, revision=2))
    assert (await store.entry(2)).differences == (expected,)


async def test_request_ids(reopen: Callable[[], Awaitable[Store]]) -> None:
    """The kept write of a request id is found, after a restart too; no id is none."""
    store = await reopen()
    await store.commit([Put(POOL, 0)], RECORD)
    await store.commit([Put(BACKEND, 0)], Record())
    store = await reopen()
    found = await store.entry_of("r-1")
    assert found == await store.entry(1)
    assert await store.entry_of("r-2") is None
    assert await store.entry_of("") is None


async def test_a_refused_commit_leaves_no_history(reopen: Callable[[], Awaitable[Store]]) -> None:
    """What was not done was not written by anybody."""
    store = await reopen()
    with pytest.raises(Aborted):
        await store.commit([Put(POOL, 0), Put(BACKEND, 9)], RECORD)
    assert await store.entries(0, 9) == []
    assert await store.entry_of("r-1") is None


async def test_history_is_bounded_by_number(reopen: Callable[[], Awaitable[Store]]) -> None:
    """The oldest go; what is no longer whole is out of range, never a part of it."""
    store = await reopen()
    for i in range(9):
        await store.commit([Put(replace(POOL, id=f"p{i}"), 0)], replace(RECORD, request_id=f"r-{i}"))
    assert [entry.revision for entry in await store.entries(0, 99)] == [9, 8, 7, 6, 5]
    assert [entry.revision for entry in await store.entries_after(4)] == [5, 6, 7, 8, 9]
    with pytest.raises(OutOfRange, match="what came after revision 3 is no longer kept"):
        await store.entries_after(3)
    with pytest.raises(NotFound, match="revision 4 does not exist"):
        await store.entry(4)
    assert await store.entry_of("r-3") is None
    assert await store.entry_of("r-4") is not None
    assert await store.entries(0, 9, "backendPools/p3") == []


async def test_history_is_bounded_by_bytes(reopen: Callable[[], Awaitable[Store]]) -> None:
    """Large writes push older ones out; the newest stays whatever its size."""
    store = await reopen()
    await store.commit([Put(POOL, 0)], RECORD)
    await store.commit([Put(replace(BACKEND, id=f"b{i}"), 0) for i in range(12)], RECORD)
    assert [entry.revision for entry in await store.entries(0, 9)] == [2, 1]
    await store.commit([Put(replace(BACKEND, id=f"c{i}"), 0) for i in range(16)], RECORD)
    assert [entry.revision for entry in await store.entries(0, 9)] == [3]
    await store.commit([Put(replace(BACKEND, id=f"d{i}"), 0) for i in range(99)], RECORD)
    assert [len(entry.differences) for entry in await store.entries(0, 9)] == [99]
    await store.commit([Put(SERVICE, 0)], RECORD)
    assert [entry.revision for entry in await store.entries(0, 9)] == [5]


async def test_entries_of_the_future(reopen: Callable[[], Awaitable[Store]]) -> None:
    """A revision of another store is out of range, not simply up to date."""
    store = await reopen()
    await store.commit([Put(POOL, 0)], RECORD)
    with pytest.raises(OutOfRange, match="revision 2 is newer than the newest one, 1"):
        await store.entries_after(2)
    with pytest.raises(NotFound):
        await store.entry((1 << 64) - 1)
    with pytest.raises(OutOfRange):
        await store.entries_after((1 << 64) - 1)
    assert [entry.revision for entry in await store.entries((1 << 64) - 1, 9)] == [1]


async def test_events(reopen: Callable[[], Awaitable[Store]]) -> None:
    """Numbered from 1, newest first, filtered by kind and by resource or what is below it."""
    store = await reopen()
    down = Event(EventKind.BACKEND_DOWN, BACKEND.name, "no answer", 7)
    assert await store.add_event(down) == replace(down, number=1)
    up = await store.add_event(Event(EventKind.BACKEND_UP, BACKEND.name, "answers", 8))
    node = await store.add_event(Event(EventKind.TABLE_FILL, "nodes/a", "81 % full", 9))
    store = await reopen()
    assert await store.events(0, 9) == [node, up, replace(down, number=1)]
    assert await store.events(3, 1) == [up]
    assert await store.events(0, 9, EventKind.BACKEND_UP) == [up]
    assert await store.events(0, 9, None, POOL.name) == [up, replace(down, number=1)]
    assert await store.events(0, 9, EventKind.TABLE_FILL, POOL.name) == []
    assert await store.events(0, 9, None, "nodes") == [node]


async def test_events_are_bounded(reopen: Callable[[], Awaitable[Store]]) -> None:
    """The oldest go; numbers go on, over a restart too."""
    store = await reopen()
    for i in range(8):
        await store.add_event(Event(EventKind.DATAPLANE, "nodes/a", f"event {i}", i))
    store = await reopen()
    assert [event.number for event in await store.events(0, 99)] == [8, 7, 6]
    assert (await store.add_event(Event(EventKind.DATAPLANE, "nodes/a", "", 9))).number == 9


async def test_two_stores_have_two_secrets(tmp_path: Path) -> None:
    """The secret is random, not derived."""
    secrets = set()
    for name in ("a.db", "b.db"):
        store = await SqliteStore.open(tmp_path / name)
        secrets.add(await store.secret())
        await store.close()
    assert len(secrets) == 2


async def test_full_disk(tmp_path: Path) -> None:
    """No room: the error says so, nothing of the batch is there, and what was there stays."""
    store = await SqliteStore.open(tmp_path / "store.db", Bounds(pages=20))
    await store.commit([Put(POOL, 0)], RECORD)
    many: list[Put | Delete] = [Put(replace(BACKEND, id=f"b{i}"), 0) for i in range(2000)]
    with pytest.raises(Exhausted, match="no room left"):
        await store.commit(many, RECORD)
    assert await store.load() == Snapshot(1, (replace(POOL, revision=1),))
    assert await store.commit([Put(BACKEND, 0)], RECORD) == 2
    await store.close()


async def test_probe_finds_a_full_disk(tmp_path: Path) -> None:
    """Where no resource fits the probe fails, and it leaves nothing half done."""
    store = await SqliteStore.open(tmp_path / "store.db", Bounds(pages=24))
    await store.probe()
    with pytest.raises(Exhausted, match="no room left"):
        for i in range(2000):
            await store.commit([Put(replace(POOL, id=f"p{i}"), 0)], RECORD)
    for _ in range(2):
        with pytest.raises(Exhausted, match="no room left"):
            await store.probe()
    await store._run(lambda: store._open_db.execute("PRAGMA max_page_count = 99"))
    await store.probe()
    await store.close()


async def test_full_disk_at_every_step(tmp_path: Path) -> None:
    """Whatever statement finds no room: the write is there with its history, or nothing is."""
    outcomes = set()
    for pages in range(15, 60):
        store = await SqliteStore.open(tmp_path / f"{pages}.db", Bounds(pages=pages))
        await store.commit([Put(POOL, 0)], Record())
        many: list[Put | Delete] = [Put(replace(BACKEND, id=f"b{i}"), 0) for i in range(100)]
        outcomes.add(await _is_whole(store, many))
        await store.close()
    assert outcomes == {True, False}


async def _is_whole(store: Store, many: list[Put | Delete]) -> bool:
    try:
        await store.commit(many, RECORD)
    except Exhausted:
        assert await store.load() == Snapshot(1, (replace(POOL, revision=1),))
        assert [entry.revision for entry in await store.entries(0, 9)] == [1]
        return False
    assert len((await store.load()).backends) == len((await store.entry(2)).differences) == 100
    return True


async def test_full_disk_for_an_event(tmp_path: Path) -> None:
    """An event that has no room says so and leaves nothing."""
    store = await SqliteStore.open(tmp_path / "store.db", Bounds(pages=16))
    with pytest.raises(Exhausted, match="no room left"):
        await store.add_event(Event(EventKind.DATAPLANE, "nodes/a", "x" * 100_000, 1))
    assert await store.events(0, 9) == []
    await store.close()


_READ_ONLY = """
import asyncio, os, sys
from pathlib import Path
from tiara.domain.errors import StoreError
from tiara.store import SqliteStore
if os.geteuid() == 0:
    os.setuid(65534)
try:
    asyncio.run(SqliteStore.open(Path(sys.argv[1])))
except StoreError as error:
    print(error)
"""


def _opened_unprivileged(path: Path) -> str:
    """What a process says that may read everything there and write nothing."""
    path.with_name(path.name + ".lock").chmod(0o666)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    command = [sys.executable, "-c", _READ_ONLY, str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    path.parent.chmod(0o755)
    return answer.stdout


async def test_read_only_file() -> None:
    """A store that cannot be written is refused at the start, by name, and stays as it is."""
    with tempfile.TemporaryDirectory(prefix="tiara-test-") as folder:
        path = Path(folder, "store.db")
        await (await SqliteStore.open(path)).close()
        before = await asyncio.to_thread(path.read_bytes)
        answer = await asyncio.to_thread(_opened_unprivileged, path)
        assert await asyncio.to_thread(path.read_bytes) == before
    assert f"the store {path} failed: attempt to write a readonly database" in answer


async def test_becomes_read_only(tmp_path: Path) -> None:
    """Writes are refused while it lasts, reads are not, and nothing is half done."""
    store = await SqliteStore.open(tmp_path / "store.db")
    await store.commit([Put(POOL, 0)], RECORD)
    await store._run(lambda: store._open_db.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreError, match="nothing was changed"):
        await store.commit([Put(BACKEND, 0)], RECORD)
    with pytest.raises(StoreError, match="nothing was changed"):
        await store.add_event(Event(EventKind.DATAPLANE, "nodes/a", "", 1))
    assert (await store.load()).revision == (await store.entries(0, 9))[0].revision == 1
    await store._run(lambda: store._open_db.execute("PRAGMA query_only = OFF"))
    assert await store.commit([Put(BACKEND, 0)], RECORD) == 2
    await store.close()


def _kill_at_each_statement(folder: Path) -> int:
    killer = Path(__file__).with_name("store_killed.py")
    return int(subprocess.check_output([sys.executable, str(killer), str(folder)]))


async def test_killed_in_a_commit(tmp_path: Path) -> None:
    """A kill before any statement leaves resources, history and events of one moment, and a whole file."""
    count = await asyncio.to_thread(_kill_at_each_statement, tmp_path)
    assert count > 12
    seen = [await _state(tmp_path / f"{statement}.db") for statement in range(count)]
    assert set(seen) == {(1, "first", "first"), (2, "second", "first")}
    assert seen == sorted(seen)


async def _state(path: Path) -> tuple[int, str, str]:
    store = await SqliteStore.open(path, Bounds(revisions=1, events=1))
    snapshot, entries = await store.load(), await store.entries(0, 9)
    events = await store.events(0, 9)
    await store.close()
    assert [entry.revision for entry in entries] == [snapshot.revision]
    assert (len(snapshot.pools), len(snapshot.backends)) == ((1, 0), (0, 1))[snapshot.revision - 1]
    return snapshot.revision, entries[0].record.request_id, events[0].message


async def test_version_1_is_taken_over(tmp_path: Path) -> None:
    """A file of the first version, left by a killed process, opens with all it holds; history begins."""
    for name in ("store_v1.db", "store_v1.db-wal"):
        shutil.copy(GOLDEN / name, tmp_path)
    for _ in range(2):
        store = await SqliteStore.open(tmp_path / "store_v1.db")
        assert await store.load() == Snapshot(
            2,
            (replace(POOL, revision=1),),
            (replace(BACKEND, revision=1),),
            (replace(SERVICE, revision=2),),
        )
        assert (await store.secret()).hex() == "f707dd3d7e6695cae930817cdac24683"
        assert not await store.entries(0, 9)
        assert not await store.entries_after(2)
        assert not await store.events(0, 9)
        with pytest.raises(OutOfRange):
            await store.entries_after(1)
        await store.close()
    store = await SqliteStore.open(tmp_path / "store_v1.db")
    assert await store.commit([Delete(SERVICE.name, 2)], RECORD) == 3
    assert (await store.entries_after(2))[0].differences[0].before == replace(SERVICE, revision=2)
    await store.close()


async def test_no_room_to_take_version_1_over(tmp_path: Path) -> None:
    """Then it stays a whole file of version 1."""
    for name in ("store_v1.db", "store_v1.db-wal"):
        shutil.copy(GOLDEN / name, tmp_path)
    with pytest.raises(Exhausted, match="no room left"):
        await SqliteStore.open(tmp_path / "store_v1.db", Bounds(pages=6))
    with sqlite3.connect(tmp_path / "store_v1.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM resource").fetchone() == (3,)


async def test_second_owner_is_refused(tmp_path: Path) -> None:
    """Two control planes on one store would each believe in their own memory."""
    store = await SqliteStore.open(tmp_path / "store.db")
    with pytest.raises(StoreError, match="another running control plane"):
        await SqliteStore.open(tmp_path / "store.db")
    await store.close()
    await (await SqliteStore.open(tmp_path / "store.db")).close()


async def test_no_database(tmp_path: Path) -> None:
    """A file that is no database is named, with what to do."""
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(StoreError, match=r"is damaged.*move it away"):
        await SqliteStore.open(path)
    assert path.read_bytes().startswith(b"not a database")


async def test_damaged_page(tmp_path: Path) -> None:
    """Bytes that rotted are found at start."""
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    await store.commit([Put(replace(BACKEND, id=f"b{i}"), 0) for i in range(500)], RECORD)
    await store.close()
    blob = bytearray(path.read_bytes())
    blob[8192:16384] = bytes(range(256)) * 32
    path.write_bytes(blob)
    with pytest.raises(StoreError, match="is damaged"):
        await SqliteStore.open(path)


async def test_newer_version(tmp_path: Path) -> None:
    """A store of a later program is left alone."""
    path = tmp_path / "store.db"
    await (await SqliteStore.open(path)).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="has version 99, this program knows up to 2"):
        await SqliteStore.open(path)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        "nonsense",
        '{"id":"web","surprise":1}',
        '{"pool":"web","id":"b1","uid":"x","address":"no"}',
    ],
)
async def test_unreadable_record(tmp_path: Path, body: str) -> None:
    """A record that makes no sense is named, and nothing is guessed."""
    path = tmp_path / "store.db"
    await (await SqliteStore.open(path)).close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO resource VALUES ('backendPools/web/backends/b1', 1, ?)", (body,))
    store = await SqliteStore.open(path)
    with pytest.raises(StoreError, match="record of backendPools/web/backends/b1 cannot be read"):
        await store.load()
    await store.close()


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE difference SET after = '{}'",
        "UPDATE difference SET before = 'nonsense', before_revision = 1",
    ],
)
async def test_unreadable_history(tmp_path: Path, spoil: str) -> None:
    """A past body that makes no sense is named; what is stored now is read all the same."""
    path = tmp_path / "store.db"
    store = await SqliteStore.open(path)
    await store.commit([Put(BACKEND, 0)], RECORD)
    await store.close()
    with sqlite3.connect(path) as db:
        db.execute(spoil)
    store = await SqliteStore.open(path)
    with pytest.raises(StoreError, match="record of backendPools/web/backends/b1 cannot be read"):
        await store.entry(1)
    assert (await store.load()).backends == (replace(BACKEND, revision=1),)
    await store.close()


async def test_unreadable_event(tmp_path: Path) -> None:
    """A kind that this program does not know is named."""
    path = tmp_path / "store.db"
    await (await SqliteStore.open(path)).close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO event VALUES (7, 1, 'surprise', 'nodes/a', '')")
    store = await SqliteStore.open(path)
    with pytest.raises(StoreError, match="event 7 cannot be read: 'surprise'"):
        await store.events(0, 9)
    await store.close()


async def test_request_ids_have_an_index(tmp_path: Path) -> None:
    """Each write with an id asks for it: that must not read all history."""
    store = await SqliteStore.open(tmp_path / "store.db")
    asked: list[str] = []
    await store._run(lambda: store._open_db.set_trace_callback(asked.append))
    await store.entry_of("r-1")
    plan = await store._run(lambda: store._open_db.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall())
    assert "USING INDEX history_request" in plan[0][3]
    await store.close()
