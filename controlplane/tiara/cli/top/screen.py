# SPDX-License-Identifier: Apache-2.0
"""A frame: as many lines as the terminal has, none wider than it."""

from rich.text import Text

from tiara.cli.top import body, head
from tiara.cli.top.look import Change
from tiara.cli.top.state import SORTS, State

HELP = """Up, Down, k, j   select a service or a backend
Enter            its backends or services, shares, some of its connections
Esc              back to all
s                sort by name, packets a second, new connections a second
p                pause, and go on
q, Ctrl-C        quit

Live are connections as the packet path counts them; Share is a backend's part
of its pool's, Want its part of the selection table: what new ones should get.
Workers' busy shares are since the data plane's start."""


def frame(change: Change, state: State, size: tuple[int, int], note: str = "") -> Text:
    """For a terminal of so many columns and lines; the selected row is always seen."""
    width, height = size
    above = [*head.lines(change, width, state.paused), Text()]
    listed = [("", Text(line)) for line in HELP.splitlines()] if state.help else body.lines(change, state)
    room = max(1, height - len(above) - 1)
    shown = [_marked(row, line, state, width) for row, line in _window(listed, state.selected, room)]
    blank = [Text()] * (room - len(shown))
    lines = [*above, *shown, *blank, _foot(state, note)]
    return Text("\n").join(_cropped(line, width) for line in lines[:height])


def whole(change: Change, width: int) -> Text:
    """For scripts: all rows, nothing selected, no keys."""
    listed = [line for _, line in body.lines(change, State())]
    return Text("\n").join(
        _cropped(line, width) for line in [*head.lines(change, width, False), Text(), *listed]
    )


def _window(listed: list[tuple[str, Text]], selected: str, room: int) -> list[tuple[str, Text]]:
    at = next((i for i, (row, _) in enumerate(listed) if row and row == selected), 0)
    start = max(0, min(at - room // 2, len(listed) - room))
    return listed[start : start + room]


def _marked(row: str, line: Text, state: State, width: int) -> Text:
    if not row or row != state.selected or state.detail:
        return line
    marked = Text(line.plain.ljust(width))
    marked.stylize("reverse")
    return marked


def _foot(state: State, note: str) -> Text:
    if note:
        return Text(note, "yellow")
    way = "Esc back" if state.detail else "Enter detail"
    return Text(f"q quit  ↑↓ select  {way}  s sort: {SORTS[state.sort]}  p pause  ? help", "dim")


def _cropped(line: Text, width: int) -> Text:
    cropped = line.copy()
    cropped.truncate(width, overflow="crop")
    return cropped
