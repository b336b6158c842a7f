# SPDX-License-Identifier: Apache-2.0
"""``tiara-controlplane``: the process around the API and the reconciler."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO, cast

import click
import grpc
import structlog

from tiara.api import SERVER_OPTIONS, add_servicers
from tiara.api.interceptor import ErrorInterceptor
from tiara.domain.errors import TiaraError
from tiara.logs import Sink
from tiara.metrics import SCAN_S, MetricsServer, parse_listen
from tiara.reconciler import Reconciler
from tiara.security.certificates import TlsFiles
from tiara.security.commands import certificate, token
from tiara.security.grants_file import GrantsError, GrantsFile, path_of
from tiara.security.listener import Listener, StartError, Ways, listeners
from tiara.security.user import become, group_id
from tiara.store import SqliteStore

_STOP_S = 2.0
_PATH: click.ParamType[Path] = click.Path(path_type=Path)
_INSTANCE = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    instance: str
    store: Path
    ways: Ways
    metrics_listen: str = ""
    metrics_scan_s: float | None = SCAN_S


def program_version() -> str:
    """The installed package's version."""
    try:
        return version("tiara-lb")
    except PackageNotFoundError:
        return "0.0.0"


def node_id(instance: str) -> str:
    """This machine's name as an id; instances beside the default one add theirs."""
    host = re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().split(".")[0].lower()).strip("-") or "node"
    return host if instance == "default" else f"{host}-{instance}"


async def serve(options: Options) -> None:
    """Runs until SIGTERM or SIGINT."""
    ways = listeners(options.ways)
    for way in ways:
        way.claim()
    store = await SqliteStore.open(options.store)
    try:
        reconciler = await Reconciler.start(store, options.instance, node=node_id(options.instance))
        try:
            async with _metrics(options, reconciler):
                await _serve_api(reconciler, ways, node_id(options.instance))
        finally:
            await reconciler.close()
    finally:
        await store.close()


@asynccontextmanager
async def _metrics(options: Options, reconciler: Reconciler) -> AsyncIterator[None]:
    """Serves /metrics meanwhile, where it is wanted."""
    if not options.metrics_listen:
        yield
        return
    try:
        host, port = parse_listen(options.metrics_listen)
    except ValueError as error:
        raise StartError(f"--metrics-listen {options.metrics_listen!r} is no ADDRESS:PORT: {error}") from None
    server = MetricsServer(reconciler, program_version(), options.metrics_scan_s)
    try:
        host, port = await server.start(host, port)
    except OSError as error:
        raise StartError(f"--metrics-listen: cannot listen on {options.metrics_listen}: {error}") from error
    structlog.get_logger("server").info("metrics", address=host, port=port)
    try:
        yield
    finally:
        await server.close()


async def start_api(reconciler: Reconciler, target: str, node: str) -> grpc.aio.Server:
    """A running server on ``target``, "unix:/path" or "address:port" of this machine, for admins."""
    (way,) = listeners(Ways((target,), read_socket=False, insecure=True))
    return await start_on(reconciler, way, node)


async def start_on(reconciler: Reconciler, way: Listener, node: str) -> grpc.aio.Server:
    """A running server for those who come this way: gRPC does not tell a server's addresses apart."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor(way.identify)], options=SERVER_OPTIONS)
    add_servicers(server, reconciler, node, program_version())
    way.bind(server)
    await server.start()
    return server


async def _serve_api(reconciler: Reconciler, ways: Sequence[Listener], node: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    servers = [await start_on(reconciler, way, node) for way in ways]
    for way in ways:
        structlog.get_logger("server").info("listening", address=way.target, version=program_version())
    click.echo("ready")
    sys.stdout.flush()
    await stop.wait()
    reconciler.standing.drain()
    reconciler.end_watches()
    await asyncio.gather(*(server.stop(_STOP_S) for server in servers))


def _configure_log(as_json: bool) -> None:
    renderer = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Sink(sys.stderr.fileno()))),
    )


@click.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@click.option("--instance", default="default", show_default=True, help="Which balancer this is.")
@click.option(
    "--listen",
    multiple=True,
    help="unix:PATH of the admin socket, or ADDRESS:PORT; may be given again.  "
    "[unix:/run/tiara/INSTANCE/api.sock, also beside TCP]",
)
@click.option("--no-read-socket", is_flag=True, help="No read-only socket (api-read.sock) for everyone here.")
@click.option("--group", help="Who may use the admin socket beside its owner.")
@click.option("--user", help="Started as root, run as this user.")
@click.option("--store", type=_PATH, help="[/var/lib/tiara/INSTANCE/store.db]")
@click.option("--tls-cert", type=_PATH, help="Serve TCP by TLS with this certificate (PEM, with its chain).")
@click.option("--tls-key", type=_PATH, help="Its private key. Both files are read again when they change.")
@click.option(
    "--tls-client-ca", type=_PATH, help="Clients need a certificate of this authority (mutual TLS)."
)
@click.option("--insecure", is_flag=True, help="Allow TCP without TLS on loopback, for admins.")
@click.option(
    "--metrics-listen",
    default="",
    metavar="ADDRESS:PORT",
    help="Serve /metrics for Prometheus there, as 127.0.0.1:9464. Whoever reaches it can read it.  [off]",
)
@click.option(
    "--metrics-scan",
    type=click.FloatRange(min=0),
    default=SCAN_S,
    show_default=True,
    metavar="SECONDS",
    help="Count live connections for /metrics at most so often; 0: never.",
)
@click.option("--log-json", is_flag=True, help="Log one JSON object a line.")
@click.version_option(program_version(), prog_name="tiara-controlplane")
@click.pass_context
def main(ctx: click.Context, /, instance: str, store: Path | None, log_json: bool, **given: Any) -> None:
    """The control plane: serves the API, keeps desired state, and makes the data plane follow it."""
    if not _INSTANCE.fullmatch(instance):
        raise click.ClickException(f"--instance {instance!r} must be 1 to 32 of a-z, 0-9 and '-'")
    store = store or Path(f"/var/lib/tiara/{instance}/store.db")
    ctx.obj = path_of(store)
    if ctx.invoked_subcommand:
        return
    _configure_log(log_json)
    try:
        asyncio.run(serve(_options(instance, store, given)))
    except (StartError, GrantsError, TiaraError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _options(instance: str, store: Path, given: dict[str, Any]) -> Options:
    """Also becomes --user: what follows is made and read by that user."""
    listen = given["listen"]
    if not any(one.startswith("unix:") for one in listen):
        listen = (f"unix:/run/tiara/{instance}/api.sock", *listen)
    group = group_id(given["group"]) if given["group"] else None
    if given["user"]:
        sockets = [Path(one.removeprefix("unix:")).parent for one in listen if one.startswith("unix:")]
        become(given["user"], [store.parent, *sockets], group)
    ways = Ways(
        listen,
        not given["no_read_socket"],
        given["insecure"],
        _tls_files(given),
        group,
        GrantsFile(path_of(store)).current,
    )
    return Options(instance, store, ways, given["metrics_listen"], given["metrics_scan"] or None)


def _tls_files(given: dict[str, Any]) -> TlsFiles | None:
    certificate, key, client_ca = given["tls_cert"], given["tls_key"], given["tls_client_ca"]
    if certificate and key:
        return TlsFiles(certificate, key, client_ca)
    if certificate or key or client_ca:
        raise StartError("--tls-cert and --tls-key are needed both, and for --tls-client-ca too")
    return None


main.add_command(token)
main.add_command(certificate)


if __name__ == "__main__":
    main()
