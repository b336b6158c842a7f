# SPDX-License-Identifier: Apache-2.0
"""Where the tests of the card find their helpers."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / name) for name in ("fpga", "unit", "path")] + [str(TESTS.parent / "controlplane")]

from collections.abc import Callable, Iterator  # noqa: E402

import pytest  # noqa: E402
from back_card import PLAIN, Back, Setup, build  # noqa: E402


@pytest.fixture(scope="session")
def back_program() -> Path:
    """tests/fpga/back, compiled."""
    return build()


@pytest.fixture
def back(back_program: Path) -> Iterator[Callable[..., Back]]:
    """Starts the program with a seed and a setup."""
    started: list[Back] = []

    def start(seed: int = 1, setup: Setup = PLAIN) -> Back:
        started.append(Back(back_program, seed, setup))
        return started[-1]

    yield start
    for one in started:
        one.close()
