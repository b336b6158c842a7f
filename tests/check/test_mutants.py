# SPDX-License-Identifier: Apache-2.0
"""tests/mutants/mutants.py can fail: what survives, or has no place, is a failure."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "mutants"))

from mutants import Broken, Copy, Mutant, Run, by_program, mutants, program, try_one


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
    faults = [Mutant("planted", "is wrong", "a.c", "right", "wrong", "meson:a")]
    assert Run([copy], 1).share(faults) == 0
    (copy.tree / "a.c").write_text("right, wrong")
    assert Run([copy], 1).share(faults) == 2


def test_shares() -> None:
    """Each fault is tried once, and none on another copy than one with the same program."""
    shares = by_program(mutants())
    programs = [{program(fault.red) for fault in share} for share in shares]
    assert all(len(names) == 1 for names in programs)
    assert len(set.union(*programs)) == len(shares)
    assert sorted(fault.name for share in shares for fault in share) == sorted(one.name for one in mutants())


class Busy(Fake):
    """Takes note of a second fault that comes while the first is tried."""

    busy = False
    clashed = False

    def passes(self, test: str) -> bool:
        self.clashed = self.clashed or self.busy
        self.busy = True
        sleep(0.001)
        self.busy = False
        return super().passes(test)


def test_a_copy_holds_one_fault_at_a_time(tmp_path: Path) -> None:
    """However many shares are tried at once."""
    copies = [Busy(tmp_path / str(number)) for number in range(2)]
    for each in copies:
        each.tree.mkdir(parents=True)
        (each.tree / "a.c").write_text("right")
    faults = [Mutant(str(number), "is wrong", "a.c", "right", "wrong", "meson:a") for number in range(16)]
    run = Run([*copies], len(faults))
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(run.share, ([fault] for fault in faults))) == 0
    assert [each.clashed for each in copies] == [False, False]
