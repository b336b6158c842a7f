# SPDX-License-Identifier: Apache-2.0
"""What is to be applied next: collected on the event loop, handed whole to the native thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tiara.domain.model import Backend, VirtualService
from tiara.planner import PoolInput, Seen
from tiara.reconciler.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Work:
    """Desired state of the pools and services that may have changed; None: deleted.

    A service's pool is always in it. ``full``: it is everything, and what else the segment holds goes.
    """

    revision: int
    pools: dict[str, PoolInput | None]
    services: dict[str, VirtualService | None]
    full: bool


@dataclass(slots=True)
class Dirty:
    """Ids whose desired or observed state changed since the last successful apply."""

    pools: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    full: bool = True

    def take(self, catalogue: Catalogue, seen: Callable[[Backend], Seen]) -> Work:
        """Makes work of it; nothing is dirty afterwards."""
        services = set(catalogue.services) if self.full else set(self.services)
        pools = set(catalogue.pools) if self.full else set(self.pools)
        for service in services & set(catalogue.services):
            pools.add(catalogue.services[service].pool)
        for pool in pools:
            services.update(catalogue.users(pool))
        work = Work(
            catalogue.revision,
            {pool: _pool_input(catalogue, pool, seen) for pool in pools},
            {service: catalogue.services.get(service) for service in services},
            self.full,
        )
        self.pools, self.services, self.full = set(), set(), False
        return work

    def give_back(self, work: Work) -> None:
        """The work was not done: it stays to do."""
        self.pools.update(work.pools)
        self.services.update(work.services)
        self.full |= work.full


def _pool_input(catalogue: Catalogue, name: str, seen: Callable[[Backend], Seen]) -> PoolInput | None:
    pool = catalogue.pools.get(name)
    if pool is None:
        return None
    backends = catalogue.backends(name).values()
    return PoolInput(pool, tuple((backend, seen(backend)) for backend in backends))
