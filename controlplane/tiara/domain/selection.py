# SPDX-License-Identifier: Apache-2.0
"""Sizes of selection tables."""

from __future__ import annotations

from bisect import bisect_left

SELECTION_ROWS = (251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65537, 131071, 262139, 524287, 1048573)
"""The primes a pool may choose from."""

DEFAULT_ROWS = 65537
ROWS_PER_BACKEND = 100
"""At least this many rows for each backend: shares are then exact to about 1 %."""

MAX_BACKENDS = SELECTION_ROWS[-1] // ROWS_PER_BACKEND
"""Backends of one pool."""


def rows_for(chosen: int, backends: int) -> int:
    """Rows of a pool with so many backends; ``chosen`` is the pool's own wish or 0."""
    if chosen:
        return chosen
    need = max(DEFAULT_ROWS, ROWS_PER_BACKEND * backends)
    return SELECTION_ROWS[min(bisect_left(SELECTION_ROWS, need), len(SELECTION_ROWS) - 1)]


def backends_allowed(chosen: int) -> int:
    """How many backends a pool that chose so many rows (0: none) may have."""
    return chosen // ROWS_PER_BACKEND if chosen else MAX_BACKENDS
