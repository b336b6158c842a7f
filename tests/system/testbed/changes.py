# SPDX-License-Identifier: Apache-2.0
"""Configuration changes drawn by a seed: single calls, applies, rollbacks.

They may do anything but take the servers away that hold the traffic: only backend b4, pools and
services of their own are ever deleted or drained by force.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable

import grpc
from tiara import client
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import configuration_pb2 as cf
from tiara.v1 import virtual_service_pb2 as vs

from testbed.balancer import CALL_S, Balancer
from testbed.topology import server_address
from testbed.verbs import Operator, backend_of, pool_of, service_of

POOLS = ("web", "echo")
STEADY = ("b2", "b3")
REMOVABLE = "b4"
SIDES = 8
ROLLBACK_DEPTH = 8
_EXPECTED = {
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
}


class Changes:
    """`make` makes one; `made` counts them by name, `revisions` are the last ones, oldest first."""

    def __init__(self, balancer: Balancer, seed: int) -> None:
        self.balancer = balancer
        self.operator = Operator(balancer)
        self.made: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.revisions: deque[int] = deque(maxlen=ROLLBACK_DEPTH)
        self._random = random.Random(seed)
        self._kinds: dict[Callable[[], None], int] = {
            self.weight: 6,
            self.drain: 4,
            self.disable: 2,
            self.undrain: 6,
            self.delete_removable: 2,
            self.create_removable: 4,
            self.force_removable: 1,
            self.side: 4,
            self.timeouts: 2,
            self.check: 2,
            self.apply: 4,
            self.roll_back: 2,
        }

    def make(self) -> None:
        """One that is accepted; a drawn one that makes no sense now is refused, and another is drawn."""
        while True:
            change = self._random.choices(list(self._kinds), list(self._kinds.values()))[0]
            try:
                change()
            except grpc.RpcError as error:
                if error.code() not in _EXPECTED:
                    raise
                self.refused[change.__name__] += 1
            if self._is_new(self.balancer.node().stored_revision):
                self.made[change.__name__] += 1
                return

    def _is_new(self, revision: int) -> bool:
        if self.revisions and revision == self.revisions[-1]:
            return False
        self.revisions.append(revision)
        return True

    def _pool(self) -> str:
        return self._random.choice(POOLS)

    def weight(self) -> None:
        """Any but the first server's, 0 too."""
        backend = self._random.choice((*STEADY, REMOVABLE))
        self.operator.set_weight(self._pool(), backend, self._random.choice((0, 1, 2, 5)))

    def drain(self) -> None:
        """Without a deadline."""
        self.operator.drain(self._pool(), self._random.choice(STEADY))

    def disable(self) -> None:
        """UDP goes elsewhere."""
        self.operator.disable(self._pool(), self._random.choice(STEADY))

    def undrain(self) -> None:
        """Any."""
        self.balancer.undrain(self._pool(), self._random.choice((*STEADY, REMOVABLE)))

    def delete_removable(self) -> None:
        """Its connections break."""
        self.operator.delete_backend(self._pool(), REMOVABLE)

    def create_removable(self) -> None:
        """New, whatever was there before under the name."""
        self.balancer.create_backend(self._pool(), REMOVABLE, server_address(4))

    def force_removable(self) -> None:
        """Likewise."""
        self.operator.drain(self._pool(), REMOVABLE, self._random.choice((0, 300)))

    def side(self) -> None:
        """A pool and its service, of an owner of their own, come or go."""
        number = self._random.randrange(SIDES)
        name = f"side{number}"
        wanted = cf.Configuration(owner=name)
        if self._random.random() < 0.5:
            wanted.backend_pools.append(pool_of(name, 251))
            wanted.backends.append(backend_of(name, "b1", server_address(1)))
            wanted.virtual_services.append(service_of(name, name, f"udp:198.18.100.{50 + number}:5301"))
        self.operator.apply(wanted)

    def timeouts(self) -> None:
        """Of the service with the held TCP connections: far above their pace."""
        wanted = vs.VirtualService(name=client.service_name("web"))
        wanted.timeouts.tcp_established.FromSeconds(self._random.randrange(60, 600))
        request = vs.UpdateVirtualServiceRequest(virtual_service=wanted)
        self.balancer.services.UpdateVirtualService(request, timeout=CALL_S)

    def check(self) -> None:
        """How often a pool's servers are asked."""
        wanted = bp.BackendPool(name=client.pool_name(self._pool()))
        wanted.health_check.interval.FromMilliseconds(self._random.randrange(500, 2000))
        request = bp.UpdateBackendPoolRequest(backend_pool=wanted)
        request.update_mask.paths.append("health_check.interval")
        self.balancer.pools.UpdateBackendPool(request, timeout=CALL_S)

    def apply(self) -> None:
        """What the owner "soak" declares: a few backends and services, or none."""
        numbers = self._random.sample(range(1, 1000), self._random.randrange(0, 30))
        self.operator.apply(declared(numbers, self._random.randrange(0, 12)))

    def roll_back(self) -> None:
        """To one of the last revisions."""
        if self.revisions:
            self.operator.roll_back(self._random.choice(self.revisions))


def declared(numbers: Iterable[int], services: int = 0, weight: int = 1) -> cf.Configuration:
    """These backends of a pool of its own, and so many services."""
    return cf.Configuration(
        owner="soak",
        backend_pools=[pool_of("bulk", 0)],
        backends=[
            backend_of("bulk", f"b{number}", f"198.18.{4 + number // 250}.{number % 250 + 1}", weight)
            for number in numbers
        ],
        virtual_services=[
            service_of(f"bulk{i}", "bulk", f"tcp:198.18.100.{100 + i}:80") for i in range(services)
        ],
    )
