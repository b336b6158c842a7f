# SPDX-License-Identifier: Apache-2.0
"""tiara doctor in the balancer's namespace: content with a good set-up, and real faults are found."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from testbed.balancer import BIN, CONTROLPLANE, DATAPLANE, Balancer
from testbed.topology import Topology, server_address

NOBODY = "198.18.0.99"
KNOCK = """
import socket
held = [socket.socket() for _ in range(12)]
for one in held:
    one.setblocking(False)
    one.connect_ex(("198.18.100.2", 80))
"""
OF_THE_HOST = {"huge pages", "clock", "store"}
"""What namespaces cannot make right or wrong."""


def examine(balancer: Balancer, *arguments: str) -> dict[str, list[dict[str, str]]]:
    """What it says, by check; its exit code agrees."""
    command = [str(BIN / "tiara"), f"--instance={balancer.instance}", "doctor", "--output=json", *arguments]
    done = subprocess.run(
        balancer.topology.command("balancer", *command), capture_output=True, text=True, check=False
    )
    found = json.loads(done.stdout)
    is_wrong = any(one["status"] == "wrong" for one in found)
    assert done.returncode == (1 if is_wrong else 0), done.stderr
    by_check: dict[str, list[dict[str, str]]] = {}
    for one in found:
        by_check.setdefault(one["check"], []).append(one)
    return by_check


def faults(found: dict[str, list[dict[str, str]]], status: str = "wrong") -> dict[str, dict[str, str]]:
    """The first one of each check, but for those of the host."""
    return {
        check: one
        for check, ones in found.items()
        for one in reversed(ones)
        if one["status"] == status and check not in OF_THE_HOST
    }


@pytest.fixture(scope="module")
def balancer() -> Iterator[Balancer]:
    """Two servers, a pool by L2 and one by VXLAN; every next hop has answered."""
    with Topology("test-doctor", servers=2) as topology:
        made = Balancer(topology)
        made.start()
        loosen(made, "2")
        for line in (
            "tiara pool create near --mode l2 --check-tcp 80 --interval 200ms",
            "tiara pool create far --mode vxlan",
            f"tiara backend create near/b1 --address {server_address(1)}",
            f"tiara backend create far/b2 --address {server_address(2)}",
            "tiara service create near --frontend tcp:198.18.100.1:80 --pool near",
            "tiara service create far --frontend tcp:198.18.100.2:80 --pool far",
        ):
            made.cli(line)
        made.wait_for("next hops", lambda: "next hops" not in faults(examine(made)))
        yield made


def loosen(balancer: Balancer, value: str) -> None:
    """rp_filter of the kernel's interface."""
    conf = "/proc/sys/net/ipv4/conf"
    balancer.topology.run("balancer", "sh", "-c", f"echo 0 > {conf}/all/rp_filter")
    balancer.topology.run("balancer", "sh", "-c", f"echo {value} > {conf}/tiara0/rp_filter")


def test_good(balancer: Balancer) -> None:
    """Nothing is wrong and nothing is to be warned of; both daemons and all workers are seen."""
    found = examine(balancer)
    assert faults(found) == {}
    assert faults(found, "warning") == {}
    seen = {check for check, ones in found.items() if ones[0]["status"] == "ok"}
    expected = {"privileges", "port", "segment", "control plane", "data plane", "versions"}
    assert seen >= expected | {"MTU", "rp_filter", "return path", "next hops", "backends"}
    assert "workers 1" in found["data plane"][0]["what"]
    assert "known for 2 of 2" in found["next hops"][0]["what"]


def test_small_mtu(balancer: Balancer) -> None:
    """The VXLAN pool's packets no longer fit, the L2 pool's do."""
    balancer.topology.run("balancer", "ip", "link", "set", "eth0", "mtu", "1549")
    try:
        found = examine(balancer)
        assert set(faults(found)) == {"MTU"}
        (fault,) = found["MTU"]
        assert "pool far (vxlan) needs 1550" in fault["what"]
        assert fault["remedy"].startswith("ip link set eth0 mtu 1550")
        assert faults(examine(balancer, "--mtu=1499")) == {}
    finally:
        balancer.topology.run("balancer", "ip", "link", "set", "eth0", "mtu", "1600")


def test_strict_reverse_path(balancer: Balancer) -> None:
    """A warning as it is; wrong once the way to a server is another one, which is named itself."""
    loosen(balancer, "1")
    try:
        assert "strict" in faults(examine(balancer), "warning")["rp_filter"]["what"]
        balancer.topology.run("balancer", "ip", "route", "add", f"{server_address(1)}/32", "dev", "lo")
        found = faults(examine(balancer))
        assert server_address(1) in found["rp_filter"]["what"]
        assert "leads by lo, not by tiara0" in found["return path"]["what"]
    finally:
        subprocess.run(
            balancer.topology.command("balancer", "ip", "route", "delete", f"{server_address(1)}/32"),
            check=False,
        )
        loosen(balancer, "2")


def test_backend_without_neighbour(balancer: Balancer) -> None:
    """Nobody has its address: it is named, and who answers is not."""
    balancer.cli(f"tiara backend create far/ghost --address {NOBODY}")
    try:
        balancer.wait_for("the ghost", lambda: "next hops" in faults(examine(balancer)))
        found = examine(balancer)
        assert [one["what"] for one in found["next hops"]] == [
            f"nobody answers ARP for the next hop of far/ghost ({NOBODY})"
        ]
    finally:
        balancer.cli("tiara backend delete far/ghost")


def test_silent_server(balancer: Balancer) -> None:
    """It unpacks nothing: clients' handshakes tell so here, and what to run there is told."""
    balancer.topology.run("b2", "ip", "link", "set", "tiara1", "down")
    try:
        assert "return path" not in faults(examine(balancer))
        balancer.topology.run("client", sys.executable, "-c", KNOCK)
        balancer.wait_for("silence", lambda: "return path" in faults(examine(balancer)))
        fault = faults(examine(balancer))["return path"]
        assert fault["what"].startswith("no client of far/b2 went on after its SYN (12 ")
        assert fault["remedy"].startswith("on 198.18.0.12: tiara backend-setup far --check")
    finally:
        balancer.topology.run("b2", "ip", "link", "set", "tiara1", "up")
        balancer.cli("tiara connections flush --backend far/b2")


def test_merged_frames(balancer: Balancer) -> None:
    """Somebody has switched an offload on again."""
    balancer.topology.run("balancer", "ethtool", "-K", "eth0", "gro", "on")
    try:
        assert faults(examine(balancer))["port"]["remedy"] == "ethtool -K eth0 gro off"
    finally:
        balancer.topology.run("balancer", "ethtool", "-K", "eth0", "gro", "off")


def test_dead_server(balancer: Balancer) -> None:
    """Its health check's reason is told, and the command that looks further there."""
    balancer.topology.kill_server("b1")
    try:
        balancer.wait_for("b1 down", lambda: balancer.is_down("near", "b1"))
        fault = faults(examine(balancer))["backends"]
        assert fault["what"].startswith("near/b1 is down: ")
        assert "tiara backend-setup near --check" in fault["remedy"]
    finally:
        balancer.topology.start_server("b1")
        balancer.wait_for("b1 up", lambda: not balancer.is_down("near", "b1"))


def test_daemons_down(balancer: Balancer) -> None:
    """One after the other, then both: that is said, and the machine is looked at all the same."""
    balancer.kill(CONTROLPLANE)
    found = examine(balancer)
    assert set(faults(found)) == {"control plane"}
    assert found["data plane"][0]["status"] == "ok"
    balancer.kill(DATAPLANE)
    found = examine(balancer, "--io=af_packet:eth0")
    assert set(faults(found)) == {"control plane", "data plane"}
    assert found["port"][0]["what"].startswith("eth0: veth, queues 1, MTU 1600")
    assert found["privileges"][0]["status"] == found["segment"][0]["status"] == "ok"
    assert faults(examine(balancer, "--io=af_packet:eth7"))["port"]["remedy"].startswith("give --io")
    balancer.start_controlplane()
    assert set(faults(examine(balancer, "--io=af_packet:eth0"))) == {"data plane"}
