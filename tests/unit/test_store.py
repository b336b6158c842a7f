# SPDX-License-Identifier: Apache-2.0
"""The contract of a store, then what only SQLite can do wrong.

A second implementation joins the contract by one more line in ``OPENERS``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiara.domain.errors import Aborted, Exhausted, StoreError
from tiara.domain.model import (
    Backend,
    Drain,
    Forwarding,
    Frontend,
    HealthCheck,
    HttpCheck,
    Pool,
    Protocol,
    Timeouts,
    VirtualService,
    Vxlan,
)
from tiara.store import Delete, Put, Snapshot, SqliteStore, Store

POOL = Pool("web", "a" * 32, Forwarding.VXLAN, Vxlan(7), health_check=HealthCheck(80), create_ms=5)
BACKEND = Backend("web", "b1", "b" * 32, "198.18.0.11", weight=3, drain=Drain(99), create_ms=6)
HTTP_POOL = Pool(
    "app",
    "d" * 32,
    Forwarding.L2,
    health_check=HealthCheck(443, http=HttpCheck("/up", "a.example", ((200, 204), (401, 401)), True, True)),
)
SERVICE = VirtualService(
    "web", "c" * 32, (Frontend("198.18.100.1", Protocol.UDP, 53),), "web", Timeouts(udp=9), create_ms=7
)

Opener = Callable[[Path], Awaitable[Store]]


async def _sqlite(folder: Path) -> Store:
    return await SqliteStore.open(folder / "store.db")


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
    assert await store.commit([Put(POOL, 0), Put(BACKEND, 0)]) == 1
    assert await store.commit([Put(SERVICE, 0), Put(HTTP_POOL, 0)]) == 2
    expected = Snapshot(
        2,
        (replace(HTTP_POOL, revision=2), replace(POOL, revision=1)),
        (replace(BACKEND, revision=1),),
        (replace(SERVICE, revision=2),),
    )
    assert await store.load() == expected
    assert await (await reopen()).load() == expected


async def test_revision_never_goes_back(reopen: Callable[[], Awaitable[Store]]) -> None:
    """Deleting everything and restarting does not make a revision again."""
    store = await reopen()
    await store.commit([Put(POOL, 0)])
    assert await store.commit([Delete(POOL.name, 1)]) == 2
    store = await reopen()
    assert await store.commit([Put(POOL, 0)]) == 3


async def test_replace_needs_the_revision(reopen: Callable[[], Awaitable[Store]]) -> None:
    """A write on top of another's is refused."""
    store = await reopen()
    await store.commit([Put(BACKEND, 0)])
    assert await store.commit([Put(replace(BACKEND, weight=4), 1)]) == 2
    with pytest.raises(Aborted):
        await store.commit([Put(replace(BACKEND, weight=5), 1)])
    assert (await store.load()).backends[0].weight == 4


@pytest.mark.parametrize(
    "bad", [Put(POOL, 0), Put(POOL, 7), Delete(POOL.name, 9), Delete("virtualServices/none", 0)]
)
async def test_a_commit_is_whole_or_nothing(
    reopen: Callable[[], Awaitable[Store]], bad: Put | Delete
) -> None:
    """One change that does not fit undoes the others; no revision is used up."""
    store = await reopen()
    await store.commit([Put(POOL, 0)])
    before = await store.load()
    with pytest.raises(Aborted):
        await store.commit([Put(BACKEND, 0), bad])
    assert await store.load() == before
    assert await store.commit([Put(BACKEND, 0)]) == 2


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
    store = await SqliteStore.open(tmp_path / "store.db", max_pages=8)
    await store.commit([Put(POOL, 0)])
    many: list[Put | Delete] = [Put(replace(BACKEND, id=f"b{i}"), 0) for i in range(2000)]
    with pytest.raises(Exhausted, match="no room left"):
        await store.commit(many)
    assert await store.load() == Snapshot(1, (replace(POOL, revision=1),))
    assert await store.commit([Put(BACKEND, 0)]) == 2
    await store.close()


async def test_probe_finds_a_full_disk(tmp_path: Path) -> None:
    """Where no resource fits the probe fails, and it leaves nothing half done."""
    store = await SqliteStore.open(tmp_path / "store.db", max_pages=16)
    await store.probe()
    with pytest.raises(Exhausted, match="no room left"):
        for i in range(2000):
            await store.commit([Put(replace(POOL, id=f"p{i}"), 0)])
    for _ in range(2):
        with pytest.raises(Exhausted, match="no room left"):
            await store.probe()
    await store.commit([Delete(replace(POOL, id=f"p{i}").name, i + 1) for i in range(100)])
    await store.probe()
    await store.close()


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
    await store.commit([Put(replace(BACKEND, id=f"b{i}"), 0) for i in range(500)])
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
    with pytest.raises(StoreError, match="has version 99, this program knows up to 1"):
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
