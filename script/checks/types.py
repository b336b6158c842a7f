# SPDX-License-Identifier: Apache-2.0
"""mypy, strict: what is shipped and the tools beside it."""

from __future__ import annotations

import os
import re

from .tree import Finding, Result, Tree, one_line, run

_LINE = re.compile(r"^(?P<where>[^:\n]+:\d+): error: (?P<what>.*)$", re.MULTILINE)


def check(tree: Tree) -> Result:
    """Type errors."""
    findings: list[Finding] = []
    for path, targets in (("controlplane", ["-p", "tiara"]), ("script:dataplane/layout", _tools(tree))):
        env = {**os.environ, "MYPYPATH": path}
        done = run(tree, "mypy", "--strict", "--no-error-summary", *targets, env=env)
        found = [
            Finding(m["where"], m["what"], "mypy --strict refuses it") for m in _LINE.finditer(done.stdout)
        ]
        findings += found
        if done.returncode and not found:
            findings.append(Finding("pyproject.toml", "mypy fails", one_line(done)))
    return Result(findings)


def _tools(tree: Tree) -> list[str]:
    return ["-p", "checks", "-p", "tiara_layout", *tree.under("dataplane/layout/generate.py")]
