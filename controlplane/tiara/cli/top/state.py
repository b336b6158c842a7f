# SPDX-License-Identifier: Apache-2.0
"""What the user has chosen, and what each key changes in it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

SORTS = ("name", "packets/s", "new/s")


@dataclass(frozen=True)
class State:
    """The rows are named by the API's names, services with their frontend behind a space."""

    selected: str = ""
    detail: str = ""
    sort: int = 0
    help: bool = False
    paused: bool = False
    done: bool = False

    @property
    def subject(self) -> str:
        """The API's name of what is shown in detail; empty: everything is shown."""
        return self.detail.partition(" ")[0]


def press(state: State, key: str, rows: Sequence[str]) -> State:
    """The state after a key; keys that mean nothing change nothing."""
    if key == "q":
        return replace(state, done=True)
    if state.help:
        return replace(state, help=False)
    match key:
        case "down" | "j":
            return _move(state, rows, 1)
        case "up" | "k":
            return _move(state, rows, -1)
        case "enter":
            return replace(state, detail=state.detail or state.selected)
        case "esc":
            return replace(state, detail="")
        case "s":
            return replace(state, sort=(state.sort + 1) % len(SORTS))
        case "p":
            return replace(state, paused=not state.paused)
        case "?":
            return replace(state, help=True)
    return state


def settle(state: State, rows: Sequence[str]) -> State:
    """Selects the first row where the selected one is gone."""
    if state.selected in rows:
        return state
    return replace(state, selected=rows[0] if rows else "")


def _move(state: State, rows: Sequence[str], step: int) -> State:
    if state.detail or not rows:
        return state
    at = rows.index(state.selected) + step if state.selected in rows else 0
    return replace(state, selected=rows[min(max(at, 0), len(rows) - 1)])
