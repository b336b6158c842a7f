# SPDX-License-Identifier: Apache-2.0
"""Where log lines go: a disk that is full or a pipe that nobody reads must stop nothing but the log."""

from __future__ import annotations

import os
from contextlib import suppress


class Sink:
    """Passes text on; what cannot be written is lost. No buffer, which would fail again at the end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, text: str) -> int:
        """All of it counts as written."""
        left = text.encode(errors="replace")
        with suppress(OSError):
            while left:
                left = left[os.write(self._fd, left) :]
        return len(text)

    def flush(self) -> None:
        """There is nothing to do."""
