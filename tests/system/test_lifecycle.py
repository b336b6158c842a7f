# SPDX-License-Identifier: Apache-2.0
"""Every way a backend leaves, and comes back: new connections, held TCP, held UDP (design, section 6).

Two pools of the same three servers: TCP by l2, UDP by vxlan. Each test opens flows, does something to
b2, and looks at who answers whom: by the answers themselves and by the data plane's counters. A health
check asks a port of its own, so that a server can be declared dead while it serves on.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest
from testbed import demo
from testbed.balancer import CONTROLPLANE, Balancer
from testbed.topology import TCP_VIP, UDP_VIP, server_address
from testbed.traffic import Report, Traffic
from testbed.verbs import Operator

POOLS = {"tcp": "web", "udp": "echo"}
SERVERS = ("b1", "b2", "b3")
FLOWS = 60
PROBES = 60
HOLD_S = 0.6
CHECK_PORT = 8080
DEADLINE_MS = 1500
LISTEN = f"""
import socket
listener = socket.create_server(("", {CHECK_PORT}))
while True:
    listener.accept()[0].close()
"""


@dataclass(frozen=True)
class Seen:
    """What came of it: flows that b2 held, who answers new connections, the counters' growth."""

    held: Counter[str]
    report: Report
    new: dict[str, Counter[str]]
    grown: Counter[str]

    @property
    def broken(self) -> Counter[str]:
        """Held flows that ended, by the server they were on."""
        return Counter(flow.server for flow in self.report.broken)


class Life:
    """One testbed for all tests; each starts with all servers in both pools and no held flow."""

    def __init__(self, balancer: Balancer, traffic: Traffic) -> None:
        self.balancer = balancer
        self.operator = Operator(balancer)
        self.traffic = traffic
        self._port = 30_000
        self._counted: Counter[str] = Counter()

    def configure(self) -> None:
        """Both pools and their services."""
        for (protocol, pool), mode in zip(POOLS.items(), ("l2", "vxlan"), strict=True):
            self.balancer.create_pool(pool, mode, check_port=CHECK_PORT, rows=1021)
            for server in SERVERS:
                self.create_backend(pool, server)
            frontend = {"tcp": f"tcp:{TCP_VIP}:80", "udp": f"udp:{UDP_VIP}:5300"}[protocol]
            self.balancer.create_service(pool, pool, frontend)
        for server in SERVERS:
            self.start_check(server)
        self.balancer.wait_applied()

    def create_backend(self, pool: str, server: str) -> None:
        """Server b2 is backend b2."""
        self.balancer.create_backend(pool, server, server_address(int(server[1:])))

    def start_check(self, server: str) -> None:
        """The port that health checks ask."""
        self.balancer.topology.start(f"check-{server}", server, sys.executable, "-c", LISTEN)

    def stop_check(self, server: str) -> None:
        """The server serves on, but looks dead."""
        self.balancer.topology.stop(f"check-{server}")

    def both(self, act: Callable[[str], None]) -> None:
        """In both pools; then packets see it."""
        for pool in POOLS.values():
            act(pool)
        self.balancer.wait_applied()

    def wait_health(self, down: set[str]) -> None:
        """Until these servers are down, the others up, and packets see it."""
        for pool in POOLS.values():
            for server in SERVERS:
                is_so = partial(self._is_down, pool, server, server in down)
                self.balancer.wait_for(f"the health of {pool}/{server}", is_so)
        self.wait_settled()

    def _is_down(self, pool: str, server: str, down: bool) -> bool:
        return self.balancer.backend(pool, server).status.health == (2 if down else 1)

    def wait_settled(self) -> None:
        """Observed state has no revision to wait for: until no generation waits for two looks."""
        time.sleep(0.3)
        self.balancer.wait_for("all workers", lambda: self.balancer.node().generations_waiting == 0)

    def ports(self, count: int) -> range:
        """Client ports that nobody used yet."""
        start, self._port = self._port, self._port + count
        assert self._port <= 65_000
        return range(start, self._port)

    def begin(self) -> None:
        """Flows over all servers; counters from here on."""
        self.traffic.end_flows()
        self.traffic.report()
        self.traffic.allow_move("b2")
        ports = self.ports(FLOWS)
        for protocol in POOLS:
            assert set(self.traffic.open(protocol, ports)) == set(SERVERS)
        self._counted = self.counters()

    def look(self, wait_s: float = 8.0) -> Seen:
        """What held and new flows see now; new ones wait so long for an answer."""
        held = Counter({protocol: self.traffic.held_by("b2", protocol) for protocol in POOLS})
        self.traffic.settle(time.monotonic(), HOLD_S)
        report = self.traffic.report()
        grown = self.counters() - self._counted
        ports = self.ports(PROBES)
        new = {
            protocol: Counter(self.traffic.probe(protocol, ports, wait_s=wait_s).values())
            for protocol in POOLS
        }
        return Seen(held, report, new, grown)

    def counters(self) -> Counter[str]:
        """Packets by verdict and events since the segment was made."""
        statistics = self.balancer.statistics(count=False)
        return Counter({**statistics.verdicts, **statistics.events})


@pytest.fixture(scope="module")
def testbed() -> Iterator[Life]:
    with demo.testbed("test-life", "af_packet") as (balancer, traffic):
        life = Life(balancer, traffic)
        life.configure()
        life.wait_health(set())
        yield life


@pytest.fixture
def life(testbed: Life) -> Iterator[Life]:
    """All as at first, whatever the last test did."""
    testbed.begin()
    yield testbed
    for server in SERVERS:
        for pool in POOLS.values():
            if server not in _backends(testbed, pool):
                testbed.create_backend(pool, server)
            testbed.balancer.undrain(pool, server)
            testbed.operator.set_weight(pool, server, 1)
    testbed.both(lambda pool: testbed.operator.set_fail_open(pool, False))
    testbed.wait_health(set())


def _backends(life: Life, pool: str) -> set[str]:
    stored = life.operator.export().configuration.backends
    names = (one.name.split("/") for one in stored)
    return {name[3] for name in names if name[1] == pool}


def assert_new_are(seen: Seen, *servers: str) -> None:
    """New connections of both kinds are all answered, by these and no others."""
    for protocol, share in seen.new.items():
        assert share.total() == PROBES, protocol
        assert set(share) == set(servers), protocol


def assert_stays(seen: Seen, *, udp_stays: bool) -> None:
    """No held flow broke; b2's UDP flows are where they were, or all of them elsewhere."""
    assert seen.report.broken == []
    assert seen.held["tcp"] > 0
    assert seen.grown["backend_removed"] == 0
    if udp_stays:
        assert (seen.report.moved, seen.grown["backend_down"]) == (0, 0)
        assert seen.held["udp"] > 0


def assert_moved(seen: Seen, before: Counter[str]) -> None:
    """Exactly b2's flows lost it: TCP ended, UDP went on elsewhere, each counted.

    Where the sweep met an entry before its next packet, that packet is of a new connection.
    """
    assert seen.broken == {"b2": before["tcp"]}
    assert seen.report.moved == before["udp"]
    assert seen.grown["backend_removed"] > 0
    assert seen.grown["backend_removed"] + seen.grown["connection_new"] >= before.total()


def held_by_b2(life: Life) -> Counter[str]:
    """How many it has."""
    return Counter({protocol: life.traffic.held_by("b2", protocol) for protocol in POOLS})


def test_weight_0(life: Life) -> None:
    """Weight 0: new ones elsewhere, all established stay; with a weight again it gets new ones."""
    before = held_by_b2(life)
    life.both(lambda pool: life.operator.set_weight(pool, "b2", 0))
    seen = life.look()
    assert_stays(seen, udp_stays=True)
    assert seen.held == before
    assert_new_are(seen, "b1", "b3")
    life.both(lambda pool: life.operator.set_weight(pool, "b2", 1))
    assert_new_are(life.look(), *SERVERS)


def test_drain_and_undrain(life: Life) -> None:
    """Draining is as weight 0; undrain ends it."""
    before = held_by_b2(life)
    life.both(lambda pool: life.operator.drain(pool, "b2"))
    seen = life.look()
    assert_stays(seen, udp_stays=True)
    assert seen.held == before
    assert_new_are(seen, "b1", "b3")
    life.both(lambda pool: life.balancer.undrain(pool, "b2"))
    assert_new_are(life.look(), *SERVERS)


def test_health_down(life: Life) -> None:
    """A false alarm breaks nothing: TCP stays, UDP selects again, new ones go elsewhere until it is up."""
    before = held_by_b2(life)
    life.stop_check("b2")
    life.wait_health({"b2"})
    seen = life.look()
    assert_stays(seen, udp_stays=False)
    assert (seen.held["tcp"], seen.report.moved) == (before["tcp"], before["udp"])
    assert seen.grown["backend_down"] >= before["udp"]
    assert_new_are(seen, "b1", "b3")
    life.start_check("b2")
    life.wait_health(set())
    assert_new_are(life.look(), *SERVERS)


def test_disable_and_undrain(life: Life) -> None:
    """Disabled by verb is as down, whatever the health check says; undrain ends it."""
    before = held_by_b2(life)
    life.both(lambda pool: life.operator.disable(pool, "b2"))
    seen = life.look()
    assert_stays(seen, udp_stays=False)
    assert (seen.held["tcp"], seen.report.moved) == (before["tcp"], before["udp"])
    assert seen.grown["backend_down"] >= before["udp"]
    assert_new_are(seen, "b1", "b3")
    life.both(lambda pool: life.balancer.undrain(pool, "b2"))
    assert_new_are(life.look(), *SERVERS)


def test_drain_deadline(life: Life) -> None:
    """Until the deadline all stay; then b2's flows select again, and no other's."""
    before = held_by_b2(life)
    start = time.monotonic()
    life.both(lambda pool: life.operator.drain(pool, "b2", DEADLINE_MS))
    report = life.traffic.report()
    assert time.monotonic() - start < DEADLINE_MS / 1000, "too slow a machine for this test"
    assert (report.broken, report.moved) == ([], 0)
    time.sleep(start + DEADLINE_MS / 1000 - time.monotonic())
    wait_removed(life)
    seen = life.look()
    assert_moved(seen, before)
    assert_new_are(seen, "b1", "b3")


def wait_removed(life: Life) -> None:
    """Until b2's drains have passed and packets see it."""
    for pool in POOLS.values():
        life.balancer.wait_for(f"{pool}/b2 to be drained", partial(_is_drained, life, pool))
    life.wait_settled()


def _is_drained(life: Life, pool: str) -> bool:
    return life.balancer.backend(pool, "b2").status.drained


def test_forced_drain_and_undrain(life: Life) -> None:
    """Deadline 0: at once. Undrain brings the backend back for new connections."""
    before = held_by_b2(life)
    life.both(lambda pool: life.operator.drain(pool, "b2", 0))
    seen = life.look()
    assert_moved(seen, before)
    assert_new_are(seen, "b1", "b3")
    life.both(lambda pool: life.balancer.undrain(pool, "b2"))
    assert_new_are(life.look(), *SERVERS)


def test_deleted(life: Life) -> None:
    """Deleted is as a forced drain."""
    before = held_by_b2(life)
    life.both(lambda pool: life.operator.delete_backend(pool, "b2"))
    seen = life.look()
    assert_moved(seen, before)
    assert_new_are(seen, "b1", "b3")


def test_deadline_passes_without_a_control_plane(life: Life) -> None:
    """Deadlines are kept by the store: one that passes while no control plane runs is met by the next."""
    before = held_by_b2(life)
    life.both(lambda pool: life.operator.drain(pool, "b2", DEADLINE_MS))
    life.balancer.kill(CONTROLPLANE)
    time.sleep(DEADLINE_MS / 1000)
    assert life.traffic.report().broken == []
    life.balancer.start_controlplane()
    wait_removed(life)
    assert_moved(life.look(), before)


def test_restart_rewrites_nothing(life: Life) -> None:
    """With every kind of backend there is, a killed control plane's successor keeps the generation."""
    life.both(lambda pool: life.operator.set_weight(pool, "b1", 3))
    life.both(lambda pool: life.operator.drain(pool, "b2", 3_600_000))
    life.both(lambda pool: life.operator.disable(pool, "b3"))
    before = life.balancer.node()
    life.balancer.kill(CONTROLPLANE)
    life.balancer.start_controlplane()
    life.balancer.wait_applied()
    life.wait_health(set())
    assert life.balancer.node().generation == before.generation
    assert_new_are(life.look(), "b1")


def assert_unanswered(life: Life, held: Counter[str]) -> None:
    """Held flows stay, TCP and UDP; new ones end in no_backend."""
    before = life.counters()
    seen = life.look(wait_s=1.5)
    assert (seen.report.broken, seen.report.moved, seen.held) == ([], 0, held)
    assert seen.new == {protocol: Counter() for protocol in POOLS}
    assert (life.counters() - before)["no_backend"] >= 2 * PROBES


def test_all_dead(life: Life) -> None:
    """All down: established stay, UDP too, and new ones end in no_backend; with fail_open all get them."""
    life.traffic.allow_move(*SERVERS)
    for server in SERVERS:
        life.stop_check(server)
    life.wait_health(set(SERVERS))
    life.traffic.settle(time.monotonic(), HOLD_S)
    assert life.traffic.report().broken == []
    life.traffic.allow_move()
    held = held_by_b2(life)
    assert_unanswered(life, held)

    life.both(lambda pool: life.operator.set_fail_open(pool, True))
    seen = life.look()
    assert (seen.report.broken, seen.report.moved, seen.held) == ([], 0, held)
    assert_new_are(seen, *SERVERS)
    for server in SERVERS:
        life.start_check(server)
    life.wait_health(set())


def test_all_drained(life: Life) -> None:
    """A pool that has nothing to choose from is as one that is all dead."""
    held = held_by_b2(life)
    for pool in POOLS.values():
        for server in SERVERS:
            life.operator.drain(pool, server)
    life.balancer.wait_applied()
    assert_unanswered(life, held)


def test_empty_pool(life: Life) -> None:
    """All deleted: nothing answers, every packet ends in no_backend, and it is counted why."""
    for pool in POOLS.values():
        for server in SERVERS:
            life.operator.delete_backend(pool, server)
    life.balancer.wait_applied()
    before = life.counters()
    time.sleep(HOLD_S)
    grown = life.counters() - before
    assert grown["backend_removed"] > 0
    assert grown["no_backend"] >= grown["backend_removed"]
