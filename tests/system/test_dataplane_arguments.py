# SPDX-License-Identifier: Apache-2.0
"""The data plane's command line: what is wrong is said in one sentence that names the argument."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from dataplane_world import BINARY
from tiara.native import layout_id

ARGUMENTS = [
    "--instance",
    "--io",
    "--take-interface",
    "--address",
    "--gateway",
    "--workers",
    "--card",
    "--lcores",
    "--connections",
    "--services",
    "--backends",
    "--heap-mb",
    "--idle",
    "--no-kernel",
    "--kernel-interface",
    "--group",
    "--user",
    "--keep-capabilities",
    "--version",
    "--help",
]
INSTANCE = "argument-test"

# (command line, the argument that the sentence must begin with, what it must also say)
WRONG = [
    ("--nonsense", "--nonsense", "--help"),
    ("--user nobody --keep-capabilities", "--user", "--keep-capabilities"),
    ("stray", "stray", "--help"),
    ("--connection 5", "--connection", "--help"),
    ("--instance", "--instance", "NAME"),
    ("--instance=", "--instance", "a-z"),
    ("--instance ../x", "--instance", "a-z"),
    ("--instance UPPER", "--instance", "a-z"),
    ("--io ring:1", "--io", "af_packet:IFACE"),
    ("--io af_packet:", "--io", "15 characters"),
    ("--io af_packet:sixteen-letters-", "--io", "15 characters"),
    ("--io af_packet:eth0,iface=lo", "--io", "comma"),
    ("--io af_packet:missing0", "--io af_packet:missing0", "ip link"),
    ("--io af_xdp:missing0", "--io af_xdp:missing0", "ip link"),
    ("--io af_packet:lo", "--io af_packet:lo", "give"),
    ("--address 198.18.0.2", "--address", "198.18.0.2/24"),
    ("--address 198.18.0.2/0", "--address", "198.18.0.2/24"),
    ("--address 198.18.0.2/24x", "--address", "198.18.0.2/24"),
    ("--address 224.0.0.1/24", "--address", "unicast"),
    ("--gateway 198.18.0.1", "--gateway", "--address"),
    ("--gateway 300.0.0.1", "--gateway", "198.18.0.1"),
    ("--address 198.18.0.2/24 --gateway 198.19.0.1", "--gateway", "prefix"),
    ("--address 198.18.0.2/24 --gateway 198.18.0.2", "--gateway", "router"),
    ("--workers 0", "--workers", "1 to 63"),
    ("--workers 64", "--workers", "1 to 63"),
    ("--workers two", "--workers", "1 to 63"),
    ("--workers -1", "--workers", "1 to 63"),
    ("--card fpga", "--card", "none, sim or sim:LIBRARY"),
    ("--card sim:", "--card", "none, sim or sim:LIBRARY"),
    ("--lcores=", "--lcores", "0@0,1@1"),
    ("--connections 7", "--connections", "8 to 17179869184"),
    ("--connections 99999999999999999999999", "--connections", "8 to 17179869184"),
    ("--services 65537", "--services", "1 to 65536"),
    ("--backends 16777217", "--backends", "1 to 16777216"),
    ("--heap-mb 0", "--heap-mb", "1 to 1048576"),
    ("--idle doze", "--idle", "sleep or poll"),
    ("--no-kernel=yes", "--no-kernel", "no value"),
    ("--no-kernel --kernel-interface tap7", "--kernel-interface", "--no-kernel"),
    ("--kernel-interface a/b", "--kernel-interface", "15 characters"),
    ("--io af_packet:eth7 --kernel-interface eth7", "--kernel-interface", "another name"),
    ("--io eal --take-interface", "--take-interface", "af_packet"),
]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs it where it ends by itself."""
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, check=False, timeout=30)


def test_help_shows_every_argument_once() -> None:
    """--help lists all arguments, on stdout, and ends with 0."""
    done = run("--help")

    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^ {2}(--[a-z-]+)", done.stdout, re.MULTILINE) == ARGUMENTS


def test_version_names_the_layout() -> None:
    """--version shows the layout id that libtiara has, whatever else is given."""
    done = run("--version", "--workers", "0")

    assert done.returncode == 0
    assert f"layout {layout_id():016x}" in done.stdout


@pytest.mark.parametrize(("line", "argument", "remedy"), WRONG, ids=[line for line, _, _ in WRONG])
def test_wrong_argument_is_named_with_its_remedy(line: str, argument: str, remedy: str) -> None:
    """One line on stderr: the argument first, then what is wrong, then what to do; no segment is made."""
    done = run("--instance", INSTANCE, *line.split(" "))

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"tiara-dataplane: {argument}")
    assert done.stderr.count("\n") == 1
    assert remedy in done.stderr
    assert not list(Path("/dev/shm").glob(f"*{INSTANCE}*"))
