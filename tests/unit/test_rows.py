# SPDX-License-Identifier: Apache-2.0
"""How much of a selection table moves: libtiara's count and its twin."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st
from tiara.domain.dataplane import EMPTY_TABLE, SelectionTable
from tiara.native.scan import rows_differ
from tiara.planner.rows import differ_plain, rows_moved

NAMES = st.permutations(range(6))


def table(names: list[int], rows: list[int]) -> SelectionTable:
    """A table whose position i is backend names[i]."""
    keys = tuple(("web", f"b{name}", f"{name:032x}") for name in names)
    return SelectionTable(keys, array("I", rows).tobytes())


@given(NAMES, NAMES, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=300))
def test_both_count_alike(before: list[int], after: list[int], rows: list[tuple[int, int]]) -> None:
    """The same backends in any order of positions: rows that name another one, by C, by its twin, by hand."""
    one, other = table(before, [row[0] for row in rows]), table(after, [row[1] for row in rows])
    by_hand = sum(before[first] != after[second] for first, second in rows)
    assert rows_moved(one, other, rows_differ) == rows_moved(one, other, differ_plain) == by_hand


def test_other_sizes_move_whole() -> None:
    """A table of another size, or none: all rows of the larger one."""
    one, other = table([0], [0] * 7), table([0], [0] * 11)
    assert rows_moved(one, other, rows_differ) == 11
    assert rows_moved(other, EMPTY_TABLE, rows_differ) == 11
    assert rows_moved(EMPTY_TABLE, EMPTY_TABLE, rows_differ) == 0
