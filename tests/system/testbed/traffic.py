# SPDX-License-Identifier: Apache-2.0
"""The held traffic as the demo and the tests command it; see holder.py for what is checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.topology import TCP_VIP, UDP_PORTS, UDP_VIP, TestbedError, Topology

HTTP_TARGET = (TCP_VIP, 80)
UDP_TARGET = (UDP_VIP, UDP_PORTS[0])
SETTLE_S = 6.5  # over the 5 s after which a silent flow is broken


@dataclass(frozen=True)
class BrokenFlow:
    """A held flow that ended, who had answered it, and why it ended."""

    flow: str
    server: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What was seen between two reports.

    Gap: how long a request waited for its answer. Pause: between two requests of one flow.
    """

    held_tcp: int
    held_udp: int
    requests: int
    longest_gap_ms: int
    longest_pause_ms: int
    lost_datagrams: int
    moved: int
    broken: list[BrokenFlow] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Flows that are open: TCP and UDP."""
        return self.held_tcp + self.held_udp


class Traffic:
    """The holder's process in the client's namespace."""

    def __init__(self, topology: Topology, silence_s: float = 5.0) -> None:
        """A flow without an answer for `silence_s` is broken."""
        path = Path(__file__).with_name("holder.py")
        self._log = (topology.log_folder / "holder.log").open("ab")
        self._process = subprocess.Popen(
            topology.command("client", sys.executable, str(path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            env={**os.environ, "TIARA_TESTBED_SILENCE_S": str(silence_s)},
        )

    def __enter__(self) -> Traffic:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the traffic, unless it was told to stay."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._log.close()

    def stay(self) -> None:
        """The traffic goes on after this process."""
        self._ask("stay")

    def open(
        self, protocol: str, client_ports: Iterable[int], target: tuple[str, int] | None = None
    ) -> dict[str, int]:
        """Opens flows from these client ports and holds them; returns how many each server has.

        Raises:
            TestbedError: some had no answer; they are not held.
        """
        answer = self._ask("open", **_where(protocol, client_ports, target))
        if answer["failed"]:
            raise TestbedError(f"{answer['failed']} {protocol} flows could not be opened")
        share: dict[str, int] = answer["share"]
        return share

    def probe(
        self,
        protocol: str,
        client_ports: Iterable[int],
        target: tuple[str, int] | None = None,
        wait_s: float = 8.0,
    ) -> dict[int, str]:
        """Opens flows, asks once, closes them; returns the server of each client port that had an answer."""
        answer = self._ask("probe", wait_s=wait_s, **_where(protocol, client_ports, target))
        return {int(port): server for port, server in answer["servers"].items()}

    def ask(self, client_port: int, targets: list[tuple[str, int]], times: int = 8) -> list[str]:
        """Asks many UDP services from one client port; returns who answered, "" where nobody did."""
        answer = self._ask("ask", client_port=client_port, targets=targets, times=times)
        servers: list[str] = answer["servers"]
        return servers

    def held_port(self) -> int:
        """The client port of a held TCP connection."""
        port: int = self._ask("share")["tcp_port"]
        return port

    def held_by(self, server: str, protocol: str = "tcp") -> int:
        """Held flows that this server answers."""
        count: int = self._ask("share")[protocol].get(server, 0)
        return count

    def end_flows(self) -> None:
        """Closes all held flows; the holder stays."""
        self._ask("close")

    def allow_move(self, *servers: str) -> None:
        """UDP flows of these servers may be answered by another from now on."""
        self._ask("allow_move", servers=servers)

    def report(self) -> Report:
        """What was seen since the last report."""
        answer = self._ask("report")
        answer["broken"] = [BrokenFlow(**each) for each in answer["broken"]]
        return Report(**answer)

    def settle(self, since: float, hold_s: float) -> None:
        """Waits until hold_s after `since` (monotonic) and until each flow has had an answer or is broken."""
        time.sleep(max(0.0, since + hold_s - time.monotonic()))
        while (elapsed := time.monotonic() - since) < SETTLE_S:
            if self._ask("waiting")["oldest_ms"] < elapsed * 1000:
                return
            time.sleep(0.05)

    def _ask(self, do: str, **arguments: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise TestbedError("the holder has ended; see holder.log") from None
        line = stdout.readline()
        if not line:
            raise TestbedError("the holder has ended; see holder.log")
        answer = json.loads(line)
        if "error" in answer:
            raise TestbedError(f"holder: {do}: {answer['error']}")
        return answer


def _where(protocol: str, client_ports: Iterable[int], target: tuple[str, int] | None) -> dict[str, Any]:
    address, port = target or (HTTP_TARGET if protocol == "tcp" else UDP_TARGET)
    return {"protocol": protocol, "address": address, "port": port, "client_ports": list(client_ports)}
