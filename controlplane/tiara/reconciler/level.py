# SPDX-License-Identifier: Apache-2.0
"""When a number or a state that is looked at again and again is worth an event. Pure."""

from __future__ import annotations

FULL = 0.80
"""The table's share of used slots above which it is told as full."""

FULL_NO_LONGER = 0.75
"""Below which it is told as no longer full: between both nothing is said."""

DELAY_S = 2.0
"""How long a revision may take to be applied before that is told."""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


class Fill:
    """The table's fill, with hysteresis."""

    def __init__(self) -> None:
        self._full = False

    def see(self, share: float) -> str:
        """A sentence where a threshold was crossed; "": nothing to tell."""
        if not self._full and share > FULL:
            self._full = True
            return (
                f"the connection table is {_percent(share)} full: when it has no room left, new "
                "connections are forwarded by selection alone"
            )
        if self._full and share < FULL_NO_LONGER:
            self._full = False
            return f"the connection table is {_percent(share)} full, no longer over {_percent(FULL)}"
        return ""


class Delay:
    """The oldest revision that waits for the workers, told once."""

    def __init__(self) -> None:
        self._revision = 0
        self._since_s = 0.0
        self._told = False

    def see(self, now_s: float, stored: int, applied: int, live: bool, reason: str) -> str:
        """Likewise. While no data plane lives nothing is late."""
        if not live or applied >= stored:
            self._revision = 0
            return ""
        if not self._revision or applied >= self._revision:
            self._revision, self._since_s, self._told = stored, now_s, False
        if self._told or now_s - self._since_s <= DELAY_S:
            return ""
        self._told = True
        return f"revision {self._revision} is not applied after {DELAY_S:g} s: {reason}"


class Runs:
    """Whether the data plane runs, and which start of it."""

    def __init__(self) -> None:
        self._live: bool | None = None
        self._start = 0

    def see(self, live: bool, start: int) -> str:
        """Likewise. What was so when this process began is not told."""
        before, same = self._live, start == self._start
        self._live, self._start = live, start
        if before is None or (before == live and (same or not live)):
            return ""
        if before and live:
            return "the data plane was started again"
        return "the data plane started" if live else "the data plane stopped"
