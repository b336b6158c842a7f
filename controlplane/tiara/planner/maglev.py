# SPDX-License-Identifier: Apache-2.0
"""Weighted Maglev (Eisenbud et al., NSDI'16, section 3.4).

The inner loop is libtiara's ``tiara_maglev_fill``; ``fill_plain`` is its twin in Python.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence

Fill = Callable[[Sequence[int], Sequence[int], Sequence[int], int], bytes]
"""(offsets, skips, weights, rows) -> native uint32 positions, 0 to len(weights) - 1."""


def permutation(secret: bytes, pool: str, backend: str, rows: int) -> tuple[int, int]:
    """Where a backend's walk over the rows starts, and its step. ``rows`` is prime.

    Depends on names and the selection secret only: neither on addresses nor on the other backends.
    """
    digest = hashlib.blake2b(f"{pool}/{backend}".encode(), key=secret, digest_size=16).digest()
    offset = int.from_bytes(digest[:8], "little") % rows
    skip = int.from_bytes(digest[8:], "little") % (rows - 1) + 1
    return offset, skip


def fill_plain(offsets: Sequence[int], skips: Sequence[int], weights: Sequence[int], rows: int) -> bytes:
    """Each backend in turn takes the next free row of its walk; the heaviest takes one every round,
    the others one whenever their weights have summed up to the heaviest's."""
    table = array("I", [0xFFFFFFFF]) * rows
    where = list(offsets)
    credit = [0] * len(weights)
    heaviest = max(weights)
    left = rows
    while True:
        for i, weight in enumerate(weights):
            credit[i] += weight
            if credit[i] < heaviest:
                continue
            credit[i] -= heaviest
            while table[where[i]] != 0xFFFFFFFF:
                where[i] = (where[i] + skips[i]) % rows
            table[where[i]] = i
            left -= 1
            if not left:
                return table.tobytes()
