# SPDX-License-Identifier: Apache-2.0
"""Names for shell completion, asked from the server; none where it does not answer at once."""

from collections.abc import Callable, Iterable

import click
import grpc

from tiara.cli import lbfile, values
from tiara.cli.session import PAGE_SIZE, Session, session_of
from tiara.v1 import backend_pool_pb2 as pool_pb
from tiara.v1 import configuration_pb2
from tiara.v1 import virtual_service_pb2 as service_pb

TIMEOUT_S = 0.5

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _as_is(name: str) -> str:
    return name


def _completer(
    fetch: Callable[[Session], Iterable[str]], shown: Callable[[str], str] = values.short
) -> Completer:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        try:
            names = [shown(name) for name in fetch(session_of(ctx))]
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


def _names(session: Session) -> Iterable[str]:
    yield from (f"backendPools/{name}" for name in map(values.short, _pools(session)))
    yield from (f"virtualServices/{name}" for name in map(values.short, _services(session)))
    yield from map(values.short, _backends(session))


def _revisions(session: Session) -> Iterable[str]:
    request = configuration_pb2.ListRevisionsRequest(page_size=PAGE_SIZE)
    answer = session.configuration.ListRevisions(request, timeout=TIMEOUT_S)
    return (str(found.revision) for found in answer.revisions)


def _owners(session: Session) -> Iterable[str]:
    request = configuration_pb2.ExportConfigurationRequest()
    return lbfile.owners(session.configuration.ExportConfiguration(request, timeout=TIMEOUT_S).configuration)


pools = _completer(_pools)
backends = _completer(_backends)
services = _completer(_services)
resources = _completer(_names, _as_is)
revisions = _completer(_revisions, _as_is)
owners = _completer(_owners, _as_is)
