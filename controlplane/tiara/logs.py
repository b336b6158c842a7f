# SPDX-License-Identifier: Apache-2.0
"""Where log lines go: a disk that is full or a pipe that nobody reads must stop nothing but the log."""

from __future__ import annotations

from contextlib import suppress
from typing import TextIO


class Sink:
    """Passes text on; what cannot be written is lost."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """All of it counts as written."""
        with suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """As far as it goes."""
        with suppress(OSError):
            self._file.flush()
