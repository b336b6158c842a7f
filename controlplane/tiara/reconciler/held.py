# SPDX-License-Identifier: Apache-2.0
"""What the segment holds, mirrored in memory so that only differences are written."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from tiara.domain.dataplane import BackendKey, BackendSpec, ServiceKey, ServiceSpec
from tiara.native import Segment
from tiara.native.values import BackendSlot, ServiceSlot


@dataclass(slots=True)
class Held:
    """Records by key, with indices the other way round. ``version`` changes with every change."""

    backends: dict[BackendKey, BackendSlot] = field(default_factory=dict)
    services: dict[ServiceKey, ServiceSlot] = field(default_factory=dict)
    backend_by_idx: dict[int, BackendSpec] = field(default_factory=dict)
    service_by_idx: dict[int, ServiceSpec] = field(default_factory=dict)
    pool_keys: defaultdict[str, set[BackendKey]] = field(default_factory=lambda: defaultdict(set))
    service_keys: defaultdict[str, set[ServiceKey]] = field(default_factory=lambda: defaultdict(set))
    version: int = 0

    @classmethod
    def read(cls, segment: Segment) -> Held:
        """What an adopted segment holds."""
        held = cls()
        for backend in segment.backends():
            held.put_backend(backend)
        for service in segment.services():
            held.put_service(service)
        return held

    def put_backend(self, slot: BackendSlot) -> None:
        """Adds or replaces."""
        self.version += 1
        self.backends[slot.spec.key] = slot
        self.backend_by_idx[slot.idx] = slot.spec
        self.pool_keys[slot.spec.pool].add(slot.spec.key)

    def put_service(self, slot: ServiceSlot) -> None:
        """Adds or replaces."""
        self.version += 1
        self.services[slot.spec.key] = slot
        self.service_by_idx[slot.idx] = slot.spec
        self.service_keys[slot.spec.service].add(slot.spec.key)

    def remove_backend(self, key: BackendKey) -> None:
        """Forgets it."""
        self.version += 1
        slot = self.backends.pop(key)
        if self.backend_by_idx.get(slot.idx) is slot.spec:
            del self.backend_by_idx[slot.idx]
        self.pool_keys[key[0]].discard(key)

    def remove_service(self, key: ServiceKey) -> None:
        """Forgets it."""
        self.version += 1
        slot = self.services.pop(key)
        if self.service_by_idx.get(slot.idx) is slot.spec:
            del self.service_by_idx[slot.idx]
        self.service_keys[key[0]].discard(key)
