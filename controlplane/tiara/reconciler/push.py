# SPDX-License-Identifier: Apache-2.0
"""A stream of pushed connections: names resolved once, every chunk checked whole before it goes in."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tiara.domain.dataplane import BackendKey, ServiceKey
from tiara.domain.errors import FailedPrecondition, InvalidField
from tiara.domain.layout import Limit, OnConflict
from tiara.domain.model import Frontend, VirtualService
from tiara.domain.names import backend_name, service_name
from tiara.domain.observed import PushResult
from tiara.reconciler.configuration import Configuration

RECORD_BYTES = 16


@dataclass(frozen=True, slots=True)
class PushService:
    """A dictionary entry. Empty uid: any. No frontend: the service's only one."""

    service: str
    uid: str = ""
    frontend: Frontend | None = None


@dataclass(frozen=True, slots=True)
class PushBackend:
    """A dictionary entry. Empty uid: any."""

    pool: str
    backend: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Dictionaries:
    """What positions in records mean."""

    services: tuple[ServiceKey, ...]
    service_pools: tuple[str, ...]
    backends: tuple[BackendKey, ...]
    on_conflict: OnConflict


Push = Callable[[bytes, Dictionaries], Awaitable[PushResult]]


class PushSession:
    """One stream. Chunks are pushed one after the other."""

    def __init__(self, dictionaries: Dictionaries, push: Push) -> None:
        self._dictionaries = dictionaries
        self._push = push
        pools = set(dictionaries.service_pools) | {key[0] for key in dictionaries.backends}
        self._one_pool = len(pools) < 2

    async def push(self, records: bytes) -> PushResult:
        """Inserts a chunk's records. ``InvalidField``: one is wrong, and none was inserted."""
        if len(records) % RECORD_BYTES:
            raise InvalidField("chunk.records", f"{len(records)} bytes are not whole 16-byte records")
        if len(records) > Limit.PACKED_CHUNK_BYTES:
            raise InvalidField("chunk.records", f"{len(records)} bytes are more than 1 MiB")
        if not records:
            return PushResult(0)
        if not self._one_pool:
            self._check_pools(records)
        return await self._push(records, self._dictionaries)

    def _check_pools(self, records: bytes) -> None:
        """Each pair of positions once: slices of arrays, so that a chunk takes milliseconds."""
        services, backends = array("H", records)[3::8], array("I", records)[2::4]
        services.byteswap()
        backends.byteswap()
        wrong = {pair for pair in set(zip(services, backends, strict=True)) if self._crosses(*pair)}
        if wrong:
            index = next(i for i, pair in enumerate(zip(services, backends, strict=True)) if pair in wrong)
            raise self._wrong_pool(index, services[index], backends[index])

    def _crosses(self, service: int, backend: int) -> bool:
        known = self._dictionaries
        if service >= len(known.services) or backend >= len(known.backends):
            return False  # libtiara names the record and the position
        return known.service_pools[service] != known.backends[backend][0]

    def _wrong_pool(self, index: int, service: int, backend: int) -> InvalidField:
        pool, name, _ = self._dictionaries.backends[backend]
        return InvalidField(
            f"chunk.records[{index}].backend_pos",
            f"{backend_name(pool, name)} is not in the pool of "
            f"{service_name(self._dictionaries.services[service][0])}; nothing was pushed",
        )


def resolve(
    configuration: Configuration,
    services: Sequence[PushService],
    backends: Sequence[PushBackend],
    on_conflict: OnConflict,
) -> Dictionaries:
    """Finds every name, or raises ``NotFound``, ``InvalidField`` or ``FailedPrecondition`` naming it."""
    if len(services) > Limit.SERVICE_LIMIT:
        raise InvalidField("header.services", f"{len(services)} are more than {Limit.SERVICE_LIMIT}")
    keys, pools = [], []
    for i, wanted in enumerate(services):
        service = configuration.service(wanted.service, f"header.services[{i}]")
        _check_uid(f"header.services[{i}]", service.name, service.uid, wanted.uid)
        frontend = _frontend(f"header.services[{i}]", service, wanted.frontend)
        keys.append((service.id, service.uid, frontend.address, frontend.port, int(frontend.protocol)))
        pools.append(service.pool)
    found = []
    for i, entry in enumerate(backends):
        backend = configuration.backend(entry.pool, entry.backend, f"header.backends[{i}]")
        _check_uid(f"header.backends[{i}]", backend.name, backend.uid, entry.uid)
        found.append((backend.pool, backend.id, backend.uid))
    return Dictionaries(tuple(keys), tuple(pools), tuple(found), on_conflict)


def _check_uid(field: str, name: str, uid: str, wanted: str) -> None:
    if wanted and wanted != uid:
        raise FailedPrecondition(
            name, f"{field}.uid: {name} was created anew and has another uid, {uid}; nothing was pushed"
        )


def _frontend(field: str, service: VirtualService, wanted: Frontend | None) -> Frontend:
    if wanted is None:
        if len(service.frontends) > 1:
            raise InvalidField(
                f"{field}.frontend", f"must be set: {service.name} has {len(service.frontends)} frontends"
            )
        return service.frontends[0]
    if wanted not in service.frontends:
        raise InvalidField(f"{field}.frontend", f"{service.name} has no frontend {wanted}")
    return wanted
