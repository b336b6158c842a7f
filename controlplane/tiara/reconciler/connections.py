# SPDX-License-Identifier: Apache-2.0
"""Which connections are wanted: from names to what the segment calls them now."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

from tiara.domain.dataplane import BackendKey, ServiceKey
from tiara.domain.layout import State
from tiara.domain.observed import ConnectionFilter, FlushView
from tiara.native import Segment
from tiara.native.scan import Filter
from tiara.planner import plan_service
from tiara.reconciler.configuration import Configuration
from tiara.reconciler.held import Held


@dataclass(frozen=True, slots=True)
class Resolved:
    """A filter whose names exist. Empty ``services``, and None: any; ``idle`` in seconds."""

    services: frozenset[ServiceKey] = frozenset()
    backend: BackendKey | None = None
    client: IPv4Network | None = None
    state: State | None = None
    idle: int = 0

    def native(self, held: Held) -> Filter | None:
        """By the indices of now; None: the segment has nothing of that name."""
        services = frozenset(held.services[key].idx for key in self.services if key in held.services)
        slot = held.backends.get(self.backend) if self.backend else None
        if (self.services and not services) or (self.backend and not slot):
            return None
        return Filter(
            services if self.services else None,
            frozenset([slot.idx]) if slot else None,
            self.client,
            self.state,
            self.idle,
        )


class FlushRun:
    """A flush under way on one segment. Lives on the native thread."""

    def __init__(self, segment: Segment, wanted: Resolved) -> None:
        self.segment = segment
        self._wanted = wanted
        self._flush = segment.flush()
        self._nothing = False

    def step(self, held: Held) -> bool:
        """A part of the table, by the indices of now; True: done."""
        found = self._wanted.native(held)
        self._nothing = found is None
        return found is None or self._flush.step(found)

    def view(self) -> FlushView:
        """What was done."""
        return FlushView(self._flush.removed, self._nothing or self._flush.complete)


def resolve_filter(configuration: Configuration, wanted: ConnectionFilter) -> Resolved:
    """``NotFound`` names the field that refers to what does not exist."""
    services: frozenset[ServiceKey] = frozenset()
    key: BackendKey | None = None
    if wanted.service:
        found = configuration.service(wanted.service, "virtual_service")
        services = frozenset(spec.key for spec in plan_service(found))
    if wanted.backend:
        owner = configuration.backend(*wanted.backend, "backend")
        key = (owner.pool, owner.id, owner.uid)
    return Resolved(services, key, wanted.client, wanted.state, wanted.idle)
