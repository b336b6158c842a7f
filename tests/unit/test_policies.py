# SPDX-License-Identifier: Apache-2.0
"""Every policy's promises: shares, disruption, one table on every node, C equal to its plain twin."""

from __future__ import annotations

import subprocess
import sys
from array import array
from collections import Counter
from itertools import pairwise
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiara.domain.model import Backend, Forwarding, Policy, Pool
from tiara.native import maglev_fill, rendezvous_fill, round_robin_fill
from tiara.planner import (
    PLAIN,
    RAMP_WHOLE,
    Fills,
    PoolInput,
    PoolPlan,
    Seen,
    plan_pool,
    ramp_at,
    ramp_since,
    row_maker,
)
from tiara.planner.ramp import ramped

SECRET = bytes(range(16))
C = Fills(maglev_fill, rendezvous_fill, round_robin_fill)
ROWS = 4093

policies = st.sampled_from(list(Policy))
weights_of = st.lists(st.integers(0, 20), min_size=2, max_size=8).filter(any)
each_policy = pytest.mark.parametrize("policy", Policy)


def pool(policy: Policy, rows: int = ROWS) -> Pool:
    return Pool("web", "a" * 32, Forwarding.L2, policy=policy, selection_rows=rows)


def named(weights: list[int]) -> dict[str, int]:
    return {f"b{i}": weight for i, weight in enumerate(weights)}


def plan(
    policy: Policy,
    weights: dict[str, int],
    ramps: dict[str, int] | None = None,
    fills: Fills = C,
    rows: int = ROWS,
) -> PoolPlan:
    backends = tuple(
        (
            Backend("web", name, "b" * 32, "198.18.0.9", weight=weight),
            Seen(ramp=(ramps or {}).get(name, RAMP_WHOLE)),
        )
        for name, weight in weights.items()
    )
    return plan_pool(PoolInput(pool(policy, rows), backends), row_maker(SECRET, fills))


def chosen(planned: PoolPlan) -> list[str]:
    """The backend of each row."""
    return [planned.table.backends[i][1] for i in array("I", planned.table.rows)]


def moved(before: list[str], after: list[str], without: str = "") -> int:
    """Rows that changed hands though their backend is still there."""
    return sum(old not in (new, without) for old, new in zip(before, after, strict=True))


def allowed(policy: Policy, weight: int, weights: dict[str, int]) -> float:
    """How many rows a backend may have more or fewer than its weight says."""
    total = sum(weights.values())
    if policy is Policy.RENDEZVOUS:
        return 6 * sqrt(ROWS * weight / total)
    if policy is Policy.WEIGHTED_ROUND_ROBIN:
        return 1 + weight / total * len(weights) / 2
    return 1 + weight / total * len(weights)  # what the others' parts of a turn add up to, and its own


@given(policies, weights_of)
@settings(max_examples=120, deadline=None)
def test_shares_follow_weights(policy: Policy, weights: list[int]) -> None:
    """Every row has a backend; each has its weight's share, to a row or to chance; weight 0 has none."""
    rows = Counter(chosen(plan(policy, named(weights))))
    assert sum(rows.values()) == ROWS
    for name, weight in named(weights).items():
        wanted = ROWS * weight / sum(weights)
        assert abs(rows[name] - wanted) <= allowed(policy, weight, named(weights)), (name, wanted)
        assert weight or name not in rows


@given(policies, st.permutations(range(6)))
@settings(max_examples=60, deadline=None)
def test_order_of_creation_does_not_matter(policy: Policy, order: list[int]) -> None:
    """Two nodes with one configuration build one table, byte for byte."""
    weights = {f"b{i}": i + 1 for i in order}
    assert plan(policy, weights).table == plan(policy, named([1, 2, 3, 4, 5, 6])).table


@each_policy
def test_another_process_makes_the_same(policy: Policy) -> None:
    """A table is a matter of names, weights and the secret: nothing of one process is in it."""
    program = (
        "from test_policies import *; import hashlib;"
        f"rows = plan(Policy({str(policy)!r}), named([3, 1, 2])).table.rows;"
        "print(hashlib.blake2b(rows).hexdigest())"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("policy", "golden"),
    [
        (Policy.MAGLEV, "acccaaaabbaaccaacaaacccccaaaccabccaacaaacbbaaaaa"),
        (Policy.WEIGHTED_ROUND_ROBIN, "acabcaacabcaacabcaacabcaacabcaacabcaacabcaacabca"),
        (Policy.RENDEZVOUS, "acaaacabcccabaaaccacacaaaabbacabaacacbbbabbacaaa"),
    ],
)
def test_rows_stay_what_they_are(policy: Policy, golden: str) -> None:
    """Nodes of two versions agree: these rows change with a new policy name only."""
    rows = chosen(plan(policy, {"a": 3, "b": 1, "c": 2}, rows=251))
    assert "".join(rows[:48]) == golden


@given(policies, weights_of)
@settings(max_examples=30, deadline=None)
def test_c_equals_the_plain_twin(policy: Policy, weights: list[int]) -> None:
    """libtiara's loops and Python's fill the same rows."""
    assert plan(policy, named(weights), rows=251) == plan(policy, named(weights), fills=PLAIN, rows=251)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 655350)), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_rendezvous_in_c_equals_its_twin(given: list[tuple[int, int]]) -> None:
    """Whatever seeds and weights: also those that no digest gives."""
    seeds, weights = [seed for seed, _ in given], [weight for _, weight in given]
    if not any(weights):
        weights[0] = 1
    assert rendezvous_fill(seeds, weights, 61) == PLAIN.rendezvous(seeds, weights, 61)


@given(weights_of, st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_rendezvous_moves_exactly_the_rows_of_who_leaves(weights: list[int], who: int) -> None:
    """No connection of another backend would choose anew."""
    left = f"b{who % len(weights)}"
    rest = {name: weight for name, weight in named(weights).items() if name != left}
    if any(rest.values()):
        before = chosen(plan(Policy.RENDEZVOUS, named(weights)))
        assert moved(before, chosen(plan(Policy.RENDEZVOUS, rest)), left) == 0


@given(st.integers(2, 12), st.integers(0, 11))
@settings(max_examples=60, deadline=None)
def test_maglev_moves_few_others(count: int, who: int) -> None:
    """Of equal backends one leaves: fewer than a tenth of the others' rows change hands."""
    weights, left = named([1] * count), f"b{who % count}"
    before = chosen(plan(Policy.MAGLEV, weights))
    after = chosen(plan(Policy.MAGLEV, {name: 1 for name in weights if name != left}))
    assert moved(before, after, left) <= 0.1 * sum(name != left for name in before)


@given(weights_of, st.integers(0, 7), st.integers(1, 1000))
@settings(max_examples=100, deadline=None)
def test_rendezvous_growth_loses_no_row(weights: list[int], who: int, more: int) -> None:
    """A backend whose weight grows keeps its rows, and only it gains."""
    grown = f"b{who % len(weights)}"
    before = chosen(plan(Policy.RENDEZVOUS, named(weights)))
    after = chosen(plan(Policy.RENDEZVOUS, named(weights) | {grown: named(weights)[grown] + more}))
    assert all(new in (old, grown) for old, new in zip(before, after, strict=True))


@given(policies, st.lists(st.integers(1, 20), min_size=2, max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_ramp_is_monotone(policy: Policy, weights: list[int]) -> None:
    """Step by step a backend's rows grow to those of its whole weight; it never starts with none."""
    shares = [
        Counter(chosen(plan(policy, named(weights), {"b0": step})))["b0"] for step in range(1, RAMP_WHOLE + 1)
    ]
    assert shares[0] > 0
    slack = 0 if policy is Policy.RENDEZVOUS else 2
    assert all(later >= sooner - slack for sooner, later in pairwise(shares))
    assert chosen(plan(policy, named(weights), {"b0": RAMP_WHOLE})) == chosen(plan(policy, named(weights)))


@given(policies, st.integers(1, RAMP_WHOLE))
@settings(max_examples=30, deadline=None)
def test_pools_that_ramp_alike_do_not_ramp(policy: Policy, step: int) -> None:
    """All backends new at once: their shares are those of their weights from the first moment."""
    together = plan(policy, named([2, 4, 6]), {"b0": step, "b1": step, "b2": step})
    assert together.table == plan(policy, named([2, 4, 6])).table


def test_records_tell_the_ramp() -> None:
    """What counts of a weight is in the record; 0 where the backend is in no table."""
    planned = plan(Policy.MAGLEV, {"a": 1, "b": 1, "c": 0}, {"b": 3})
    assert [spec.ramp_tenths for spec in planned.backends] == [10, 3, 0]


def test_ramp_steps() -> None:
    """Ten steps, a ninth of the duration each; the whole weight exactly at its end; 0: no ramp."""
    assert [ramp_at(elapsed, 9000) for elapsed in range(0, 9001, 1000)] == list(range(1, 11))
    assert [ramp_at(elapsed, 9000) for elapsed in (-5, 999, 8999, 9000)] == [1, 1, 9, 10]
    assert ramp_at(0, 0) == RAMP_WHOLE


@given(st.integers(1000, 86_400_000), st.integers(1, RAMP_WHOLE))
def test_a_step_begins_when_it_says(duration_ms: int, step: int) -> None:
    """A ramp that is at a step, and no millisecond longer, is found at that step again."""
    began = ramp_since(step, duration_ms)
    assert ramp_at(began, duration_ms) == step
    assert step == 1 or ramp_at(began - 1, duration_ms) == step - 1


def test_weights_are_made_small() -> None:
    """By their common divisor, so that equal shares are equal tables."""
    assert ramped([10, 20], [10, 5]) == [1, 1]
    assert ramped([65535], [10]) == [1]
