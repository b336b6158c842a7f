# SPDX-License-Identifier: Apache-2.0
"""The data plane with the card's RTL before its workers (`--card sim`), on real traffic."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed import demo
from testbed.balancer import SIZES
from tiara.v1 import node_pb2

FAULTY = Path(sys.prefix).parent / "card-fault/fpga/sim/libtiara_sim.so"


@pytest.fixture(scope="module")
def shown() -> Iterator[tuple[demo.Demo, node_pb2.Statistics]]:
    """Two workers share the card; it loses its power, and both daemons are killed."""
    with demo.testbed("test-card", "af_packet", {**SIZES, "card": "sim"}, workers=2) as (balancer, traffic):
        run = demo.Demo(balancer, traffic, hold_s=0.5, card=True)
        run.step("traffic", run.start_traffic)
        run.step("into the card", run.see_card_fill)
        run.step("add", run.add_backend)
        run.step("drain", run.drain_backend)
        run.step("card loses power", run.cycle_card)
        run.step("kill -9 ctrl plane", run.kill_controlplane)
        run.step("kill -9 data plane", run.kill_dataplane)
        run.step("push", run.push)
        time.sleep(1.5)  # a card's totals are read once a second
        yield run, balancer.statistics()


def test_nothing_breaks(shown: tuple[demo.Demo, node_pb2.Statistics]) -> None:
    """With connections in the card, a card that forgets them, and daemons that die."""
    run, _ = shown
    assert run.broken == []
    assert all(row.held >= demo.TCP_FLOWS + demo.UDP_FLOWS for row in run.rows)


def test_tiers_are_told(shown: tuple[demo.Demo, node_pb2.Statistics]) -> None:
    """Most packets are the card's, and most connections are in it."""
    run, statistics = shown
    assert statistics.verdicts["forwarded_by_card"] > statistics.verdicts["forwarded"]
    assert statistics.offloaded_connections > demo.CARD_SHARE_MIN * demo.TCP_FLOWS
    assert run.tiers_line(statistics).startswith("tiers   card ")
    assert run.connection_line().endswith("in the card")
    assert "connections in the card" in run.cli("tiara stats --count")


def test_counters_are_of_both_tiers(shown: tuple[demo.Demo, node_pb2.Statistics]) -> None:
    """By service and by backend: what the CPU forwarded and what the card did.

    Almost: packets go on while they are read, and what a card forwarded since its totals were read last
    goes with its power, or with the data plane.
    """
    _, statistics = shown
    forwarded = statistics.verdicts["forwarded"] + statistics.verdicts["forwarded_by_card"]
    by_service = sum(each.packets for each in statistics.services)
    by_backend = sum(each.packets for each in statistics.backends)
    assert by_service == pytest.approx(forwarded, rel=0.05)
    assert by_backend == pytest.approx(forwarded, rel=0.05)


def test_a_broken_hit_path_fails_the_demo() -> None:
    """A card that finds the wrong backend: flows cannot be opened, or break."""
    assert FAULTY.exists(), f"{FAULTY} is not there: `script/test system` builds it"
    demonstration = [sys.executable, "-m", "testbed.demo", "--card", f"sim:{FAULTY}", "--hold", "0.5"]
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(demonstration, capture_output=True, text=True, timeout=300, env=there, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "could not be opened" in done.stderr or "broken:" in done.stdout, done.stdout + done.stderr
