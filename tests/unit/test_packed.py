# SPDX-License-Identifier: Apache-2.0
"""Files of packed connections: the same bytes for ever, and nothing else is taken for one."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from tiara import packed
from tiara.v1 import connection_pb2 as pb
from tiara.v1 import virtual_service_pb2 as vs

GOLDEN = Path(__file__).parent / "golden/connections.packed"
"""Written by the first release: never edited, only added to."""

WEB = pb.PackedService(
    virtual_service="virtualServices/web",
    uid="0123456789abcdef0123456789abcdef",
    frontend=vs.Frontend(address="198.18.100.1", protocol=vs.PROTOCOL_TCP, port=80),
)
DNS = pb.PackedService(
    virtual_service="virtualServices/dns",
    uid="f" * 32,
    frontend=vs.Frontend(address="198.18.100.2", protocol=vs.PROTOCOL_UDP, port=53),
)
B1 = pb.PackedBackend(backend="backendPools/web/backends/b1", uid="1" * 32)
X1 = pb.PackedBackend(backend="backendPools/far/backends/x1", uid="2" * 32)
HEADER = pb.PackedHeader(format=1, record_bytes=16, services=[WEB, DNS], backends=[B1, X1])


def record(client: int, service: int = 0, backend: int = 0, idle_s: int = 0, state: int = 3) -> bytes:
    """16 bytes."""
    return struct.pack("!IHHIHBB", 0xC6120000 + client, 40000, service, backend, idle_s, state, 0)


CHUNKS = [
    pb.PackedChunk(sequence=1, records=record(7, idle_s=1800 - 1) + record(8, 1, 1, 30, 5)),
    pb.PackedChunk(sequence=2, records=record(9, state=2)),
]
TRAILER = pb.PackedTrailer(records=3, chunks=2, complete=True, passes=1)


def written() -> bytes:
    """The file of the above."""
    file = io.BytesIO()
    writer = packed.Writer(file)
    writer.header(HEADER)
    for chunk in CHUNKS:
        writer.chunk(chunk)
    writer.end(TRAILER)
    assert writer.bytes == len(file.getvalue())
    return file.getvalue()


def refusal(data: bytes) -> str:
    """What is said of it."""
    with pytest.raises(packed.BadFile) as caught:
        list(packed.read(io.BytesIO(data)))
    return str(caught.value)


def test_golden_file_is_read_for_ever() -> None:
    """And what is written today is the same, byte by byte."""
    assert list(packed.read(io.BytesIO(GOLDEN.read_bytes()))) == [HEADER, *CHUNKS, TRAILER]
    assert written() == GOLDEN.read_bytes()


def test_truncated_anywhere_is_refused() -> None:
    """At every byte."""
    data = written()
    for size in range(len(data)):
        assert "truncated" in refusal(data[:size]) or size == 0
    assert refusal(b"") == "is empty"


def test_damaged_anywhere_is_refused() -> None:
    """Every bit."""
    data = written()
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        refusal(bytes(changed))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"#!/bin/sh\necho this is no dump\n", "is no dump of connections: it does not begin as one"),
        (written().replace(b"\r\n", b"\n", 1), "is no dump of connections: it does not begin as one"),
        (packed.MAGIC + bytes.fromhex("00000002 00000001"), "is of container version 2; known: 1"),
        (packed.MAGIC + bytes.fromhex("00000001 00000009"), "is in packed format 9; known formats: 1"),
        (written()[:16] + b"CONN\xff\xff\xff\xff", "is damaged: a block CONN of 4294967295 bytes"),
        (written() + b"\n", "goes on after its end"),
    ],
)
def test_foreign_files_are_named(data: bytes, message: str) -> None:
    """What it is, where that can be told."""
    assert refusal(data) == message


def blocks(*parts: pb.PackedHeader | pb.PackedChunk | pb.PackedTrailer) -> bytes:
    """A file of these."""
    file = io.BytesIO()
    writer = packed.Writer(file)
    for part in parts:
        match part:
            case pb.PackedHeader():
                writer.header(part)
            case pb.PackedChunk():
                writer.chunk(part)
            case pb.PackedTrailer():
                writer.end(part)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (blocks(HEADER, CHUNKS[0], CHUNKS[0], TRAILER), "has chunk 1 where 2 belongs"),
        (blocks(HEADER, CHUNKS[1], TRAILER), "has chunk 2 where 1 belongs"),
        (blocks(HEADER) + blocks(HEADER)[16:], "has a block HEAD after 0 chunks"),
        (blocks(HEADER)[:16] + blocks(TRAILER), "begins with a block DONE instead of HEAD"),
        (blocks(HEADER, CHUNKS[0], TRAILER), "has 2 records in 1 chunks, but its end says 3 in 2"),
        (blocks(HEADER, pb.PackedChunk(sequence=1, records=b"x" * 17)), "has no whole records in chunk 1"),
        (blocks(HEADER, pb.PackedChunk(sequence=1, records=bytes(1048592))), "has more than 1048576 bytes"),
        (blocks(pb.PackedHeader(format=1, record_bytes=32)), "has a header of format 1 with 32 bytes"),
    ],
)
def test_wrong_order_is_refused(data: bytes, message: str) -> None:
    """Blocks that are right in themselves, in a file that is not."""
    assert refusal(data).startswith(message)


def mapper() -> packed.Mapper:
    """The web service is there; the other is not, nor its pool's backend."""
    target = packed.Target(
        pb.PackedService(virtual_service=WEB.virtual_service), "backendPools/web", {3: 1800, 2: 60}
    )
    return packed.Mapper(
        [target, "dns is not there"], [pb.PackedBackend(backend=b.backend) for b in (B1, X1)]
    )


def test_mapper_keeps_what_has_a_place() -> None:
    """What is left out is counted by reason; a chunk of which all is kept is not copied."""
    good = record(1) + record(2, idle_s=1799) + record(3, state=2, idle_s=59)
    found = mapper()
    assert found.keep(good) is good
    assert not found.left_out
    bad = record(4, service=1) + record(5, backend=1) + record(6, idle_s=1800) + record(7, state=2, idle_s=60)
    assert found.keep(bad + good + record(8, service=2) + record(9, backend=2)) == good
    assert found.left_out == {
        "dns is not there": 1,
        f"{X1.backend} is not in the pool of {WEB.virtual_service}": 1,
        f"idle for longer than {WEB.virtual_service} allows": 2,
        "a position that the file's header does not have": 2,
    }


def test_mapper_s_header_names_only_what_is_there() -> None:
    """Positions stay; those without a target get a name that no record of a push asks for."""
    header = mapper().header(pb.ON_CONFLICT_KEEP)
    assert header is not None
    assert [entry.virtual_service for entry in header.services] == [WEB.virtual_service] * 2
    assert [entry.backend for entry in header.backends] == [B1.backend, X1.backend]
    assert all(not entry.uid for entry in header.backends)
    assert packed.Mapper(["no"], [B1]).header(pb.ON_CONFLICT_KEEP) is None
