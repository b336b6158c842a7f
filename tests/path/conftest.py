# SPDX-License-Identifier: Apache-2.0
"""The realizations of the packet path that records are run against."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "unit"), str(HERE.parents[1] / "controlplane")]

from path_model import PathModel  # noqa: E402
from path_records import PathUnderTest  # noqa: E402
from path_runner import PathProgram  # noqa: E402


@pytest.fixture(scope="session")
def c_path() -> Iterator[PathProgram]:
    """The C packet path, one process for all records."""
    path = PathProgram()
    yield path
    path.close()


@pytest.fixture(params=["c", "model"])
def path_under_test(request: pytest.FixtureRequest) -> PathUnderTest:
    """Each realization in turn."""
    if request.param == "model":
        return PathModel()
    path: PathProgram = request.getfixturevalue("c_path")
    return path
