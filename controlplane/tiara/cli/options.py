# SPDX-License-Identifier: Apache-2.0
"""What commands have in common: how a read is shown and how a write ends."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import sleep
from typing import Any, TypeVar

import click
import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from rich.console import Console
from rich.live import Live
from rich.text import Text

from tiara.cli import errors, output, values
from tiara.cli.session import Session
from tiara.v1 import node_pb2

WATCH_INTERVAL_S = 1.0

Command = Callable[..., None]
Shown = TypeVar("Shown", bound=Message)

_format_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(output.FORMATS),
    default=output.TABLE,
    help="table and wide are for people, json (proto JSON) and yaml for programs.",
)


@dataclass(frozen=True)
class Reader:
    """Shows what a command read."""

    session: Session
    form: str
    watching: bool = False

    @property
    def wide(self) -> bool:
        """Whether all columns are wanted."""
        return self.form == output.WIDE

    def show(self, fetch: Callable[[], Shown], draw: Callable[[Shown], Text]) -> None:
        """Prints once, or each second until Ctrl-C."""
        if not self.watching:
            self._print(fetch(), draw)
            return
        try:
            self._watch(fetch, draw)
        except KeyboardInterrupt:
            return

    def _print(self, message: Shown, draw: Callable[[Shown], Text]) -> None:
        if self.form == output.JSON:
            output.print_json(message, one_line=self.watching)
        elif self.form == output.YAML_FORMAT:
            output.print_yaml(message, begin=self.watching)
        else:
            output.print_text(draw(message))

    def _watch(self, fetch: Callable[[], Shown], draw: Callable[[Shown], Text]) -> None:
        console = output.console()
        if console.is_terminal and self.form in (output.TABLE, output.WIDE):
            self._watch_in_place(console, lambda: draw(fetch()))
            return
        while True:
            self._print(fetch(), draw)
            sleep(WATCH_INTERVAL_S)
            if self.form in (output.TABLE, output.WIDE):
                output.print_text(Text(""))

    def _watch_in_place(self, console: Console, view: Callable[[], Text]) -> None:
        """Redraws on a terminal; once it has shown something, a server that went away is waited for."""
        last = view()
        with Live(_cropped(last), console=console, auto_refresh=False) as live:
            while True:
                sleep(WATCH_INTERVAL_S)
                try:
                    shown = last = view()
                except grpc.RpcError as error:
                    shown = output.stack([last, self._absence(error)])
                live.update(_cropped(shown), refresh=True)

    def _absence(self, error: grpc.RpcError) -> Text:
        first_line = errors.from_rpc(error, self.session.address).message.splitlines()[0]
        return Text(f"{values.now():%H:%M:%S} UTC: the above is older\n{first_line}", "yellow")


@dataclass(frozen=True)
class Writer:
    """Ends a write: waits until packets see it, then says so in one line."""

    session: Session
    form: str
    wait: bool
    timeout: timedelta

    @property
    def for_people(self) -> bool:
        """Whether nobody parses what is printed."""
        return self.form in (output.TABLE, output.WIDE)

    def nothing(self, answer: Message) -> None:
        """Ends a write that had nothing to do; people have been told already."""
        if not self.for_people:
            self._print(answer)

    def done(self, what: str, resource: Any = None) -> None:
        """Reports a write that the server has stored; `resource` is its answer, None for a delete."""
        revision = resource.revision if resource is not None else 0
        applied = self._wait_applied(what, revision) if self.wait else None
        answer = next(a for a in (resource, applied, Empty()) if a is not None)
        if self.for_people:
            click.echo(f"{what} ({_progress(revision, applied)})")
        else:
            self._print(answer)

    def _print(self, answer: Message) -> None:
        if self.form == output.JSON:
            output.print_json(answer)
        else:
            output.print_yaml(answer)

    def _wait_applied(self, what: str, revision: int) -> node_pb2.WaitAppliedResponse:
        request = node_pb2.WaitAppliedRequest(revision=revision, timeout=values.to_duration(self.timeout))
        try:
            with spinner("waiting until packets see it"):
                return self.session.node.WaitApplied(request, timeout=self.timeout.total_seconds() + 5)
        except grpc.RpcError as error:
            raise self._not_applied(what, error) from error

    def _not_applied(self, what: str, error: grpc.RpcError) -> errors.NotApplied:
        reason = error.details() if isinstance(error, grpc.Call) else str(error)
        return errors.NotApplied(f"{what} and stored, but packets do not see it yet\n  {reason}")


def _progress(revision: int, applied: node_pb2.WaitAppliedResponse | None) -> str:
    if applied is None:
        return f"revision {revision}, not waited for" if revision else "not waited for"
    return f"revision {revision or applied.applied_revision}, applied as generation {applied.generation}"


def _cropped(view: Text) -> Text:
    """Cut at the terminal's right edge: a folded line would upset what is drawn over it."""
    cropped = view.copy()
    cropped.no_wrap, cropped.overflow = True, "crop"
    return cropped


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """On a terminal, shows that something is waited for."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


def _session() -> Session:
    session: Session = click.get_current_context().obj
    return session


etag_option = click.option("--etag", default="", help="Refuse the change if it is no longer this one.")


def masked(**fields: Any) -> FieldMask:
    """The paths of fields that were given.

    Raises:
        click.UsageError: none was.
    """
    paths = [path for path, value in fields.items() if value is not None]
    if not paths:
        raise click.UsageError("nothing to change: give at least one option")
    return FieldMask(paths=paths)


def reads(function: Command) -> Command:
    """A command that reads: adds -o, passes a Reader first."""

    @_format_option
    @functools.wraps(function)
    def command(*, form: str, **arguments: Any) -> None:
        function(Reader(_session(), form), **arguments)

    return command


def watches(function: Command) -> Command:
    """A command that reads and may do so each second: adds -o and --watch, passes a Reader first."""

    @_format_option
    @click.option("-w", "--watch", is_flag=True, help="Show it again each second until Ctrl-C.")
    @functools.wraps(function)
    def command(*, form: str, watch: bool, **arguments: Any) -> None:
        function(Reader(_session(), form, watch), **arguments)

    return command


def writes(function: Command) -> Command:
    """A command that writes: adds -o and --no-wait, passes a Writer first."""

    @_format_option
    @click.option("--no-wait", is_flag=True, help="Do not wait until packets see the change.")
    @click.option(
        "--wait-timeout",
        type=values.DURATION,
        default="10s",
        show_default=True,
        help="Give up waiting after this; the change stays stored.",
    )
    @functools.wraps(function)
    def command(*, form: str, no_wait: bool, wait_timeout: timedelta, **arguments: Any) -> None:
        function(Writer(_session(), form, not no_wait, wait_timeout), **arguments)

    return command
