# SPDX-License-Identifier: Apache-2.0
"""docs/traffic.md is true: what it shows runs in the testbed and prints what it says, but for shares."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed.balancer import BIN, Balancer
from testbed.topology import HTTP_PORT, TCP_VIP, UDP_PORTS, UDP_VIP, Topology, server_address

PAGE = Path(__file__).parents[2] / "docs" / "traffic.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^(\w+)\$ (.*)$", re.MULTILINE)


@pytest.fixture
def topology() -> Iterator[Topology]:
    """A balancer with the page's frontends on three servers."""
    with Topology("test-traffic-docs", servers=3) as topology:
        balancer = Balancer(topology)
        balancer.start()
        balancer.create_pool("web", "l2")
        for number, server in enumerate(topology.servers, start=1):
            balancer.create_backend("web", server, server_address(number))
        udp = [f"udp:{UDP_VIP}:{port}" for port in UDP_PORTS[:2]]
        balancer.create_service("web", "web", f"tcp:{TCP_VIP}:{HTTP_PORT}", *udp)
        balancer.wait_applied()
        yield topology


def without_shares(text: str) -> list[list[str]]:
    """Its words but for times, answers, and shares, which are up to the machine and the table's secret."""
    text = re.sub(r"(?m)^(b\d) .*$", r"\1", text)
    text = re.sub(r"refused \d+ times; received \d+", "", text)
    text = re.sub(r"\d+\.\d+ s|\d+ frames/s", "", text)
    return [line.split() for line in text.strip().splitlines()]


class Reader:
    """Types what the page says, each line on the host that its prompt names."""

    def __init__(self, topology: Topology, folder: Path) -> None:
        self.topology = topology
        self.folder = folder
        self.captures: list[str] = []

    def type(self, role: str, command: str) -> str:
        """What it prints; `&` lets it go on until the check."""
        command = f"cd {self.folder}; PATH={BIN}:{os.environ['PATH']}; exec {command.removesuffix('&')}"
        line = ["sh", "-c", command]
        if "traffic capture" in command:
            self._capture(role, line)
            return ""
        if "traffic check" in command:
            self._end_captures()
        done = subprocess.run(
            self.topology.command(role, *line), capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _capture(self, role: str, line: list[str]) -> None:
        self.topology.start(f"capture-{role}", role, *line)
        self.captures.append(f"capture-{role}")
        while "capturing on" not in self.topology.log_tail(f"capture-{role}"):
            assert self.topology.exit_status(f"capture-{role}") is None, "the capture has ended"
            time.sleep(0.02)

    def _end_captures(self) -> None:
        for key in self.captures:
            assert self.topology.stop(key, signal.SIGINT) == 0


def test_the_page_s_examples_run_and_print_what_they_say(topology: Topology, tmp_path: Path) -> None:
    """Its script, and every command, in order."""
    reader = Reader(topology, tmp_path)
    typed = 0
    for language, block in FENCE.findall(PAGE.read_text()):
        if language == "yaml":
            (tmp_path / "clients.yaml").write_text(block)
            continue
        parts = PROMPT.split(block)[1:]
        for role, command, expected in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            assert without_shares(reader.type(role, command)) == without_shares(expected), command
            typed += 1

    assert typed == 7


def test_the_page_knows_every_key_of_a_script() -> None:
    """And no other."""
    from tiara.traffic.script import _GROUP, _TOP

    listed = set(re.findall(r"^\| `(\w+)`(?: \*)? \|", PAGE.read_text(), re.MULTILINE))
    assert listed == {*_TOP, *_GROUP, "groups"}
