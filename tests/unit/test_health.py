# SPDX-License-Identifier: Apache-2.0
"""Health checks: from single probes to verdicts, and when a probe says nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tiara.domain.model import Health, HealthCheck
from tiara.health import Judge, Monitor, Target
from tiara.health.probe import NoPath, probe_tcp

FAST = HealthCheck(9, interval_ms=1, timeout_ms=1, rise=2, fall=3)


@pytest.mark.parametrize(
    ("probes", "expected"),
    [
        ("", Health.UNKNOWN),
        ("+", Health.UNKNOWN),
        ("++", Health.UP),
        ("--", Health.UNKNOWN),
        ("---", Health.DOWN),
        ("--+--", Health.UNKNOWN),
        ("++--+", Health.UP),
        ("++---", Health.DOWN),
        ("---+", Health.DOWN),
        ("---+-+", Health.DOWN),
        ("---++", Health.UP),
    ],
)
def test_rise_and_fall(probes: str, expected: Health) -> None:
    """Two answers in a row make it up, three failures in a row down, anything mixed changes nothing."""
    judge = Judge(2, 3)
    for probe in probes:
        judge.feed(probe == "+")
    assert judge.health is expected


def test_a_pause_breaks_the_row() -> None:
    """Failures before and after a pause do not add up."""
    judge = Judge(2, 3)
    judge.feed(False)
    judge.feed(False)
    judge.forget()
    assert judge.feed(False) is Health.UNKNOWN


class World:
    """A monitor whose probes answer what the test says."""

    def __init__(self, grace_s: float = 0.0) -> None:
        self.answer: str | None = ""
        self.probes = 0
        self.ticked = asyncio.Event()
        self.reports: list[tuple[str, Health, str]] = []
        self.monitor = Monitor(lambda *report: self.reports.append(report), self._probe, grace_s)

    async def _probe(self, address: str, check: HealthCheck) -> str:
        self.probes += 1
        self.ticked.set()
        if self.answer is None:
            raise NoPath
        return self.answer

    async def probed(self, count: int) -> None:
        """Waits for so many more probes and their reports."""
        target = self.probes + count
        async with asyncio.timeout(10):
            while self.probes < target:
                self.ticked.clear()
                await self.ticked.wait()
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Without grace."""
    made = World()
    yield made
    await made.monitor.close()


async def test_reports(world: World) -> None:
    """Verdicts come with their reasons."""
    world.monitor.carry(1)
    world.monitor.add(Target("u1", "198.18.0.11", FAST))
    await world.probed(3)
    assert world.reports[1] == ("u1", Health.UP, "")
    world.answer = "connect: refused"
    await world.probed(6)
    assert world.reports[-1] == ("u1", Health.DOWN, "connect: refused")


async def test_no_data_plane_no_probe(world: World) -> None:
    """Probes travel through the data plane's exception path: without it they would blame the backends."""
    world.answer = "connect: timed out"
    world.monitor.add(Target("u1", "198.18.0.11", FAST))
    await asyncio.sleep(0.05)
    assert world.probes == 0
    world.monitor.carry(1)
    await world.probed(4)
    assert world.reports[-1][1] is Health.DOWN


async def test_a_probe_that_outlives_its_data_plane_is_ignored(world: World) -> None:
    """What was in flight when the data plane died says nothing."""
    release = asyncio.Event()
    world.monitor.carry(1)

    async def slow(address: str, check: HealthCheck) -> str:
        await release.wait()
        return "connect: timed out"

    world.monitor._probe = slow
    world.monitor.add(Target("u1", "198.18.0.11", FAST))
    await asyncio.sleep(0.02)
    world.monitor.carry(2)
    release.set()
    await asyncio.sleep(0)
    assert world.reports == []


async def test_failures_right_after_a_start_are_ignored() -> None:
    """The grace: neighbours are still being learned. Successes count at once."""
    world = World(grace_s=3600)
    world.answer = "connect: timed out"
    world.monitor.carry(1)
    world.monitor.add(Target("u1", "198.18.0.11", FAST))
    await world.probed(5)
    assert world.reports == []
    world.answer = ""
    await world.probed(4)
    assert world.reports[-1][1] is Health.UP
    await world.monitor.close()


async def test_no_path_says_nothing(world: World) -> None:
    """A probe that cannot leave this machine is neither success nor failure."""
    world.answer = None
    world.monitor.carry(1)
    world.monitor.add(Target("u1", "198.18.0.11", FAST))
    await world.probed(5)
    assert world.reports == []


async def test_removed_backends_are_not_probed(world: World) -> None:
    """Remove ends it."""
    world.monitor.carry(1)
    world.monitor.add(Target("u1", "198.18.0.11", FAST))
    await world.probed(1)
    world.monitor.remove("u1")
    probes = world.probes
    await asyncio.sleep(0.02)
    assert world.probes == probes


async def test_what_was_known_before_counts(world: World) -> None:
    """A backend that was down before the restart stays down after one good probe."""
    world.monitor.carry(1)
    world.monitor.add(Target("u1", "198.18.0.11", FAST), Health.DOWN)
    await world.probed(1)
    assert world.reports[0] == ("u1", Health.DOWN, "")


async def test_tcp_probe() -> None:
    """A listening port answers, a closed one is refused."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await probe_tcp("127.0.0.1", HealthCheck(port)) == ""
    server.close()
    await server.wait_closed()
    assert await probe_tcp("127.0.0.1", HealthCheck(port)) == "connect: refused"
