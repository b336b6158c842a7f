# SPDX-License-Identifier: Apache-2.0
"""IPIP from the API to real servers, whose end is a program where their kernel cannot."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dataplane_probe import Exchange, Mask, checksum
from testbed import demo
from testbed.balancer import Balancer
from testbed.topology import BALANCER_ADDRESS, CLIENT_ADDRESS, TCP_VIP, server_address
from testbed.traffic import HTTP_TARGET, UDP_TARGET, Traffic

TCP_PORTS = range(40000, 40300)
UDP_PORTS = range(40000, 40100)
HOLD_S = 1.0


def start_ends(balancer: Balancer) -> None:
    """Every server takes IPIP to its own address."""
    topology = balancer.topology
    program = str(Path(__file__).parent / "testbed" / "ipip_server.py")
    for number, server in enumerate(topology.servers, start=1):
        topology.start(f"ipip-{server}", server, sys.executable, program, server_address(number))
    balancer.wait_for(
        "every server's IPIP end (ipip-b*.log)",
        lambda: all("ready" in topology.log_tail(f"ipip-{server}") for server in topology.servers),
    )


def configure(balancer: Balancer) -> None:
    """One IPIP pool of three servers behind a TCP and a UDP service; made by the CLI."""
    balancer.cli("tiara pool create far --mode ipip --check-tcp 80 --interval 200ms --timeout 200ms")
    for number in (1, 2, 3):
        balancer.create_backend("far", f"b{number}", server_address(number))
    for service, protocol, target in (("web", "tcp", HTTP_TARGET), ("echo", "udp", UDP_TARGET)):
        balancer.create_service(service, "far", f"{protocol}:{target[0]}:{target[1]}")
    balancer.wait_applied()


@pytest.fixture(scope="module")
def bed() -> Iterator[tuple[Balancer, Traffic]]:
    """Held connections through IPIP."""
    with demo.testbed("test-ipip", "af_packet") as (balancer, traffic):
        start_ends(balancer)
        configure(balancer)
        yield balancer, traffic


def test_outer_header(bed: tuple[Balancer, Traffic]) -> None:
    """A server receives the client's packet behind one header of the balancer's: DF, id 0, TTL 64."""
    balancer, traffic = bed
    listeners = [
        Exchange(balancer.topology, server, [Mask(12, b"\x08\0"), Mask(23, b"\x04")], wait_s=5)
        for server in ("b1", "b2", "b3")
    ]
    traffic.probe("tcp", range(41000, 41100))
    for number, listener in enumerate(listeners, start=1):
        (frame,) = listener.frames()
        outer, inner = frame[14:34], frame[34:54]

        assert outer[:2] == b"\x45" + inner[1:2]
        assert int.from_bytes(outer[2:4], "big") == 20 + int.from_bytes(inner[2:4], "big")
        assert outer[4:10] == b"\0\0\x40\0\x40\x04"
        assert checksum(outer) == 0
        assert outer[12:] == socket.inet_aton(BALANCER_ADDRESS) + socket.inet_aton(server_address(number))
        assert inner[12:] == socket.inet_aton(CLIENT_ADDRESS) + socket.inet_aton(TCP_VIP)


def test_held_flows_survive_a_drain(bed: tuple[Balancer, Traffic]) -> None:
    """TCP and UDP flows are answered on and on; one server drains, a new one comes, none breaks."""
    balancer, traffic = bed
    shares = [traffic.open("tcp", TCP_PORTS), traffic.open("udp", UDP_PORTS)]
    balancer.drain("far", "b2")
    balancer.create_backend("far", "b4", server_address(4))
    balancer.wait_applied()
    traffic.settle(time.monotonic(), HOLD_S)
    report = traffic.report()

    assert [set(share) for share in shares] == [{"b1", "b2", "b3"}] * 2
    assert (report.broken, report.held) == ([], len(TCP_PORTS) + len(UDP_PORTS))
    assert set(traffic.probe("tcp", range(42000, 42200)).values()) == {"b1", "b3", "b4"}


def test_full_segments_fit(bed: tuple[Balancer, Traffic]) -> None:
    """A client's packets of a whole MTU of 1,500 bytes go through the tunnel."""
    balancer, _ = bed
    code = (
        "import socket; s = socket.create_connection(('198.18.100.1', 80), 10);"
        "s.sendall(b'GET /' + b'x' * 6000 + b' HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n');"
        "print(sum(len(part) for part in iter(lambda: s.recv(65536), b'')))"
    )
    assert int(balancer.topology.run("client", sys.executable, "-c", code)) > 6000
    assert balancer.statistics(count=False).verdicts["too_big"] == 0


def test_mode_is_shown(bed: tuple[Balancer, Traffic]) -> None:
    """The CLI names the mode."""
    balancer, _ = bed
    assert "ipip" in balancer.cli("tiara pool list")
    assert "ipip" in balancer.cli("tiara service list -o wide")
