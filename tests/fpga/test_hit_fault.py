# SPDX-License-Identifier: Apache-2.0
"""A card whose hits name the wrong backend (-Dsim_hit_fault=true) is found by the records."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAULT = (ROOT / os.environ.get("TIARA_BUILD", "build/release")).parent / "card-fault"


def test_records_fail() -> None:
    """Those in which the card forwards, and only where it does."""
    assert (FAULT / "fpga/sim/libtiara_sim.so").exists(), f"{FAULT}: `script/test fpga` builds it"
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*pytest, "tests/fpga/test_card_records.py", "-k", "test_record"],
        cwd=ROOT,
        env={**os.environ, "TIARA_SIM_BUILD": str(FAULT)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"(\d+) failed, (\d+) passed", done.stdout)
    assert done.returncode == 1 and found, done.stdout[-2000:]
    assert int(found[1]) > 10, found[0]
