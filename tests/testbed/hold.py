#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`hold` in the client's container: holds connections open and says every second how they are."""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TCP_TARGET = ("198.18.100.1", 80)
UDP_TARGET = ("198.18.100.2", 5300)
FIRST_PORT = 20000


class Holder:
    """holder.py as a process of its own; it says there what counts as broken."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("holder.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """One command and its answer."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        stdin.flush()
        answer: dict[str, Any] = json.loads(stdout.readline())
        return answer

    def open(self, protocol: str, target: tuple[str, int], count: int) -> None:
        """Opens flows and says who answers them."""
        ports = list(range(FIRST_PORT, FIRST_PORT + count))
        answer = self.ask("open", protocol=protocol, address=target[0], port=target[1], client_ports=ports)
        if "error" in answer:
            sys.exit(f"hold: {answer['error']}; is another hold running?")
        share = ", ".join(f"{server} {flows}" for server, flows in sorted(answer["share"].items()))
        print(f"{protocol}: {count - answer['failed']} of {count} opened: {share or 'nobody answers'}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hold", description=__doc__, epilog="Exit 1: a connection broke.")
    parser.add_argument("--tcp", type=int, default=200, metavar="N", help="TCP connections (200)")
    parser.add_argument("--udp", type=int, default=50, metavar="N", help="UDP flows (50)")
    parser.add_argument("--seconds", type=int, metavar="S", help="end after so long; else at Ctrl-C")
    return parser.parse_args()


def main() -> int:
    """Opens, watches, counts what broke."""
    arguments = _arguments()
    holder = Holder()
    holder.open("tcp", TCP_TARGET, arguments.tcp)
    holder.open("udp", UDP_TARGET, arguments.udp)
    broken = 0
    try:
        for _ in itertools.count() if arguments.seconds is None else range(arguments.seconds):
            time.sleep(1)
            report = holder.ask("report")
            broken += len(report["broken"])
            print(
                f"held {report['held_tcp']} tcp {report['held_udp']} udp, {report['requests']:4} answers,"
                f" longest wait {report['longest_gap_ms']:4} ms, broken so far {broken}",
                flush=True,
            )
    except KeyboardInterrupt:
        print()
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
