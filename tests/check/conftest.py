# SPDX-License-Identifier: Apache-2.0
"""A copy of the tree in which tests plant faults."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tree_copy import Copy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def whole_copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """Everything git tracks or would track, in a repository of its own."""
    root = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for path in filter(None, listed.stdout.split("\0")):
        if (ROOT / path).is_file():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, root / path)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / "build").mkdir()
    (root / "build/venv").symlink_to(Path(sys.prefix))
    return Copy(root)


@pytest.fixture
def copy(whole_copy: Copy) -> Iterator[Copy]:
    yield whole_copy
    whole_copy.restore()
