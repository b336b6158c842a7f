# SPDX-License-Identifier: Apache-2.0
"""From single probes to a verdict."""

from __future__ import annotations

from tiara.domain.model import Health


class Judge:
    """Counts answers in a row. UNKNOWN counts as up, so only ``fall`` failures take a backend out."""

    def __init__(self, rise: int, fall: int, health: Health = Health.UNKNOWN) -> None:
        self.health = health
        self._rise = rise
        self._fall = fall
        self._streak = 0
        self._good = False

    def feed(self, good: bool) -> Health:
        """Takes one probe's result; what holds after it."""
        self._streak = self._streak + 1 if good is self._good else 1
        self._good = good
        if good and self._streak >= self._rise:
            self.health = Health.UP
        elif not good and self._streak >= self._fall:
            self.health = Health.DOWN
        return self.health

    def forget(self) -> None:
        """Probes before a pause say nothing about those after it; the verdict stays."""
        self._streak = 0
