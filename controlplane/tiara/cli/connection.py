# SPDX-License-Identifier: Apache-2.0
"""tiara connection: the node's connection table."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, TextIO

import click
from rich.console import Console
from rich.progress import track
from rich.text import Text

from tiara import client
from tiara.cli import complete, output, values
from tiara.cli import service as service_command
from tiara.cli.connection_flush import filters
from tiara.cli.connection_watch import follow
from tiara.cli.errors import Refused
from tiara.cli.options import Reader, reads, watches
from tiara.v1 import connection_pb2 as pb
from tiara.v1 import virtual_service_pb2

REFUSALS_SHOWN = 5

_CONFLICT = {"keep": pb.ON_CONFLICT_KEEP, "replace": pb.ON_CONFLICT_REPLACE}
_REASON = {
    pb.PUSH_REFUSAL_REASON_FULL: "both buckets of its key are full",
    pb.PUSH_REFUSAL_REASON_CONFLICT: "it is there with another backend (--on-conflict replace)",
}


@click.group()
def connection() -> None:
    """The node's connection table."""


@connection.command("list")
@filters
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="0: all.")
@watches
def list_(read: Reader, wanted: dict[str, Any], limit: int) -> None:
    """List connections, in no order. Filters must all fit.

    With --watch each is a line with +, then come those that are new (+), have
    another state or backend (~) or are gone (-), whatever the limit; at most
    10,000 may fit.

    \b
    tiara connections list --backend web/b2 --watch
    """
    if read.watching:
        follow(read, pb.WatchConnectionsRequest(**wanted))
        return
    request = pb.ListConnectionsRequest(**wanted)

    def fetch() -> pb.ListConnectionsResponse:
        request.page_token = ""
        answer = read.session.pages(
            read.session.connections.ListConnections,
            request,
            limit,
            lambda answer: len(answer.connections),
        )
        del answer.connections[limit or len(answer.connections) :]
        return answer

    read.show(fetch, lambda answer: _table(read, answer))


@connection.command()
@click.argument("protocol", type=click.Choice(list(values.PROTOCOLS)))
@click.argument("client_endpoint", type=values.ENDPOINT, metavar="CLIENT:PORT")
@click.argument("frontend", type=values.ENDPOINT, metavar="VIP:PORT")
@reads
def get(read: Reader, protocol: str, client_endpoint: tuple[str, int], frontend: tuple[str, int]) -> None:
    """Look one connection up.

    \b
    tiara connection get tcp 198.18.0.7:40000 198.18.100.1:443
    """
    request = pb.GetConnectionRequest(
        protocol=values.PROTOCOLS[protocol],
        client_address=client_endpoint[0],
        client_port=client_endpoint[1],
        address=frontend[0],
        port=frontend[1],
    )
    read.show(
        lambda: read.session.call(read.session.connections.GetConnection, request),
        _details if read.wide else sentence,
    )


@connection.command()
@click.option(
    "--service",
    required=True,
    metavar="NAME",
    shell_complete=complete.services,
    help="The service they belong to.",
)
@click.option(
    "--backend",
    required=True,
    type=values.BACKEND,
    metavar="POOL/NAME",
    shell_complete=complete.backends,
    help="Who serves them.",
)
@click.option(
    "--frontend",
    type=values.FRONTEND,
    metavar="PROTOCOL:ADDRESS:PORT",
    help="Which frontend, where the service has several.",
)
@click.option("--state", type=click.Choice(list(values.STATES)), help="established for TCP.")
@click.option("--idle", type=values.DURATION, default="0s", help="How long they were silent.")
@click.option(
    "--on-conflict",
    type=click.Choice(list(_CONFLICT)),
    default="keep",
    show_default=True,
    help="What happens to a connection that is there with another backend.",
)
@click.argument("file", type=click.File())
@reads
def push(
    read: Reader,
    *,
    service: str,
    backend: str,
    frontend: virtual_service_pb2.Frontend | None,
    state: str | None,
    idle: timedelta,
    on_conflict: str,
    file: TextIO,
) -> None:
    """Put connections into the table, pinned to one backend.

    FILE (- is stdin) has a line "client:port" for each; # begins a comment.

    \b
    echo 198.18.0.7:40000 | tiara connection push --service web --backend web/b1 -
    """
    found = service_command.fetch(read.session, service)
    chosen = _choose_frontend(found, frontend)
    wanted = [
        client.PushedConnection(
            address,
            port,
            found.name,
            backend,
            frontend=f"{values.protocol(chosen.protocol)}:{chosen.address}:{chosen.port}",
            state=values.STATES[state] if state else _usual_state(chosen),
            idle_s=int(idle.total_seconds()),
        )
        for address, port in _read_clients(file)
    ]
    total = _push(read, wanted, _CONFLICT[on_conflict])
    read.show(lambda: total, lambda answer: _summary(answer, len(wanted), backend))
    _refuse_if_any(total, wanted)


def _choose_frontend(
    found: virtual_service_pb2.VirtualService, wanted: virtual_service_pb2.Frontend | None
) -> virtual_service_pb2.Frontend:
    if wanted is not None:
        return wanted
    if len(found.frontends) == 1:
        return found.frontends[0]
    known = ", ".join(f"{values.protocol(f.protocol)}:{f.address}:{f.port}" for f in found.frontends)
    raise click.UsageError(
        f"{values.short(found.name)} has several frontends: give --frontend, one of {known}"
    )


def _usual_state(frontend: virtual_service_pb2.Frontend) -> "pb.ConnectionState.ValueType":
    is_udp = frontend.protocol == virtual_service_pb2.PROTOCOL_UDP
    return pb.CONNECTION_STATE_UDP if is_udp else pb.CONNECTION_STATE_ESTABLISHED


def _read_clients(file: TextIO) -> Iterator[tuple[str, int]]:
    for number, line in enumerate(file, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            yield client.parse_endpoint(text)
        except ValueError as error:
            raise click.UsageError(f"{file.name}, line {number}: {error}; nothing was pushed") from error


def _push(
    read: Reader,
    wanted: list[client.PushedConnection],
    on_conflict: "pb.OnConflict.ValueType",
) -> pb.PushConnectionsResponse:
    header, records = client.pack_connections(wanted)
    header.on_conflict = on_conflict
    total = pb.PushConnectionsResponse()
    for answer in _shown(client.push_answers(read.session.channel, header, records), len(records)):
        client.add_answer(total, answer)
    return total


def _shown(
    answers: Iterable[pb.PushConnectionsResponse], size_bytes: int
) -> Iterable[pb.PushConnectionsResponse]:
    """A progress bar on a terminal where there are several chunks."""
    chunks = -(-size_bytes // client.CHUNK_BYTES)
    console = Console(stderr=True)
    if chunks < 2 or not console.is_terminal:
        return answers
    return track(answers, "pushing", total=chunks, console=console, transient=True)


def _summary(answer: pb.PushConnectionsResponse, wanted: int, backend: str) -> Text:
    accepted = values.count(answer.accepted)
    return Text(f"{accepted} of {values.count(wanted)} connections pinned to {values.short(backend)}")


def _refuse_if_any(answer: pb.PushConnectionsResponse, wanted: list[client.PushedConnection]) -> None:
    if not answer.refusals:
        return
    lines = [f"{values.count(len(answer.refusals))} of {values.count(len(wanted))} were not taken:"]
    for refusal in answer.refusals[:REFUSALS_SHOWN]:
        item = wanted[refusal.index]
        reason = _REASON.get(refusal.reason, "for an unknown reason")
        lines.append(f"  {item.client_address}:{item.client_port}: {reason}")
    if len(answer.refusals) > REFUSALS_SHOWN:
        lines.append("  ... -o json lists them all by position")
    raise Refused("\n".join(lines))


def sentence(found: pb.Connection) -> Text:
    """A connection in one line."""
    protocol = values.protocol(found.protocol)
    service = values.short(found.virtual_service)
    backend = values.short(found.backend).partition("/")[2] or "a removed backend"
    seen = "not seen yet" if found.pushed else f"seen {found.idle.seconds} s ago"
    if found.offloaded:
        seen = "in the card"
    return Text(
        f"connection {protocol} {found.client_address}:{found.client_port} -> {service} {backend}"
        f" by {found.forwarding or '-'}, {values.state(found.state)}, {seen}"
    )


def _details(found: pb.Connection) -> Text:
    return output.fields(
        [
            ("Protocol", values.protocol(found.protocol)),
            ("Client", f"{found.client_address}:{found.client_port}"),
            ("Frontend", f"{found.address}:{found.port}"),
            ("Service", values.short(found.virtual_service)),
            ("Backend", values.short(found.backend) or "removed"),
            ("Forward", found.forwarding),
            ("State", values.state(found.state)),
            ("Idle", values.duration(found.idle)),
            ("Expires", values.duration(found.expires)),
            ("Pushed", "yes, not seen yet" if found.pushed else "no"),
            ("Tier", _tier(found)),
        ]
    )


def _table(read: Reader, answer: pb.ListConnectionsResponse) -> Text:
    titles = ["Prot", "Client", "VIP", "Backend", "State", ">Idle"]
    if read.wide:
        titles += [">Expires", "Service", "Forward", "Pushed", "Tier"]
    rows = [_cells(found) + (_wide_cells(found) if read.wide else []) for found in answer.connections]
    return output.table(titles, rows)


def _cells(found: pb.Connection) -> list[output.Cell]:
    return [
        values.protocol(found.protocol),
        f"{found.client_address}:{found.client_port}",
        f"{found.address}:{found.port}",
        values.short(found.backend) or "removed",
        values.state(found.state),
        values.duration(found.idle),
    ]


def _wide_cells(found: pb.Connection) -> list[output.Cell]:
    return [
        values.duration(found.expires),
        values.short(found.virtual_service),
        found.forwarding,
        "yes" if found.pushed else "no",
        _tier(found),
    ]


def _tier(found: pb.Connection) -> str:
    return "card" if found.offloaded else "cpu"
