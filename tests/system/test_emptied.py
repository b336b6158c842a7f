# SPDX-License-Identifier: Apache-2.0
"""The proof that the data plane's kill test can fail: the same kill, but the segment is not adopted."""

from __future__ import annotations

import time

from testbed import demo
from testbed.balancer import DATAPLANE


def test_kill_breaks_connections_when_the_segment_is_emptied() -> None:
    """With the segment's file deleted before the restart, held connections land elsewhere and break."""
    with demo.testbed("test-emptied", "af_packet") as (balancer, traffic):
        run = demo.Demo(balancer, traffic, hold_s=0.5, show=lambda _: None)
        run.step("traffic", run.start_traffic)
        run.step("add", run.add_backend)
        run.step("drain", run.drain_backend)
        run.assert_disagreement()
        assert run.broken == []

        balancer.kill(DATAPLANE)
        assert balancer.segments()
        for segment in balancer.segments():
            segment.unlink()
        balancer.start_dataplane()
        traffic.settle(time.monotonic(), hold_s=6.0)

        assert len(traffic.report().broken) >= 1
