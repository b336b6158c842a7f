# SPDX-License-Identifier: Apache-2.0
"""Kills a process with SIGKILL as soon as a file has been written to so many times (inotify).

usage: kill_at_write.py PID FILE COUNT
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys

IN_MODIFY = 2
_EVENT = struct.Struct("iIII")


def modifications(path: str) -> int:
    """A descriptor from which inotify's events about a file come."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(os.O_CLOEXEC)
    if fd < 0 or libc.inotify_add_watch(fd, os.fsencode(path), IN_MODIFY) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return fd


def main() -> None:
    """The program. Says `ready` when it watches."""
    pid, path, left = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    fd = modifications(path)
    print("ready", flush=True)
    while left > 0:
        left -= len(os.read(fd, 4096)) // _EVENT.size
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
