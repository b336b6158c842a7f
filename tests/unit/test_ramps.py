# SPDX-License-Identifier: Apache-2.0
"""Slow starts by the clock: when they begin, and what an earlier control plane left of them."""

from __future__ import annotations

from tiara.domain.model import Backend
from tiara.planner import RAMP_WHOLE, Seen
from tiara.reconciler.ramps import Ramps

B1 = Backend("web", "b1", "1" * 32, "198.18.0.11")


class World:
    """A clock and a pool whose slow start takes 9 s until a test says otherwise."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000
        self.duration_ms = 9000
        self.ramps = Ramps(lambda: self.ms, lambda pool: self.duration_ms)

    def adopt(self, tenths: int) -> None:
        """As the segment has b1."""
        self.ramps.adopt({B1.uid: tenths}, {B1.uid: "web"})

    def after(self, ms: int) -> int:
        """Tenths of its weight that count so much later."""
        self.ms += ms
        return self.ramps.seen(B1, Seen()).ramp


def test_begins_when_it_is_first_planned() -> None:
    """Not when it is created: nothing is planned while there is no segment."""
    world = World()
    world.ms += 50_000
    assert [world.after(0), world.after(999), world.after(1), world.after(8000)] == [1, 1, 2, 10]


def test_adopted_steps_go_on() -> None:
    """A step begins again, then the rest follows; what was in no table begins with the first step."""
    for tenths, later in ((5, [5, 5, 6, 7]), (0, [1, 1, 2, 3]), (10, [10, 10, 10, 10])):
        world = World()
        world.adopt(tenths)
        assert [world.after(0), world.after(999), world.after(1), world.after(1000)] == later


def test_a_replaced_segment_changes_nothing() -> None:
    """What this process knows of a backend is newer than what a segment says."""
    world = World()
    assert world.after(0) == 1
    world.adopt(10)
    assert world.after(0) == 1


def test_a_later_slow_start_does_not_ramp_the_old() -> None:
    """A pool that is given a slow start has nothing to start: its backends count whole already."""
    for adopted in (True, False):
        world = World()
        world.duration_ms = 0
        if adopted:
            world.adopt(10)
        assert world.after(0) == RAMP_WHOLE
        world.duration_ms = 9000
        assert world.after(1) == RAMP_WHOLE


def test_a_longer_slow_start_does_not_ramp_again() -> None:
    """What has come to its whole weight stays there."""
    world = World()
    assert [world.after(0), world.after(9000)] == [1, RAMP_WHOLE]
    world.duration_ms = 86_400_000
    assert world.after(1) == RAMP_WHOLE


def test_a_clock_set_back_stays_at_the_first_step() -> None:
    """Never below it."""
    world = World()
    assert [world.after(0), world.after(-5000)] == [1, 1]


def test_due_once_a_step() -> None:
    """The pool is named when a step is due, and again only after it was planned."""
    world = World()
    assert world.after(0) == 1
    assert world.ramps.passed() == set()
    world.ms += 1000
    assert world.ramps.passed() == {"web"}
    assert world.ramps.passed() == set()
    assert world.after(0) == 2
    world.ms += 1000
    assert world.ramps.passed() == {"web"}
    assert world.after(8000) == RAMP_WHOLE
    assert world.ramps.passed() == set()


def test_percent_is_shown_while_it_goes_on() -> None:
    """10 to 90; 0 before it is planned and when it is whole."""
    world = World()
    assert world.ramps.percent(B1) == 0
    world.after(3000)
    assert world.ramps.percent(B1) == 10
    world.ms += 4000
    assert world.ramps.percent(B1) == 50
    world.ms += 5000
    assert world.ramps.percent(B1) == 0
