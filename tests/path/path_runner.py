# SPDX-License-Identifier: Apache-2.0
"""The C packet path behind the line protocol of run_memory.c."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from path_packets import mac
from path_records import Burst, Config, Entry, Explained, Flow, Left
from tiara.domain.layout import EntryFlag, Event, Forward, NeighbourState, State, Status, Use, Verdict
from tiara.planner.sources import source_ranges

PROTOCOLS = {"tcp": 6, "udp": 17}
ROOT = Path(__file__).parents[2]


def program() -> Path:
    """run_memory in the build folder that TIARA_BUILD names; build/release otherwise."""
    build = os.environ.get("TIARA_BUILD", "build/release")
    path = ROOT / build / "tests/path/run_memory"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is not built; run: meson setup {build} -Dtests=true && ninja -C {build} "
            f"tests/path/run_memory (another build folder: TIARA_BUILD=FOLDER)"
        )
    return path


class PathProgram:
    """A run_memory process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._backends: list[str] = []
        self._services: list[str] = []
        self.swept_gone = 0
        """Entries of gone services and backends that sweeps cleared: only time tells when."""

    def close(self) -> None:
        """End the process; a sanitizer's report makes this fail."""
        assert self._process.stdin
        self._process.stdin.close()
        assert self._process.wait(10) == 0

    def ask(self, *words: object) -> list[list[str]]:
        """One command; the words of each line of its answer."""
        line = " ".join(str(word) for word in words)
        self._say([line])
        return self._hear(line)

    def _say(self, lines: list[str]) -> None:
        assert self._process.stdin
        self._process.stdin.write("".join(f"{line}\n" for line in lines))
        self._process.stdin.flush()

    def _hear(self, line: str) -> list[list[str]]:
        """The answer to a command that was said."""
        assert self._process.stdout
        answer: list[list[str]] = []
        for text in self._process.stdout:
            if text == "ok\n":
                return answer
            assert not text.startswith("error"), f"{line[:200]}: {text}"
            answer.append(text.split())
        raise AssertionError(f"run_memory ended at: {line[:200]}")

    def new(self, setup: Config) -> None:
        """See PathUnderTest."""
        node = setup["node"]
        self._backends, self._services = [], []
        self.ask("new", setup["buckets"], setup["tick"], node["address"], node["netmask"], node["gateway"],
                 node["mtu"], mac(node["port_mac"]), mac(node["kernel_mac"]))  # fmt: skip
        for address, name in setup["neighbours"].items():
            self.ask("neighbour", address, mac(name))
        self.ask("secret", *setup["select_secret"])

    def _index(self, names: list[str], name: str) -> int:
        if name not in names:
            names.append(name)
        return names.index(name)

    def _publish_backend(self, name: str, backend: dict[str, Any]) -> None:
        self.ask("backend", self._index(self._backends, name), backend["address"],
                 Forward[backend["forward"].upper()].value, Use[backend["use"].upper()].value,
                 backend.get("vni", 0), backend.get("tunnel_port", 0),
                 mac(backend.get("inner_mac", "zero")), backend.get("connection_max", 0))  # fmt: skip

    def _publish_service(self, name: str, service: dict[str, Any]) -> None:
        timeouts = service["timeouts"]
        rows = [self._index(self._backends, row) for row in service["rows"]]
        sources = source_ranges(service.get("sources", []))
        index = self._index(self._services, name)
        self.ask("sources", index, *(number for source in sources for number in source))
        self.ask("service", index, service["vip"], PROTOCOLS[service["protocol"]],
                 service["port"], Use[service["use"].upper()].value, service.get("flags", 0),
                 timeouts["new"], timeouts["established"], timeouts["closing"], timeouts["udp"],
                 service.get("new_max", 0), len(sources), *rows)  # fmt: skip

    def publish(self, config: Config) -> None:
        """See PathUnderTest."""
        for name, backend in config["backends"].items():
            self._publish_backend(name, backend)
        for name, service in config["services"].items():
            self._publish_service(name, service)
        self.ask("publish")

    def push(self, client: tuple[str, int], service: str, entry: Entry) -> Status:
        """See PathUnderTest."""
        answer = self.ask("push", *client, self._services.index(service), self._backends.index(entry.backend),
                          entry.state.value, entry.idle,
                          EntryFlag.PUSHED.value if entry.pushed else 0)  # fmt: skip
        return Status(int(answer[0][1]))

    def find(self, client: tuple[str, int], service: str) -> Entry | None:
        """See PathUnderTest."""
        answer = self.ask("find", *client, self._services.index(service))[0]
        if answer[0] == "none":
            return None
        return self._entry(answer[1:])

    def neighbour(self, address: str) -> tuple[str, str]:
        """See PathUnderTest."""
        answer = self.ask("neighbour_state", address)[0]
        return NeighbourState(int(answer[1])).label, answer[2]

    def counters(self, service: str, backend: str) -> tuple[Flow, Flow]:
        """See PathUnderTest."""
        answer = self.ask("counters", self._services.index(service), self._backends.index(backend))
        of_service, of_backend = (tuple(int(word) for word in line[1:]) for line in answer)
        return of_service, of_backend  # type: ignore[return-value]

    def room(self, headroom: int, tx: int, kernel: int) -> None:
        """See PathUnderTest."""
        self.ask("room", headroom, tx, kernel)

    def wait(self, ticks: int) -> None:
        """See PathUnderTest."""
        self._count(self.ask("wait", ticks))

    def _count(self, answer: list[list[str]]) -> Counter[Event]:
        events = Counter({Event(int(line[1])): int(line[2]) for line in answer if line[0] == "event"})
        self.swept_gone += events[Event.SWEPT_GONE]
        return events

    def _burst(self, command: str, frames: list[bytes]) -> Burst:
        return self._burst_of(self.ask(command, *(frame.hex() for frame in frames)))

    def _burst_of(self, answer: list[list[str]]) -> Burst:
        left = [
            Left(Verdict(int(line[1])), line[2], bytes.fromhex("".join(line[3:])))
            for line in answer
            if line[0] == "frame"
        ]
        return Burst(left, self._count(answer))

    def receive(self, frames: list[bytes]) -> Burst:
        """See PathUnderTest."""
        return self._burst("rx", frames)

    def receive_each(self, frames: list[bytes]) -> Iterator[Burst]:
        """As receive, a burst for each frame; all are on their way before the first answer is read.

        They have to fit in a pipe, which is 64 KiB: a hundred small ones.
        """
        lines = [f"rx {frame.hex()}" for frame in frames]
        self._say(lines)
        for line in lines:
            yield self._burst_of(self._hear(line))

    def explain(self, frame: bytes) -> Explained:
        """What the path would do with it; nothing is done."""
        lines = self.ask("explain", frame.hex())
        events = frozenset(Event(int(line[1])) for line in lines if line[0] == "event")
        answer = {line[0]: line[1:] for line in lines}
        verdict, way, *text = answer["explained"]
        service, state, row, backend = answer.get("service", ["-1", "0", "-1", "-1"])
        before = answer.get("connection")
        return Explained(
            Left(Verdict(int(verdict)), way, bytes.fromhex("".join(text))),
            events,
            self._named(self._services, service),
            self._named(self._backends, row),
            self._named(self._backends, backend),
            State(int(state)),
            self._entry(before) if before else None,
        )

    def _entry(self, words: list[str]) -> Entry:
        backend, state, flags, idle = (int(word) for word in words)
        return Entry(self._backends[backend], State(state), bool(flags & EntryFlag.PUSHED), idle)

    def _named(self, names: list[str], index: str) -> str:
        return names[int(index)] if int(index) >= 0 else ""

    def inject(self, frame: bytes) -> Burst:
        """See PathUnderTest."""
        return self._burst("inject", [frame])
