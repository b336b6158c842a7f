# SPDX-License-Identifier: Apache-2.0
"""Weighted rendezvous hashing (Thaler and Ravishankar 1998): for each row every backend draws a number.

The inner loop is libtiara's ``tiara_rendezvous_fill``; ``fill_plain`` is its twin in Python.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache

Fill = Callable[[Sequence[int], Sequence[int], int], bytes]
"""(seeds, weights, rows) -> native uint32 positions, 0 to len(weights) - 1."""

_LOGS = 4096
_WORD = 2**64


def seed(secret: bytes, pool: str, backend: str) -> int:
    """Where a backend's stream of draws begins, 64 bits. Depends on names and the secret only."""
    digest = hashlib.blake2b(f"{pool}/{backend}".encode(), key=secret, digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def fill_plain(seeds: Sequence[int], weights: Sequence[int], rows: int) -> bytes:
    """The least cost / weight has the row; then the heavier, the greater draw, the first."""

    def bid(row: int, i: int) -> tuple[Fraction, int, int, int]:
        drawn = draw(seeds[i], row)
        return Fraction(cost(drawn), weights[i]), -weights[i], -drawn, i

    usable = [i for i, weight in enumerate(weights) if weight]
    return array("I", [min(usable, key=lambda i: bid(row, i)) for row in range(rows)]).tobytes()


def draw(seed: int, row: int) -> int:
    """splitmix64 (Steele, Lea, Flood 2014): the row's number of the stream, 64 bits."""
    z = (seed + (row + 1) * 0x9E3779B97F4A7C15) % _WORD
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % _WORD
    z = (z ^ z >> 27) * 0x94D049BB133111EB % _WORD
    return z ^ z >> 31


def cost(drawn: int) -> int:
    """-log2(drawn / 2**64) in units of 2**-32, by a table and straight lines between its points."""
    places = (drawn | 1).bit_length() - 1
    scaled = (drawn | 1) << 63 - places
    at, part = divmod((scaled - 2**63) >> 19, 2**32)
    log = _log(at) + ((_log(at + 1) - _log(at)) * part >> 32)
    return (64 - places << 32) - log


@cache
def _log(i: int) -> int:
    """log2(1 + i / 4096) in units of 2**-32; whole numbers only, so that all nodes agree."""
    if i == _LOGS:
        return 2**32
    mantissa, log = (_LOGS + i) * 2**19, 0
    for _ in range(32):
        mantissa = mantissa * mantissa >> 31
        log *= 2
        if mantissa >= 2**32:
            log += 1
            mantissa >>= 1
    return log
