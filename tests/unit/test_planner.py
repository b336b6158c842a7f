# SPDX-License-Identifier: Apache-2.0
"""The planner is pure, fair, and disturbs little; its meanings are those of the house table."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiara.domain.dataplane import EMPTY_TABLE
from tiara.domain.layout import Forward, Use
from tiara.domain.model import Backend, Forwarding, Frontend, Pool, Protocol, VirtualService, Vxlan
from tiara.domain.selection import rows_for
from tiara.planner import PLAIN, PoolInput, PoolPlan, Seen, plan_pool, plan_service, row_maker, shares
from tiara.planner.maglev import permutation

SECRET = bytes(range(16))
POOL = Pool("web", "a" * 32, Forwarding.L2, selection_rows=1021)

weights_lists = st.lists(st.integers(1, 20), min_size=1, max_size=8)


def make(name: str, weight: int = 1) -> Backend:
    return Backend("web", name, "b" * 32, "198.18.0.9", weight=weight)


def plan(*backends: tuple[Backend, Seen], pool: Pool = POOL, secret: bytes = SECRET) -> PoolPlan:
    return plan_pool(PoolInput(pool, backends), row_maker(secret, PLAIN))


def uses(planned: PoolPlan) -> dict[str, Use]:
    return {spec.backend: spec.use for spec in planned.backends}


def chosen(planned: PoolPlan) -> list[str]:
    """The backend of each row."""
    return [planned.table.backends[i][1] for i in array("I", planned.table.rows)]


@given(weights_lists)
@settings(max_examples=40, deadline=None)
def test_shares_follow_weights(weights: list[int]) -> None:
    """Each backend's share of the rows is its weight's within 2 % of all rows."""
    planned = plan(*((make(f"b{i}", weight), Seen()) for i, weight in enumerate(weights)))
    got = shares(planned.table)
    for i, weight in enumerate(weights):
        assert got[("web", f"b{i}", "b" * 32)] == pytest.approx(weight / sum(weights), abs=0.02)
    assert sum(got.values()) == pytest.approx(1)


@given(st.permutations([f"b{i}" for i in range(6)]))
@settings(max_examples=20, deadline=None)
def test_order_of_creation_does_not_matter(names: list[str]) -> None:
    """Two nodes with one configuration build one table, byte for byte."""
    expected = plan(*((make(f"b{i}"), Seen()) for i in range(6)))
    assert plan(*((make(name), Seen()) for name in names)) == expected


def test_another_secret_gives_another_table() -> None:
    """Clients who observe backends cannot compute the table without the secret."""
    backends = [(make(f"b{i}"), Seen()) for i in range(4)]
    assert plan(*backends).table.rows != plan(*backends, secret=bytes(16)).table.rows


def test_one_backend_less_moves_little() -> None:
    """Rows of a backend that leaves are shared out; few others move."""
    names = [f"b{i}" for i in range(10)]
    before = chosen(plan(*((make(name), Seen()) for name in names)))
    after = chosen(plan(*((make(name), Seen()) for name in names[1:])))
    kept = [(old, new) for old, new in zip(before, after, strict=True) if old != "b0"]
    moved = sum(old != new for old, new in kept) / len(kept)
    assert 0 < moved < 0.1
    assert "b0" not in after


@pytest.mark.parametrize(
    ("backend", "seen", "use", "selected"),
    [
        (make("b1"), Seen(), Use.ACTIVE, True),
        (make("b1", 0), Seen(), Use.ACTIVE, False),
        (make("b1"), Seen(draining=True), Use.ACTIVE, False),
        (make("b1"), Seen(down=True), Use.DOWN, False),
        (make("b1"), Seen(draining=True, down=True), Use.DOWN, False),
        (make("b1"), Seen(draining=True, drained=True), Use.GONE, False),
        (make("b1"), Seen(draining=True, drained=True, down=True), Use.GONE, False),
    ],
)
def test_meanings(backend: Backend, seen: Seen, use: Use, selected: bool) -> None:
    """What a backend's state means for its connections (use) and for new ones (selected)."""
    planned = plan((make("b0"), Seen()), (backend, seen))
    assert uses(planned)["b1"] is use
    assert ("b1" in chosen(planned)) is selected


def test_deleted_backend_is_not_planned() -> None:
    """A deleted backend has no record: its connections select again."""
    assert uses(plan((make("b0"), Seen()))) == {"b0": Use.ACTIVE}


def test_all_down_gives_no_rows() -> None:
    """Nobody to choose: the table is empty, and the packet path says no_backend."""
    planned = plan((make("b0"), Seen(down=True)), (make("b1"), Seen(draining=True)))
    assert planned.table == EMPTY_TABLE
    assert uses(planned) == {"b0": Use.DOWN, "b1": Use.ACTIVE}


def test_fail_open_uses_all_that_are_down() -> None:
    """A pool that fails open sends new connections to all its dead backends, and to no draining one."""
    pool = Pool("web", "a" * 32, Forwarding.L2, selection_rows=1021, fail_open=True)
    planned = plan(
        (make("b0"), Seen(down=True)),
        (make("b1"), Seen(down=True)),
        (make("b2"), Seen(down=True, draining=True)),
        pool=pool,
    )
    assert set(chosen(planned)) == {"b0", "b1"}
    assert uses(planned) == {"b0": Use.ACTIVE, "b1": Use.ACTIVE, "b2": Use.DOWN}


def test_fail_open_waits_until_all_are_down() -> None:
    """One backend that is up takes everything."""
    pool = Pool("web", "a" * 32, Forwarding.L2, selection_rows=1021, fail_open=True)
    planned = plan((make("b0"), Seen(down=True)), (make("b1"), Seen()), pool=pool)
    assert set(chosen(planned)) == {"b1"}
    assert uses(planned)["b0"] is Use.DOWN


def test_empty_pool() -> None:
    """A pool without backends plans nothing."""
    planned = plan()
    assert planned.backends == ()
    assert planned.table == EMPTY_TABLE


def test_vxlan_fields_reach_the_record() -> None:
    """A VXLAN pool's options, or their defaults, are in each record."""
    pool = Pool("web", "a" * 32, Forwarding.VXLAN, Vxlan(7, 4790, "02:00:00:00:00:01"), selection_rows=251)
    spec = plan((make("b0"), Seen()), pool=pool).backends[0]
    assert (spec.forward, spec.vni, spec.tunnel_port, spec.inner_mac) == (
        Forward.VXLAN,
        7,
        4790,
        "02:00:00:00:00:01",
    )
    plain = Pool("web", "a" * 32, Forwarding.VXLAN, selection_rows=251)
    assert plan((make("b0"), Seen()), pool=plain).backends[0].tunnel_port == 4789


@pytest.mark.parametrize("mode", Forwarding)
def test_each_mode_has_its_record(mode: Forwarding) -> None:
    """A pool's mode reaches its backends' records by name, for every mode there is."""
    pool = Pool("web", "a" * 32, mode, selection_rows=251)
    assert plan((make("b0"), Seen()), pool=pool).backends[0].forward is Forward[mode.name]


def test_a_service_has_a_record_for_each_frontend() -> None:
    """Three frontends are three records of one service."""
    frontends = tuple(Frontend("198.18.100.1", protocol, 80) for protocol in Protocol)
    specs = plan_service(VirtualService("web", "c" * 32, frontends, "web"))
    assert [spec.frontend for spec in specs] == list(frontends)
    assert {spec.tcp_established for spec in specs} == {1800}


def test_drained_and_draining_backends_count_for_the_size() -> None:
    """Draining does not change the number of rows: that would move everything."""
    auto = Pool("web", "a" * 32, Forwarding.L2)
    assert plan((make("b0"), Seen()), (make("b1"), Seen(draining=True)), pool=auto).table.row_cnt == 65537


@pytest.mark.parametrize(
    ("wish", "backends", "rows"), [(0, 1, 65537), (0, 655, 65537), (0, 656, 131071), (251, 2, 251)]
)
def test_rows(wish: int, backends: int, rows: int) -> None:
    """At least 100 rows a backend, 65537 by default, the pool's wish before all."""
    assert rows_for(wish, backends) == rows


@given(st.text("abc-", min_size=1, max_size=9), st.sampled_from([251, 1021, 65537]))
@settings(max_examples=50, deadline=None)
def test_every_walk_visits_every_row(name: str, rows: int) -> None:
    """Offset and step are in range, so that a walk over a prime number of rows meets each."""
    offset, skip = permutation(SECRET, "web", name, rows)
    assert 0 <= offset < rows
    assert 1 <= skip < rows
