# SPDX-License-Identifier: Apache-2.0
"""How a daemon of an instance was started, as /proc tells anyone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tiara.doctor.facts import Dataplane

PROC = Path("/proc")
_FLAGS = frozenset(("--take-interface", "--no-kernel", "--keep-capabilities"))


@dataclass(frozen=True, slots=True)
class Process:
    """A daemon. `elsewhere`: its network namespace is another than this program's."""

    options: Mapping[str, str]
    elsewhere: bool


def find(program: str, instance: str, proc: Path = PROC) -> Process | None:
    """The process of this program and instance."""
    for folder in proc.glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            options = _of(program, words)
            if options is not None and options.get("--instance", "default") == instance:
                return Process(options, _is_elsewhere(folder, proc))
    return None


def dataplane(process: Process | None, io: str, workers: int, connections: int) -> Dataplane:
    """What runs; where nothing does, what was said of it."""
    if process is None:
        kind, _, interface = io.partition(":")
        return Dataplane(kind, interface, workers, connections=connections)
    options = process.options
    kind, _, interface = options.get("--io", "eal").partition(":")
    return Dataplane(
        kind,
        interface,
        int(options.get("--workers", "1")),
        "" if "--no-kernel" in options else options.get("--kernel-interface", "tiara0"),
        int(options.get("--connections", connections)),
        int(options.get("--heap-mb", "256")),
        running=True,
        elsewhere=process.elsewhere,
    )


def _of(program: str, words: Sequence[str]) -> dict[str, str] | None:
    """The options after the program's name; it may be an interpreter's argument. None: another program."""
    for position, word in enumerate(words[:2]):
        if Path(word).name == program:
            return dict(_options(iter(words[position + 1 :])))
    return None


def _options(words: Iterator[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        if word == "--":
            return
        name, equals, value = word.partition("=")
        yield name, value if equals or name in _FLAGS else next(words, "")


def _is_elsewhere(folder: Path, proc: Path) -> bool:
    try:
        return (folder / "ns/net").readlink() != (proc / "self/ns/net").readlink()
    except OSError:
        return False
