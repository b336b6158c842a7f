# SPDX-License-Identifier: Apache-2.0
"""Captures in pcap's classic format (Ethernet): the same frames and times, the same bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

SNAP_BYTES = 65_535
_MAGIC_US, _MAGIC_NS = 0xA1B2C3D4, 0xA1B23C4D
_ETHERNET = 1
_FILE = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")


class PcapError(ValueError):
    """A file is not a capture that can be read; the message names it."""


class Writer:
    """Writes a capture with times in nanoseconds."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(_FILE.pack(_MAGIC_NS, 2, 4, 0, 0, SNAP_BYTES, _ETHERNET))
        self.count = 0

    def write(self, time_ns: int, frame: bytes) -> None:
        """Adds a frame."""
        seconds, rest = divmod(time_ns, 1_000_000_000)
        self._file.write(_RECORD.pack(seconds, rest, len(frame), len(frame)) + frame)
        self.count += 1

    def close(self) -> None:
        """Ends the file."""
        self._file.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path) -> Iterator[tuple[int, bytes]]:
    """Time in ns and bytes of each frame, in the file's order.

    Raises:
        PcapError: it is no such capture, or ends within a frame.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    order, unit_ns = _format(path, data)
    at = _FILE.size
    while at < len(data):
        if at + _RECORD.size > len(data):
            raise PcapError(f"{path}: ends within a frame; the capture was cut off")
        seconds, rest, length, _ = struct.unpack_from(f"{order}IIII", data, at)
        at += _RECORD.size
        if at + length > len(data):
            raise PcapError(f"{path}: ends within a frame; the capture was cut off")
        yield seconds * 1_000_000_000 + rest * unit_ns, data[at : at + length]
        at += length


def _format(path: Path, data: bytes) -> tuple[str, int]:
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        raise PcapError(f"{path}: is pcapng; run `editcap -F pcap {path} OUT` and give OUT")
    for order in "<>":
        for magic, unit_ns in ((_MAGIC_US, 1000), (_MAGIC_NS, 1)):
            if data[:4] == struct.pack(f"{order}I", magic) and len(data) >= _FILE.size:
                (link,) = struct.unpack_from(f"{order}I", data, 20)
                if link & 0xFFFF != _ETHERNET:
                    raise PcapError(f"{path}: is not a capture of Ethernet frames (link type {link})")
                return order, unit_ns
    raise PcapError(f"{path}: is not a pcap file")
