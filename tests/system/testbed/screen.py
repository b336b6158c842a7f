# SPDX-License-Identifier: Apache-2.0
"""What the demo prints and writes: one line a step, 80 columns where the terminal has no more."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

WIDTH = 80


@dataclass(frozen=True)
class Row:
    """A step as it ended. `broken` leaves out what had to end: the connections on a killed server."""

    name: str
    held: int
    requests: int
    longest_gap_ms: int
    broken: int
    note: str
    command: str


def width() -> int:
    """Columns to fill."""
    return max(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)


COLUMNS = (24, 33, 45, 52)


def columns(name: str, *values: str) -> str:
    """A name and right-aligned values; a long name moves only what it has to."""
    text = name
    for value, end in zip(values, COLUMNS, strict=True):
        text += value.rjust(max(len(value) + 1, end - len(text)))
    return f"{text} "


def title() -> str:
    """The line above the rows."""
    return columns("step", "held", "requests", "longest gap", "broken") + "$ command"


def line(row: Row) -> str:
    """A row in one line, with as many whole words of the command as there is room for."""
    gap = f"{row.longest_gap_ms:,} ms"
    text = columns(row.name, f"{row.held:,}", f"{row.requests:,}", gap, f"{row.broken:,}")
    words = row.command.split()
    while words and len(text) + len(" ".join(words)) > width():
        words.pop()
    return text + " ".join(words)


def cut(text: str) -> str:
    """As much of the text as a line holds."""
    return text[: width()]


def write_json(path: Path, rows: list[Row], summary: dict[str, object]) -> None:
    """The same for programs."""
    path.write_text(json.dumps({"steps": [asdict(row) for row in rows], **summary}, indent=2) + "\n")
