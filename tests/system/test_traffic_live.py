# SPDX-License-Identifier: Apache-2.0
"""`tiara traffic` against a real balancer: clients on an interface, captures at the servers, the checker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import testbed
from testbed.balancer import BIN, CALL_S, Balancer
from testbed.topology import CLIENT_ADDRESS, HTTP_PORT, TCP_VIP, UDP_PORTS, UDP_VIP, Topology, server_address
from tiara import client, pcap
from tiara.v1 import backend_pool_pb2

SERVERS = ("b1", "b2", "b3")
TIARA = str(BIN / "tiara")
SCRIPT = f"""
seed: 11
rate: 1000
clients: 198.18.0.64/26
groups:
  - frontends: tcp:{TCP_VIP}:{HTTP_PORT}
    connections: 40
    packets: handshake data*3 fin
    text: "GET / HTTP/1.1\\r\\nHost: tiara\\r\\n\\r\\n"
  - frontends: tcp:{TCP_VIP}:{HTTP_PORT}
    connections: 10
    packets: syn
  - frontends: tcp:{TCP_VIP}:{HTTP_PORT}
    connections: 10
    packets: handshake data rst
  - frontends: [udp:{UDP_VIP}:{UDP_PORTS[0]}, udp:{UDP_VIP}:{UDP_PORTS[1]}]
    connections: 40
    packets: data*5
"""
CONNECTIONS, PACKETS = 100, 40 * 6 + 10 + 10 * 4 + 40 * 5

LONG_CONNECTIONS = 30
LONG_SCRIPT = f"""
rate: 200
clients: 198.18.0.64/26
groups:
  - frontends: udp:{UDP_VIP}:{UDP_PORTS[0]}
    connections: {LONG_CONNECTIONS}
    packets: data*20
"""
REPLAYED = 10_000


class Site:
    """A testbed with a balancer in front of three servers, TCP and UDP."""

    def __init__(self, topology: Topology, mode: str, folder: Path) -> None:
        self.topology = topology
        self.mode = mode
        self.folder = folder
        self.round = 0
        if mode == "ipip":
            self._start_tunnel_ends()
        self.balancer = Balancer(topology)
        self.balancer.start()
        self.balancer.create_pool("web", mode)
        for number, server in enumerate(SERVERS, start=1):
            self.balancer.create_backend("web", server, server_address(number))
        udp = [f"udp:{UDP_VIP}:{port}" for port in UDP_PORTS[:2]]
        self.balancer.create_service("web", "web", f"tcp:{TCP_VIP}:{HTTP_PORT}", *udp)
        self.balancer.wait_applied()
        self.script = folder / "clients.yaml"
        self.script.write_text(SCRIPT)
        self.sent = folder / "sent.pcap"

    def call(self, role: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `tiara traffic ...` in a namespace."""
        command = self.topology.command(role, TIARA, "traffic", *arguments)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def traffic(self, role: str, *arguments: str, code: int = 0) -> Any:
        """What `tiara traffic ... --json` says in a namespace."""
        done = self.call(role, *arguments, "--json")
        assert done.returncode == code, done.stderr + done.stdout
        return json.loads(done.stdout)

    def run_command(self, script: Path) -> list[str]:
        """A run on the client's interface."""
        return [
            TIARA,
            "traffic",
            "run",
            str(script),
            "--interface=eth0",
            f"--pcap={self.sent}",
            "--duration=40s",
        ]

    def start_captures(self) -> None:
        """At every server."""
        self.round += 1
        for server in SERVERS:
            key, pcap = f"capture-{server}-{self.round}", str(self.folder / f"{server}.pcap")
            command = [TIARA, "traffic", "capture", "eth0", "--pcap", pcap, "--duration=60s"]
            self.topology.start(key, server, *command)
        for server in SERVERS:
            self._wait_for_line(f"capture-{server}-{self.round}", "capturing on eth0")

    def stop_captures(self) -> list[str]:
        """Ends them; returns them as arguments of `check`."""
        for server in SERVERS:
            assert self.topology.stop(f"capture-{server}-{self.round}", signal.SIGTERM) == 0
        return [f"{server}={self.folder}/{server}.pcap" for server in SERVERS]

    def _start_tunnel_ends(self) -> None:
        """Kernels may lack IPIP: a program takes the outer header off."""
        program = str(Path(testbed.__file__).with_name("ipip_server.py"))
        for number, server in enumerate(SERVERS, start=1):
            self.topology.start(f"ipip-{server}", server, sys.executable, program, server_address(number))
            self._wait_for_line(f"ipip-{server}", "ready")

    def _wait_for_line(self, key: str, line: str) -> None:
        while line not in self.topology.log_tail(key):
            assert self.topology.exit_status(key) is None, self.topology.log_tail(key)
            time.sleep(0.02)

    def received(self) -> int:
        """Packets that the data plane has forwarded to backends."""
        return sum(backend.packets for backend in self.balancer.statistics(count=False).backends)

    def delete_backend(self, server: str) -> None:
        """Its connections are moved at their next packets."""
        request = backend_pool_pb2.DeleteBackendRequest(name=client.backend_name("web", server))
        self.balancer.pools.DeleteBackend(request, timeout=CALL_S)

    def mac(self, role: str) -> str:
        """Of eth0 there."""
        (link,) = json.loads(self.topology.run(role, "ip", "-json", "link", "show", "eth0"))
        return str(link["address"])

    def replay_file(self) -> Path:
        """UDP packets to the balancer's port."""
        file = self.folder / "replay.pcap"
        script = self.folder / "replay.yaml"
        script.write_text(LONG_SCRIPT)
        self.traffic("client", "run", str(script), f"--pcap={file}", f"--to={self.mac('balancer')}")
        return file


@pytest.fixture(params=["l2", "vxlan", "ipip"], scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One for each forwarding mode, or for the one that a test names."""
    with Topology(f"test-traffic-{request.param}", servers=len(SERVERS)) as topology:
        yield Site(topology, request.param, tmp_path_factory.mktemp("traffic"))


ONCE = pytest.mark.parametrize("site", ["l2"], indirect=True)


def test_clients_are_answered_and_every_connection_stays(site: Site) -> None:
    """Scripted TCP and UDP clients talk with real servers; every packet arrives, on one backend each."""
    site.start_captures()
    before = site.received()
    run = site.traffic("client", *site.run_command(site.script)[2:])
    site.balancer.wait_for("the packets", lambda: site.received() - before >= run["sent"])
    captures = site.stop_captures()
    report = site.traffic("client", "check", "--strict", str(site.sent), *captures)

    assert (run["sent"], run["connections"]) == (PACKETS, CONNECTIONS)
    assert run["answered"] == CONNECTIONS
    assert run["resets"] == 0
    assert report["received"] == PACKETS
    assert report["flawless"]
    assert set(report["shares"]) == set(SERVERS)
    assert sum(share["connections"] for share in report["shares"].values()) == CONNECTIONS

    # without a name, backends are outer addresses, or MAC addresses where there is no tunnel
    files = [capture.partition("=")[2] for capture in captures]
    report = site.traffic("client", "check", "--strict", str(site.sent), *files)
    by_address = [server_address(number) for number, _ in enumerate(SERVERS, start=1)]
    by_mac = [site.mac(server) for server in SERVERS]
    assert set(report["shares"]) == set(by_mac if site.mode == "l2" else by_address)


@ONCE
def test_connections_that_move_are_found(site: Site) -> None:
    """A backend is deleted under traffic: its connections, and no others, are reported as moved."""
    script = site.folder / "long.yaml"
    script.write_text(LONG_SCRIPT)
    site.start_captures()
    before = site.received()
    site.topology.start("run", "client", *site.run_command(script))
    site.balancer.wait_for("packets", lambda: site.received() - before >= 3 * LONG_CONNECTIONS)
    site.delete_backend("b3")
    site.balancer.wait_for("the end of the run", lambda: site.topology.exit_status("run") is not None)
    report = site.traffic("client", "check", str(site.sent), *site.stop_captures(), code=1)
    site.balancer.create_backend("web", "b3", server_address(3))

    moved = {each["connection"]: each["packets"] for each in report["moved"]}
    assert not report["consistent"]
    assert len(moved) == report["shares"]["b3"]["connections"] > 0
    assert all(min(packets["b3"]) == 1 for packets in moved.values())


@ONCE
@pytest.mark.parametrize("command", ["run", "replay"])
def test_the_default_route_is_not_used(site: Site, command: str) -> None:
    """An interface that carries it is refused, and nothing is sent."""
    site.topology.run("client", "ip", "route", "add", "default", "via", server_address(1))
    try:
        arguments = {
            "run": [str(site.script), "--interface=eth0"],
            "replay": [str(site.replay_file()), "--io=af_packet:eth0"],
        }
        before = site.received()
        done = site.call("client", command, *arguments[command])
    finally:
        site.topology.run("client", "ip", "route", "del", "default")

    assert done.returncode == 2
    assert "carries the default route" in done.stderr
    assert "--take-interface" in done.stderr
    assert site.received() == before


@ONCE
def test_the_kernels_own_address_is_no_client(site: Site) -> None:
    """Its kernel would reset the clients' connections: refused."""
    script = site.folder / "own.yaml"
    script.write_text(SCRIPT.replace("198.18.0.64/26", CLIENT_ADDRESS))
    done = site.call("client", "run", str(script), "--interface=eth0")

    assert done.returncode == 2
    assert f"{CLIENT_ADDRESS} is this host's own" in done.stderr


@ONCE
def test_replay_sends_as_many_as_it_says(site: Site) -> None:
    """A script's file, over and over: the data plane counts what replay says that it has sent."""
    file = str(site.replay_file())
    before = site.received()
    report = site.traffic(
        "client", "replay", file, "--io=af_packet:eth0", f"--count={REPLAYED}", "--rate=5000"
    )

    assert report["sent"] == REPLAYED
    assert report["dropped"] == 0
    site.balancer.wait_for("the packets", lambda: site.received() - before >= REPLAYED)
    assert site.received() - before == REPLAYED


@ONCE
def test_replay_is_bounded_by_its_time(site: Site) -> None:
    """With a duration and no count, the file is sent until the time is over."""
    file = str(site.replay_file())
    before = site.received()
    report = site.traffic("client", "replay", file, "--io=af_packet:eth0", "--duration=0.5s", "--rate=2000")

    assert 0 < report["sent"] <= 1001
    site.balancer.wait_for("the packets", lambda: site.received() - before >= report["sent"])
    assert site.received() - before == report["sent"]


@ONCE
def test_a_run_is_bounded_by_its_time(site: Site) -> None:
    """A script that would go on is ended, and says what it has sent."""
    script = site.folder / "endless.yaml"
    script.write_text(LONG_SCRIPT.replace("data*20", "data*40"))
    before = site.received()
    run = site.traffic("client", "run", str(script), "--interface=eth0", "--duration=0.5s", f"--to={TCP_VIP}")

    assert 0 < run["sent"] <= 101
    assert run["planned"] == 40 * LONG_CONNECTIONS
    site.balancer.wait_for("the packets", lambda: site.received() - before >= run["sent"])
    assert site.received() - before == run["sent"]


@ONCE
def test_an_interrupted_run_has_written_what_it_sent(site: Site) -> None:
    """Ctrl-C ends it well: the file has the frames that the data plane got, and so do the captures."""
    script = site.folder / "endless.yaml"
    script.write_text(LONG_SCRIPT.replace("data*20", "data*40"))
    before = site.received()
    site.start_captures()
    site.topology.start("run", "client", *site.run_command(script))
    site.balancer.wait_for("packets", lambda: site.received() - before >= LONG_CONNECTIONS)
    assert site.topology.stop("run", signal.SIGINT) == 0
    sent = sum(1 for _ in pcap.read(site.sent))
    report = site.traffic("client", "check", "--strict", str(site.sent), *site.stop_captures())

    assert LONG_CONNECTIONS <= sent == report["sent"] < 40 * LONG_CONNECTIONS
