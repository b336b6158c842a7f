# SPDX-License-Identifier: Apache-2.0
"""tests/fpga/back as a program that is told what to do, and its plain twin.

The program holds the Verilated modules behind tiara_classify; what it says is parsed into events.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tiara.domain.layout import MEMBERS, SIZES, CardKind, CardReason, CardRemoved, State

ROOT = Path(__file__).parents[2]
RTL = ROOT / "fpga/rtl"
PORTS, BUCKETS, PORT_SHIFT = 4, 64, 12
SLOTS = 4 * BUCKETS
ESTABLISHED = int(State.ESTABLISHED)
INSTALL, REMOVE, HARVEST = int(CardKind.INSTALL), int(CardKind.REMOVE), int(CardKind.HARVEST)
REMOVED, HARVESTED = int(CardKind.REMOVED), int(CardKind.HARVESTED)
HARVEST_END = int(CardKind.HARVEST_END)
FOUND, SEEN = int(CardRemoved.FOUND), int(CardRemoved.SEEN)
NONE, MISS = int(CardReason.NONE), int(CardReason.MISS)


def pack(struct: str, **members: int) -> bytes:
    """A struct of layout.h in the CPU's byte order."""
    made = bytearray(SIZES[struct])
    for name, value in members.items():
        member = MEMBERS[struct][name]
        size = member.element_bytes * max(1, member.length)
        made[member.offset : member.offset + size] = value.to_bytes(size, "little")
    return bytes(made)


def unpack(struct: str, data: bytes, name: str) -> int:
    """A member of a struct in the CPU's byte order."""
    member = MEMBERS[struct][name]
    size = member.element_bytes * max(1, member.length)
    return int.from_bytes(data[member.offset : member.offset + size], "little")


def build() -> Path:
    """Compiles the program with Debian's Verilator, where it is not; half a minute."""
    folder = Path(os.environ.get("TIARA_FPGA_BUILD", ROOT / "build/fpga")) / "back"
    folder.mkdir(parents=True, exist_ok=True)
    verilator = shutil.which("verilator", path="/usr/local/bin:/usr/bin")
    assert verilator, "verilator is not installed"
    # Another one may have been made this process's own (tests/fpga/rtl_build.py).
    env = {name: value for name, value in os.environ.items() if name not in ("VERILATOR_ROOT", "MAKEFLAGS")}
    done = subprocess.run(
        [
            *("flock", str(folder)),  # another process of pytest-xdist may be at it
            *(verilator, "--cc", "--exe", "--build", "-j", "2", "--assert", "--x-initial", "unique"),
            *("-CFLAGS", "-O1", "--Mdir", str(folder), "-y", str(RTL), "--top-module", "tiara_back"),
            *(str(RTL / f"tiara_{name}_pkg.sv") for name in ("layout", "card")),
            *(str(ROOT / "tests/fpga/back" / name) for name in ("tiara_back.sv", "back.cpp")),
            *("-o", "back"),
        ],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "back"


@dataclass(frozen=True, slots=True)
class Command:
    """``struct tiara_card_command``; ``key`` is the first half of the entry."""

    kind: int
    number: int
    slot: int = 0
    key: int = 0
    line: int = 0
    channel: int = 0
    epoch: int = 1
    harvest: int = 0
    state: int = ESTABLISHED

    def packed(self) -> bytes:
        entry = pack(
            "tiara_card_entry",
            client_addr=self.key & 0xFFFFFFFF,
            client_port=self.key >> 32 & 0xFFFF,
            service_idx=self.key >> 48,
            backend_line=self.line,
            state=self.state,
        )
        return pack(
            "tiara_card_command",
            kind=self.kind,
            channel=self.channel,
            epoch=self.epoch,
            number=self.number,
            slot=self.slot,
            harvest=self.harvest,
            entry=int.from_bytes(entry, "little"),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """``struct tiara_card_answer``."""

    kind: int
    channel: int
    epoch: int
    number: int
    slot: int
    harvest: int
    seen: int

    @classmethod
    def parsed(cls, text: str) -> Answer:
        data = bytes.fromhex(text)
        names = ("kind", "channel", "epoch", "number", "slot", "harvest", "seen")
        return cls(*(unpack("tiara_card_answer", data, name) for name in names))


@dataclass(frozen=True, slots=True)
class Request:
    """A lookup. ``name`` comes back with its result."""

    name: int
    key: int
    bucket_1: int
    bucket_2: int
    reason: int = NONE


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a lookup found: ``slot`` and ``line`` mean nothing without a hit."""

    hit: bool
    reason: int
    slot: int = 0
    line: int = 0


@dataclass(frozen=True, slots=True)
class Setup:
    """How the memory and the streams behave."""

    latency_min: int = 4
    latency_max: int = 40
    reorder: int = 1
    refresh_period: int = 0
    refresh_cycles: int = 0
    ready_pct: int = 100
    valid_pct: int = 100
    error_pct: int = 0
    starve: int = 0

    def words(self) -> str:
        return (
            f"setup {self.latency_min} {self.latency_max} {self.reorder} {self.refresh_period} "
            f"{self.refresh_cycles} {self.ready_pct} {self.valid_pct} {self.error_pct} {self.starve}"
        )


PLAIN = Setup()


@dataclass
class Events:
    """What happened, in order; times are cycles."""

    begun: dict[int, int] = field(default_factory=dict)
    results: list[tuple[int, Lookup, int]] = field(default_factory=list)
    answers: list[tuple[Answer, int]] = field(default_factory=list)
    writes: list[tuple[int, int]] = field(default_factory=list)
    commands: list[int] = field(default_factory=list)
    dropped: int = 0
    totals: list[tuple[int, int]] = field(default_factory=list)
    full: set[int] = field(default_factory=set)
    errors: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def found(self) -> list[tuple[int, Lookup]]:
        return [(name, result) for name, result, _ in self.results]

    @property
    def said(self) -> list[Answer]:
        return [answer for answer, _ in self.answers]


class Back:
    """The program."""

    def __init__(self, program: Path, seed: int = 1, setup: Setup = PLAIN) -> None:
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.epoch = 1
        self.do([f"seed {seed}", setup.words(), "reset 1", "idle"])

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)

    def do(self, words: Iterable[str]) -> Events:
        """Says the words, and what happened by then; fails for anything that breaks a rule of AXI."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n".join([*words, ".", ""]))
        self._process.stdin.flush()
        events = Events()
        while (line := self._process.stdout.readline().rstrip()) != ".":
            assert line, f"the program ended: {events.wrong}"
            _parse(events, line)
        assert events.wrong == []
        return events

    def run(self, things: Iterable[Request | Command], *then: str) -> Events:
        """Queues requests and commands, and runs until all is done."""
        return self.do([*map(_word, things), *(then or ("idle",))])


def _word(thing: Request | Command) -> str:
    if isinstance(thing, Command):
        return f"C {thing.packed().hex()}"
    return f"L {thing.name} {thing.key} {thing.bucket_1} {thing.bucket_2} {thing.reason}"


def _parse(events: Events, line: str) -> None:
    kind, *rest = line.split()
    if kind == "l":
        events.begun[int(rest[0])] = int(rest[1])
    elif kind == "r" and len(rest) == 6:
        name, hit, reason, slot, backend, cycle = map(int, rest)
        found = Lookup(True, reason, slot, backend) if hit else Lookup(False, reason)
        events.results.append((name, found, cycle))
    elif kind == "a":
        events.answers.append((Answer.parsed(rest[0]), int(rest[1])))
    elif kind == "w":
        events.writes.append((int(rest[0]), int(rest[1])))
    elif kind == "c":
        events.commands.append(int(rest[0]))
    elif kind == "d":
        events.dropped += 1
    elif kind == "t":
        events.totals.append((int(rest[0]), int(rest[1])))
    elif kind == "full":
        events.full.add(int(rest[0]))
    elif kind == "e":
        events.errors += 1
    else:
        events.wrong.append(line)


@dataclass
class Twin:
    """The same, plainly, one thing after another."""

    epoch: int = 1
    table: dict[int, tuple[int, int]] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)
    harvest: int = 0
    now: set[int] = field(default_factory=set)
    before: set[int] = field(default_factory=set)

    def lookup(self, request: Request) -> Lookup:
        if request.reason != NONE:
            return Lookup(False, request.reason)
        for bucket in (request.bucket_1, request.bucket_2):
            for slot in range(4 * bucket, 4 * bucket + 4):
                key, line = self.table.get(slot, (None, 0))
                if key == request.key:
                    self.now.add(slot)
                    return Lookup(True, NONE, slot, line)
        return Lookup(False, MISS)

    def applies(self, command: Command) -> bool:
        """R2 and R8, and what makes no sense."""
        if command.epoch != self.epoch or not 0 <= command.channel < 16:
            return False
        ahead = command.number - self.newest.get(command.channel, 0) & 0xFFFFFFFF
        if not 0 < ahead < 1 << 31:
            return False
        if command.kind == HARVEST:
            return command.harvest in (self.harvest, self.harvest + 1)
        return command.kind in (INSTALL, REMOVE) and command.slot < SLOTS

    def command(self, command: Command) -> list[Answer]:
        if not self.applies(command):
            return []
        self.newest[command.channel] = command.number
        if command.kind == REMOVE:
            return [self._answer(command, REMOVED, command.slot, 0, self._remove(command))]
        if command.kind == HARVEST:
            return self._report(command)
        self.table[command.slot] = (command.key, command.line)
        if command.state != ESTABLISHED:
            del self.table[command.slot]
        return []

    def _remove(self, command: Command) -> int:
        if self.table.get(command.slot, (None, 0))[0] != command.key:
            return SEEN
        del self.table[command.slot]
        return FOUND | (SEEN if command.slot in self.now | self.before else 0)

    def _report(self, command: Command) -> list[Answer]:
        if command.harvest == self.harvest + 1:
            self.harvest, self.now, self.before = command.harvest, set(), self.now
        answers = []
        for first in range(0, SLOTS, 128):
            bits = sum(1 << slot - first for slot in self.before if first <= slot < first + 128)
            if bits:
                answers.append(self._answer(command, HARVESTED, first, command.harvest, bits))
        return [*answers, self._answer(command, HARVEST_END, len(answers), command.harvest, 0)]

    def _answer(self, command: Command, kind: int, slot: int, harvest: int, seen: int) -> Answer:
        return Answer(kind, command.channel, self.epoch, command.number, slot, harvest, seen)
