# SPDX-License-Identifier: Apache-2.0
"""Where the tests of the card find their helpers."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / name) for name in ("fpga", "unit", "path")] + [str(TESTS.parent / "controlplane")]
