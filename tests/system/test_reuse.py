# SPDX-License-Identifier: Apache-2.0
"""1,000 services and backends deleted and made again under load: index reuse (docs/design, the generations page).

One client port asks every service. The entries it leaves outlive the services, so a new service that
got an old one's index too early would find them and send its packets to the old one's backend.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from testbed import demo
from testbed.balancer import Balancer
from testbed.topology import UDP_PORTS, server_address
from testbed.traffic import Traffic

SERVICES = 1000
ROUNDS = 3
CLIENT_PORT = 46000
ROWS = 251
APPLY_S = 120.0
SIZES = {"connections": 65536, "services": 8192, "backends": 8192, "heap-mb": 256}
TARGETS = [
    (f"198.18.100.{100 + number // len(UDP_PORTS)}", UDP_PORTS[number % len(UDP_PORTS)])
    for number in range(SERVICES)
]


@dataclass
class World:
    """All services of one round. Round by round each has another server and another place in the order."""

    balancer: Balancer
    number: int

    def pool(self, service: int) -> str:
        """Shifted against the services' order, so that equal indices of both kinds never meet again."""
        return f"p{(service + self.number) % SERVICES:04d}"

    def server(self, service: int) -> str:
        """Who serves it this round."""
        return f"b{(service + self.number) % 3 + 1}"

    def create(self) -> None:
        """Pools and backends in the order of pools, then services."""
        for position in range(SERVICES):
            service = (position - self.number) % SERVICES
            server = self.server(service)
            self.balancer.create_pool(self.pool(service), "l2", rows=ROWS)
            self.balancer.create_backend(self.pool(service), server, server_address(int(server[1:])))
        for service, (address, port) in enumerate(TARGETS):
            self.balancer.create_service(f"s{service:04d}", self.pool(service), f"udp:{address}:{port}")
        self.balancer.wait_applied(APPLY_S)

    def delete(self) -> None:
        """All of it."""
        for service in range(SERVICES):
            self.balancer.delete_service(f"s{service:04d}")
        for service in range(SERVICES):
            self.balancer.delete_pool(self.pool(service))
        self.balancer.wait_applied(APPLY_S)

    def count_wrong(self, traffic: Traffic) -> int:
        """Services that another server than theirs answers, or none."""
        answers = traffic.ask(CLIENT_PORT, TARGETS)
        return sum(answer != self.server(service) for service, answer in enumerate(answers))


def wrong_after_each_round(name: str, environment: dict[str, str], rounds: int) -> list[int]:
    """Runs the rounds beside the demo's held traffic, none of which may break."""
    with demo.testbed(name, "af_packet", SIZES, environment) as (balancer, traffic):
        run = demo.Demo(balancer, traffic, hold_s=0.2, show=lambda _: None)
        run.step("traffic", run.start_traffic)
        wrong = []
        for number in range(rounds):
            world = World(balancer, number)
            world.create()
            wrong.append(world.count_wrong(traffic))
            if number + 1 < rounds:
                world.delete()
        traffic.settle(time.monotonic(), hold_s=0.5)
        assert traffic.report().broken == []
        return wrong


def test_recreated_services_are_served_by_their_own_backends() -> None:
    """Each of 1,000 services is answered by its server, in every round."""
    assert wrong_after_each_round("test-reuse", {}, ROUNDS) == [0] * ROUNDS


def test_without_quarantine_old_entries_are_taken_for_new_ones() -> None:
    """The same with quarantine switched off goes wrong: the test above can fail."""
    first, second = wrong_after_each_round("test-noquar", {"TIARA_TEST_NO_QUARANTINE": "1"}, 2)
    assert first == 0
    assert second > 0
