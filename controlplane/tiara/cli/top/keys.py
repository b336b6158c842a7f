# SPDX-License-Identifier: Apache-2.0
"""Keys of a terminal, one by one and without an echo."""

import os
import select
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\r": "enter",
    b"\n": "enter",
    b"\x1b": "esc",
}


@contextmanager
def keyboard(descriptor: int) -> Iterator[None]:
    """Keys arrive at once; however this ends, SIGTERM and a lost line too, the terminal is as before."""
    before = termios.tcgetattr(descriptor)
    handlers = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def read(descriptor: int, timeout_s: float) -> list[str]:
    """The keys pressed within this time, none where it passes; a line that is gone is Ctrl-C."""
    if not select.select([descriptor], [], [], timeout_s)[0]:
        return []
    pressed = os.read(descriptor, 64)
    if not pressed:
        raise KeyboardInterrupt
    return decode(pressed)


def decode(pressed: bytes) -> list[str]:
    """Names of special keys, other keys as they are."""
    found = []
    while pressed:
        size = 3 if pressed[:2] in (b"\x1b[", b"\x1bO") else 1
        found.append(_NAMES.get(pressed[:size], pressed[:size].decode(errors="replace")))
        pressed = pressed[size:]
    return found
