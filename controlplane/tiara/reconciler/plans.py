# SPDX-License-Identifier: Apache-2.0
"""What a change would do to rows and live connections: worked out beside the running system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tiara.domain.history import Difference
from tiara.domain.model import Backend, Pool, VirtualService
from tiara.domain.plan import PlanView, PoolRows
from tiara.native.values import Affected
from tiara.planner import PoolInput, Seen
from tiara.planner.removal import removal_reasons
from tiara.reconciler.draft import Draft


@dataclass(frozen=True, slots=True)
class Question:
    """Pools and services as they would be; None: gone."""

    pools: dict[str, PoolInput | None]
    services: dict[str, VirtualService | None]


@dataclass(frozen=True, slots=True)
class Preview:
    """Indices that the change would take away, by index with the resource's name, and rows that move."""

    services: dict[int, str]
    backends: dict[int, str]
    pools: tuple[PoolRows, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A draft as of one revision: nothing of it changes any more."""

    revision: int
    differences: tuple[Difference, ...]
    question: Question
    overridden: tuple[Backend, ...]
    removal_reasons: tuple[str, ...]


def propose(draft: Draft, named: Iterable[str], seen: Callable[[Backend], Seen]) -> Proposal:
    """What there is to know of a draft without the segment. ``named``: what the configuration holds."""
    differences = draft.differences()
    backends = draft.catalogue.backends
    return Proposal(
        draft.catalogue.revision,
        differences,
        _question(draft, seen),
        _overridden(draft, named),
        tuple(removal_reasons(differences, lambda pool: len(backends(pool)))),
    )


def answer(proposal: Proposal, preview: Preview | None, affected: Affected | None) -> PlanView:
    """Everything that a plan says."""
    return PlanView(
        proposal.revision,
        proposal.differences,
        preview.pools if preview else (),
        _by_name(preview, affected) if preview and affected else {},
        affected.total if affected else 0,
        affected.live if affected else 0,
        proposal.overridden,
        proposal.removal_reasons,
        affected is not None,
    )


def _question(draft: Draft, seen: Callable[[Backend], Seen]) -> Question:
    differences = draft.differences()
    pools = {_pool_of(one) for one in differences} - {""}
    services = {one.name: one.after for one in differences if _is_service(one)}
    return Question(
        {pool: _input(draft, pool, seen) for pool in sorted(pools)},
        {
            name.split("/")[1]: value if isinstance(value, VirtualService) else None
            for name, value in services.items()
        },
    )


def _pool_of(difference: Difference) -> str:
    match difference.after or difference.before:
        case Pool(id=pool) | Backend(pool=pool):
            return pool
    return ""


def _is_service(difference: Difference) -> bool:
    return isinstance(difference.after or difference.before, VirtualService)


def _input(draft: Draft, name: str, seen: Callable[[Backend], Seen]) -> PoolInput | None:
    pool = draft.pool(name)
    if pool is None:
        return None
    return PoolInput(pool, tuple((backend, seen(backend)) for backend in draft.backends(name)))


def _by_name(preview: Preview, affected: Affected) -> Counter[str]:
    found: Counter[str] = Counter()
    for idx, name in preview.services.items():
        found[name] += affected.per_service[idx]
    for idx, name in preview.backends.items():
        found[name] += affected.per_backend[idx]
    return found


def _overridden(draft: Draft, named: Iterable[str]) -> tuple[Backend, ...]:
    found = (draft.find(name) for name in named)
    return tuple(value for value in found if isinstance(value, Backend) and (value.drain or value.disabled))
