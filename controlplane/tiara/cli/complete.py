# SPDX-License-Identifier: Apache-2.0
"""Names for shell completion, asked from the server; none where it does not answer at once."""

from collections.abc import Callable, Iterable

import click
import grpc

from tiara.cli import values
from tiara.cli.session import PAGE_SIZE, Session, session_of
from tiara.v1 import backend_pool_pb2 as pool_pb
from tiara.v1 import virtual_service_pb2 as service_pb

TIMEOUT_S = 0.5

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _completer(fetch: Callable[[Session], Iterable[str]]) -> Completer:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            names = [values.short(name) for name in fetch(session_of(ctx))]
        except (grpc.RpcError, click.UsageError):
            return []
        return [name for name in names if name.startswith(incomplete)]

    return complete


def _pools(session: Session) -> Iterable[str]:
    request = pool_pb.ListBackendPoolsRequest(page_size=PAGE_SIZE)
    return (p.name for p in session.pools.ListBackendPools(request, timeout=TIMEOUT_S).backend_pools)


def _backends(session: Session) -> Iterable[str]:
    request = pool_pb.ListBackendsRequest(parent="backendPools/-", page_size=PAGE_SIZE)
    return (b.name for b in session.pools.ListBackends(request, timeout=TIMEOUT_S).backends)


def _services(session: Session) -> Iterable[str]:
    request = service_pb.ListVirtualServicesRequest(page_size=PAGE_SIZE)
    answer = session.services.ListVirtualServices(request, timeout=TIMEOUT_S)
    return (s.name for s in answer.virtual_services)


pools = _completer(_pools)
backends = _completer(_backends)
services = _completer(_services)
