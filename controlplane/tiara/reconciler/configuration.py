# SPDX-License-Identifier: Apache-2.0
"""Reads and writes of desired state: drafted, checked, committed, then announced."""

from __future__ import annotations

import asyncio
import secrets
import time
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from tiara.domain.call import Call
from tiara.domain.caller import current_caller
from tiara.domain.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidField, NotFound
from tiara.domain.history import REQUEST_ID_BYTES_MAX, Difference, Entry, Record
from tiara.domain.model import Backend, Drain, Pool, Resource, VirtualService
from tiara.domain.names import backend_name, pool_name, service_name
from tiara.planner.removal import is_replaced, removal_reasons
from tiara.reconciler.catalogue import Catalogue
from tiara.reconciler.draft import Draft, Room
from tiara.reconciler.standing import Standing
from tiara.reconciler.wanted import Wanted
from tiara.store import Change, Delete, Put, Store

_T = TypeVar("_T")
_R = TypeVar("_R", Pool, Backend, VirtualService)

NO_CALL = Call()


@dataclass(frozen=True, slots=True)
class Written:
    """The store's revision after a write, and what that write changed."""

    revision: int
    differences: tuple[Difference, ...]

    def value(self, name: str) -> Resource | None:
        """What the write made of the resource; None: it changed nothing about it, or removed it."""
        return next((one.after for one in self.differences if one.name == name), None)


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

    async def create_pool(self, pool: Pool, call: Call = NO_CALL) -> Pool:
        """Stores a new pool; ``uid`` and times are set here."""
        return await self._create(pool, "backend_pool", call)

    async def update_pool(self, pool: str, etag: str, change: Callable[[Pool], Pool], call: Call) -> Pool:
        """``change`` makes the new value of the stored one; identity and times are kept."""
        return await self._change(pool_name(pool), change, "backend_pool", call, etag)

    async def delete_pool(self, pool: str, etag: str, force: bool, call: Call = NO_CALL) -> None:
        """Deletes a pool that no service uses; ``force``: with its backends."""

        def build(draft: Draft) -> None:
            self._remove(draft, self.pool(pool), etag)
            for backend in self.catalogue.backends(pool).values() if force else ():
                draft.remove(backend)

        await self._write(call, build)

    async def create_backend(self, backend: Backend, call: Call = NO_CALL) -> Backend:
        """Stores a new backend of an existing pool."""
        return await self._create(backend, "backend", call)

    async def update_backend(
        self, pool: str, backend: str, etag: str, change: Callable[[Backend], Backend], call: Call
    ) -> Backend:
        """Likewise. The address stays: its connections would follow it to another server."""

        def keep_address(old: Backend) -> Backend:
            new = change(old)
            if new.address != old.address:
                raise InvalidField(
                    "backend.address",
                    f"{new.address} is another server than {old.address}: create it as a backend of its own "
                    "and drain this one",
                )
            return new

        return await self._change(backend_name(pool, backend), keep_address, "backend", call, etag)

    async def delete_backend(self, pool: str, backend: str, etag: str, call: Call = NO_CALL) -> None:
        """Its connections select again at their next packet."""
        await self._write(call, lambda draft: self._remove(draft, self.backend(pool, backend), etag))

    async def drain_backend(
        self, pool: str, backend: str, after_ms: int | None, call: Call = NO_CALL
    ) -> Backend:
        """Drains; ``after_ms`` from now its connections move, None: never."""
        drain = Drain(None if after_ms is None else self._clock_ms() + after_ms)
        return await self._override(pool, backend, lambda old: replace(old, drain=drain), call)

    async def disable_backend(self, pool: str, backend: str, call: Call = NO_CALL) -> Backend:
        """As a health check does that finds it down."""
        return await self._override(pool, backend, lambda old: replace(old, disabled=True), call)

    async def undrain_backend(self, pool: str, backend: str, call: Call = NO_CALL) -> Backend:
        """Ends a drain and a disable; without either, nothing is written."""
        return await self._override(pool, backend, lambda old: replace(old, drain=None, disabled=False), call)

    async def create_service(self, service: VirtualService, call: Call = NO_CALL) -> VirtualService:
        """Stores a new service of an existing pool."""
        return await self._create(service, "virtual_service", call)

    async def update_service(
        self, service: str, etag: str, change: Callable[[VirtualService], VirtualService], call: Call
    ) -> VirtualService:
        """Likewise. Connections of frontends that stay, stay."""
        return await self._change(service_name(service), change, "virtual_service", call, etag)

    async def delete_service(self, service: str, etag: str, call: Call = NO_CALL) -> None:
        """Its packets end in the verdict no_service."""
        await self._write(call, lambda draft: self._remove(draft, self.service(service), etag))

    async def apply(
        self, wanted: Wanted, at_revision: int | None, allow_removal: bool, call: Call = NO_CALL
    ) -> Written:
        """All of it or nothing. ``Aborted`` where the store is past ``at_revision`` (None: any)."""

        def build(draft: Draft) -> None:
            self._check_revision(at_revision)
            self.draft_wanted(draft, wanted)
            reasons = removal_reasons(draft.differences(), lambda pool: len(self.catalogue.backends(pool)))
            if reasons and not allow_removal:
                raise FailedPrecondition(
                    "configuration", f"{'; '.join(reasons)}: allow_removal is needed; nothing was changed"
                )

        return await self._write(call, build, on_thread=True)

    async def consult(self, ask: Callable[[Draft], _T]) -> _T:
        """``ask`` gets a draft of what is there now, on a thread; no write comes meanwhile."""
        return await self._locked(asyncio.to_thread(ask, Draft(self.catalogue)))

    def draft_wanted(self, draft: Draft, wanted: Wanted) -> None:
        """Writes a wanted configuration into a draft, as a plan and an apply do."""
        wanted.draw(draft, self._clock_ms(), new_uid)

    async def state_at(self, revision: int) -> tuple[int, list[Resource]]:
        """Everything as it was at a revision, and the revision now. ``OutOfRange``: not kept."""
        now = self.catalogue.revision
        if revision > now:
            raise InvalidField("rollback_revision", f"{revision} is newer than the newest one, {now}")
        state = {value.name: value for value in self.catalogue.all()}
        for entry in reversed(await self._store.entries_after(revision)):
            if entry.revision <= now:
                _undo(state, entry)
        return now, list(state.values())

    async def entry(self, revision: int) -> Entry:
        """One past write, or ``NotFound``."""
        return await self._store.entry(revision)

    async def entries(self, before: int, limit: int, resource: str) -> list[Entry]:
        """Past writes, newest first: see ``Store.entries``."""
        return await self._store.entries(before, limit, resource)

    def check(self, draft: Draft) -> None:
        """Raises what would refuse the draft."""
        draft.check(self._room())

    async def _create(self, value: _R, field: str, call: Call) -> _R:
        def build(draft: Draft) -> None:
            if draft.find(value.name):
                raise AlreadyExists(value.name, value.name, f"{value.name} exists already")
            fresh = replace(value, uid=new_uid(), create_ms=self._clock_ms(), revision=0)
            draft.put(fresh, field)

        written = await self._write(call, build)
        return written.value(value.name) or value  # type: ignore[return-value]

    async def _change(
        self, name: str, change: Callable[[_R], _R], field: str, call: Call, etag: str = ""
    ) -> _R:
        """Identity and times are kept. A repeated call gets the first answer, whatever is there now."""

        def stored() -> _R:
            found = self.catalogue.find(name)
            if found is None:
                raise NotFound(name)
            return found  # type: ignore[return-value]

        def build(draft: Draft) -> None:
            old = stored()
            _check_etag(old, etag)
            new = replace(
                change(old), uid=old.uid, owner=old.owner, create_ms=old.create_ms, revision=old.revision
            )
            if new != old:
                draft.put(new, field)

        written = await self._write(call, build)
        return written.value(name) or stored()  # type: ignore[return-value]

    async def _override(
        self, pool: str, backend: str, change: Callable[[Backend], Backend], call: Call
    ) -> Backend:
        return await self._change(backend_name(pool, backend), change, "backend", call)

    def _remove(self, draft: Draft, value: Resource, etag: str) -> None:
        _check_etag(value, etag)
        draft.remove(value)

    def _check_revision(self, revision: int | None) -> None:
        if revision is not None and revision != self.catalogue.revision:
            raise Aborted(
                "configuration",
                f"plan_revision: the plan was made at revision {revision}, the store is at "
                f"{self.catalogue.revision}: plan again; nothing was changed",
            )

    async def _write(self, call: Call, build: Callable[[Draft], None], *, on_thread: bool = False) -> Written:
        """``on_thread``: a draft that may be large must not stop the event loop."""
        _check_request_id(call)
        return await self._locked(self._write_one(call, build, on_thread))

    async def _locked(self, write: Coroutine[Any, Any, _T]) -> _T:
        async def run() -> _T:
            async with self._lock:
                return await write

        task = asyncio.create_task(run())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write_one(self, call: Call, build: Callable[[Draft], None], on_thread: bool) -> Written:
        done = await self._store.entry_of(call.request_id) if call.request_id else None
        if done:
            return _repeated(done, call)
        draft = partial(self._drafted, build)
        differences = await asyncio.to_thread(draft) if on_thread else draft()
        if call.validate_only or not differences:
            return Written(self.catalogue.revision, differences)
        return await self._commit(differences, call)

    def _drafted(self, build: Callable[[Draft], None]) -> tuple[Difference, ...]:
        draft = Draft(self.catalogue)
        build(draft)
        draft.check(self._room())
        return draft.differences()

    async def _commit(self, differences: Sequence[Difference], call: Call) -> Written:
        put = [one.after for one in differences if one.after]
        removed = [one.before for one in differences if one.before and not one.after]
        changes: list[Change] = [
            Put(one.after, one.before.revision if one.before else 0) for one in differences if one.after
        ]
        changes += [Delete(value.name, value.revision) for value in removed]
        with self.standing.commit():
            revision = await self._store.commit(changes, self._record(call))
        stored = [replace(value, revision=revision) for value in put]
        replaced = [one.before for one in differences if one.before and one.after and is_replaced(one)]
        self._take_over(revision, stored, removed)
        self._announce(stored, [*removed, *replaced])
        after = {value.name: value for value in stored}
        return Written(
            revision, tuple(Difference(one.name, one.before, after.get(one.name)) for one in differences)
        )

    def _take_over(self, revision: int, stored: Sequence[Resource], removed: Sequence[Resource]) -> None:
        for value in sorted(removed, key=lambda value: value.name, reverse=True):
            self.catalogue.remove(value)
        for value in stored:
            self.catalogue.put(value)
        self.catalogue.revision = revision

    def _record(self, call: Call) -> Record:
        caller = current_caller()
        return Record(self._clock_ms(), caller.who, caller.peer, call.method, call.request_id, call.digest)


def _undo(state: dict[str, Resource], entry: Entry) -> None:
    for one in entry.differences:
        state.pop(one.name, None)
        if one.before:
            state[one.name] = one.before


def _repeated(done: Entry, call: Call) -> Written:
    if (done.record.method, done.record.digest) != (call.method, call.digest):
        raise InvalidField(
            "request_id", f"was used for another call, at revision {done.revision}; take a new one"
        )
    return Written(done.revision, done.differences)


def _check_request_id(call: Call) -> None:
    if len(call.request_id.encode()) > REQUEST_ID_BYTES_MAX:
        raise InvalidField("request_id", f"is longer than {REQUEST_ID_BYTES_MAX} bytes")


def _check_etag(value: Resource, etag: str) -> None:
    if etag and etag != value.etag:
        raise Aborted(
            value.name,
            f"etag: {value.name} has changed since it was read; read it again; nothing was changed",
        )


def _page(values: Iterable[_R], after: str, limit: int) -> list[_R]:
    ordered = sorted(values, key=lambda value: value.name)
    start = bisect_right(ordered, after, key=lambda value: value.name) if after else 0
    return ordered[start : start + limit]
