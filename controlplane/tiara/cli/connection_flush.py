# SPDX-License-Identifier: Apache-2.0
"""tiara connections flush, and the filters that it shares with list."""

import functools
from datetime import timedelta
from typing import Any

import click
from rich.text import Text

from tiara import client
from tiara.cli import complete, values
from tiara.cli.errors import Refused
from tiara.cli.options import Command, Reader, reads
from tiara.v1 import connection_pb2 as pb

FLUSH_TIMEOUT_S = 120.0
"""A large table takes some seconds."""


def filters(function: Command) -> Command:
    """Adds the options of a filter; passes its fields by the API's names, as `wanted`."""

    @click.option("--service", metavar="NAME", shell_complete=complete.services, help="Only this service's.")
    @click.option(
        "--backend",
        type=values.BACKEND,
        metavar="POOL/NAME",
        shell_complete=complete.backends,
        help="Only this backend's.",
    )
    @click.option("--client", metavar="PREFIX", help="Only of clients in it, as 198.18.0.0/16.")
    @click.option("--state", type=click.Choice(list(values.STATES)), help="Only in this state.")
    @click.option("--idle", type=values.DURATION, help="Only those silent for at least so long, as 5m.")
    @functools.wraps(function)
    def command(
        *arguments: Any,
        service: str | None,
        backend: str | None,
        client: str | None,
        state: str | None,
        idle: timedelta | None,
        **more: Any,
    ) -> None:
        function(*arguments, wanted=_fields(service, backend, client, state, idle), **more)

    return command


def _fields(
    service: str | None, backend: str | None, prefix: str | None, state: str | None, idle: timedelta | None
) -> dict[str, Any]:
    given = {
        "virtual_service": client.service_name(service) if service else None,
        "backend": backend,
        "client_prefix": prefix,
        "state": values.STATES[state] if state else None,
        "min_idle": values.to_duration(idle) if idle else None,
    }
    return {name: value for name, value in given.items() if value is not None}


@click.command()
@filters
@click.option("--yes", is_flag=True, help="All connections of this node, where no filter is given.")
@reads
def flush(read: Reader, *, wanted: dict[str, Any], yes: bool) -> None:
    """Remove connections from the table.

    Their next packets are as a new client's: the selection table says where they go. Give filters, which
    must all fit, or --yes for every connection.

    \b
    tiara connections flush --backend web/b1
    tiara connections flush --service dns --idle 10m
    """
    if not wanted and not yes:
        raise click.UsageError("give a filter, or --yes to remove every connection; nothing was removed")
    request = pb.FlushConnectionsRequest(**wanted, all=not wanted)
    answer = read.session.connections.FlushConnections(request, timeout=FLUSH_TIMEOUT_S)
    read.show(lambda: answer, lambda found: Text(f"{values.count(found.removed)} connections flushed"))
    if not answer.complete:
        raise Refused(
            "some may be left: entries moved faster than the table could be gone through; flush again"
        )
