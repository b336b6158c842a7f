# SPDX-License-Identifier: Apache-2.0
"""Who knows a connection's addresses and ports, but not its sequence numbers, cannot end it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed import demo
from testbed.balancer import Balancer
from testbed.spoof import Spoof
from testbed.topology import CLIENT_ADDRESS, HTTP_PORT, TCP_VIP
from testbed.traffic import Traffic

ATTACKER = "b4"
IDLE_PORT = 46000
HOLD_S = 1.0

# A client that says nothing until it is told to, and then who answered.
QUIET_CLIENT = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10, ("", int(sys.argv[3])))
for line in sys.stdin:
    s.sendall(b"GET /1 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    data = b""
    while b"/1\\n" not in data:
        part = s.recv(65536)
        if not part:
            sys.exit("end of file")
        data += part
    print(data.split(b"\\r\\n\\r\\n")[1].decode().split()[0], flush=True)
"""


class QuietClient:
    """One connection that is idle but for `ask`."""

    def __init__(self, balancer: Balancer, port: int) -> None:
        arguments = (sys.executable, "-c", QUIET_CLIENT, TCP_VIP, str(HTTP_PORT), str(port))
        self._process = subprocess.Popen(
            balancer.topology.command("client", *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> str:
        """The server that answers over this connection."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("ask\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer, "the connection has ended"
        return answer

    def close(self) -> None:
        """Ends it."""
        assert self._process.stdin
        self._process.stdin.close()
        assert self._process.wait(10) == 0


@pytest.fixture(scope="module")
def bed() -> Iterator[tuple[Balancer, Traffic]]:
    """1,000 held connections, many of them not where selection would send them now."""
    with demo.testbed("test-spoofed", "af_packet") as (balancer, traffic):
        run = demo.Demo(balancer, traffic, hold_s=HOLD_S, show=lambda _: None)
        run.start_traffic()
        balancer.drain(demo.WEB, "b2")
        balancer.wait_applied()
        run.assert_disagreement()
        yield balancer, traffic


def spoof(balancer: Balancer, ports: range, *flags: str, rounds: int = 1) -> int:
    """Sends the segments from a host on the link that is neither client nor balancer."""
    neighbour = balancer.topology.run("client", "ip", "neigh", "show", TCP_VIP).split()
    order = Spoof(neighbour[neighbour.index("lladdr") + 1], CLIENT_ADDRESS, TCP_VIP, HTTP_PORT,
                  tuple(ports), flags, rounds)  # fmt: skip
    program = Path(__file__).parent / "testbed" / "spoof.py"
    return int(balancer.topology.run(ATTACKER, sys.executable, str(program), order.arguments()))


def state(balancer: Balancer, port: int) -> str:
    """The table's word on one connection."""
    found = balancer.cli(f"tiara connection get tcp {CLIENT_ADDRESS}:{port} {TCP_VIP}:{HTTP_PORT}")
    return next(word for word in ("new", "established", "closing") if f" {word}," in found)


@pytest.mark.parametrize("flags", ["R", "RA", "F", "FA"])
def test_a_forged_end_only_shortens(bed: tuple[Balancer, Traffic], flags: str) -> None:
    """RST and FIN make an idle connection closing; its data restore it, where selection no longer would."""
    balancer, _ = bed
    port = IDLE_PORT + ["R", "RA", "F", "FA"].index(flags)
    client = QuietClient(balancer, port)
    server = client.ask()
    balancer.wait_for("an established connection", lambda: state(balancer, port) == "established")
    balancer.drain(demo.WEB, server)
    balancer.wait_applied()
    spoof(balancer, range(port, port + 1), flags)
    balancer.wait_for("a closing connection", lambda: state(balancer, port) == "closing")

    assert client.ask() == server
    balancer.wait_for("its data to restore it", lambda: state(balancer, port) == "established")
    client.close()
    balancer.undrain(demo.WEB, server)
    balancer.wait_applied()


def test_held_connections_stand_a_flood_of_forged_ends(bed: tuple[Balancer, Traffic]) -> None:
    """Forged SYNs, then 20 RST and FIN for each of 1,000 established connections: none breaks or moves."""
    balancer, traffic = bed
    traffic.report()
    before = balancer.statistics(count=False).verdicts["forwarded"]
    sent = spoof(balancer, demo.HELD_PORTS, "S")
    time.sleep(HOLD_S)
    sent += spoof(balancer, demo.HELD_PORTS, "R", "FA", "RA", "F", rounds=5)
    traffic.settle(time.monotonic(), HOLD_S)
    report = traffic.report()

    assert sent == 21 * demo.TCP_FLOWS
    assert balancer.statistics(count=False).verdicts["forwarded"] - before > sent / 2
    assert report.broken == []
    assert report.held_tcp == demo.TCP_FLOWS
