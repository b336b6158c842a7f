# SPDX-License-Identifier: Apache-2.0
"""The catalogue as one write would leave it: checked whole, then committed or dropped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tiara.domain.errors import AlreadyExists, Exhausted, FailedPrecondition, InvalidField, NotFound
from tiara.domain.history import Difference
from tiara.domain.model import Backend, Frontend, Pool, Resource, VirtualService
from tiara.domain.names import backend_name, pool_name, service_name
from tiara.domain.selection import backends_allowed
from tiara.reconciler.catalogue import Catalogue

_R = TypeVar("_R", Pool, Backend, VirtualService)


@dataclass(frozen=True, slots=True)
class Room:
    """How many indices the segment has; 0: not known yet."""

    backends: int = 0
    frontends: int = 0


class Draft:
    """``put`` and ``remove`` what the write wishes, then ``check``; the catalogue stays as it is."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._after: dict[str, Resource | None] = {}
        self._fields: dict[str, str] = {}
        self._frontends: dict[Frontend, str] = {}
        self._addresses: dict[tuple[str, str], str] = {}
        self._touched: dict[str, set[str]] = defaultdict(set)
        self._users: dict[str, set[str]] = defaultdict(set)
        self._differences: tuple[Difference, ...] | None = None

    def find(self, name: str) -> Resource | None:
        """The resource as it would be."""
        return self._after[name] if name in self._after else self.catalogue.find(name)

    def put(self, value: Resource, field: str) -> None:
        """Adds or replaces; ``field`` is where the request has it, for errors."""
        try:
            value.validate()
        except InvalidField as error:
            raise error.under(field) from None
        self._set(value, value)
        self._fields[value.name] = field
        match value:
            case Backend():
                self._claim_address(value, field)
            case VirtualService():
                self._users[value.pool].add(value.name)
                self._claim_frontends(value, field)

    def remove(self, value: Resource) -> None:
        """Removes."""
        self._set(value, None)

    def differences(self) -> tuple[Difference, ...]:
        """What would change, in order of name."""
        if self._differences is None:
            pairs = ((name, self.catalogue.find(name), after) for name, after in self._after.items())
            found = (Difference(*pair) for pair in pairs if pair[1] != pair[2])
            self._differences = tuple(sorted(found, key=lambda difference: difference.name))
        return self._differences

    def pool(self, pool: str) -> Pool | None:
        """A pool as it would be."""
        found = self.find(pool_name(pool))
        return found if isinstance(found, Pool) else None

    def backends(self, pool: str) -> list[Backend]:
        """A pool's backends as they would be."""
        known = {backend.name for backend in self.catalogue.backends(pool).values()}
        known |= self._touched.get(pool, set())
        return [value for value in map(self.find, sorted(known)) if isinstance(value, Backend)]

    def users(self, pool: str) -> list[str]:
        """Names of the services that would use a pool."""
        names = {service_name(user) for user in self.catalogue.users(pool)}
        names |= self._users.get(pool, set())
        found = [value for value in map(self.find, sorted(names)) if isinstance(value, VirtualService)]
        return [value.name for value in found if value.pool == pool]

    def check(self, room: Room) -> None:
        """Raises what a client must mend; nothing was changed then."""
        for service in self._put(VirtualService):
            self._check_service(service, self._fields[service.name])
        for backend in self._put(Backend):
            self._check_backend(backend, self._fields[backend.name])
        for pool in self._touched_pools():
            self._check_pool(pool)
        self._check_room(room)

    def _set(self, value: Resource, after: Resource | None) -> None:
        self._after[value.name] = after
        self._differences = None
        if isinstance(value, Backend):
            self._touched[value.pool].add(value.name)

    def _put(self, kind: type[_R]) -> list[_R]:
        return [value for value in self._after.values() if isinstance(value, kind)]

    def _removed(self, kind: type[_R]) -> list[_R]:
        gone = [self.catalogue.find(name) for name, value in self._after.items() if value is None]
        return [value for value in gone if isinstance(value, kind)]

    def _touched_pools(self) -> list[str]:
        pools = {backend.pool for backend in self._put(Backend)}
        pools |= {pool.id for pool in (*self._put(Pool), *self._removed(Pool))}
        return sorted(pools)

    def _claim_frontends(self, value: VirtualService, field: str) -> None:
        for i, frontend in enumerate(value.frontends):
            holder = self._frontends.setdefault(frontend, value.name)
            if holder != value.name:
                raise _taken(f"{field}.frontends[{i}]", str(frontend), holder)

    def _claim_address(self, value: Backend, field: str) -> None:
        holder = self._addresses.setdefault((value.pool, value.address), value.name)
        if holder != value.name:
            raise _taken(f"{field}.address", value.address, holder)

    def _check_service(self, value: VirtualService, field: str) -> None:
        if self.pool(value.pool) is None:
            raise NotFound(pool_name(value.pool), f"{field}.backend_pool")
        for i, frontend in enumerate(value.frontends):
            holder = service_name(self.catalogue.frontend_holder(frontend))
            if self._keeps(holder, value.name, partial(_has_frontend, frontend)):
                raise _taken(f"{field}.frontends[{i}]", str(frontend), holder)

    def _check_backend(self, value: Backend, field: str) -> None:
        if self.pool(value.pool) is None:
            raise NotFound(pool_name(value.pool), f"{field}.name" if field.endswith("]") else "")
        holder = backend_name(value.pool, self.catalogue.address_holder(value.pool, value.address))
        if self._keeps(holder, value.name, lambda held: held.address == value.address):
            raise _taken(f"{field}.address", value.address, holder)

    def _keeps(self, holder: str, name: str, has: Callable[[Any], bool]) -> bool:
        """Whether another resource than ``name`` has it now and would still have it."""
        held = self.find(holder) if holder != name else None
        return held is not None and has(held)

    def _check_pool(self, name: str) -> None:
        pool = self.pool(name)
        if pool is None:
            self._check_unused(name)
            return
        allowed = backends_allowed(pool.selection_rows)
        if self._backend_cnt(name) <= allowed:
            return
        why = (
            f"selection_rows {pool.selection_rows}, 100 rows a backend" if pool.selection_rows else "one pool"
        )
        raise Exhausted(f"{pool.name} has no room for more than {allowed} backends ({why})")

    def _check_unused(self, pool: str) -> None:
        name, users = pool_name(pool), self.users(pool)
        if users:
            raise FailedPrecondition(
                name, f"{name} is used by {_some(users)}; delete that first; nothing was changed"
            )
        backends = [backend.name for backend in self.backends(pool)]
        if backends:
            raise FailedPrecondition(
                name,
                f"{name} has {_some(backends)}; delete them first or use force; nothing was changed",
            )

    def _backend_cnt(self, pool: str) -> int:
        known = self.catalogue.backends(pool)
        touched = self._touched.get(pool, set())
        after = sum(self._after[name] is not None for name in touched)
        return len(known) + after - sum(self.catalogue.find(name) is not None for name in touched)

    def _check_room(self, room: Room) -> None:
        added = sum(self.catalogue.find(value.name) is None for value in self._put(Backend))
        backends = self.catalogue.backend_cnt + added - len(self._removed(Backend))
        if room.backends and added and backends > room.backends:
            raise Exhausted(
                f"the segment has room for {room.backends} backends, and {self.catalogue.backend_cnt} exist; "
                "start the data plane with a larger --backends on a new segment"
            )
        services = self._put(VirtualService)
        before = [self.catalogue.find(value.name) for value in (*services, *self._removed(VirtualService))]
        frontends = self.catalogue.frontend_cnt + sum(len(value.frontends) for value in services)
        frontends -= sum(len(value.frontends) for value in before if isinstance(value, VirtualService))
        if room.frontends and services and frontends > room.frontends:
            raise Exhausted(
                f"the segment has room for {room.frontends} frontends, and {self.catalogue.frontend_cnt} "
                "exist; start the data plane with a larger --services on a new segment"
            )


def _has_frontend(frontend: Frontend, service: VirtualService) -> bool:
    return frontend in service.frontends


def _taken(field: str, what: str, holder: str) -> AlreadyExists:
    return AlreadyExists(what, holder, f"{field}: {what} belongs to {holder} already", field)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
