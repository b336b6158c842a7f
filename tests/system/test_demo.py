# SPDX-License-Identifier: Apache-2.0
"""What script/demo shows, asserted: one run, one test for each promise."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from testbed import demo, topology
from testbed.balancer import CONTROLPLANE, DATAPLANE
from testbed.screen import Row


@dataclass
class Shown:
    """One run of the demo, and what was found when it was over."""

    run: demo.Demo
    lines: list[str]
    forwarded_by_kernel: int
    ip_forward: str
    statuses: dict[str, int]
    log: str

    def row(self, start: str) -> Row:
        """The step whose name begins so."""
        return next(row for row in self.run.rows if row.name.startswith(start))


def forwarded_datagrams(snmp: str) -> int:
    """Ip's ForwDatagrams in the text of /proc/net/snmp."""
    names, values = (line.split() for line in snmp.splitlines() if line.startswith("Ip:"))
    return int(values[names.index("ForwDatagrams")])


@pytest.fixture(scope="module")
def shown() -> Iterator[Shown]:
    lines: list[str] = []
    with demo.testbed("test-demo", "af_packet") as (balancer, traffic):
        run = demo.Demo(balancer, traffic, hold_s=1.0, show=lines.append)
        run.run()
        bed = balancer.topology
        snmp = bed.run("balancer", "cat", "/proc/net/snmp")
        ip_forward = bed.run("balancer", "cat", "/proc/sys/net/ipv4/ip_forward").strip()
        statuses = {key: bed.stop(key, signal.SIGTERM) for key in (CONTROLPLANE, DATAPLANE)}
        yield Shown(run, lines, forwarded_datagrams(snmp), ip_forward, statuses, balancer.logs())


def test_nothing_breaks(shown: Shown) -> None:
    """At every step: no held flow is reset, ended, silent for 5 s or answered by another server."""
    assert shown.run.broken == []
    assert [row.broken for row in shown.run.rows] == [0] * len(shown.run.rows)


def test_flows_are_held_across_all_steps(shown: Shown) -> None:
    """1,000 TCP connections and 200 UDP flows at the end of each step, and each has asked on and on."""
    for row in shown.run.rows:
        assert row.held >= demo.TCP_FLOWS + demo.UDP_FLOWS, row
        assert row.requests >= row.held, row


def test_a_plan_is_kept(shown: Shown) -> None:
    """Rows move as it says, no live connection does; and all of it is taken back."""
    plan = shown.run.summary["plan"]
    assert isinstance(plan, str)
    assert ", 0 of 1,2" in plan
    assert not plan.startswith("0%")
    assert shown.row("roll back").broken == 0


def test_killed_server_is_taken_out(shown: Shown) -> None:
    """Only its own connections end; they are opened anew elsewhere."""
    ended = shown.run.summary["ended_on_killed_server"]
    assert isinstance(ended, int)
    assert 200 < ended < 500
    assert demo.KILLED not in str(shown.run.summary["share"])


def test_new_connections_follow_the_weights(shown: Shown) -> None:
    """2,000 new connections spread over the two servers that are left, and nowhere else."""
    share = shown.run.summary["share"]
    assert isinstance(share, dict)
    assert set(share) == {"b1", "b4"}
    assert sum(share.values()) == demo.PROBES
    assert 0.4 < share["b1"] / demo.PROBES < 0.6


def test_dataplane_restart_is_measured(shown: Shown) -> None:
    """From its start to its first forwarded packet, from the segment's own clock."""
    assert isinstance(shown.run.summary["first_forward_ms"], int)
    assert 0 < shown.run.summary["first_forward_ms"] < 60_000


def test_pushed_connections_land_where_pinned(shown: Shown) -> None:
    """On a draining server, which selection would not choose."""
    assert f"{demo.PUSHED_FLOWS} clients landed on {demo.PINNED}" in shown.row("push").note


def test_verdicts(shown: Shown) -> None:
    """Packets were forwarded, a deleted service's were not; none was too big for the port."""
    verdicts = shown.run.summary["verdicts"]
    assert isinstance(verdicts, dict)
    assert verdicts["forwarded"] > 10_000
    assert verdicts["no_service"] > 0
    assert verdicts["too_big"] == 0


def test_lines_fit_80_columns(shown: Shown) -> None:
    """One line a step and a closing block, none wider than a terminal."""
    assert all(len(line) <= 80 for line in shown.lines), shown.lines
    assert [line.split()[0] for line in shown.lines[-5:]] == [
        "share",
        "table",
        "plan",
        "restart",
        "connection",
    ]


def test_kernel_forwards_nothing(shown: Shown) -> None:
    """The balancer's namespace has no kernel forwarding: it is off and its counter is 0."""
    assert shown.ip_forward == "0"
    assert shown.forwarded_by_kernel == 0


def test_daemons_end_clean(shown: Shown) -> None:
    """SIGTERM: both end with 0."""
    assert shown.statuses == {CONTROLPLANE: 0, DATAPLANE: 0}, shown.log


def test_nothing_is_left_behind() -> None:
    """A testbed that failed half way takes its namespaces, processes and files with it."""

    class Stop(Exception):
        pass

    with pytest.raises(Stop), topology.Topology("test-left", servers=1) as bed:
        pid = bed.process("nginx-b1").pid
        raise Stop
    assert "test-left" not in topology.run("ip", "netns", "list")
    assert not bed.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
