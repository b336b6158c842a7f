# SPDX-License-Identifier: Apache-2.0
"""tiara watch: every change as it comes."""

from collections.abc import Iterator
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import click
import grpc
from rich.text import Text

from tiara.cli import backend, errors, output, pool, values
from tiara.cli.options import WATCH_INTERVAL_S, Reader, reads
from tiara.v1 import backend_pool_pb2, virtual_service_pb2
from tiara.v1 import configuration_pb2 as pb

HEARTBEAT_S = 10
SILENCE_S = 35.0
"""A connection without any step for so long is dead."""

_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}


@click.command()
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only what came after this revision.")
@reads
def watch(read: Reader, after: int) -> None:
    """Print all resources, then each change as it comes.

    A line each: revision, + or -, and the resource as it is then. Health
    changes come too. After a break it goes on where it was. Ctrl-C ends it.

    \b
    tiara watch
    tiara watch -o json
    """
    try:
        for step in steps(read, after):
            _print(read, step)
    except KeyboardInterrupt:
        return


def steps(read: Reader, after: int) -> Iterator[pb.WatchResponse]:
    """Steps without heartbeats, across broken connections; the first must come about.

    Between breaks it goes on after the last revision that was complete.
    """
    began = False
    while True:
        try:
            for step in _alive(_begin(read, after)):
                began = True
                if step.WhichOneof("step") == "synced":
                    after = step.revision
                if step.WhichOneof("step") != "heartbeat":
                    yield step
        except grpc.RpcError as error:
            after = _resume(read, error, after, began)
        sleep(WATCH_INTERVAL_S)


def _begin(read: Reader, after: int) -> Any:
    request = pb.WatchRequest(after_revision=after)
    request.heartbeat.FromSeconds(HEARTBEAT_S)
    return read.session.configuration.Watch(request)


def _alive(call: Any) -> Iterator[pb.WatchResponse]:
    """Its steps; cancelled when heartbeats stay out, as where a network drops everything."""
    last, ended = [monotonic()], Event()

    def guard() -> None:
        while not ended.wait(SILENCE_S / 10):
            if monotonic() - last[0] > SILENCE_S:
                call.cancel()

    Thread(target=guard, daemon=True).start()
    try:
        for step in call:
            last[0] = monotonic()
            yield step
    finally:
        ended.set()


def _resume(read: Reader, error: grpc.RpcError, after: int, began: bool) -> int:
    """After which revision to go on; raises where that makes no sense."""
    code = error.code() if isinstance(error, grpc.Call) else None
    if code == grpc.StatusCode.OUT_OF_RANGE and after:
        click.echo(f"tiara: what came after revision {after} is no longer kept: all again", err=True)
        return 0
    if not began or code not in _AGAIN:
        raise errors.from_rpc(error, read.session.address) from error
    click.echo("tiara: the watch broke, and goes on when the control plane answers", err=True)
    return after


def _print(read: Reader, step: pb.WatchResponse) -> None:
    if read.form == output.JSON:
        output.print_json(step, one_line=True)
    elif read.form == output.YAML_FORMAT:
        output.print_yaml(step, begin=True)
    else:
        output.print_text(line(step))


def line(step: pb.WatchResponse) -> Text:
    """As "12 + backend web/b1 198.18.0.11 weight 1 up active"."""
    revision = Text(f"{step.revision} ")
    match step.WhichOneof("step"):
        case "put":
            return Text.assemble(revision, ("+ ", "green"), _resource(step.put))
        case "removed":
            return Text.assemble(revision, ("- ", "red"), values.titled(step.removed))
    return Text.assemble(revision, ("= complete up to here", "dim"))


def _resource(put: pb.WatchedResource) -> Text:
    kind = put.WhichOneof("resource")
    if kind == "backend":
        return _backend(put.backend)
    return Text(_pool(put.backend_pool) if kind == "backend_pool" else _service(put.virtual_service))


def _pool(found: backend_pool_pb2.BackendPool) -> str:
    mode, policy = pool.mode_text(found.forwarding_mode), pool.policy_text(found.policy)
    return f"{values.titled(found.name)} {mode} {policy}"


def _backend(found: backend_pool_pb2.Backend) -> Text:
    words = f"{values.titled(found.name)} {backend.endpoint_text(found)} weight {backend.weight(found)} "
    parts = [Text(words), backend.health_text(found), Text(" "), backend.state_text(found)]
    reason = f" {found.status.reason}" if found.status.reason else ""
    return Text.assemble(*parts, reason)


def _service(found: virtual_service_pb2.VirtualService) -> str:
    frontends = ", ".join(values.frontend(frontend) for frontend in found.frontends)
    return f"{values.titled(found.name)} {frontends} by {values.short(found.backend_pool)}"
