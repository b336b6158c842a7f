# SPDX-License-Identifier: Apache-2.0
"""Floods of packets that nothing follows: held connections stay, the table does not fill."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed import demo
from testbed.balancer import Balancer
from testbed.flood import Flood
from testbed.topology import HTTP_PORT, TCP_VIP, UDP_PORTS, UDP_VIP
from testbed.traffic import Traffic

ATTACKER = "b4"
HOLD_S = 1.0
PACKETS = 30_000
PART_OF_TABLE = 16
"""Connections that one packet made are capped at one in so many of the table's slots."""


@pytest.fixture(scope="module")
def bed() -> Iterator[tuple[Balancer, Traffic]]:
    """1,200 held connections, many of them not where selection would send them now."""
    with demo.testbed("test-flood", "af_packet") as (balancer, traffic):
        run = demo.Demo(balancer, traffic, hold_s=HOLD_S, show=lambda _: None)
        run.start_traffic()
        balancer.drain(demo.WEB, "b2")
        balancer.wait_applied()
        run.assert_disagreement()
        yield balancer, traffic


@pytest.mark.parametrize("kind", ["syn", "ack", "udp"])
def test_held_connections_stand_a_flood(bed: tuple[Balancer, Traffic], kind: str) -> None:
    """30,000 packets from as many sources: nothing breaks, and what they made is under its cap."""
    balancer, traffic = bed
    traffic.report()
    before = balancer.statistics()
    vip, port = (UDP_VIP, UDP_PORTS[0]) if kind == "udp" else (TCP_VIP, HTTP_PORT)
    neighbour = balancer.topology.run("client", "ip", "neigh", "show", TCP_VIP).split()
    flood = Flood(neighbour[neighbour.index("lladdr") + 1], vip, port, kind, PACKETS)
    path = f"PYTHONPATH={Path(__file__).parent}"
    balancer.topology.run(ATTACKER, "env", path, sys.executable, "-m", "testbed.flood", flood.arguments())
    traffic.settle(time.monotonic(), HOLD_S)
    report = traffic.report()
    after = balancer.statistics()

    assert report.broken == []
    assert report.held_tcp == demo.TCP_FLOWS
    made = after.events["connection_new"] - before.events.get("connection_new", 0)
    assert made > PACKETS / 2
    assert after.events["reclaimed"] > before.events.get("reclaimed", 0)
    flows = demo.TCP_FLOWS + demo.UDP_FLOWS
    assert after.connections <= flows * 2 + after.connection_capacity / PART_OF_TABLE
