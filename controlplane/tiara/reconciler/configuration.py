# SPDX-License-Identifier: Apache-2.0
"""Reads and writes of desired state: checked against the catalogue, committed, then announced."""

from __future__ import annotations

import asyncio
import secrets
import time
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tiara.domain.errors import Aborted, AlreadyExists, Exhausted, FailedPrecondition, NotFound
from tiara.domain.model import Backend, Drain, Frontend, Pool, Resource, VirtualService
from tiara.domain.names import backend_name, pool_name, service_name
from tiara.domain.selection import backends_allowed
from tiara.reconciler.catalogue import Catalogue
from tiara.reconciler.standing import Standing
from tiara.store import Change, Delete, Put, Store

_T = TypeVar("_T")
_R = TypeVar("_R", Pool, Backend, VirtualService)


@dataclass(frozen=True, slots=True)
class Room:
    """How many indices the segment has; 0: not known yet."""

    backends: int = 0
    frontends: int = 0


def new_uid() -> str:
    """32 random hex digits."""
    return secrets.token_hex(16)


def now_ms() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000


class Configuration:
    """One write at a time; a write that has begun is finished even if its caller goes away."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        announce: Callable[[Sequence[Resource], Sequence[Resource]], None],
        room: Callable[[], Room],
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """``announce(put, removed)`` is called after each commit."""
        self.catalogue = catalogue
        self.standing = Standing(store.probe)
        self._store = store
        self._announce = announce
        self._room = room
        self._clock_ms = clock_ms
        self._lock = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()

    def pool(self, pool: str, field: str = "") -> Pool:
        """Raises ``NotFound``, naming ``field`` where a request only referred to it."""
        try:
            return self.catalogue.pools[pool]
        except KeyError:
            raise NotFound(pool_name(pool), field) from None

    def backend(self, pool: str, backend: str, field: str = "") -> Backend:
        """Likewise."""
        try:
            return self.catalogue.backends(pool)[backend]
        except KeyError:
            raise NotFound(backend_name(pool, backend), field) from None

    def service(self, service: str, field: str = "") -> VirtualService:
        """Likewise."""
        try:
            return self.catalogue.services[service]
        except KeyError:
            raise NotFound(service_name(service), field) from None

    def list_pools(self, after: str, limit: int) -> list[Pool]:
        """Up to ``limit`` pools whose names come after ``after``, in order of name."""
        return _page(self.catalogue.pools.values(), after, limit)

    def list_backends(self, pool: str, after: str, limit: int) -> list[Backend]:
        """Likewise, of one pool, or of all when ``pool`` is empty."""
        if pool:
            self.pool(pool)
            return _page(self.catalogue.backends(pool).values(), after, limit)
        found: list[Backend] = []
        for name in sorted(pool_name(pool) + "/" for pool in self.catalogue.pools):
            if after and after[: len(name)] > name:
                continue
            backends = self.catalogue.backends(name.split("/")[1]).values()
            found += _page(backends, after, limit - len(found))
            if len(found) == limit:
                break
        return found

    def list_services(self, after: str, limit: int) -> list[VirtualService]:
        """Likewise, services."""
        return _page(self.catalogue.services.values(), after, limit)

    async def create_pool(self, pool: Pool) -> Pool:
        """Stores a new pool; ``uid`` and times are set here."""
        return await self._locked(self._create_pool(pool))

    async def delete_pool(self, pool: str, etag: str, force: bool) -> None:
        """Deletes a pool that no service uses; ``force``: with its backends."""
        await self._locked(self._delete_pool(pool, etag, force))

    async def create_backend(self, backend: Backend) -> Backend:
        """Stores a new backend of an existing pool."""
        return await self._locked(self._create_backend(backend))

    async def delete_backend(self, pool: str, backend: str, etag: str) -> None:
        """Its connections select again at their next packet."""
        await self._locked(self._delete_backend(pool, backend, etag))

    async def drain_backend(self, pool: str, backend: str, after_ms: int | None) -> Backend:
        """Drains; ``after_ms`` from now its connections move, None: never."""
        return await self._locked(self._drain_backend(pool, backend, after_ms))

    async def undrain_backend(self, pool: str, backend: str) -> Backend:
        """Ends a drain; without one, nothing is written."""
        return await self._locked(self._undrain_backend(pool, backend))

    async def create_service(self, service: VirtualService) -> VirtualService:
        """Stores a new service of an existing pool."""
        return await self._locked(self._create_service(service))

    async def delete_service(self, service: str, etag: str) -> None:
        """Its packets end in the verdict no_service."""
        await self._locked(self._delete_service(service, etag))

    async def _locked(self, write: Coroutine[Any, Any, _T]) -> _T:
        async def run() -> _T:
            async with self._lock:
                return await write

        task = asyncio.create_task(run())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _create_pool(self, pool: Pool) -> Pool:
        pool.validate()
        if pool.id in self.catalogue.pools:
            raise AlreadyExists(pool.name, pool.name, f"{pool.name} exists already")
        return await self._put_new(pool)

    async def _delete_pool(self, name: str, etag: str, force: bool) -> None:
        pool = self.pool(name)
        _check_etag(pool, etag)
        users = [service_name(user) for user in self.catalogue.users(name)]
        if users:
            raise FailedPrecondition(
                pool.name, f"{pool.name} is used by {_some(users)}; delete that first; nothing was changed"
            )
        backends = sorted(self.catalogue.backends(name).values(), key=lambda backend: backend.id)
        if backends and not force:
            raise FailedPrecondition(
                pool.name,
                f"{pool.name} has {_some([backend.name for backend in backends])}; "
                "delete them first or use force; nothing was changed",
            )
        await self._commit([], [*backends, pool])

    async def _create_backend(self, backend: Backend) -> Backend:
        backend.validate()
        pool = self.pool(backend.pool)
        if backend.id in self.catalogue.backends(pool.id):
            raise AlreadyExists(backend.name, backend.name, f"{backend.name} exists already")
        holder = self.catalogue.address_holder(pool.id, backend.address)
        if holder:
            name = backend_name(pool.id, holder)
            raise AlreadyExists(
                backend.name, name, f"backend.address: {backend.address} belongs to {name} already"
            )
        self._check_backend_room(pool)
        return await self._put_new(backend)

    def _check_backend_room(self, pool: Pool) -> None:
        allowed = backends_allowed(pool.selection_rows)
        if len(self.catalogue.backends(pool.id)) >= allowed:
            why = (
                f"selection_rows {pool.selection_rows}, 100 rows a backend"
                if pool.selection_rows
                else "one pool"
            )
            raise Exhausted(f"{pool.name} has no room for more than {allowed} backends ({why})")
        room = self._room().backends
        if room and self.catalogue.backend_cnt >= room:
            raise Exhausted(
                f"the segment has room for {room} backends, and so many exist; "
                "start the data plane with a larger --backends on a new segment"
            )

    async def _delete_backend(self, pool: str, name: str, etag: str) -> None:
        backend = self.backend(pool, name)
        _check_etag(backend, etag)
        await self._commit([], [backend])

    async def _drain_backend(self, pool: str, name: str, after_ms: int | None) -> Backend:
        backend = self.backend(pool, name)
        drain = Drain(None if after_ms is None else self._clock_ms() + after_ms)
        return await self._put_changed(backend, replace(backend, drain=drain))

    async def _undrain_backend(self, pool: str, name: str) -> Backend:
        backend = self.backend(pool, name)
        return await self._put_changed(backend, replace(backend, drain=None))

    async def _create_service(self, service: VirtualService) -> VirtualService:
        service.validate()
        if service.id in self.catalogue.services:
            raise AlreadyExists(service.name, service.name, f"{service.name} exists already")
        self.pool(service.pool, "virtual_service.backend_pool")
        for i, frontend in enumerate(service.frontends):
            self._check_frontend_free(i, frontend)
        room = self._room().frontends
        if room and self.catalogue.frontend_cnt + len(service.frontends) > room:
            raise Exhausted(
                f"the segment has room for {room} frontends, and {self.catalogue.frontend_cnt} exist; "
                "start the data plane with a larger --services on a new segment"
            )
        return await self._put_new(service)

    def _check_frontend_free(self, i: int, frontend: Frontend) -> None:
        holder = self.catalogue.frontend_holder(frontend)
        if holder:
            name = service_name(holder)
            raise AlreadyExists(
                str(frontend), name, f"virtual_service.frontends[{i}]: {frontend} belongs to {name} already"
            )

    async def _delete_service(self, name: str, etag: str) -> None:
        service = self.service(name)
        _check_etag(service, etag)
        await self._commit([], [service])

    async def _put_new(self, value: _R) -> _R:
        fresh = replace(value, uid=new_uid(), create_ms=self._clock_ms(), revision=0)
        revision = await self._commit([fresh], [])
        return replace(fresh, revision=revision)

    async def _put_changed(self, old: Backend, new: Backend) -> Backend:
        if new == old:
            return old
        revision = await self._commit([new], [])
        return replace(new, revision=revision)

    async def _commit(self, put: Sequence[Resource], removed: Sequence[Resource]) -> int:
        changes: list[Change] = [Put(value, value.revision) for value in put]
        changes += [Delete(value.name, value.revision) for value in removed]
        with self.standing.commit():
            revision = await self._store.commit(changes)
        stored = [replace(value, revision=revision) for value in put]
        for value in stored:
            self.catalogue.put(value)
        for value in removed:
            self.catalogue.remove(value)
        self.catalogue.revision = revision
        self._announce(stored, removed)
        return revision


def _check_etag(value: Resource, etag: str) -> None:
    if etag and etag != value.etag:
        raise Aborted(
            value.name,
            f"etag: {value.name} has changed since it was read; read it again; nothing was changed",
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _page(values: Iterable[_R], after: str, limit: int) -> list[_R]:
    ordered = sorted(values, key=lambda value: value.name)
    start = bisect_right(ordered, after, key=lambda value: value.name) if after else 0
    return ordered[start : start + limit]
