# SPDX-License-Identifier: Apache-2.0
"""mypy, strict: what is shipped, the tools beside it, tests and benchmarks."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from .tree import Finding, Result, Tree, one_line, run

_LINE = re.compile(r"^(?P<where>[^:\n]+:\d+): error: (?P<what>.*)$", re.MULTILINE)
_TOOLS = "dataplane/layout"


def check(tree: Tree) -> Result:
    """Type errors. A folder of tests is a run of its own: their conftest.py share one name."""
    findings = [
        *_run(tree, ["controlplane"], ["-p", "tiara"]),
        *_run(tree, ["script", _TOOLS], ["-p", "checks", "-p", "tiara_layout", "-m", "generate"]),
    ]
    folders = _folders(tree)
    for folder, files in sorted(folders.items()):
        findings += _run(tree, ["controlplane", _TOOLS, folder, *(f for f in folders if f != folder)], files)
    return Result(findings)


def _folders(tree: Tree) -> dict[str, list[str]]:
    """Python files of bench and of each folder of tests."""
    found: dict[str, list[str]] = {}
    for path in tree.under("tests", "bench", ends=(".py",)):
        folder = str(PurePosixPath(*PurePosixPath(path).parts[: 2 if path.startswith("tests/") else 1]))
        found.setdefault(folder, []).append(path)
    return found


def _run(tree: Tree, search: list[str], targets: list[str]) -> Iterator[Finding]:
    env = {**os.environ, "MYPYPATH": ":".join(search)}
    done = run(tree, "mypy", "--strict", "--no-error-summary", *targets, env=env)
    found = list(_LINE.finditer(done.stdout))
    for match in found:
        yield Finding(match["where"], match["what"], "mypy --strict refuses it")
    if done.returncode and not found:
        yield Finding("pyproject.toml", "mypy fails", one_line(done))
