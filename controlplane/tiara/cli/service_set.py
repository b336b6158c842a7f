# SPDX-License-Identifier: Apache-2.0
"""tiara service set: changes of a service that is there."""

from datetime import timedelta

import click

from tiara import client
from tiara.cli import complete, values
from tiara.cli.options import Writer, etag_option, masked, writes
from tiara.v1 import virtual_service_pb2 as pb


@click.command("set")
@click.argument("name", shell_complete=complete.services)
@click.option(
    "--frontend",
    "frontends",
    type=values.FRONTEND,
    multiple=True,
    metavar="PROTOCOL:ADDRESS:PORT",
    help="All it is to have. May be repeated.",
)
@click.option("--pool", "pool_id", metavar="POOL", help="Who serves it.", shell_complete=complete.pools)
@click.option(
    "--allow-source",
    "sources",
    multiple=True,
    metavar="PREFIX",
    help="All that may begin connections, or all. May be repeated.",
)
@click.option(
    "--max-new-per-second",
    "max_new",
    type=click.IntRange(0, 0xFFFFFFFF),
    help="New connections a second. 0: no limit.",
)
@click.option("--timeout-new", type=values.DURATION, help="Idle TCP after a SYN.")
@click.option("--timeout-established", type=values.DURATION, help="Idle TCP after data.")
@click.option("--timeout-closing", type=values.DURATION, help="Idle TCP after FIN or RST.")
@click.option("--timeout-udp", type=values.DURATION, help="Idle UDP.")
@etag_option
@writes
def set_(
    write: Writer,
    name: str,
    *,
    frontends: tuple[pb.Frontend, ...],
    pool_id: str | None,
    sources: tuple[str, ...],
    max_new: int | None,
    etag: str,
    timeout_new: timedelta | None,
    timeout_established: timedelta | None,
    timeout_closing: timedelta | None,
    timeout_udp: timedelta | None,
) -> None:
    """Change a service. Connections of frontends that go end; others stay.

    \b
    tiara service set web --timeout-established 1h
    tiara service set web --frontend tcp:198.18.100.1:80 --frontend tcp:198.18.100.1:443
    tiara service set web --allow-source 198.18.64.0/24 --max-new-per-second 200
    tiara service set web --allow-source all
    """
    times = {
        "tcp_new": timeout_new,
        "tcp_established": timeout_established,
        "tcp_closing": timeout_closing,
        "udp": timeout_udp,
    }
    given: dict[str, object] = {f"timeouts.{key}": value for key, value in times.items()}
    wanted = pb.VirtualService(
        name=client.service_name(name),
        frontends=frontends,
        backend_pool=client.pool_name(pool_id) if pool_id else "",
        timeouts=pb.Timeouts(**{k: values.to_duration(v) for k, v in times.items() if v is not None}),
        allow_sources=values.sources(sources),
        max_new_connections_per_second=max_new or 0,
        etag=etag,
    )
    given |= {"allow_sources": sources or None, "max_new_connections_per_second": max_new}
    mask = masked(frontends=frontends or None, backend_pool=pool_id, **given)
    request = pb.UpdateVirtualServiceRequest(virtual_service=wanted, update_mask=mask)
    changed = write.session.call(write.session.services.UpdateVirtualService, request)
    write.done(f"service {name} changed", changed)
