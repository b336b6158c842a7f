# SPDX-License-Identifier: Apache-2.0
"""tiara backend set, disable: changes of a backend that is there."""

import click

from tiara.cli import complete, values
from tiara.cli.options import Writer, etag_option, masked, writes
from tiara.v1 import backend_pool_pb2 as pb

_existing = click.argument("name", type=values.BACKEND, metavar="POOL/NAME", shell_complete=complete.backends)


@click.command("set")
@_existing
@click.option("--weight", type=click.IntRange(0, 65535), help="Share of new connections. 0: none.")
@click.option("--port", type=click.IntRange(0, 65535), help="0: the frontend's.")
@click.option(
    "--max-connections", type=click.IntRange(0, 0xFFFFFFFF), help="It has at most so many. 0: no limit."
)
@etag_option
@writes
def set_(
    write: Writer,
    name: str,
    *,
    weight: int | None,
    port: int | None,
    max_connections: int | None,
    etag: str,
) -> None:
    """Change a backend; established connections stay.

    Its address stays: another address is another server, to be created.

    \b
    tiara backend set web/b1 --weight 3
    tiara backend set web/b1 --max-connections 20000
    """
    wanted = pb.Backend(
        name=name, weight=weight, port=port or 0, max_connections=max_connections or 0, etag=etag
    )
    mask = masked(weight=weight, port=port, max_connections=max_connections)
    request = pb.UpdateBackendRequest(backend=wanted, update_mask=mask)
    changed = write.session.call(write.session.pools.UpdateBackend, request)
    write.done(f"backend {values.short(name)} changed", changed)


@click.command()
@_existing
@writes
def disable(write: Writer, name: str) -> None:
    """Take a backend out as if its health check found it down.

    No new connections; established TCP stays, UDP selects again. undrain ends
    it; applying a configuration does not.

    \b
    tiara backend disable web/b2
    """
    request = pb.DisableBackendRequest(name=name)
    disabled = write.session.call(write.session.pools.DisableBackend, request)
    write.done(f"backend {values.short(name)} disabled", disabled)
