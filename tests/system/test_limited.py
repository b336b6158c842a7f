# SPDX-License-Identifier: Apache-2.0
"""Limits set and taken back under traffic: who is there stays, who comes is let in or refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from testbed import demo
from testbed.balancer import Balancer

SERVERS = ("b1", "b2", "b3")
STRANGERS = "203.0.113.0/24"


@pytest.fixture(scope="module")
def run() -> Iterator[demo.Demo]:
    """1,000 TCP connections and 200 UDP flows, held."""
    with demo.testbed("test-limited", "af_packet") as (balancer, traffic):
        started = demo.Demo(balancer, traffic, hold_s=0.5, show=lambda _: None)
        started.step("traffic", started.start_traffic)
        yield started


def refused(balancer: Balancer, verdict: str) -> int:
    """Packets by verdict; the service's own count has them too."""
    found = balancer.statistics(count=False)
    assert sum(line.refused_packets for line in found.services) == sum(
        found.verdicts[name] for name in ("source_denied", "rate_limited", "backend_full")
    )
    return found.verdicts[verdict]


def set_all(run: demo.Demo, *commands: str) -> None:
    """Operator's commands, each waited for."""
    for command in commands:
        run.cli(f"tiara {command}")


def test_sources(run: demo.Demo) -> None:
    """A list that has not the client in it lets nobody new in, and breaks nothing; without it they come."""
    run.step("list", lambda: set_all(run, f"service set web --allow-source {STRANGERS}"))
    assert run.traffic.probe("tcp", range(52000, 52010)) == {}
    assert refused(run.balancer, "source_denied") >= 10
    run.step("all", lambda: set_all(run, "service set web --allow-source all"))
    assert len(run.traffic.probe("tcp", range(52000, 52010))) == 10
    assert run.broken == []


def test_rate(run: demo.Demo) -> None:
    """Of many that come at once some are let in, the others are counted."""
    run.step("rate", lambda: set_all(run, "service set web --max-new-per-second 5"))
    came = run.traffic.probe("tcp", range(52100, 52200))
    assert 5 <= len(came) < 100
    assert refused(run.balancer, "rate_limited") > 0
    run.step("none", lambda: set_all(run, "service set web --max-new-per-second 0"))
    assert run.broken == []


def tracked_is_live(balancer: Balancer) -> bool:
    """What workers count is what is in the table."""
    found = balancer.statistics()
    return all(line.tracked_connections == line.connections for line in found.backends)


def test_backends_that_are_full(run: demo.Demo) -> None:
    """Nobody new, nobody lost; the count outlives a kill -9 of the data plane."""
    run.step("full", lambda: set_all(run, *(f"backend set web/{b} --max-connections 1" for b in SERVERS)))
    assert run.traffic.probe("tcp", range(52300, 52310)) == {}
    assert refused(run.balancer, "backend_full") >= 10
    run.step("drain", run.drain_backend)  # so that some are not where selection would send them
    run.step("kill", run.kill_dataplane)
    run.balancer.wait_for("counts that are right", lambda: tracked_is_live(run.balancer))
    assert run.traffic.probe("tcp", range(52310, 52320)) == {}
    run.step("free", lambda: set_all(run, *(f"backend set web/{b} --max-connections 0" for b in SERVERS)))
    assert len(run.traffic.probe("tcp", range(52320, 52330))) == 10
    assert run.broken == []
