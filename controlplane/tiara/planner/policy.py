# SPDX-License-Identifier: Apache-2.0
"""From a policy, backends and weights to rows (which policy when: docs/design/0009)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tiara.domain.model import Policy
from tiara.planner import maglev, rendezvous, round_robin


@dataclass(frozen=True, slots=True)
class Fills:
    """The inner loops: libtiara's, or their plain twins."""

    maglev: maglev.Fill = maglev.fill_plain
    rendezvous: rendezvous.Fill = rendezvous.fill_plain
    round_robin: round_robin.Fill = round_robin.fill_plain


PLAIN = Fills()

RowMaker = Callable[[Policy, str, Sequence[str], Sequence[int], int], bytes]
"""(policy, pool, backends in order of name, weights, rows) -> native uint32 positions."""


def row_maker(secret: bytes, fills: Fills) -> RowMaker:
    """Rows of a pool's selection table from what decides them; ``secret`` is the selection secret."""

    def make(policy: Policy, pool: str, backends: Sequence[str], weights: Sequence[int], rows: int) -> bytes:
        match policy:
            case Policy.MAGLEV:
                walks = [maglev.permutation(secret, pool, backend, rows) for backend in backends]
                return fills.maglev([walk[0] for walk in walks], [walk[1] for walk in walks], weights, rows)
            case Policy.RENDEZVOUS:
                seeds = [rendezvous.seed(secret, pool, backend) for backend in backends]
                return fills.rendezvous(seeds, weights, rows)
            case Policy.WEIGHTED_ROUND_ROBIN:
                return fills.round_robin(weights, rows)

    return make
