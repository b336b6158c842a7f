# SPDX-License-Identifier: Apache-2.0
"""``tiara-controlplane``: the process around the API and the reconciler."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TextIO, cast

import click
import grpc
import structlog

from tiara.api import add_servicers
from tiara.api.interceptor import ErrorInterceptor
from tiara.domain.errors import TiaraError
from tiara.logs import Sink
from tiara.metrics import SCAN_S, MetricsServer, parse_listen
from tiara.reconciler import Reconciler
from tiara.store import SqliteStore

SOCKET_MODE = 0o660
REQUEST_BYTES_MAX = 32 << 20
"""A whole configuration of 1000 services with 100 backends each is 5 MB."""

_OPTIONS = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", REQUEST_BYTES_MAX))
_STOP_S = 2.0
_INSTANCE = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)


class StartError(Exception):
    """Why the process cannot start, as a sentence."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    instance: str
    listen: str
    store: Path
    insecure: bool
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
    target = claim_address(options.listen, options.insecure)
    store = await SqliteStore.open(options.store)
    try:
        reconciler = await Reconciler.start(store, options.instance, node=node_id(options.instance))
        try:
            async with _metrics(options, reconciler):
                await _serve_api(reconciler, target, node_id(options.instance))
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
    """A running server on ``target``, "unix:/path" or "address:port"."""
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=_OPTIONS)
    add_servicers(server, reconciler, node, program_version())
    mask = os.umask(0o777 & ~SOCKET_MODE)
    try:
        server.add_insecure_port(target)
        await server.start()
    except RuntimeError as error:
        raise StartError(f"cannot listen on {target}: {error}") from error
    finally:
        os.umask(mask)
    return server


def claim_address(listen: str, insecure: bool) -> str:
    """The address to give to gRPC; a dead process's socket is removed, a live one's is refused."""
    if listen.startswith("unix:"):
        _claim_socket(Path(listen.removeprefix("unix:")))
        return listen
    host, _, port = listen.rpartition(":")
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback and 0 <= int(port) <= 65535
    except ValueError:
        raise StartError(f"--listen {listen!r} is neither unix:PATH nor ADDRESS:PORT") from None
    if not (loopback and insecure):
        raise StartError(
            f"--listen {listen} is refused: TCP is served without TLS only on loopback and with --insecure"
        )
    return listen


def _claim_socket(path: Path) -> None:
    if not path.is_absolute() or len(os.fsencode(path)) > 107:
        raise StartError(f"--listen unix:{path} must be an absolute path of at most 107 bytes")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not path.exists():
        return
    if not path.is_socket():
        raise StartError(f"{path} exists and is no socket; move it away or give another --listen")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise StartError(f"{path} is served by another process; stop it or give another --instance")


async def _serve_api(reconciler: Reconciler, target: str, node: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await start_api(reconciler, target, node)
    structlog.get_logger("server").info("listening", address=target, version=program_version())
    click.echo("ready")
    sys.stdout.flush()
    await stop.wait()
    await server.stop(_STOP_S)


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
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Sink(sys.stderr))),
    )


@click.command()
@click.option("--instance", default="default", show_default=True, help="Which balancer this is.")
@click.option("--listen", help="unix:PATH, or a loopback ADDRESS:PORT.  [unix:/run/tiara/INSTANCE/api.sock]")
@click.option("--store", type=click.Path(path_type=Path), help="[/var/lib/tiara/INSTANCE/store.db]")
@click.option("--insecure", is_flag=True, help="Allow TCP without TLS on loopback.")
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
def main(
    instance: str,
    listen: str | None,
    store: Path | None,
    insecure: bool,
    metrics_listen: str,
    metrics_scan: float,
    log_json: bool,
) -> None:
    """The control plane: serves the API, keeps desired state, and makes the data plane follow it."""
    if not _INSTANCE.fullmatch(instance):
        raise click.ClickException(f"--instance {instance!r} must be 1 to 32 of a-z, 0-9 and '-'")
    _configure_log(log_json)
    options = Options(
        instance,
        listen or f"unix:/run/tiara/{instance}/api.sock",
        store or Path(f"/var/lib/tiara/{instance}/store.db"),
        insecure,
        metrics_listen,
        metrics_scan or None,
    )
    try:
        asyncio.run(serve(options))
    except (StartError, TiaraError, OSError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
