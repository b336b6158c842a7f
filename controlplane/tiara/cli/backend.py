# SPDX-License-Identifier: Apache-2.0
"""tiara backend: the real servers of a pool."""

from datetime import timedelta

import click
from rich.text import Text

from tiara import client
from tiara.cli import complete, output, values
from tiara.cli.options import Reader, Writer, reads, watches, writes
from tiara.cli.session import Session
from tiara.v1 import backend_pool_pb2 as pb

_HEALTH = {
    pb.HEALTH_STATE_UP: Text("up", "green"),
    pb.HEALTH_STATE_DOWN: Text("down", "red"),
}


_existing = click.argument("name", type=values.BACKEND, metavar="POOL/NAME", shell_complete=complete.backends)


@click.group()
def backend() -> None:
    """The real servers of a pool, named POOL/NAME."""


@backend.command()
@click.argument("name", type=values.BACKEND, metavar="POOL/NAME")
@click.option("--address", required=True, help="IPv4 address.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default the frontend's.")
@click.option("--weight", type=click.IntRange(0, 65535), help="Share of new connections, default 1. 0: none.")
@click.option(
    "--max-connections",
    type=click.IntRange(0, 0xFFFFFFFF),
    default=0,
    help="Connections it has at most; new ones go to others. Default no limit.",
)
@writes
def create(
    write: Writer, name: str, address: str, port: int, weight: int | None, max_connections: int
) -> None:
    """Create a backend in a pool.

    \b
    tiara backend create web/b4 --address 198.18.0.14
    tiara backend create web/b5 --address 198.18.0.15 --max-connections 20000
    """
    parent, _, backend_id = name.partition("/backends/")
    wanted = pb.Backend(address=address, port=port, weight=weight, max_connections=max_connections)
    request = pb.CreateBackendRequest(parent=parent, backend_id=backend_id, backend=wanted)
    created = write.session.call(write.session.pools.CreateBackend, request)
    write.done(f"backend {values.short(name)} created", created)


@backend.command()
@_existing
@reads
def get(read: Reader, name: str) -> None:
    """Show a backend."""
    request = pb.GetBackendRequest(name=name)
    read.show(lambda: read.session.call(read.session.pools.GetBackend, request), _details)


@backend.command("list")
@click.argument("pool", default="-", metavar="[POOL]", shell_complete=complete.pools)
@watches
def list_(read: Reader, pool: str) -> None:
    """List the backends of a pool, or of all."""
    read.show(lambda: fetch_all(read.session, pool), lambda answer: _table(read, answer))


@backend.command()
@_existing
@writes
def delete(write: Writer, name: str) -> None:
    """Delete a backend: its connections select again at their next packet."""
    write.session.call(write.session.pools.DeleteBackend, pb.DeleteBackendRequest(name=name))
    write.done(f"backend {values.short(name)} deleted")


@backend.command()
@_existing
@click.option("--deadline", type=values.DURATION, help="Move its connections after this.")
@click.option("--now", is_flag=True, help="Move its connections at once.")
@writes
def drain(write: Writer, name: str, deadline: timedelta | None, now: bool) -> None:
    """Give a backend no new connections; established ones stay.

    Without --deadline and --now they stay until they end.

    \b
    tiara backend drain web/b2 --deadline 30s
    """
    if now and deadline is not None:
        raise click.UsageError("--deadline and --now exclude each other")
    after = timedelta() if now else deadline
    request = pb.DrainBackendRequest(name=name)
    if after is not None:
        request.deadline.CopyFrom(values.to_duration(after))
    drained = write.session.call(write.session.pools.DrainBackend, request)
    write.done(f"backend {values.short(name)} {_drain_text(after)}", drained)


def _drain_text(after: timedelta | None) -> str:
    if after is None:
        return "draining"
    return f"draining, deadline {values.duration(after)}" if after else "drained at once"


@backend.command()
@_existing
@writes
def undrain(write: Writer, name: str) -> None:
    """End a drain and a disable."""
    request = pb.UndrainBackendRequest(name=name)
    back = write.session.call(write.session.pools.UndrainBackend, request)
    write.done(f"backend {values.short(name)} undrained", back)


def fetch_all(session: Session, pool: str = "-") -> pb.ListBackendsResponse:
    """Every backend of a pool, or of all."""
    request = pb.ListBackendsRequest(parent=client.pool_name(pool))
    return session.pages(session.pools.ListBackends, request)


def is_down(found: pb.Backend) -> bool:
    """Whether its health check says down; one that is not known counts as up."""
    return found.status.health == pb.HEALTH_STATE_DOWN


def weight(found: pb.Backend) -> int:
    """Its weight, 1 unless set."""
    return found.weight if found.HasField("weight") else 1


def health_text(found: pb.Backend) -> Text:
    """up, down, or - where it is not known."""
    return _HEALTH.get(found.status.health, Text("-"))


def state_text(found: pb.Backend) -> Text:
    """active, ramping 30 % (of its weight), disabled, draining, draining 28s (until drained), drained."""
    status = found.status
    if status.drained:
        return Text("drained", "yellow")
    if not status.draining:
        if status.disabled:
            return Text("disabled", "yellow")
        return Text(f"ramping {status.ramp_percent} %", "cyan") if status.ramp_percent else Text("active")
    if not status.HasField("drain_deadline"):
        return Text("draining", "yellow")
    return Text(f"draining {values.duration(values.until(status.drain_deadline))}", "yellow")


def endpoint_text(found: pb.Backend) -> str:
    """Its address, with its port where that is not the frontend's."""
    return f"{found.address}:{found.port}" if found.port else found.address


def _details(found: pb.Backend) -> Text:
    status = found.status
    deadline = values.moment(status.drain_deadline) if status.HasField("drain_deadline") else ""
    return output.fields(
        [
            ("Backend", values.short(found.name)),
            ("Address", found.address),
            ("Port", found.port or "the frontend's"),
            ("Weight", weight(found)),
            ("Max live", found.max_connections or "no limit"),
            ("Health", health_text(found)),
            ("Reason", status.reason),
            ("State", state_text(found)),
            ("Drain deadline", deadline),
            ("Created", values.moment(found.create_time)),
            ("Revision", found.revision),
            ("Uid", found.uid),
            ("Etag", found.etag),
        ]
    )


def _table(read: Reader, answer: pb.ListBackendsResponse) -> Text:
    titles = ["Backend", "Address", ">Weight", "Health", "State", "Reason"]
    if read.wide:
        titles += [">Max", ">Revision", "Created", "Uid"]
    rows = [_cells(found) + (_wide_cells(found) if read.wide else []) for found in answer.backends]
    return output.table(titles, rows)


def _cells(found: pb.Backend) -> list[output.Cell]:
    return [
        values.short(found.name),
        endpoint_text(found),
        weight(found),
        health_text(found),
        state_text(found),
        found.status.reason,
    ]


def _wide_cells(found: pb.Backend) -> list[output.Cell]:
    return [found.max_connections or "-", found.revision, values.moment(found.create_time), found.uid]
