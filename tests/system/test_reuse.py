# SPDX-License-Identifier: Apache-2.0
"""1,000 services and backends deleted and made again under load: indices are reused with care.

One client port asks every service. The entries it leaves outlive the services, so a new service that
got an old one's index too early would find them and send its packets to the old one's backend.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import demo
from testbed.balancer import CONTROLPLANE_PROGRAM
from testbed.topology import UDP_PORTS, server_address
from testbed.traffic import Traffic
from testbed.verbs import Operator, backend_of, pool_of, service_of
from tiara.v1 import configuration_pb2 as cf

CARELESS = (sys.executable, str(Path(__file__).parent / "testbed/no_quarantine.py"))
SERVICES = 1000
BATCH = 100
ROUNDS = 3
CLIENT_PORT = 46000
ROWS = 251
SIZES = {"connections": 65536, "services": 8192, "backends": 8192, "heap-mb": 256}
TARGETS = [
    (f"198.18.100.{100 + number // len(UDP_PORTS)}", UDP_PORTS[number % len(UDP_PORTS)])
    for number in range(SERVICES)
]


@dataclass(frozen=True)
class Round:
    """Who serves what in one round."""

    number: int

    def pool(self, service: int) -> str:
        """In each round another place in its batch, so that equal indices of both kinds do not meet again."""
        first = service - service % BATCH
        return f"p{first + (service + self.number) % BATCH:04d}"

    def server(self, service: int) -> str:
        """In each round another."""
        return f"b{(service + self.number) % 3 + 1}"


def nothing(batch: range) -> cf.Configuration:
    """What the batch's owner has once it is deleted."""
    return cf.Configuration(owner=f"batch{batch.start}")


def declared(batch: range, now: Round) -> cf.Configuration:
    """Pools and backends in the order of pools, then services."""
    wanted = nothing(batch)
    for service in sorted(batch, key=now.pool):
        pool, server = now.pool(service), now.server(service)
        wanted.backend_pools.append(pool_of(pool, ROWS))
        wanted.backends.append(backend_of(pool, server, server_address(int(server[1:]))))
    for service in batch:
        address, port = TARGETS[service]
        frontend = f"udp:{address}:{port}"
        wanted.virtual_services.append(service_of(f"s{service:04d}", now.pool(service), frontend))
    return wanted


def count_wrong(traffic: Traffic, batch: range, now: Round) -> int:
    """Services that another server than theirs answers, or none."""
    answers = traffic.ask(CLIENT_PORT, [TARGETS[service] for service in batch])
    return sum(answer != now.server(service) for service, answer in zip(batch, answers, strict=True))


def wrong_in_each_round(name: str, rounds: int, controlplane: Sequence[str]) -> list[int]:
    """Runs the rounds beside the demo's held traffic, none of which may break.

    Batch by batch, so that a batch is back before the sweep, a pass of 10 s, has met all its entries.
    """
    batches = [range(first, first + BATCH) for first in range(0, SERVICES, BATCH)]
    with demo.testbed(name, "af_packet", SIZES, controlplane) as (balancer, traffic):
        run = demo.Demo(balancer, traffic, hold_s=0.2, show=lambda _: None)
        run.step("traffic", run.start_traffic)
        operator = Operator(balancer)
        wrong = []
        for now in map(Round, range(rounds)):
            wrong.append(0)
            for batch in batches:
                if now.number:
                    traffic.ask(CLIENT_PORT, [TARGETS[service] for service in batch])  # fresh entries
                    operator.apply(nothing(batch))
                    balancer.wait_applied()
                operator.apply(declared(batch, now))
                balancer.wait_applied()
                wrong[-1] += count_wrong(traffic, batch, now)
        traffic.settle(time.monotonic(), hold_s=0.5)
        assert traffic.report().broken == []
        return wrong


def test_recreated_services_are_served_by_their_own_backends() -> None:
    """Each of 1,000 services is answered by its server, in every round."""
    assert wrong_in_each_round("test-reuse", ROUNDS, CONTROLPLANE_PROGRAM) == [0] * ROUNDS


def test_without_quarantine_old_entries_are_taken_for_new_ones() -> None:
    """The same with quarantine switched off goes wrong: the test above can fail."""
    first, second = wrong_in_each_round("test-noquar", 2, CARELESS)
    assert first == 0
    assert second > 0
