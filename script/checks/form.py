# SPDX-License-Identifier: Apache-2.0
"""How sources look: clang-format for C, ruff for Python."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .tree import Finding, Result, Tree, one_line, run

MEND = "run `script/check mend`"
C_ENDS = (".c", ".h", ".cc", ".cpp", ".hpp")

_CLANG = re.compile(r"^(?P<where>[^:\n]+:\d+):\d+: (?:error|warning): ", re.MULTILINE)
_RUFF = re.compile(r"^ *--> (?P<where>[^:\n]+:\d+):\d+$", re.MULTILINE)


def check(tree: Tree) -> Result:
    """Files that the formatters would change."""
    return Result([*_c(tree), *_python(tree)])


def mend(tree: Tree) -> None:
    """Lets the formatters change them."""
    if sources := tree.under("", ends=C_ENDS):
        run(tree, "clang-format", "-i", *sources)
    run(tree, "ruff", "check", "--fix-only", "--quiet", ".")
    run(tree, "ruff", "format", "--quiet", ".")


def _c(tree: Tree) -> Iterator[Finding]:
    sources = tree.under("", ends=C_ENDS)
    if not sources:
        return
    done = run(tree, "clang-format", "--dry-run", "-Werror", *sources)
    first: dict[str, str] = {}
    for match in _CLANG.finditer(done.stderr):
        first.setdefault(match["where"].split(":")[0], match["where"])
    for where in first.values():
        yield Finding(where, "not as clang-format has it", MEND)
    if done.returncode and not first:
        yield Finding(".clang-format", "clang-format fails", one_line(done))


def _python(tree: Tree) -> Iterator[Finding]:
    done = run(tree, "ruff", "format", "--check", ".")
    found = dict.fromkeys(match["where"] for match in _RUFF.finditer(done.stdout))
    for where in found:
        yield Finding(where, "not as ruff format has it", MEND)
    if done.returncode and not found:
        yield Finding("pyproject.toml", "ruff format fails", one_line(done))
