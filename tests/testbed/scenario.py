# SPDX-License-Identifier: Apache-2.0
"""One run through the testbed: the documentation's examples, then kills under held traffic."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bed import CONTROLPLANE, DATAPLANE, Bed
from engine import BRIDGE, CACHE, CGROUP, ROOT, Engine, EngineError, Say
from testbed.traffic import Report, Traffic

PAGE = ROOT / "docs" / "testbed.md"
TCP_FLOWS, UDP_FLOWS, PROBES = 500, 100, 200
HELD_PORTS = range(40000, 40000 + TCP_FLOWS)
PROBE_PORTS = (range(start, start + PROBES) for start in range(50000, 60000, PROBES))
HOLD_S = 2.0
_CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Example:
    """A command of the documentation, what the page shows under it, what it printed."""

    command: str
    shown: str
    printed: str


@dataclass
class Step:
    """What the held traffic saw, who answered new connections, what the table says of the held ones."""

    name: str
    report: Report
    probed: dict[int, str]
    disagreeing: int


@dataclass
class Run:
    """Everything the tests look at."""

    examples: list[Example] = field(default_factory=list)
    steps: dict[str, Step] = field(default_factory=dict)
    killed: list[tuple[str, str, int]] = field(default_factory=list)
    adopted: str = ""
    health: dict[str, dict[str, str]] = field(default_factory=dict)
    starts: int = 0
    ip_forward: str = ""
    forwarded_by_kernel: str = ""
    mounts: dict[str, list[str]] = field(default_factory=dict)
    privileged: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def examples(page: Path = PAGE) -> Iterator[tuple[str, str]]:
    """The page's commands and what it shows under each."""
    for block in _CONSOLE.findall(page.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown


class Scenario:
    """The steps, in order."""

    def __init__(self, bed: Bed, say: Say) -> None:
        self.bed = bed
        self.say = say
        self.run = Run()
        self.held: dict[tuple[str, int], str] = {}

    def play(self) -> Run:
        """All of them."""
        self._documentation()
        with self.bed.traffic() as traffic:
            self._kills(traffic)
            self._look_around()
            self._kill_server(traffic)
        return self.run

    def _documentation(self) -> None:
        self.say("the examples of docs/testbed.md")
        for command, shown in examples():
            self.run.examples.append(Example(command, shown, self.bed.typed(command)))
        self.bed.wait_ready()
        self._wait_health("after the examples", b1="UP", b2="UP")

    def _kills(self, traffic: Traffic) -> None:
        bed = self.bed
        traffic.open("tcp", HELD_PORTS)
        traffic.open("udp", range(HELD_PORTS.start, HELD_PORTS.start + UDP_FLOWS))
        self.held = self._table()
        self._step(traffic, "both servers", lambda: None)
        self._step(traffic, "b1 drains", lambda: bed.tiara("backend drain web/b1"))
        self._step(traffic, "data plane killed", lambda: self._kill_and_start(DATAPLANE))
        self._step(traffic, "control plane away", lambda: self._kill(CONTROLPLANE), table=False)
        self._step(traffic, "control plane back", lambda: self._start(CONTROLPLANE))
        self._step(traffic, "b1 undrained", lambda: bed.tiara("backend undrain web/b1"))
        self._step(traffic, "b2 drains", lambda: bed.tiara("backend drain web/b2"))
        self._step(traffic, "both killed", lambda: self._kill_and_start(DATAPLANE, CONTROLPLANE))
        bed.tiara("backend undrain web/b2")
        self._wait_health("after the kills", b1="UP", b2="UP")

    def _step(self, traffic: Traffic, name: str, act: Callable[[], object], table: bool = True) -> None:
        """Acts, holds on for a while, and keeps what was seen."""
        self.say(name)
        act()
        probed = traffic.probe("tcp", next(PROBE_PORTS))
        traffic.settle(time.monotonic(), HOLD_S)
        now = self._table() if table else self.held
        disagreeing = sum(now.get(flow) != backend for flow, backend in self.held.items())
        self.run.steps[name] = Step(name, traffic.report(), probed, disagreeing)

    def _table(self) -> dict[tuple[str, int], str]:
        """The held flows' entries."""
        return {flow: backend for flow, backend in self.bed.table().items() if flow[1] in HELD_PORTS}

    def _kill(self, *services: str) -> None:
        self.bed.kill(*services)
        for service in services:
            state = self.bed.state(service)
            self.run.killed.append((service, state["Status"], state["ExitCode"]))

    def _start(self, *services: str) -> None:
        self.bed.start(*services)
        self.bed.wait_ready()

    def _kill_and_start(self, *services: str) -> None:
        self._kill(*services)
        self._start(*services)

    def _wait_health(self, name: str, **wanted: str) -> None:
        expected = {backend: f"HEALTH_STATE_{state}" for backend, state in wanted.items()}
        self.bed.wait_for(f"health checks to say {wanted}", lambda: self.bed.health() == expected)
        self.run.health[name] = self.bed.health()

    def _look_around(self) -> None:
        bed, found = self.bed, self.run
        found.adopted = bed.compose("logs", "--no-color", DATAPLANE)
        found.starts = int(bed.tiara_json("node")["dataplaneStarts"])
        found.ip_forward = bed.inside("balancer", "cat", "/proc/sys/net/ipv4/ip_forward").strip()
        snmp = bed.inside("balancer", "cat", "/proc/net/snmp").splitlines()
        names, values = (line.split() for line in snmp if line.startswith("Ip:"))
        found.forwarded_by_kernel = values[names.index("ForwDatagrams")]
        for service in ("balancer", DATAPLANE, CONTROLPLANE):
            inspected = bed.inspect(service)
            found.mounts[service] = sorted(
                f"{mount['Name'].removeprefix(bed.project + '_')}:{mount['Destination']}"
                for mount in inspected["Mounts"]
            )
            if inspected["HostConfig"]["Privileged"]:
                found.privileged.append(service)

    def _kill_server(self, traffic: Traffic) -> None:
        self.say("server b2 killed")
        traffic.allow_move("b2")
        self.bed.kill("b2")
        self._wait_health("b2 killed", b1="UP", b2="DOWN")
        self._step(traffic, "b2 killed", lambda: None, table=False)
        self.bed.start("b2")
        self._wait_health("b2 back", b1="UP", b2="UP")
        self._step(traffic, "b2 back", lambda: None, table=False)


def played(engine: Engine, say: Say) -> Run:
    """Builds, plays, tears down, and looks at what is left."""
    bed = Bed(engine, say)
    try:
        found = Scenario(bed, say).play()
    except EngineError as error:
        raise EngineError(f"{error}\n{bed.logs(DATAPLANE, CONTROLPLANE, 'balancer')}") from None
    finally:
        say("removing containers, networks, volumes, images")
        bed.close()
    found.left = bed.left() + [f"image {image}" for image in set(bed.images()) - bed.images_before]
    return found


def left_of_engine() -> list[str]:
    """What our own daemon would leave on the machine: processes, mounts, control groups, bridges."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(CACHE) in line]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{CGROUP}")]
    sockets = [str(path) for path in Path("/run").glob("tiara-engine-*")]
    processes = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"dockerd\0" in words and str(CACHE).encode() in words:
            processes.append(str(path))
    bridges = [path.name for path in Path("/sys/class/net").iterdir() if path.name == BRIDGE]
    return mounts + groups + sockets + processes + bridges
