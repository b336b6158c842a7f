# SPDX-License-Identifier: Apache-2.0
"""tests/plan.toml: each promise names tests that exist."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from .tree import Finding, Result, Tree

PLAN = "tests/plan.toml"


def check(tree: Tree) -> Result:
    """Entries that are incomplete and tests that are named but not there."""
    if PLAN not in tree.files:
        return Result([Finding(PLAN, "is not there", "add it: promise, issue and tests of each promise")])
    try:
        plan = tomllib.loads(tree.text(PLAN))
    except tomllib.TOMLDecodeError as error:
        return Result([Finding(PLAN, f"is not TOML ({error})", "mend it")])
    return Result([finding for entry in _entries(plan) for finding in _entry(tree, entry)])


def _entries(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for value in plan.values():
        if isinstance(value, list):
            yield from (entry for entry in value if isinstance(entry, dict))


def _entry(tree: Tree, entry: dict[str, Any]) -> Iterator[Finding]:
    promise = entry.get("promise")
    if not isinstance(promise, str) or not promise:
        yield Finding(PLAN, f"an entry without promise: {entry}", 'write promise = "..."')
        return
    if not isinstance(entry.get("issue"), int):
        yield Finding(PLAN, f"'{promise}' has no issue number", "write issue = N")
    tests = entry.get("tests")
    if not isinstance(tests, list) or not tests:
        yield Finding(PLAN, f"'{promise}' names no test", 'write tests = ["tests/x/test_y.py::test_z"]')
        return
    for name in tests:
        if complaint := dangling(tree, str(name)):
            yield Finding(PLAN, f"'{promise}' names {name}: {complaint}", "name a test that exists")


def dangling(tree: Tree, name: str) -> str:
    """Why a test's name leads nowhere, empty when it leads somewhere."""
    if name.startswith("meson:"):
        return "" if name.removeprefix("meson:") in _meson_tests(tree) else "no meson.build has such a test"
    path, _, rest = name.partition("::")
    if path not in tree.files:
        return "no such file"
    wanted = re.sub(r"\[.*\]$", "", rest)
    return "" if wanted in _python_tests(tree.text(path)) else "no such function in that file"


def _meson_tests(tree: Tree) -> set[str]:
    """Every string in the tests' meson files, alone or as the part of a name that a loop puts together."""
    texts = [tree.text(path) for path in tree.under("", ends=("meson.build",)) if "test" in tree.text(path)]
    return {name for text in texts for name in _meson_names(text)}


def _meson_names(text: str) -> set[str]:
    words = set(re.findall(r"'([^'\n]+)'", text))
    parts = re.findall(r"\btest\('([^']+)' \+ name(?: \+ '([^']+)')?", text)
    return words | {f"{first}{word}{last}" for first, last in parts for word in words}


def _python_tests(text: str) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}::{child.name}"
                for child in node.body
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return names
