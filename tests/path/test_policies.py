# SPDX-License-Identifier: Apache-2.0
"""A policy changed under traffic: established connections stay, new ones follow the new table."""

from __future__ import annotations

from array import array
from functools import cache
from itertools import permutations
from typing import Any

import pytest
from path_model import PathModel
from path_packets import build
from path_records import Config, PathUnderTest, merged, setups
from tiara.domain.layout import ServiceFlag, State
from tiara.domain.model import Backend, Forwarding, Policy, Pool
from tiara.planner import PLAIN, PoolInput, Seen, plan_pool, row_maker

SECRET = bytes(range(16))
CLIENTS = [(f"10.0.{i}.{j + 1}", 40000 + 17 * j) for i in range(4) for j in range(50)]
LATER = [(f"10.1.{i}.{j + 1}", 40000) for i in range(2) for j in range(50)]
SETUP = merged(setups()["base"], {"buckets": 512})

Rows = list[str]


def rows_of(policy: Policy, ramp: int = 10) -> Rows:
    """What the planner has a pool of b1 (of weight 3, perhaps ramping) and b2 hold."""
    pool = Pool("web", "a" * 32, Forwarding.L2, policy=policy, selection_rows=251)
    backends = (
        (Backend("web", "b1", "b" * 32, "198.18.0.11", weight=3), Seen(ramp=ramp)),
        (Backend("web", "b2", "b" * 32, "198.18.0.12"), Seen()),
    )
    table = plan_pool(PoolInput(pool, backends), row_maker(SECRET, PLAIN)).table
    return [table.backends[i][1] for i in array("I", table.rows)]


def config(rows: Rows, flags: int = 0) -> dict[str, Any]:
    """The set-up with such a service."""
    return merged(SETUP, {"services": {"web": {"rows": rows, "flags": flags}}})


@cache
def frame(client: tuple[str, int], flags: str) -> bytes:
    """A packet to the service."""
    return build(f"eth gw>port / ip {client[0]}>198.18.0.100 / tcp {client[1]}>80 {flags}")


def send(path: PathUnderTest, clients: list[tuple[str, int]], flags: str) -> list[bytes]:
    """Where the packets of these clients go: MAC addresses."""
    return [path.receive([frame(client, flags)]).left[0].frame[:6] for client in clients]


def chosen(rows: Config) -> list[bytes]:
    """Where those who come later go by this table alone, as the model says."""
    model = PathModel()
    model.new(SETUP)
    model.publish(rows)
    return send(model, LATER, "S")


CHANGES = [
    *(
        (str(old), str(new), config(rows_of(old)), config(rows_of(new)))
        for old, new in permutations(Policy, 2)
    ),
    *(
        (f"{policy} whole", "ramping", config(rows_of(policy)), config(rows_of(policy, ramp=1)))
        for policy in Policy
    ),
    (
        "by port",
        "by source",
        config(rows_of(Policy.MAGLEV)),
        config(rows_of(Policy.MAGLEV), ServiceFlag.SOURCE_AFFINITY),
    ),
]


@pytest.mark.parametrize(
    ("before", "after"), [pair[2:] for pair in CHANGES], ids=[f"{a} to {b}" for a, b, *_ in CHANGES]
)
def test_a_change_breaks_no_connection(path_under_test: PathUnderTest, before: Config, after: Config) -> None:
    """200 connections keep their backends through the change and back; 100 new ones choose by it."""
    path = path_under_test
    path.new(SETUP)
    path.publish(before)
    had = send(path, CLIENTS, "S")
    assert len(set(had)) == 2
    path.publish(after)
    assert send(path, CLIENTS, "A") == had
    assert send(path, LATER, "S") == chosen(after) != chosen(before)
    path.publish(before)
    assert send(path, CLIENTS, "PA") == had
    assert send(path, LATER, "A") == chosen(after)
    assert all((entry := path.find(client, "web")) and entry.state is State.ESTABLISHED for client in CLIENTS)
