# SPDX-License-Identifier: Apache-2.0
"""The testbed of containers, once for all tests; progress is shown although pytest captures output."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

from engine import Say  # noqa: E402


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Say:
    """Prints a line at once, with the seconds since the start."""
    started = time.monotonic()
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def print_line(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"{time.monotonic() - started:5.0f} s  {line}", flush=True)

    return print_line
