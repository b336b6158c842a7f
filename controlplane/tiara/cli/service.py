# SPDX-License-Identifier: Apache-2.0
"""tiara service: what clients connect to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import click
import grpc
from google.protobuf.duration_pb2 import Duration
from rich.text import Text

from tiara import client
from tiara.cli import backend, complete, output, pool, values
from tiara.cli.options import Reader, Writer, reads, watches, writes
from tiara.cli.session import Session
from tiara.v1 import backend_pool_pb2, node_pb2
from tiara.v1 import virtual_service_pb2 as pb


@click.group()
def service() -> None:
    """What clients connect to: frontends served by one pool."""


@service.command()
@click.argument("name")
@click.option(
    "--frontend",
    "frontends",
    type=values.FRONTEND,
    multiple=True,
    required=True,
    metavar="PROTOCOL:ADDRESS:PORT",
    help="tcp:198.18.100.1:80. May be repeated.",
)
@click.option(
    "--pool", "pool_id", required=True, metavar="POOL", help="Who serves it.", shell_complete=complete.pools
)
@click.option(
    "--allow-source",
    "sources",
    multiple=True,
    metavar="PREFIX",
    help="Who may begin connections, as 198.18.64.0/24. May be repeated. Default everybody.",
)
@click.option(
    "--max-new-per-second",
    "max_new",
    type=click.IntRange(0, 0xFFFFFFFF),
    default=0,
    help="New connections a second. Default no limit.",
)
@click.option("--timeout-new", type=values.DURATION, help="Idle TCP after a SYN, default 1m.")
@click.option("--timeout-established", type=values.DURATION, help="Idle TCP after data, default 30m.")
@click.option("--timeout-closing", type=values.DURATION, help="Idle TCP after FIN or RST, default 1m.")
@click.option("--timeout-udp", type=values.DURATION, help="Idle UDP, default 2m.")
@writes
def create(
    write: Writer,
    name: str,
    *,
    frontends: tuple[pb.Frontend, ...],
    pool_id: str,
    sources: tuple[str, ...],
    max_new: int,
    timeout_new: timedelta | None,
    timeout_established: timedelta | None,
    timeout_closing: timedelta | None,
    timeout_udp: timedelta | None,
) -> None:
    """Create a virtual service.

    \b
    tiara service create web --frontend tcp:198.18.100.1:80 --pool web
    tiara service create db --frontend tcp:198.18.100.2:5432 --pool db \\
        --allow-source 198.18.64.0/24 --max-new-per-second 200
    """
    wanted = pb.VirtualService(
        frontends=frontends,
        backend_pool=client.pool_name(pool_id),
        timeouts=pb.Timeouts(
            tcp_new=_optional(timeout_new),
            tcp_established=_optional(timeout_established),
            tcp_closing=_optional(timeout_closing),
            udp=_optional(timeout_udp),
        ),
        allow_sources=values.sources(sources),
        max_new_connections_per_second=max_new,
    )
    request = pb.CreateVirtualServiceRequest(virtual_service_id=name, virtual_service=wanted)
    created = write.session.call(write.session.services.CreateVirtualService, request)
    write.done(f"service {name} created", created)


def _optional(value: timedelta | None) -> Duration | None:
    return None if value is None else values.to_duration(value)


@service.command()
@click.argument("name", shell_complete=complete.services)
@reads
def get(read: Reader, name: str) -> None:
    """Show a service."""
    read.show(lambda: fetch(read.session, name), _details)


@service.command("list")
@watches
def list_(read: Reader) -> None:
    """List services; with -o wide also their backends, as ipvsadm does."""
    read.show(
        lambda: fetch_all(read.session),
        lambda answer: _tree(read.session, answer) if read.wide else _table(answer),
    )


@service.command()
@click.argument("name", shell_complete=complete.services)
@writes
def delete(write: Writer, name: str) -> None:
    """Delete a service: its packets end in the verdict no_service."""
    request = pb.DeleteVirtualServiceRequest(name=client.service_name(name))
    write.session.call(write.session.services.DeleteVirtualService, request)
    write.done(f"service {name} deleted")


def fetch(session: Session, name: str) -> pb.VirtualService:
    """The service with this id."""
    request = pb.GetVirtualServiceRequest(name=client.service_name(name))
    return session.call(session.services.GetVirtualService, request)


def fetch_all(session: Session) -> pb.ListVirtualServicesResponse:
    """Every service."""
    request = pb.ListVirtualServicesRequest()
    return session.pages(session.services.ListVirtualServices, request)


def _details(found: pb.VirtualService) -> Text:
    times = found.timeouts
    return output.fields(
        [
            ("Service", values.short(found.name)),
            *((_frontend_title(i), values.frontend(f)) for i, f in enumerate(found.frontends)),
            ("Pool", values.short(found.backend_pool)),
            *((_source_title(i), prefix) for i, prefix in enumerate(found.allow_sources or ["everybody"])),
            ("New per second", found.max_new_connections_per_second or "no limit"),
            ("Timeout new", _timeout(times, "tcp_new", "1m")),
            ("Timeout established", _timeout(times, "tcp_established", "30m")),
            ("Timeout closing", _timeout(times, "tcp_closing", "1m")),
            ("Timeout udp", _timeout(times, "udp", "2m")),
            ("Created", values.moment(found.create_time)),
            ("Revision", found.revision),
            ("Uid", found.uid),
            ("Etag", found.etag),
        ]
    )


def _frontend_title(position: int) -> str:
    return "Frontend" if position == 0 else " " * len("Frontend")


def _source_title(position: int) -> str:
    return "Sources" if position == 0 else " " * len("Sources")


def _timeout(timeouts: pb.Timeouts, field: str, default: str) -> str:
    is_set = any(descriptor.name == field for descriptor, _ in timeouts.ListFields())
    return values.duration(getattr(timeouts, field)) if is_set else default


def _table(answer: pb.ListVirtualServicesResponse) -> Text:
    rows = [_cells(found, f) for found in answer.virtual_services for f in found.frontends]
    return output.table(["Prot", "Address:Port", "Service", "Pool"], rows)


def _cells(found: pb.VirtualService, frontend: pb.Frontend) -> list[output.Cell]:
    return [
        values.protocol(frontend.protocol),
        f"{frontend.address}:{frontend.port}",
        values.short(found.name),
        values.short(found.backend_pool),
    ]


def _sources(found: pb.VirtualService) -> str:
    """all, the one prefix, or the first and how many more."""
    first, more = next(iter(found.allow_sources), "all"), len(found.allow_sources) - 1
    return f"{first} +{more}" if more > 0 else first


@dataclass(frozen=True)
class _World:
    """What a tree of services shows beside them, by the API's names."""

    pools: dict[str, backend_pool_pb2.BackendPool]
    backends: list[backend_pool_pb2.Backend]
    counted: dict[str, node_pb2.BackendStatistics]

    def members(self, pool_name: str) -> Iterable[backend_pool_pb2.Backend]:
        """The pool's backends."""
        return (b for b in self.backends if b.name.startswith(f"{pool_name}/backends/"))

    def mode(self, pool_name: str) -> str:
        """l2, vxlan or ipip."""
        found = self.pools.get(pool_name)
        return pool.mode_text(found.forwarding_mode) if found else "-"

    def policy(self, pool_name: str) -> str:
        """maglev, wrr or rendezvous."""
        found = self.pools.get(pool_name)
        return pool.policy_text(found.policy) if found else "-"


def _look(session: Session) -> _World:
    return _World(
        pools={p.name: p for p in pool.fetch_all(session).backend_pools},
        backends=list(backend.fetch_all(session).backends),
        counted=_count(session),
    )


def _count(session: Session) -> dict[str, node_pb2.BackendStatistics]:
    """Counters of each backend; none where no data plane has made a table yet."""
    request = node_pb2.GetStatisticsRequest(count_connections=True)
    try:
        statistics = session.call(session.node.GetStatistics, request)
    except grpc.RpcError:
        return {}
    return {b.backend: b for b in statistics.backends}


def _tree(session: Session, answer: pb.ListVirtualServicesResponse) -> Text:
    world, found = _look(session), answer.virtual_services
    heads = _lines(_HEAD_TITLES, [_head(world, s, f) for s in found for f in s.frontends])
    members = _lines(
        _MEMBER_TITLES, [_member(world, m) for s in found for m in world.members(s.backend_pool)]
    )
    parts = [next(heads), Text("  -> ") + next(members)]
    for one in found:
        parts += [next(heads) for _ in one.frontends]
        parts += [Text("  -> ") + next(members) for _ in world.members(one.backend_pool)]
    return Text("\n").join(parts)


_HEAD_TITLES = ["Prot", "Address:Port", "Service", "Pool", "Policy", "Sources", ">New/s"]
_MEMBER_TITLES = ["Backend", "Address", "Forward", ">Weight", "Health", "State", ">Live", ">Max", ">Want"]


def _lines(titles: list[str], rows: list[list[output.Cell]]) -> Iterator[Text]:
    """The lines of a table, its titles first."""
    return iter(output.table(titles, rows).split("\n"))


def _head(world: _World, found: pb.VirtualService, frontend: pb.Frontend) -> list[output.Cell]:
    return [
        *_cells(found, frontend),
        world.policy(found.backend_pool),
        _sources(found),
        found.max_new_connections_per_second or "-",
    ]


def _member(world: _World, found: backend_pool_pb2.Backend) -> list[output.Cell]:
    counted = world.counted.get(found.name)
    return [
        values.short(found.name),
        backend.endpoint_text(found),
        world.mode(found.name.partition("/backends/")[0]),
        backend.weight(found),
        backend.health_text(found),
        backend.state_text(found),
        values.count(counted.connections) if counted else "-",
        found.max_connections or "-",
        values.share(counted.wanted_share) if counted else "-",
    ]
