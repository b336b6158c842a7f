# SPDX-License-Identifier: Apache-2.0
"""Every test file is run by a group of script/test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from .tree import Finding, Result, Tree

SCRIPT = "script/test"


def check(tree: Tree) -> Result:
    """Python tests outside of groups' folders, C sources that no meson.build names, suites that none runs."""
    return Result([*_python(tree), *_c(tree), *_suites(tree)])


def _groups(tree: Tree) -> set[str]:
    found = re.search(r"^\t([a-z |]+)\) wanted", tree.text(SCRIPT), re.MULTILINE)
    return set(found[1].split(" | ")) if found else set()


def _python(tree: Tree) -> Iterator[Finding]:
    groups = _groups(tree)
    for path in tree.under("tests", ends=(".py",)):
        parts = PurePosixPath(path).parts
        if parts[-1].startswith("test_") and parts[1] not in groups:
            yield Finding(
                path, f"no group of script/test runs tests/{parts[1]}", "add it to groups, or move it"
            )


def _c(tree: Tree) -> Iterator[Finding]:
    for path in tree.under("tests", ends=(".c",)):
        folder, name = path.rsplit("/", 1)
        build = tree.text(f"{folder}/meson.build") if f"{folder}/meson.build" in tree.files else ""
        loops = [f"{first}{word}.c" for first, word in _looped(build)]
        if f"'{name}'" not in build and name not in loops:
            yield Finding(path, f"{folder}/meson.build does not build it", "name it there")


def _looped(build: str) -> Iterator[tuple[str, str]]:
    """Parts of names that a loop puts together: 'race_' + name + '.c'."""
    words = re.findall(r"'([^'\n]+)'", build)
    for first in re.findall(r"'(\w+)' \+ name \+ '\.c'", build):
        yield from ((first, word) for word in words)


def _suites(tree: Tree) -> Iterator[Finding]:
    run = set(re.findall(r"c_tests \w+ \w+ (\w+)", tree.text(SCRIPT)))
    for path in tree.under("tests", ends=("meson.build",)):
        for suite in sorted(set(re.findall(r"suite: '([^']+)'", tree.text(path))) - run):
            yield Finding(path, f"no group of script/test runs suite {suite}", "run it with c_tests")
