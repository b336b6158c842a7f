# SPDX-License-Identifier: Apache-2.0
"""A worker that is alive but stopped: nothing is freed early, nothing grows without bound, nothing breaks."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import grpc
from testbed import demo
from testbed.balancer import DATAPLANE, SIZES, Balancer


def wait_stopped(pid: int) -> None:
    """Until each of its threads has stopped: a signal takes a moment."""
    while any(path.read_text().split(") ")[1][0] != "T" for path in Path(f"/proc/{pid}/task").glob("*/stat")):
        time.sleep(0.001)


def stop(balancer: Balancer) -> None:
    """SIGSTOP of a worker that holds a generation."""
    balancer.signal(DATAPLANE, signal.SIGSTOP)
    wait_stopped(balancer.topology.process(DATAPLANE).pid)
    assert any(worker.generation for worker in balancer.statistics(count=False).workers)


def publish(balancer: Balancer, number: int) -> grpc.StatusCode | None:
    """One change of the configuration; how waiting for it ended, None: packets see it."""
    change = balancer.undrain if number % 2 else balancer.drain
    change("web", "b3")
    try:
        balancer.wait_applied(wait_s=0.3)
    except grpc.RpcError as error:
        return error.code()
    return None


def test_stopped_worker_holds_back_publishing_and_then_catches_up() -> None:
    """Changes wait, and say for whom; after SIGCONT packets see the newest, and no flow broke."""
    # a worker that polls is never offline, as one that sleeps would be
    with demo.testbed("test-stopped", "af_packet", {**SIZES, "idle": "poll"}) as (balancer, traffic):
        # without health checks: they travel through the data plane too, and would fail with it
        run = demo.Demo(balancer, traffic, hold_s=0.5, show=lambda _: None, check_port=0)
        run.step("traffic", run.start_traffic)
        stop(balancer)
        try:
            codes = [publish(balancer, number) for number in range(11)]
            node = balancer.node()
        finally:
            balancer.signal(DATAPLANE, signal.SIGCONT)

        assert None not in codes
        assert node.applied_revision < node.stored_revision
        assert 1 <= node.generations_waiting <= 8
        assert "worker 0" in node.not_applied_reason

        balancer.wait_applied()
        after = balancer.node()
        assert after.applied_revision == after.stored_revision
        assert after.not_applied_reason == ""
        run.step("after", lambda: None)
        assert run.broken == []
