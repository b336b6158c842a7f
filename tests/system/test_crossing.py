# SPDX-License-Identifier: Apache-2.0
"""Over to another layout of the segment: dump, new segment, load; held connections keep their servers."""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed import demo
from testbed.balancer import CONTROLPLANE, DATAPLANE, Balancer
from testbed.topology import Topology
from testbed.traffic import Traffic
from tiara.domain.layout import MEMBERS

SILENCE_S = 40.0
"""Both daemons stand still meanwhile: flows wait for so long before they count as broken."""


@pytest.fixture
def bed() -> Iterator[tuple[Balancer, Traffic]]:
    """The demo's testbed, with patient clients."""
    with Topology("test-crossing") as built:
        balancer = Balancer(built)
        balancer.start()
        with Traffic(built, SILENCE_S) as traffic:
            yield balancer, traffic


def hold(balancer: Balancer, traffic: Traffic) -> demo.Demo:
    """1,200 flows, of which selection alone would send over 20 % elsewhere."""
    run = demo.Demo(balancer, traffic, hold_s=0.5, show=lambda _: None, check_port=0)
    run.step("traffic", run.start_traffic)
    run.step("add", run.add_backend)
    run.step("drain", run.drain_backend)
    run.assert_disagreement()
    assert run.broken == []
    return run


def make_foreign(balancer: Balancer) -> None:
    """The segment is of another layout from here on; the data plane refuses it by name."""
    (segment,) = balancer.segments()
    file = os.open(segment, os.O_RDWR)
    with mmap.mmap(file, segment.stat().st_size) as memory:  # hugetlbfs has no write
        struct.pack_into("<Q", memory, MEMBERS["tiara_segment"]["layout_id"].offset, 0x1234)
    os.close(file)
    balancer.start_dataplane()
    process = balancer.topology.process(DATAPLANE)
    assert process.wait(timeout=20) != 0
    assert "0000000000001234" in balancer.topology.log_tail(DATAPLANE)
    balancer.topology.stop(DATAPLANE)
    segment.unlink()


def make_empty(balancer: Balancer) -> None:
    """A segment of the data plane's own: it has no configuration, so that no packet is forwarded by it."""
    before = starts(balancer)
    balancer.start_dataplane()
    process = balancer.topology.process(DATAPLANE)
    deadline = time.monotonic() + 20
    while starts(balancer) == before:
        assert process.poll() is None, balancer.logs()
        assert time.monotonic() < deadline, balancer.logs()
        time.sleep(0.02)
    balancer.topology.stop(DATAPLANE)


def starts(balancer: Balancer) -> int:
    """How often the data plane has been ready."""
    return balancer.topology.log_tail(DATAPLANE, lines=1000).count("\nready ")


def cross(balancer: Balancer, file: Path, load: bool) -> None:
    """As docs/api.md has it."""
    balancer.kill(DATAPLANE)
    balancer.kill(CONTROLPLANE)
    make_foreign(balancer)
    make_empty(balancer)
    balancer.start_controlplane()
    if load:
        loaded = json.loads(balancer.cli(f"tiara connections load --json {file}"))
        assert loaded["accepted"] == loaded["records"] >= demo.TCP_FLOWS + demo.UDP_FLOWS
    balancer.start_dataplane()


def test_held_connections_cross_layouts(bed: tuple[Balancer, Traffic], tmp_path: Path) -> None:
    """None of 1,200 breaks, though selection alone would have moved a fifth of them."""
    balancer, traffic = bed
    run = hold(balancer, traffic)
    file = tmp_path / "connections"
    dumped = json.loads(balancer.cli(f"tiara connections dump --json {file}"))
    assert dumped["complete"]
    assert dumped["records"] >= demo.TCP_FLOWS + demo.UDP_FLOWS

    cross(balancer, file, load=True)
    balancer.wait_applied()
    traffic.settle(time.monotonic(), hold_s=14.0)
    report = traffic.report()

    assert [f"{each.flow} on {each.server}: {each.reason}" for each in report.broken] == []
    assert report.held == demo.TCP_FLOWS + demo.UDP_FLOWS
    assert report.moved == 0
    run.assert_disagreement()


def test_without_load_they_break(bed: tuple[Balancer, Traffic], tmp_path: Path) -> None:
    """The test above can fail: the same without the load."""
    balancer, traffic = bed
    hold(balancer, traffic)
    cross(balancer, tmp_path / "none", load=False)
    balancer.wait_applied()
    traffic.settle(time.monotonic(), hold_s=6.0)

    assert len(traffic.report().broken) > 0.1 * demo.TCP_FLOWS
