# SPDX-License-Identifier: Apache-2.0
r"""Packed connections in a file: what `tiara connections dump` writes and `load` reads (docs/api.md).

    prologue   8 bytes "\x89TIARA\r\n", version of the container (1), packed format (1): 32 bits each
    block      kind (4 letters), bytes of its content: 32 bits; content; CRC-32 of all of these
      HEAD     once, first: tiara.v1.PackedHeader
      CONN     any number: its number, from 1, in 64 bits; whole records, at most 1 MiB
      DONE     once, last: tiara.v1.PackedTrailer; nothing follows

All numbers are in network byte order. Messages are in protobuf's encoding, whose fields are never
renumbered: an old file stays readable. A file that breaks any of this is refused before its first use.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from google.protobuf.message import DecodeError, Message

from tiara.v1 import connection_pb2 as pb

MAGIC = b"\x89TIARA\r\n"
VERSION = 1
FORMAT = 1
RECORD_BYTES = 16
CHUNK_BYTES = 1 << 20

_PROLOGUE = struct.Struct("!8sII")
_BLOCK = struct.Struct("!4sI")
_CRC = struct.Struct("!I")
_SEQUENCE = struct.Struct("!Q")
_CONTENT_MAX = 64 << 20
"""Of any block: a length that cannot be right is not read into memory."""


_Row = TypeVar("_Row", bound=tuple[int, ...])
_Message = TypeVar("_Message", bound=Message)


class BadFile(ValueError):
    """The file is not what it should be; the message says what and where."""


class Writer:
    """Writes one file: ``header``, ``chunk`` in order, ``end``."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bytes = 0

    def header(self, header: pb.PackedHeader) -> None:
        """What positions in records mean."""
        self._write(_PROLOGUE.pack(MAGIC, VERSION, header.format))
        self._block(b"HEAD", header.SerializeToString(deterministic=True))

    def chunk(self, chunk: pb.PackedChunk) -> None:
        """Whole records."""
        self._block(b"CONN", _SEQUENCE.pack(chunk.sequence) + chunk.records)

    def end(self, trailer: pb.PackedTrailer) -> None:
        """Without it a file is truncated."""
        self._block(b"DONE", trailer.SerializeToString(deterministic=True))

    def _block(self, kind: bytes, content: bytes) -> None:
        head = _BLOCK.pack(kind, len(content))
        self._write(head)
        self._write(content)
        self._write(_CRC.pack(zlib.crc32(content, zlib.crc32(head))))

    def _write(self, part: bytes) -> None:
        self._file.write(part)
        self.bytes += len(part)


def read(file: BinaryIO) -> Iterator[pb.PackedHeader | pb.PackedChunk | pb.PackedTrailer]:
    """Header, chunks, trailer, each checked when it is reached.

    Raises:
        BadFile: where the file is foreign, truncated, damaged, or of a newer version.
    """
    _read_prologue(file)
    kind, content = _read_block(file)
    if kind != b"HEAD":
        raise BadFile(f"begins with a block {_shown(kind)} instead of HEAD")
    yield _checked_header(_message(pb.PackedHeader(), content))
    records = sequence = 0
    while True:
        kind, content = _read_block(file)
        if kind == b"DONE":
            break
        if kind != b"CONN":
            raise BadFile(f"has a block {_shown(kind)} after {sequence} chunks, where CONN or DONE belongs")
        sequence += 1
        chunk = _chunk(content, sequence)
        records += len(chunk.records) // RECORD_BYTES
        yield chunk
    trailer = _message(pb.PackedTrailer(), content)
    if (trailer.records, trailer.chunks) != (records, sequence):
        raise BadFile(
            f"has {records} records in {sequence} chunks, but its end says "
            f"{trailer.records} in {trailer.chunks}"
        )
    if file.read(1):
        raise BadFile("goes on after its end")
    yield trailer


def _read_prologue(file: BinaryIO) -> None:
    prologue = file.read(_PROLOGUE.size)
    if not prologue:
        raise BadFile("is empty")
    if prologue[: len(MAGIC)] != MAGIC[: len(prologue)]:
        raise BadFile("is no dump of connections: it does not begin as one")
    if len(prologue) < _PROLOGUE.size:
        raise BadFile("is truncated in its first bytes")
    _, version, packed = _PROLOGUE.unpack(prologue)
    if version != VERSION:
        raise BadFile(f"is of container version {version}; known: {VERSION}")
    if packed != FORMAT:
        raise BadFile(f"is in packed format {packed}; known formats: {FORMAT}")


def _read_block(file: BinaryIO) -> tuple[bytes, bytes]:
    head = file.read(_BLOCK.size)
    if len(head) < _BLOCK.size:
        raise BadFile("is truncated: it has no end")
    kind, size = _BLOCK.unpack(head)
    if size > _CONTENT_MAX:
        raise BadFile(f"is damaged: a block {_shown(kind)} of {size} bytes")
    content, crc = file.read(size), file.read(_CRC.size)
    if len(content) < size or len(crc) < _CRC.size:
        raise BadFile(f"is truncated in a block {_shown(kind)}")
    if _CRC.unpack(crc)[0] != zlib.crc32(content, zlib.crc32(head)):
        raise BadFile(f"is damaged: the checksum of a block {_shown(kind)} is wrong")
    return kind, content


def _shown(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


def _message(message: _Message, content: bytes) -> _Message:
    try:
        message.ParseFromString(content)
    except DecodeError as error:
        raise BadFile(f"has a {message.DESCRIPTOR.name} that cannot be parsed: {error}") from None
    return message


def _checked_header(header: pb.PackedHeader) -> pb.PackedHeader:
    if (header.format, header.record_bytes) != (FORMAT, RECORD_BYTES):
        raise BadFile(f"has a header of format {header.format} with {header.record_bytes} bytes a record")
    return header


def _chunk(content: bytes, sequence: int) -> pb.PackedChunk:
    if len(content) < _SEQUENCE.size or (len(content) - _SEQUENCE.size) % RECORD_BYTES:
        raise BadFile(f"has no whole records in chunk {sequence}")
    if len(content) - _SEQUENCE.size > CHUNK_BYTES:
        raise BadFile(f"has more than {CHUNK_BYTES} bytes in chunk {sequence}")
    (number,) = _SEQUENCE.unpack_from(content)
    if number != sequence:
        raise BadFile(f"has chunk {number} where {sequence} belongs")
    return pb.PackedChunk(sequence=sequence, records=content[_SEQUENCE.size :])


# ---- from the names of one configuration to those of another

Timeouts = Mapping[int, int]
"""Seconds by a record's state byte: a connection that was idle for so long is no more."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a service position means where the records go. ``pool`` is a name of the API."""

    entry: pb.PackedService
    pool: str
    timeouts: Timeouts


@dataclass(slots=True)
class Mapper:
    """Keeps of each chunk what the target has names for, and counts what it leaves out, by reason."""

    services: Sequence[Target | str]
    """By position: the target, or why there is none."""
    backends: Sequence[pb.PackedBackend | str]
    left_out: Counter[str] = field(default_factory=Counter)

    def header(self, on_conflict: pb.OnConflict.ValueType) -> pb.PackedHeader | None:
        """For a push; None: no record can have a place. Positions without a target are never named."""
        service = next((to for to in self.services if isinstance(to, Target)), None)
        backend = next((to for to in self.backends if not isinstance(to, str)), None)
        if service is None or backend is None:
            return None
        return pb.PackedHeader(
            format=FORMAT,
            record_bytes=RECORD_BYTES,
            services=[to.entry if isinstance(to, Target) else service.entry for to in self.services],
            backends=[backend if isinstance(to, str) else to for to in self.backends],
            on_conflict=on_conflict,
        )

    def keep(self, records: bytes) -> bytes:
        """The records that have a place, in order. Combinations are looked at once, by slices of arrays."""
        halves, words = array("H", records), array("I", records)
        halves.byteswap()
        words.byteswap()
        services, backends, idle = halves[3::8], words[2::4], halves[6::8]
        states = records[14::RECORD_BYTES]
        no_place = _reasons(set(zip(services, backends, strict=True)), self._no_place)
        too_old = _reasons(set(zip(services, states, idle, strict=True)), self._too_old)
        if not no_place and not too_old:
            return records
        kept = bytearray()
        rows = zip(services, backends, states, idle, strict=True)
        for i, (service, backend, state, idle_s) in enumerate(rows):
            reason = no_place.get((service, backend)) or too_old.get((service, state, idle_s))
            if reason:
                self.left_out[reason] += 1
            else:
                kept += records[i * RECORD_BYTES : (i + 1) * RECORD_BYTES]
        return bytes(kept)

    def _no_place(self, row: tuple[int, int]) -> str:
        service, backend = row
        if service >= len(self.services) or backend >= len(self.backends):
            return "a position that the file's header does not have"
        to, by = self.services[service], self.backends[backend]
        if isinstance(to, str):
            return to
        if isinstance(by, str):
            return by
        if by.backend.rpartition("/backends/")[0] != to.pool:
            return f"{by.backend} is not in the pool of {to.entry.virtual_service}"
        return ""

    def _too_old(self, age: tuple[int, int, int]) -> str:
        service, state, idle_s = age
        to = self.services[service] if service < len(self.services) else ""
        if isinstance(to, str) or idle_s < to.timeouts.get(state, 1 << 16):
            return ""
        return f"idle for longer than {to.entry.virtual_service} allows"


def _reasons(seen: set[_Row], judge: Callable[[_Row], str]) -> dict[_Row, str]:
    return {row: reason for row in seen if (reason := judge(row))}
