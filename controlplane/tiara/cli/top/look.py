# SPDX-License-Identifier: Apache-2.0
"""What one look at the balancer finds, and what has changed a second since the look before."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from tiara.cli import backend, service
from tiara.cli.session import Session
from tiara.v1 import backend_pool_pb2, node_pb2, virtual_service_pb2
from tiara.v1 import connection_pb2 as connection_pb

SAMPLE = 10

Service = tuple[str, str]  # the API's name, and its frontend as statistics write it


@dataclass(frozen=True)
class Look:
    """Never scans the table: connections are those that the packet path counts."""

    at_s: float
    node: node_pb2.Node
    statistics: node_pb2.Statistics
    pools: dict[str, str]  # of services
    backends: dict[str, backend_pool_pb2.Backend]
    sample: tuple[connection_pb.Connection, ...]

    @cached_property
    def services(self) -> dict[Service, node_pb2.ServiceStatistics]:
        """Counters by frontend."""
        return {(s.virtual_service, s.frontend): s for s in self.statistics.services}

    @cached_property
    def members(self) -> dict[str, node_pb2.BackendStatistics]:
        """Counters by backend."""
        return {b.backend: b for b in self.statistics.backends}

    @property
    def tracked(self) -> int:
        """Connections of all backends."""
        return sum(b.tracked_connections for b in self.statistics.backends)

    def share(self, name: str) -> float:
        """Of the connections of its pool, those that this backend has."""
        pool = pool_of(name)
        of_pool = sum(b.tracked_connections for n, b in self.members.items() if pool_of(n) == pool)
        return self.members[name].tracked_connections / of_pool if of_pool else 0.0


def pool_of(name: str) -> str:
    """The pool of a backend."""
    return name.partition("/backends/")[0]


def take(session: Session, detail: str) -> Look:
    """Looks now, and at some connections of what is shown in detail (the API's name, or empty)."""
    return Look(
        at_s=time.monotonic(),
        node=session.call(session.node.GetNode, node_pb2.GetNodeRequest()),
        statistics=session.call(session.node.GetStatistics, node_pb2.GetStatisticsRequest()),
        pools={s.name: s.backend_pool for s in _services(session)},
        backends={b.name: b for b in backend.fetch_all(session).backends},
        sample=_sample(session, detail) if detail else (),
    )


def _services(session: Session) -> list[virtual_service_pb2.VirtualService]:
    return list(service.fetch_all(session).virtual_services)


def _sample(session: Session, name: str) -> tuple[connection_pb.Connection, ...]:
    request = connection_pb.ListConnectionsRequest(page_size=SAMPLE)
    if name.startswith("virtualServices/"):
        request.virtual_service = name
    else:
        request.backend = name
    return tuple(session.call(session.connections.ListConnections, request).connections)


@dataclass(frozen=True)
class Change:
    """Two looks; rates are their differences."""

    before: Look
    now: Look

    def rate(self, count: Callable[[Look], int]) -> float:
        """A second; 0 where the counter began anew or there is no earlier look."""
        elapsed_s = self.now.at_s - self.before.at_s
        return max(0, count(self.now) - count(self.before)) / elapsed_s if elapsed_s > 0 else 0.0

    def service(self, key: Service, field: str) -> float:
        """The rate of a counter of a frontend."""
        return self.rate(lambda look: getattr(look.services[key], field) if key in look.services else 0)

    def backend(self, name: str, field: str) -> float:
        """The rate of a counter of a backend."""
        return self.rate(lambda look: getattr(look.members[name], field) if name in look.members else 0)

    def verdict(self, name: str) -> float:
        """Packets a second that ended so."""
        return self.rate(lambda look: look.statistics.verdicts.get(name, 0))
