# SPDX-License-Identifier: Apache-2.0
"""What policies cost and give: time to fill a table, how far shares are off, rows that move."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tiara.domain.model import Backend, Forwarding, Policy, Pool
from tiara.native import maglev_fill, rendezvous_fill, round_robin_fill
from tiara.planner import Fills, PoolInput, Seen, plan_pool, row_maker

ROWS = 65537
LEAVERS = 5
"""Backends that leave, each by itself; the figure is of all of them."""

_MAKE = row_maker(bytes(range(16)), Fills(maglev_fill, rendezvous_fill, round_robin_fill))

Weights = dict[str, int]
"""By a backend's name."""

Row = dict[str, Any]


def measure(repeats: int) -> Iterator[Row]:
    """Rows of each policy for pools of several sizes; raw, as a program prints them."""
    for policy in Policy:
        for count in (10, 100, 600):
            equal = {f"b{i:03}": 1 for i in range(count)}
            mixed = {name: 1 + i % 10 for i, name in enumerate(equal)}
            for spread, weights in (("equal", equal), ("1_to_10", mixed)):
                of = {"policy": str(policy), "weights": spread, "backends": count}
                yield _row("policy.fill", of, "us", _fill_us(policy, weights, repeats))
                yield _row("policy.off", of, "%", [_most_off(policy, weights)])
            of = {"policy": str(policy), "weights": "equal", "backends": count}
            yield _row("policy.moved", {**of, "by": "leave"}, "%", _leave(policy, equal))
            yield _row("policy.moved", {**of, "by": "ramp"}, "%", _ramp(policy, equal))


def chosen(policy: Policy, weights: Weights, ramps: Weights | None = None) -> list[str]:
    """The backend of each row."""
    pool = Pool("bench", "a" * 32, Forwarding.L2, policy=policy, selection_rows=ROWS)
    backends = tuple(
        (
            Backend("bench", name, "b" * 32, "198.18.0.9", weight=weight),
            Seen(ramp=(ramps or {}).get(name, 10)),
        )
        for name, weight in weights.items()
    )
    table = plan_pool(PoolInput(pool, backends), _MAKE).table
    return [table.backends[i][1] for i in array("I", table.rows)]


def _fill_us(policy: Policy, weights: Weights, repeats: int) -> list[float]:
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        _MAKE(policy, "bench", list(weights), list(weights.values()), ROWS)
        took.append((time.perf_counter() - start) * 1e6)
    return took


def _most_off(policy: Policy, weights: Weights) -> float:
    """The backend whose share is furthest off, by how much of its share."""
    rows, total = Counter(chosen(policy, weights)), sum(weights.values())
    return max(abs(rows[name] / (ROWS * weight / total) - 1) for name, weight in weights.items()) * 100


def _leave(policy: Policy, weights: Weights) -> list[float]:
    before = chosen(policy, weights)
    leavers = list(weights)[:: len(weights) // LEAVERS][:LEAVERS]
    return [
        _moved(before, chosen(policy, {name: 1 for name in weights if name != left}), left)
        for left in leavers
    ]


def _ramp(policy: Policy, weights: Weights) -> list[float]:
    """A step in the middle of a slow start: rows that neither the backend gains nor anybody keeps."""
    grows = next(iter(weights))
    before, after = (chosen(policy, weights, {grows: step}) for step in (5, 6))
    return [100 * sum(new not in (old, grows) for old, new in zip(before, after, strict=True)) / ROWS]


def _moved(before: list[str], after: list[str], left: str) -> float:
    """Percent of the rows of those who stay that have another backend now."""
    kept = [old == new for old, new in zip(before, after, strict=True) if old != left]
    return 100 * kept.count(False) / len(kept)


def _row(name: str, of: Row, unit: str, values: list[float]) -> Row:
    return {"id": name, "params": {**of, "rows": ROWS, "connections": 0}, "unit": unit, "values": values}
