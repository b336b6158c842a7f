# SPDX-License-Identifier: Apache-2.0
"""One change of the segment: from planned records to the calls that make the difference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tiara.domain.dataplane import BackendKey, SelectionTable, ServiceKey, ServiceSpec, SourceRanges
from tiara.native import Change
from tiara.native.values import BackendSlot, ServiceSlot
from tiara.planner import PoolPlan
from tiara.reconciler.held import Held


@dataclass(slots=True)
class Edit:
    """Writes differences to ``change``; ``finish`` brings ``held`` up to date after the commit."""

    change: Change
    held: Held
    _backends: dict[BackendKey, BackendSlot] = field(default_factory=dict)
    _services: dict[ServiceKey, ServiceSlot] = field(default_factory=dict)
    _gone: list[BackendKey] = field(default_factory=list)
    _ended: list[ServiceKey] = field(default_factory=list)
    _sources: dict[SourceRanges, int] = field(default_factory=dict)

    def remove_services(self, keys: Iterable[ServiceKey]) -> None:
        """Their packets end in no_service."""
        for key in keys:
            self.change.remove_service(key)
            self._ended.append(key)

    def remove_backends(self, keys: Iterable[BackendKey]) -> None:
        """Their connections select again."""
        for key in keys:
            self.change.remove_backend(key)
            self._gone.append(key)

    def put_backends(self, plan: PoolPlan) -> None:
        """Writes the records that differ."""
        for spec in plan.backends:
            slot = self.held.backends.get(spec.key)
            if slot is None or slot.spec != spec:
                self._backends[spec.key] = BackendSlot(self.change.put_backend(spec), spec)

    def put_table(self, table: SelectionTable, reuse_off: int) -> int:
        """The table's offset; ``reuse_off`` is taken where it holds the same rows."""
        if not table.rows:
            return 0
        return self.change.table(table.rows, [self._backend_idx(key) for key in table.backends], reuse_off)

    def put_service(self, spec: ServiceSpec, table_off: int, table_cnt: int) -> None:
        """Writes the record if it differs."""
        slot = self.held.services.get(spec.key)
        if slot and (slot.spec, slot.table_off, slot.table_cnt) == (spec, table_off, table_cnt):
            return
        source_off = self._source_off(spec, slot)
        idx = self.change.put_service(spec, table_off, table_cnt, source_off)
        self._services[spec.key] = ServiceSlot(idx, spec, table_off, table_cnt, source_off)

    @property
    def written(self) -> int:
        """Records that differed."""
        return len(self._backends) + len(self._services) + len(self._gone) + len(self._ended)

    def finish(self) -> None:
        """After the commit."""
        for service in self._ended:
            self.held.remove_service(service)
        for backend in self._gone:
            self.held.remove_backend(backend)
        for backend_slot in self._backends.values():
            self.held.put_backend(backend_slot)
        for service_slot in self._services.values():
            self.held.put_service(service_slot)

    def _source_off(self, spec: ServiceSpec, slot: ServiceSlot | None) -> int:
        """Equal lists share one; that of the slot is taken where it is equal."""
        if not spec.sources:
            return 0
        if spec.sources not in self._sources:
            same = slot is not None and slot.spec.sources == spec.sources
            reuse_off = slot.source_off if slot and same else 0
            self._sources[spec.sources] = self.change.sources(spec.sources, reuse_off)
        return self._sources[spec.sources]

    def _backend_idx(self, key: BackendKey) -> int:
        slot = self._backends.get(key) or self.held.backends[key]
        return slot.idx
