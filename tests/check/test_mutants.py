# SPDX-License-Identifier: Apache-2.0
"""tests/mutants/mutants.py can fail: what survives, or has no place, is a failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "mutants"))

from mutants import Broken, Copy, Mutant, check_sound, try_one


class Fake(Copy):
    """A copy of one file, whose test looks for a word in it."""

    def passes(self, test: str) -> bool:
        text = (self.tree / "a.c").read_text()
        if "syntax error" in text:
            raise Broken("does not compile")
        return "wrong" not in text


@pytest.fixture
def copy(tmp_path: Path) -> Fake:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a.c").write_text("right")
    return Fake(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("right", "wrong", "red"),
        ("right", "right all the same", "SURVIVED"),
        ("left", "wrong", "BROKEN: 'left' stands 0 times in a.c, not once"),
        ("right", "syntax error", "BROKEN: does not compile"),
    ],
)
def test_what_becomes_of_a_fault(copy: Fake, old: str, new: str, said: str) -> None:
    """Only a test that turns red on a fault that compiles will do; the file is as before afterwards."""
    assert try_one(copy, Mutant("planted", "is wrong", "a.c", old, new, "meson:a")) == said
    assert (copy.tree / "a.c").read_text() == "right"


def test_a_test_that_is_red_anyway_proves_nothing(copy: Fake) -> None:
    """Named tests have to pass on the tree as it is."""
    assert check_sound(copy, ["meson:a"]) == []
    (copy.tree / "a.c").write_text("wrong")
    assert check_sound(copy, ["meson:a"]) == ["meson:a"]
