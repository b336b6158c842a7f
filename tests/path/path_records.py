# SPDX-License-Identifier: Apache-2.0
"""Records and set-ups, read from TOML: data that every realization of the packet path is held to."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tiara.domain.layout import Event, State, Status, Verdict

FOLDER = Path(__file__).parent
Config = Mapping[str, Any]
"""node, neighbours, backends and services as set-ups write them (tests/path/setups.toml)."""

Flow = tuple[int, int, int]
"""Packets, bytes, connections."""


@dataclass(frozen=True)
class Left:
    """How one frame left: its verdict, by which way ("sent", "kernel", "dropped"), and its bytes then."""

    verdict: Verdict
    way: str
    frame: bytes


@dataclass(frozen=True)
class Entry:
    """A connection as a lookup shows it. idle in ticks."""

    backend: str
    state: State
    pushed: bool
    idle: int


@dataclass(frozen=True)
class Explained:
    """What explain says of a packet. Names are empty and entries None where there are none."""

    left: Left
    events: frozenset[Event]
    service: str
    row_backend: str
    backend: str
    state: State
    before: Entry | None


@dataclass
class Burst:
    """What became of the frames of one burst, and the events counted meanwhile."""

    left: list[Left]
    events: Counter[Event] = field(default_factory=Counter)


class PathUnderTest(Protocol):
    """A realization of the packet path: the C program, the Python model, later the RTL."""

    def new(self, setup: Config) -> None:
        """Start empty, with the set-up's node and neighbours and no generation."""

    def publish(self, config: Config) -> None:
        """Make backends and services of the configuration the current generation."""

    def push(self, client: tuple[str, int], service: str, entry: Entry) -> Status:
        """Put a connection there, as PushConnections does."""

    def find(self, client: tuple[str, int], service: str) -> Entry | None:
        """Look a connection up; None: absent or expired."""

    def neighbour(self, address: str) -> tuple[str, str]:
        """State ("free", "wanted", "known") and MAC of a next hop."""

    def counters(self, service: str, backend: str) -> tuple[Flow, Flow]:
        """Packets, bytes and new connections of a service and of a backend."""

    def room(self, headroom: int, tx: int, kernel: int) -> None:
        """Limit the headroom of frames and what the port will take; -1: no limit."""

    def wait(self, ticks: int) -> None:
        """Let seconds pass."""

    def receive(self, frames: list[bytes]) -> Burst:
        """Handle one burst from the port."""

    def inject(self, frame: bytes) -> Burst:
        """Handle a frame from the kernel side."""


def merged(base: Config, change: Config) -> dict[str, Any]:
    """The base with the change's leaves put over it, tables joined at every depth."""
    out = dict(base)
    for key, value in change.items():
        old = out.get(key)
        joined = isinstance(old, Mapping) and isinstance(value, Mapping)
        out[key] = merged(old, value) if joined else value  # type: ignore[arg-type]
    return out


def setups() -> dict[str, dict[str, Any]]:
    """All set-ups by name. `base` is what each of them changes."""
    raw = tomllib.loads((FOLDER / "setups.toml").read_text())
    base = raw.pop("base")
    return {"base": base} | {name: merged(base, change) for name, change in raw.items()}


def records() -> list[tuple[str, dict[str, Any]]]:
    """(file name and number, record) of every record."""
    out = []
    for path in sorted((FOLDER / "records").glob("*.toml")):
        for number, record in enumerate(tomllib.loads(path.read_text())["record"]):
            out.append((f"{path.stem}-{number:02}", record))
    return out
