# SPDX-License-Identifier: Apache-2.0
"""The program `tiara`: arguments of all commands, and how errors end."""

from pathlib import Path

import click
import grpc

from tiara.cli import backend_set, errors, pool_set, service_set
from tiara.cli.backend import backend
from tiara.cli.backend_setup import backend_setup
from tiara.cli.backup import backup, export, restore
from tiara.cli.connection import connection
from tiara.cli.connection_file import dump, load
from tiara.cli.connection_flush import flush
from tiara.cli.doctor import doctor
from tiara.cli.event import events
from tiara.cli.explain import explain
from tiara.cli.history import history, rollback
from tiara.cli.importer import import_
from tiara.cli.node import node, stats, version
from tiara.cli.plan import apply, diff, plan
from tiara.cli.pool import pool
from tiara.cli.service import service
from tiara.cli.session import session_of
from tiara.cli.top.command import top
from tiara.cli.traffic import traffic
from tiara.cli.version import client_version
from tiara.cli.watch import watch

EPILOG = f"""\
\b
{errors.EXIT_CODES}

\b
Completion: eval "$(_TIARA_COMPLETE=bash_source tiara)"; zsh_source and
fish_source for those shells."""


_FILE: click.ParamType[Path] = click.Path(path_type=Path)
_ALSO = {"connections": "connection"}


class Program(click.Group):
    """Turns a failed call into a message and an exit code, whatever command made it."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """`tiara connections` is `tiara connection`: it reads better before dump and load."""
        return super().get_command(ctx, _ALSO.get(cmd_name, cmd_name))

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except grpc.RpcError as error:
            raise errors.from_rpc(error, ctx.obj.address) from error


@click.group(
    "tiara",
    cls=Program,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option(
    "--server",
    envvar="TIARA_SERVER",
    metavar="ADDRESS",
    help="unix:/path or host:port. Env: TIARA_SERVER.",
)
@click.option(
    "--instance",
    envvar="TIARA_INSTANCE",
    default="default",
    metavar="NAME",
    help="The instance on this machine: unix:/run/tiara/NAME/api.sock. Env: TIARA_INSTANCE.",
)
@click.option(
    "--tls-ca",
    envvar="TIARA_TLS_CA",
    type=_FILE,
    metavar="FILE",
    help="The authority of the server's certificate; else this machine's. Env: TIARA_TLS_CA.",
)
@click.option(
    "--tls-cert",
    envvar="TIARA_TLS_CERT",
    type=_FILE,
    metavar="FILE",
    help="Own certificate, for servers that want one. Env: TIARA_TLS_CERT.",
)
@click.option(
    "--tls-key", envvar="TIARA_TLS_KEY", type=_FILE, metavar="FILE", help="Its key. Env: TIARA_TLS_KEY."
)
@click.option(
    "--token-file",
    envvar="TIARA_TOKEN_FILE",
    type=_FILE,
    metavar="FILE",
    help="Has the token to send. Env: TIARA_TOKEN_FILE.",
)
@click.option(
    "--insecure",
    envvar="TIARA_INSECURE",
    is_flag=True,
    help="No TLS to host:port: loopback only. Env: TIARA_INSECURE.",
)
@click.version_option(client_version(), "--version", message="tiara %(version)s")
@click.pass_context
def cli(ctx: click.Context, /, **_options: object) -> None:
    """Operate a Tiara load balancer.

    \b
    tiara pool create web --mode l2 --check-tcp 80
    tiara backend create web/b1 --address 198.18.0.11
    tiara service create web --frontend tcp:198.18.100.1:80 --pool web
    tiara service list -o wide
    tiara plan -f lb.yaml
    """
    ctx.obj = session_of(ctx)


connection.add_command(dump)
connection.add_command(load)
connection.add_command(flush)

pool.add_command(pool_set.set_)
backend.add_command(backend_set.set_)
backend.add_command(backend_set.disable)
service.add_command(service_set.set_)

COMMANDS: tuple[click.Command, ...] = (
    *(pool, backend, backend_setup, service, connection, explain),
    *(plan, apply, diff, export, backup, restore, import_),
    *(history, rollback, events, watch),
    *(stats, top, node, doctor, traffic, version),
)
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Runs the program."""
    cli(prog_name="tiara")


if __name__ == "__main__":
    main()
