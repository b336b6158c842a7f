# SPDX-License-Identifier: Apache-2.0
"""How much of a selection table moves."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from tiara.domain.dataplane import SelectionTable

Differ = Callable[[bytes, Sequence[int], bytes, Sequence[int]], int]
"""(rows before, backend numbers by position, rows after, their numbers) -> rows that name another."""


def rows_moved(before: SelectionTable, after: SelectionTable, differ: Differ) -> int:
    """Rows whose backend is another one; all of the larger table where the sizes differ."""
    if before == after:
        return 0
    if before.row_cnt != after.row_cnt:
        return max(before.row_cnt, after.row_cnt)
    numbers = {key: i for i, key in enumerate((*before.backends, *after.backends))}
    return differ(
        before.rows,
        [numbers[key] for key in before.backends],
        after.rows,
        [numbers[key] for key in after.backends],
    )


def differ_plain(before: bytes, numbers: Sequence[int], after: bytes, others: Sequence[int]) -> int:
    """The twin of libtiara's ``tiara_rows_differ``."""
    pairs = zip(array("I", before), array("I", after), strict=True)
    return sum(numbers[one] != others[other] for one, other in pairs)
