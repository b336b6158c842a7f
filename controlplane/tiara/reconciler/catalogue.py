# SPDX-License-Identifier: Apache-2.0
"""Desired state in memory, with the indexes that answer "who has this?" at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tiara.domain.model import Backend, Frontend, Pool, Resource, VirtualService
from tiara.store import Snapshot


class Catalogue:
    """What the store holds. Changed only after a commit."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.revision = snapshot.revision
        self.pools: dict[str, Pool] = {}
        self.services: dict[str, VirtualService] = {}
        self.backend_cnt = 0
        self._backends: dict[str, dict[str, Backend]] = defaultdict(dict)
        self._holders: dict[Frontend, str] = {}
        self._addresses: dict[tuple[str, str], str] = {}
        self._users: dict[str, set[str]] = defaultdict(set)
        resources: tuple[Resource, ...] = snapshot.pools + snapshot.backends + snapshot.services
        for value in resources:
            self.put(value)

    @property
    def frontend_cnt(self) -> int:
        """Frontends of all services."""
        return len(self._holders)

    def find(self, name: str) -> Resource | None:
        """The resource of this name."""
        match name.split("/"):
            case ["backendPools", pool]:
                return self.pools.get(pool)
            case ["backendPools", pool, "backends", backend]:
                return self.backends(pool).get(backend)
            case ["virtualServices", service]:
                return self.services.get(service)
        return None

    def all(self) -> Iterator[Resource]:
        """Everything: pools, backends, services."""
        yield from self.pools.values()
        yield from self.all_backends()
        yield from self.services.values()

    def backends(self, pool: str) -> dict[str, Backend]:
        """A pool's backends by id; do not change it."""
        return self._backends.get(pool, {})

    def all_backends(self) -> Iterator[Backend]:
        """Those of all pools."""
        for backends in self._backends.values():
            yield from backends.values()

    def users(self, pool: str) -> list[str]:
        """Ids of the services that use a pool, in order."""
        return sorted(self._users.get(pool, ()))

    def frontend_holder(self, frontend: Frontend) -> str:
        """The id of the service that has this frontend, or ""."""
        return self._holders.get(frontend, "")

    def address_holder(self, pool: str, address: str) -> str:
        """The id of the backend of this pool that has this address, or ""."""
        return self._addresses.get((pool, address), "")

    def put(self, value: Resource) -> None:
        """Adds or replaces."""
        match value:
            case Pool():
                self.pools[value.id] = value
            case Backend():
                self._put_backend(value)
            case VirtualService():
                self._put_service(value)

    def remove(self, value: Resource) -> None:
        """Removes what is there under the same name."""
        match value:
            case Pool():
                del self.pools[value.id]
                self._backends.pop(value.id, None)
                self._users.pop(value.id, None)
            case Backend():
                self._remove_backend(value)
            case VirtualService():
                self._remove_service(value)

    def _put_backend(self, value: Backend) -> None:
        old = self.backends(value.pool).get(value.id)
        if old:
            self._remove_backend(old)
        self._backends[value.pool][value.id] = value
        self._addresses[value.pool, value.address] = value.id
        self.backend_cnt += 1

    def _remove_backend(self, value: Backend) -> None:
        del self._backends[value.pool][value.id]
        if self._addresses.get((value.pool, value.address)) == value.id:
            del self._addresses[value.pool, value.address]
        self.backend_cnt -= 1

    def _put_service(self, value: VirtualService) -> None:
        old = self.services.get(value.id)
        if old:
            self._remove_service(old)
        self.services[value.id] = value
        self._users[value.pool].add(value.id)
        for frontend in value.frontends:
            self._holders[frontend] = value.id

    def _remove_service(self, value: VirtualService) -> None:
        del self.services[value.id]
        self._users[value.pool].discard(value.id)
        for frontend in value.frontends:
            if self._holders.get(frontend) == value.id:
                del self._holders[frontend]
