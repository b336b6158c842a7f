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


def title() -> str:
    """The line above the rows."""
    return f"{'step':<18}{'held':>6}{'requests':>9}{'longest gap':>12}{'broken':>7} $ command"


def line(row: Row) -> str:
    """A row in one line, with as many whole words of the command as there is room for."""
    gap = f"{row.longest_gap_ms:,} ms"
    text = f"{row.name:<18}{row.held:>6,}{row.requests:>9,}{gap:>12}{row.broken:>7,} "
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
