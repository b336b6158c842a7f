# SPDX-License-Identifier: Apache-2.0
"""What the packet path asks for ahead is asked for by the machine's code too."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = Path(os.environ.get("TIARA_BUILD", ROOT / "build" / "release"))
SOURCES = [
    path
    for folder in ("path", "offload", "table")
    for path in sorted((ROOT / "dataplane" / folder).glob("*.c"))
    if re.search(r"prefetch\w*\(", path.read_text())
]


@pytest.mark.parametrize("source", SOURCES, ids=[path.stem for path in SOURCES])
def test_prefetches_are_there(source: Path) -> None:
    """A source that prefetches has an instruction for it: GCC drops functions that do nothing else."""
    name = f"{source.parent.name}_{source.name}.o"
    built = BUILD / "dataplane" / "libtiara-path.a.p" / name
    code = subprocess.run(["objdump", "-d", built], capture_output=True, text=True, check=True).stdout
    assert re.search(r"\tprefetch|\tprfm", code), f"{name} asks for nothing ahead"
