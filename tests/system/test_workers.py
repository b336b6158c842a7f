# SPDX-License-Identifier: Apache-2.0
"""Two workers on one port: each has part of the traffic, both serve one table."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from testbed import demo
from testbed.balancer import DATAPLANE, Balancer
from testbed.traffic import Traffic


@pytest.fixture(params=["af_packet", "af_xdp"])
def bed(request: pytest.FixtureRequest) -> Iterator[tuple[Balancer, Traffic]]:
    """Traffic through two workers to three servers."""
    name = f"test-workers-{request.param[3:]}"
    with demo.testbed(name, request.param, workers=2) as (balancer, traffic):
        demo.Demo(balancer, traffic, hold_s=0.5, show=lambda _: None).start_traffic()
        yield balancer, traffic


def busy_bursts(balancer: Balancer) -> list[int]:
    """Non-empty bursts of each worker that has a queue."""
    return [worker.bursts for worker in balancer.statistics(count=False).workers]


def test_both_workers_carry_the_traffic(bed: tuple[Balancer, Traffic]) -> None:
    """Both receive packets; no flow breaks, not even when drains and restarts come between."""
    balancer, traffic = bed
    run = demo.Demo(balancer, traffic, hold_s=0.5, show=lambda _: None)
    before = busy_bursts(balancer)
    run.step("add", run.add_backend)
    run.step("drain", run.drain_backend)
    during = busy_bursts(balancer)
    run.step("kill data plane", run.kill_dataplane)

    assert len(during) == 2
    assert all(now > then for now, then in zip(during, before, strict=True)), (before, during)
    assert run.broken == []
    assert balancer.topology.stop(DATAPLANE, signal.SIGTERM) == 0
