# SPDX-License-Identifier: Apache-2.0
"""Applies under traffic: packets see all of one or nothing, and it moves what its plan said."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from testbed import demo
from testbed.balancer import Balancer
from testbed.topology import server_address
from testbed.traffic import Traffic
from testbed.verbs import Operator, backend_of, pool_of, service_of
from tiara.v1 import configuration_pb2 as cf

APPLIES = 50
FRONTENDS = ("198.18.100.20", "198.18.100.21")
STREAM = Path(__file__).parent / "testbed" / "stream.py"
BEFORE = {FRONTENDS[0]: "b1", FRONTENDS[1]: "b2"}
AFTER = {FRONTENDS[0]: "b4", FRONTENDS[1]: "b3"}
"""Who answers at each VIP; a state between the two would have b2 or b3 at the first, or nobody."""


def swapped(is_after: bool, owner: str = "swap") -> cf.Configuration:
    """Two services that change frontends, and two pools that change servers."""
    first, second = FRONTENDS[::-1] if is_after else FRONTENDS
    return cf.Configuration(
        owner=owner,
        backend_pools=[pool_of("left"), pool_of("right")],
        backends=[
            backend_of(pool, server, server_address(int(server[1:])), int((server in "b3 b4") is is_after))
            for pool, servers in (("left", ("b1", "b3")), ("right", ("b2", "b4")))
            for server in servers
        ],
        virtual_services=[
            service_of("one", "left", f"udp:{first}:5300"),
            service_of("two", "right", f"udp:{second}:5300"),
        ],
    )


@dataclass(frozen=True)
class Streamed:
    """Answers in the order in which they were asked for, as (VIP, server); "" where none came."""

    answers: list[tuple[str, str]]

    @property
    def mixed(self) -> Counter[tuple[str, str]]:
        """Those that are of neither state."""
        known = set(BEFORE.items()) | set(AFTER.items())
        return Counter(answer for answer in self.answers if answer[1] and answer not in known)

    @property
    def changes(self) -> int:
        """How often the state changes from one packet to the next."""
        states = [BEFORE[vip] == server for vip, server in self.answers if server]
        return sum(one != other for one, other in pairwise(states))


@pytest.fixture(scope="module")
def testbed() -> Iterator[tuple[Balancer, Traffic]]:
    with demo.testbed("test-apply", "af_packet") as found:
        yield found


def streamed(balancer: Balancer, act: Callable[[], None]) -> Streamed:
    """A stream of packets, each of a new connection, while something is done."""
    command = balancer.topology.command("client", sys.executable, str(STREAM), *FRONTENDS)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            time.sleep(0.3)
            act()
        finally:
            output, _ = process.communicate("stop\n", timeout=30)
    return Streamed([(FRONTENDS[i], server) for i, server in json.loads(output)])


def swap_at_once(balancer: Balancer) -> None:
    """To and fro; packets see each before the next."""
    operator = Operator(balancer)
    for number in range(1, APPLIES + 1):
        operator.apply(swapped(number % 2 == 1))
        balancer.wait_applied()


def swap_in_steps(balancer: Balancer) -> None:
    """The same by two applies each: pools, then services."""
    operator = Operator(balancer)
    for number in range(1, APPLIES + 1):
        half, whole = swapped(number % 2 == 0), swapped(number % 2 == 1)
        del half.backends[:]
        half.backends.extend(whole.backends)
        for configuration in (half, whole):
            operator.apply(configuration)
            balancer.wait_applied()


def start_state(balancer: Balancer) -> None:
    """The first of the two."""
    Operator(balancer).apply(swapped(False))
    balancer.wait_applied()


def test_apply_moves_what_the_plan_said(testbed: tuple[Balancer, Traffic]) -> None:
    """The plan's number of affected connections is the number of flows that the apply takes from b2."""
    balancer, traffic = testbed
    operator = Operator(balancer)
    run = demo.Demo(balancer, traffic, hold_s=0.5, show=lambda _: None, check_port=0)
    run.start_traffic()
    held = {protocol: traffic.held_by("b2", protocol) for protocol in ("tcp", "udp")}
    wanted = operator.export().configuration
    kept = [one for one in wanted.backends if not one.name.endswith("/b2")]
    del wanted.backends[:]
    wanted.backends.extend(kept)

    plan = operator.plan(wanted, whole=True)
    assert plan.affected_connections == sum(held.values()) > 0
    assert plan.live_connections == demo.TCP_FLOWS + demo.UDP_FLOWS
    traffic.allow_move("b2")
    traffic.report()
    operator.apply(wanted, whole=True)
    traffic.settle(time.monotonic(), hold_s=0.5)
    report = traffic.report()
    assert Counter(flow.server for flow in report.broken) == {"b2": held["tcp"]}
    assert report.moved == held["udp"]
    traffic.end_flows()


def test_packets_see_an_apply_whole_or_not(testbed: tuple[Balancer, Traffic]) -> None:
    """50 swaps of two services' frontends and pools: every packet is of one of the two states, in order."""
    balancer, _ = testbed
    start_state(balancer)
    before = balancer.statistics(count=False).verdicts
    seen = streamed(balancer, partial(swap_at_once, balancer))
    after = balancer.statistics(count=False).verdicts
    assert seen.mixed == {}
    assert APPLIES / 5 <= seen.changes <= APPLIES  # a busy machine sends too few packets to see each
    for verdict in ("no_service", "no_backend"):
        assert after.get(verdict, 0) == before.get(verdict, 0)
    lost = sum(not server for _, server in seen.answers)
    assert lost <= len(seen.answers) / 100


def test_two_applies_are_seen_apart(testbed: tuple[Balancer, Traffic]) -> None:
    """The same swaps in two steps each are seen half done: the test above can fail."""
    balancer, _ = testbed
    start_state(balancer)
    seen = streamed(balancer, partial(swap_in_steps, balancer))
    assert seen.mixed.total() > 0
