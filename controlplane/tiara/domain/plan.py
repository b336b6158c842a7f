# SPDX-License-Identifier: Apache-2.0
"""What a change would do, worked out before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tiara.domain.history import Difference
from tiara.domain.model import Backend


@dataclass(frozen=True, slots=True)
class PoolRows:
    """How many rows of a pool's selection table would name another backend, of how many."""

    pool: str
    moved: int
    rows: int


@dataclass(frozen=True, slots=True)
class PlanView:
    """``affected`` by resource name; a connection that loses both counts for its service and its
    backend, but once in ``affected_cnt``. ``counted`` is false where there was no table to count in."""

    revision: int
    differences: tuple[Difference, ...]
    pools: tuple[PoolRows, ...] = ()
    affected: Mapping[str, int] = field(default_factory=dict)
    affected_cnt: int = 0
    live_cnt: int = 0
    overridden: tuple[Backend, ...] = ()
    removal_reasons: tuple[str, ...] = ()
    counted: bool = False
