# SPDX-License-Identifier: Apache-2.0
"""The keyed hash in a few lines of Python, against the golden vectors that C and RTL are held to.

`python tests/unit/test_hash.py` writes the golden files anew (after a deliberate change of the hash):
hash.json for C and Python, hash.hex with the same vectors for a test bench's `$readmemh`.
"""

from __future__ import annotations

import ipaddress
import json
import random
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden" / "hash.json"
GOLDEN_HEX = GOLDEN.with_suffix(".hex")
LOW_64 = (1 << 64) - 1
LOW_32 = (1 << 32) - 1

Vector = dict[str, str | int]
Connection = tuple[str, int, int]
"""Client address, client port, service index."""


def rotl(x: int, n: int) -> int:
    """Rotate 32 bits left."""
    return (x << n | x >> (32 - n)) & LOW_32


def half_round(x: int) -> int:
    """What one Feistel round adds to the other half."""
    return (rotl(x, 1) & rotl(x, 8)) ^ rotl(x, 2)


def tiara_hash(key: int, secret: int) -> int:
    """64-bit hash of a 64-bit key by a 127-bit secret."""
    toeplitz = 0
    for j in range(64):
        if key >> j & 1:
            toeplitz ^= secret >> (63 - j) & LOW_64
    lo, hi = toeplitz & LOW_32, toeplitz >> 32
    hi ^= half_round(lo)
    lo ^= half_round(hi)
    hi ^= half_round(lo)
    return hi << 32 | lo


def buckets(value: int, bucket_cnt: int) -> tuple[int, int]:
    """The two candidate buckets, never equal."""
    first = value & LOW_32 & (bucket_cnt - 1)
    second = value >> 32 & (bucket_cnt - 1)
    return first, second ^ 1 if first == second else second


def row(value: int, row_cnt: int) -> int:
    """The row of a selection table."""
    return (value >> 32) * row_cnt >> 32


def entry_key(connection: Connection) -> int:
    """The first 8 bytes of an entry as a little-endian number."""
    client, port, service_idx = connection
    octets = ipaddress.IPv4Address(client).packed + port.to_bytes(2, "big")
    return int.from_bytes(octets + service_idx.to_bytes(2, "little"), "little")


def vector(secret: int, connection: Connection, bucket_cnt: int, row_cnt: int) -> Vector:
    """One golden vector, in the order in which the file keeps its fields."""
    client, port, service_idx = connection
    key = entry_key(connection)
    value = tiara_hash(key, secret)
    first, second = buckets(value, bucket_cnt)
    return {
        "secret_low": f"{secret & LOW_64:016x}",
        "secret_high": f"{secret >> 64:016x}",
        "client": client,
        "port": port,
        "service_idx": service_idx,
        "key": f"{key:016x}",
        "hash": f"{value:016x}",
        "bucket_cnt": bucket_cnt,
        "bucket_1": first,
        "bucket_2": second,
        "row_cnt": row_cnt,
        "row": row(value, row_cnt),
    }


def vectors() -> list[Vector]:
    """Edges first, then random ones from a fixed seed."""
    draw = random.Random(2)
    full = (1 << 127) - 1
    out = [
        vector(secret, connection, 1 << 20, 65537)
        for secret in (0, 1, 1 << 126, full, 0x0123456789ABCDEF_FEDCBA9876543210)
        for connection in (
            ("0.0.0.0", 0, 0),
            ("255.255.255.255", 65535, 65535),
            ("128.0.0.0", 0, 0),
            ("0.0.0.0", 0, 32768),
            ("198.18.0.7", 40000, 3),
        )
    ]
    for _ in range(64):
        client = str(ipaddress.IPv4Address(draw.getrandbits(32)))
        connection = (client, draw.getrandbits(16), draw.choice([0, draw.getrandbits(16)]))
        bucket_cnt, row_cnt = 1 << draw.randrange(1, 33), draw.choice([1, 251, 4099, 65537])
        out.append(vector(draw.getrandbits(127), connection, bucket_cnt, row_cnt))
    return out


def written() -> str:
    """The golden file's text: one vector a line, so that C reads it with sscanf."""
    lines = ",\n".join(json.dumps(v) for v in vectors())
    return f'{{"format": "tiara hash vectors 1", "vectors": [\n{lines}\n]}}\n'


HEX_COLUMNS = (
    "secret_low",
    "secret_high",
    "key",
    "hash",
    "bucket_cnt",
    "bucket_1",
    "bucket_2",
    "row_cnt",
    "row",
)


def written_hex() -> str:
    """The same vectors for `$readmemh`: nine 64-bit words a vector, one vector a line."""
    head = f"""\
// SPDX-License-Identifier: Apache-2.0
// Written by tests/unit/test_hash.py, from the vectors of hash.json. For $readmemh into
// logic [63:0] vector [{len(vectors())}*{len(HEX_COLUMNS)}]; one vector a line, its words in this order:
// {" ".join(HEX_COLUMNS)}
// The key is the first half of struct tiara_entry; the secret's 127 bits are {{secret_high, secret_low}}.
"""
    lines = (" ".join(f"{_number(v[c]):016x}" for c in HEX_COLUMNS) for v in vectors())
    return head + "".join(line + "\n" for line in lines)


def _number(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def read_hex(text: str) -> list[int]:
    """What `$readmemh` makes of a file: hexadecimal words, `//` comments."""
    words = " ".join(line.split("//")[0] for line in text.splitlines()).split()
    return [int(word, 16) for word in words]


def test_golden_files_are_current() -> None:
    """Both golden files are what `python tests/unit/test_hash.py` writes."""
    assert GOLDEN.read_text() == written(), "python tests/unit/test_hash.py"
    assert GOLDEN_HEX.read_text() == written_hex(), "python tests/unit/test_hash.py"


def test_hex_holds_the_vectors_of_json() -> None:
    """A test bench that reads hash.hex by its documented columns has every vector of hash.json."""
    words = read_hex(GOLDEN_HEX.read_text())
    width = len(HEX_COLUMNS)
    rows = [dict(zip(HEX_COLUMNS, words[i : i + width], strict=True)) for i in range(0, len(words), width)]
    golden = json.loads(GOLDEN.read_text())["vectors"]
    assert rows == [{c: _number(v[c]) for c in HEX_COLUMNS} for v in golden]
    for r in rows:
        assert tiara_hash(r["key"], r["secret_high"] << 64 | r["secret_low"]) == r["hash"]
        assert buckets(r["hash"], r["bucket_cnt"]) == (r["bucket_1"], r["bucket_2"])
        assert row(r["hash"], r["row_cnt"]) == r["row"]


def test_golden_vectors_are_what_this_implementation_says() -> None:
    """Every hash, bucket and row in the golden file is computed alike here."""
    golden = json.loads(GOLDEN.read_text())["vectors"]
    assert golden == [
        vector(
            int(v["secret_high"], 16) << 64 | int(v["secret_low"], 16),
            (v["client"], v["port"], v["service_idx"]),
            v["bucket_cnt"],
            v["row_cnt"],
        )
        for v in golden
    ]
    assert len(golden) == len(vectors())


def test_golden_vectors_hold_an_equal_bucket_pair() -> None:
    """The case in which the second bucket must be moved is among the vectors."""
    golden = json.loads(GOLDEN.read_text())["vectors"]
    mask = [v["bucket_cnt"] - 1 for v in golden]
    values = [int(v["hash"], 16) for v in golden]
    assert any((h & m) == (h >> 32 & m) for h, m in zip(values, mask, strict=True))


def test_the_fold_loses_nothing() -> None:
    """With a secret that makes Toeplitz the identity, distinct keys have distinct hashes."""
    keys = [1 << j for j in range(64)] + list(range(4096)) + [n << 48 for n in range(4096)]
    assert len({tiara_hash(k, 1 << 63) for k in keys}) == len(set(keys))


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(written())
    GOLDEN_HEX.write_text(written_hex())
