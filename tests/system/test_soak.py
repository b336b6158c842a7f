# SPDX-License-Identifier: Apache-2.0
"""Changes without end under held traffic, while the control plane is killed and its disk fails.

Short by default; `script/test --long system` makes 1,000 changes in five minutes with ten kills
(TIARA_SOAK_CHANGES, TIARA_SOAK_SECONDS, TIARA_SOAK_KILLS; TIARA_SOAK_SEED draws others).
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from testbed.balancer import CONTROLPLANE, DATAPLANE, Balancer
from testbed.changes import Changes, declared
from testbed.disk import Disk, descriptors, private_bytes
from testbed.topology import HTTP_PORT, Topology, server_address
from testbed.traffic import HTTP_TARGET, UDP_TARGET, BrokenFlow, Traffic

CHANGES = int(os.environ.get("TIARA_SOAK_CHANGES", "100"))
SECONDS = float(os.environ.get("TIARA_SOAK_SECONDS", "15"))
KILLS = int(os.environ.get("TIARA_SOAK_KILLS", "3"))
SEED = int(os.environ.get("TIARA_SOAK_SEED", "5"))
TCP_FLOWS, UDP_FLOWS = 300, 60
PORTS = range(30_000, 60_000)
SILENCE_S = 5.0
LAST_LIFE = 0.7
"""After this part of the changes nobody is killed: memory is compared within one life."""

CONTROLPLANE_GROWS_BYTES = 24 << 20
DATAPLANE_GROWS_BYTES = 4 << 20
STORE_BYTES = 32 << 20
QUARANTINE_S = 60.0
LARGE = range(1, 301)
LARGE_WRITES_MAX = 60
SIZES = {"connections": 65536, "services": 1024, "backends": 4096, "heap-mb": 12}
"""A selection table is 256 KiB: one lost at every third change of the last life would not fit."""

KILL_AT_WRITE = Path(__file__).parent / "testbed" / "kill_at_write.py"


@dataclass(frozen=True)
class Use:
    """Of resources, at one moment."""

    controlplane_bytes: int
    controlplane_files: int
    dataplane_bytes: int
    dataplane_files: int


@dataclass
class Outcome:
    """What the tests look at."""

    made: dict[str, int] = field(default_factory=dict)
    changes: int = 0
    kills: list[str] = field(default_factory=list)
    broken: list[BrokenFlow] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    store_bytes: int = 0
    generations_waiting: int = -1
    quarantined: int = -1


class Soak:
    """One run."""

    def __init__(self, balancer: Balancer, traffic: Traffic, disk: Disk) -> None:
        self.balancer = balancer
        self.traffic = traffic
        self.disk = disk
        self.changes = Changes(balancer, SEED)
        self.outcome = Outcome()
        self._random = random.Random(SEED)
        self._port = PORTS.start
        self._ways: list[Callable[[], None]] = [self.kill_at_write, self.kill_with_a_full_disk]
        self._ways += [self.kill_and_start_read_only, self.kill_at_random]

    def run(self) -> Outcome:
        """All of it."""
        self._configure()
        base = self.changes.revisions[-1]
        kill_at = {int(CHANGES * LAST_LIFE * (i + 1) / (KILLS + 1)) for i in range(KILLS)}
        start = time.monotonic()
        for number in range(CHANGES):
            if number in kill_at:
                self._kill()
            if number == CHANGES // 20:
                self.refuse_writes()
            if number == int(CHANGES * LAST_LIFE) + CHANGES // 10:
                self.outcome.uses.append(self._use())
            self._change()
            time.sleep(max(0.0, start + SECONDS * number / CHANGES - time.monotonic()))
        self._finish(base)
        return self.outcome

    def _configure(self) -> None:
        balancer = self.balancer
        for pool, mode in (("web", "l2"), ("echo", "vxlan")):
            balancer.create_pool(pool, mode, check_port=HTTP_PORT)
            for number in (1, 2, 3, 4):
                balancer.create_backend(pool, f"b{number}", server_address(number))
        balancer.create_service("web", "web", "tcp:{}:{}".format(*HTTP_TARGET))
        balancer.create_service("echo", "echo", "udp:{}:{}".format(*UDP_TARGET))
        balancer.wait_applied()
        self.changes.revisions.append(balancer.node().stored_revision)
        self.traffic.allow_move("b1", "b2", "b3", "b4")
        self._hold()

    def _hold(self) -> None:
        """Opens anew what has ended, from ports that were not used lately."""
        report = self.traffic.report()
        self.outcome.broken += report.broken
        for protocol, missing in (
            ("tcp", TCP_FLOWS - report.held_tcp),
            ("udp", UDP_FLOWS - report.held_udp),
        ):
            self.traffic.open(protocol, self._ports(missing))

    def _ports(self, count: int) -> range:
        if self._port + count > PORTS.stop:
            self._port = PORTS.start
        start, self._port = self._port, self._port + count
        return range(start, self._port)

    def _change(self) -> None:
        self.changes.make()
        self.outcome.changes += 1
        if self._random.random() < 0.2:
            self.balancer.wait_applied()
        if self.outcome.changes % 20 == 0:
            self._hold()

    def _use(self) -> Use:
        controlplane, dataplane = (
            self.balancer.topology.process(key).pid for key in (CONTROLPLANE, DATAPLANE)
        )
        return Use(
            private_bytes(controlplane),
            descriptors(controlplane),
            private_bytes(dataplane),
            descriptors(dataplane),
        )

    def _finish(self, base: int) -> None:
        """Back to what was at first; then all that was in use meanwhile must be free again."""
        self.outcome.uses.append(self._use())
        self.changes.operator.roll_back(base)
        self.balancer.wait_applied()
        self.traffic.settle(time.monotonic(), 0.5)
        self._hold()
        self.balancer.wait_for("the end of quarantine", lambda: self._quarantined() == 0, QUARANTINE_S)
        node = self.balancer.node()
        self.outcome.generations_waiting = node.generations_waiting
        self.outcome.quarantined = self._quarantined()
        self.outcome.store_bytes = self.disk.used_bytes()
        self.outcome.made = dict(self.changes.made)
        assert self.disk.check() == node.stored_revision

    def _quarantined(self) -> int:
        node = self.balancer.node()
        return node.quarantined_services + node.quarantined_backends

    # ---- kills

    def _kill(self) -> None:
        way = self._ways[len(self.outcome.kills) % len(self._ways)]
        way()
        self.outcome.kills.append(way.__name__)
        self.balancer.wait_for("a write", self._writes)
        self.balancer.wait_applied()
        self._hold()

    def _writes(self) -> bool:
        self.changes.make()
        return True

    def kill_at_write(self) -> None:
        """As soon as the store's log was written to for the n-th time."""
        pid = self.balancer.topology.process(CONTROLPLANE).pid
        log = self.disk.folder / "store.db-wal"
        command = [sys.executable, str(KILL_AT_WRITE), str(pid), str(log), str(self._random.randrange(1, 20))]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as killer:
            assert killer.stdout
            killer.stdout.readline()
            self._change_until_dead()
        self._restart()

    def kill_at_random(self) -> None:
        """Whatever it is at."""
        pid = self.balancer.topology.process(CONTROLPLANE).pid
        code = f"import os, time; time.sleep({self._random.random():.3f}); os.kill({pid}, 9)"
        with subprocess.Popen([sys.executable, "-c", code]):
            self._change_until_dead()
        self._restart()

    def _change_until_dead(self) -> None:
        while True:
            try:
                self.changes.make()
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE, error
                break
        self.balancer.topology.process(CONTROLPLANE).wait(5)

    def _restart(self) -> None:
        """The file is whole and has every write that was acknowledged; at most one more."""
        acknowledged = self.changes.revisions[-1]
        assert self.disk.check() in (acknowledged, acknowledged + 1)
        self.balancer.start_controlplane()
        assert self.balancer.node().stored_revision in (acknowledged, acknowledged + 1)

    def kill_with_a_full_disk(self) -> None:
        """A write that has no room is refused by name; a start without room works; room makes it go on."""
        self.disk.fill()
        before, error = self._write_until_refused()
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(error.details()).startswith(f"no room left for the store {self.disk.store}")
        assert self.balancer.node().stored_revision == before
        self.changes.revisions.append(before)
        self.balancer.kill(CONTROLPLANE)
        self._restart()
        self.disk.free()

    def _write_until_refused(self) -> tuple[int, grpc.Call]:
        """The log's file may have room of its own for a while. The revision before, and the refusal."""
        for number in range(LARGE_WRITES_MAX):
            before = self.balancer.node().stored_revision
            try:
                self.changes.operator.apply(declared(LARGE, weight=number % 2 + 1))
            except grpc.RpcError as error:
                assert isinstance(error, grpc.Call)
                return before, error
        raise AssertionError("a full disk refuses nothing")

    def kill_and_start_read_only(self) -> None:
        """A start on a read-only disk is refused by name; nothing was changed when it can write again."""
        self.balancer.kill(CONTROLPLANE)
        before = self.disk.check()
        self.disk.set_read_only(True)
        command = self.balancer.topology.command("balancer", *self.balancer.controlplane_command())
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 1
        assert f"the store {self.disk.store}" in done.stderr
        assert "Traceback" not in done.stderr
        self.disk.set_read_only(False)
        assert self.disk.check() == before
        self.balancer.start_controlplane()

    def refuse_writes(self) -> None:
        """The disk takes no byte for a while: no write, no line of the log."""
        before = self.balancer.node().stored_revision
        pid = self.balancer.topology.process(CONTROLPLANE).pid
        subprocess.run(["prlimit", f"--pid={pid}", "--fsize=0:"], check=True)
        error = self._refused(lambda: self.changes.operator.apply(declared(LARGE)))
        subprocess.run(["prlimit", f"--pid={pid}", "--fsize=unlimited:"], check=True)
        assert error.code() is grpc.StatusCode.INTERNAL
        assert "nothing was changed" in str(error.details())
        assert self.balancer.node().stored_revision == before

    def _refused(self, act: Callable[[], object]) -> grpc.Call:
        with pytest.raises(grpc.RpcError) as caught:
            act()
        assert isinstance(caught.value, grpc.Call)
        return caught.value


@pytest.fixture(scope="module")
def soaked() -> Iterator[Outcome]:
    with Topology("test-soak") as topology, Disk(topology.folder / "disk") as disk:
        balancer = Balancer(topology, sizes=SIZES)
        balancer.store = disk.store
        balancer.start()
        with Traffic(topology, SILENCE_S) as traffic:
            yield Soak(balancer, traffic, disk).run()


def test_only_connections_of_removed_backends_break(soaked: Outcome) -> None:
    """Changes, kills, a full and a read-only disk: nothing held breaks but on b4, which goes."""
    assert [flow for flow in soaked.broken if flow.server != "b4"] == []
    assert soaked.broken
    assert soaked.changes == CHANGES
    assert len(soaked.made) >= 10, soaked.made


def test_it_was_killed_in_every_way(soaked: Outcome) -> None:
    """The file was whole each time, with every acknowledged write (asserted where it is killed)."""
    assert len(soaked.kills) == KILLS
    assert len(set(soaked.kills)) == min(KILLS, 4)


def test_memory_and_files_are_flat(soaked: Outcome) -> None:
    """Neither process grows within its last life."""
    first, last = soaked.uses
    assert last.controlplane_bytes - first.controlplane_bytes < CONTROLPLANE_GROWS_BYTES
    assert last.dataplane_bytes - first.dataplane_bytes < DATAPLANE_GROWS_BYTES
    assert abs(last.controlplane_files - first.controlplane_files) <= 2
    assert last.dataplane_files == first.dataplane_files


def test_what_was_in_use_is_free_again(soaked: Outcome) -> None:
    """No generation waits, no index is in quarantine; the segment and the store had room for all of it."""
    assert (soaked.generations_waiting, soaked.quarantined) == (0, 0)
    assert soaked.store_bytes < STORE_BYTES
