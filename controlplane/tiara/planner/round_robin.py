# SPDX-License-Identifier: Apache-2.0
"""Smooth weighted round robin over the rows of a table.

The inner loop is libtiara's ``tiara_round_robin_fill``; ``fill_plain`` is its twin in Python.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from fractions import Fraction

Fill = Callable[[Sequence[int], int], bytes]
"""(weights, rows) -> native uint32 positions, 0 to len(weights) - 1."""


def fill_plain(weights: Sequence[int], rows: int) -> bytes:
    """Turns fall due at (2k + 1) / (2 weight), k = 0, 1, ...; the first due has the next row."""
    table = array("I")
    usable = [i for i, weight in enumerate(weights) if weight]
    turns = [0] * len(weights)
    for _ in range(rows):
        first = min(usable, key=lambda i: (Fraction(2 * turns[i] + 1, 2 * weights[i]), i))
        table.append(first)
        turns[first] += 1
    return table.tobytes()
