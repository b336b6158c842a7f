# SPDX-License-Identifier: Apache-2.0
"""The command: looks each second, draws at once when a key is pressed."""

import os
import sys
import time
from dataclasses import dataclass, field

import click
import grpc
from rich.console import Console
from rich.live import Live

from tiara.cli import errors, output, values
from tiara.cli.session import Session
from tiara.cli.top import body, keys, screen
from tiara.cli.top.look import Change, take
from tiara.cli.top.state import State, press, settle

INTERVAL_S = 1.0
LOOKS_FOR_SIZE_S = 0.25


@click.command()
@click.option("--once", is_flag=True, help="Print one frame, of one second, and end.")
@click.pass_obj
def top(session: Session, once: bool) -> None:
    """Show rates, shares and who is busy, live; ? lists the keys.

    \b
    tiara top
    tiara top --once
    """
    if not once and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("tiara top needs a terminal; tiara top --once prints one frame")
    first = take(session, "")
    if once:
        time.sleep(INTERVAL_S)
        console = output.console()
        console.print(screen.whole(Change(first, take(session, "")), console.width))
        return
    _Top(session, Change(first, first)).run()


@dataclass
class _Top:
    session: Session
    change: Change
    state: State = field(default_factory=State)
    note: str = ""
    console: Console = field(default_factory=lambda: Console(highlight=False, markup=False, emoji=False))
    due_s: float = 0.0

    def run(self) -> None:
        """Until q or Ctrl-C; the terminal is left as it was found."""
        descriptor = sys.stdin.fileno()
        try:
            with (
                keys.keyboard(descriptor),
                Live(console=self.console, screen=True, auto_refresh=False) as live,
            ):
                while not self.state.done:
                    self._look()
                    self._draw(live)
                    self._wait(descriptor)
        except KeyboardInterrupt:
            return

    def _look(self) -> None:
        """Where a look is due, 0: at once, even in a pause; a server that went away is waited for."""
        if self.due_s and (self.state.paused or time.monotonic() < self.due_s):
            return
        try:
            self.change, self.note = Change(self.change.now, take(self.session, self.state.subject)), ""
        except grpc.RpcError as error:
            reason = errors.from_rpc(error, self.session.address).message.splitlines()[0]
            self.note = f"{values.now():%H:%M:%S} the above is older: {reason}"
        self.due_s = time.monotonic() + INTERVAL_S

    def _draw(self, live: Live) -> None:
        self.state = settle(self.state, body.rows(self.change, self.state))
        live.update(screen.frame(self.change, self.state, self._size(), self.note), refresh=True)

    def _size(self) -> tuple[int, int]:
        return self.console.size.width, self.console.size.height

    def _wait(self, descriptor: int) -> None:
        """Until keys, another size, or the next look."""
        size = os.get_terminal_size(descriptor)
        while self.state.paused or time.monotonic() < self.due_s:
            pressed = keys.read(descriptor, LOOKS_FOR_SIZE_S)
            if pressed or os.get_terminal_size(descriptor) != size:
                self._press(pressed)
                return

    def _press(self, pressed: list[str]) -> None:
        before = self.state.subject
        for key in pressed:
            self.state = press(self.state, key, body.rows(self.change, self.state))
        if self.state.subject != before:
            self.due_s = 0.0
