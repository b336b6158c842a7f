# SPDX-License-Identifier: Apache-2.0
"""A data plane in the balancer's namespace, configured through libtiara: no control plane runs."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from dataplane_probe import Exchange, Mask
from testbed.topology import (
    BALANCER_ADDRESS,
    CLIENT_ADDRESS,
    HTTP_PORT,
    PREFIX_BITS,
    TCP_VIP,
    Topology,
    segment_files,
)
from tiara.domain.dataplane import BackendSpec, ServiceSpec
from tiara.domain.layout import Forward, Role, Use
from tiara.domain.model import Protocol
from tiara.native import Segment

BINARY = shutil.which("tiara-dataplane") or str(Path(sys.executable).parent / "tiara-dataplane")
KEY = "dataplane"
SIZES = ["--connections=4096", "--services=64", "--backends=64", "--heap-mb=8"]
WAIT_S = 15.0


def wait_for(what: str, is_so: Callable[[], bool]) -> None:
    """Asks until it is so; AssertionError says what did not come."""
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, f"waited {WAIT_S:.0f} s for {what}"
        time.sleep(0.02)


class World:
    """The testbed's namespaces and one data plane; `start` and `kill` it, `publish` a configuration."""

    def __init__(self, topology: Topology, io: str) -> None:
        self.topology = topology
        self.io = io
        self.revision = 0

    def command(self, *arguments: str) -> list[str]:
        """The data plane's command line."""
        return [BINARY, f"--instance={self.topology.name}", f"--io={self.io}:eth0", *arguments]

    def start(self, *arguments: str) -> None:
        """Starts it with an own address and waits until it says that it is ready."""
        before = self.log().count("\nready ")
        address = f"--address={BALANCER_ADDRESS}/{PREFIX_BITS}"
        self.topology.start(KEY, "balancer", *self.command(address, *arguments))
        wait_for("ready", lambda: self.log().count("\nready ") > before or self._has_ended())

    def _has_ended(self) -> bool:
        status = self.topology.exit_status(KEY)
        assert status is None, f"the data plane has ended with {status}\n{self.log()}"
        return False

    def stop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Ends it; its exit status."""
        return self.topology.stop(KEY, sig)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs one that is expected to end by itself."""
        command = self.topology.command("balancer", *self.command(*arguments))
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it does not end: {error.stdout!r} {error.stderr!r}") from None

    def log(self) -> str:
        """All that it printed, from all starts."""
        path = self.topology.log_folder / f"{KEY}.log"
        return "\n" + path.read_text() if path.exists() else ""

    def port_mac(self) -> str:
        """The port's MAC as it said at start."""
        return str(re.findall(r"\nport .* MAC ([0-9a-f:]{17})", self.log())[-1])

    def segment(self, role: Role = Role.READER) -> Segment:
        """The segment, attached."""
        (path,) = segment_files(self.topology.name)
        return Segment.attach(path, role)

    def publish(self, *backends: str, vip: str = TCP_VIP) -> None:
        """A generation with one HTTP service on these addresses, spread evenly."""
        self.revision += 1
        segment = self.segment(Role.CONTROLPLANE)
        try:
            with segment.change() as change:
                change.secret(b"0123456789abcde\0")  # of zeros every client would fall on one row
                idx = [change.put_backend(_backend(address)) for address in backends]
                rows = array("I", [row % len(idx) for row in range(101)])
                offset = change.table(rows.tobytes(), idx, 0)
                change.put_service(_service(vip), offset, len(rows))
                change.commit(self.revision)
        finally:
            segment.detach()

    def verdicts(self) -> dict[str, int]:
        """Packets by verdict since the segment was made."""
        segment = self.segment()
        try:
            return segment.counters().verdicts
        finally:
            segment.detach()

    def client_mac(self) -> str:
        """The client's MAC."""
        return self.topology.run("client", "cat", "/sys/class/net/eth0/address").strip()

    def exchange(self, masks: list[Mask], send: bytes = b"") -> bytes:
        """One frame sent from the client, one that fits awaited there."""
        frames = Exchange(self.topology, "client", masks, send=send).frames()
        assert len(frames) == 1, "no answer"
        return frames[0]

    def get(self, role: str, address: str) -> str:
        """What an HTTP server says to this namespace."""
        code = (
            "import urllib.request as r;"
            f"print(r.urlopen('http://{address}:{HTTP_PORT}/', timeout=10).read().decode())"
        )
        return self.topology.run(role, sys.executable, "-c", code).split()[0]


def _backend(address: str) -> BackendSpec:
    uid = address.encode().hex().ljust(32, "0")[:32]
    return BackendSpec("web", address.replace(".", "-"), uid, address, Use.ACTIVE, Forward.L2)


def _service(vip: str) -> ServiceSpec:
    uid = vip.encode().hex().ljust(32, "0")[:32]
    return ServiceSpec("web", uid, vip, Protocol.TCP, HTTP_PORT, 30, 300, 10, 60)


__all__ = ["BINARY", "CLIENT_ADDRESS", "KEY", "SIZES", "World", "wait_for"]
