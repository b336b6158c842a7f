# SPDX-License-Identifier: Apache-2.0
"""tests/mutants/mutants.toml: each fault still has its place and its test."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from .plan import dangling
from .tree import Finding, Result, Tree

TABLE = "tests/mutants/mutants.toml"
WORDS = {"name", "fault", "file", "old", "new", "red"}


def check(tree: Tree) -> Result:
    """Faults without a place, without a test, or twice of one name."""
    if TABLE not in tree.files:
        return Result()
    try:
        entries = tomllib.loads(tree.text(TABLE)).get("mutant", [])
    except tomllib.TOMLDecodeError as error:
        return Result([Finding(TABLE, f"is not TOML ({error})", "mend it")])
    names = [entry.get("name") for entry in entries]
    twice = {name for name in names if names.count(name) > 1}
    findings = [Finding(TABLE, f"two faults are named {name}", "rename one") for name in sorted(twice)]
    return Result(findings + [finding for entry in entries for finding in _entry(tree, entry)])


def _entry(tree: Tree, entry: dict[str, Any]) -> Iterator[Finding]:
    if set(entry) != WORDS or not all(isinstance(value, str) for value in entry.values()):
        yield Finding(TABLE, f"a fault says {sorted(entry)}", f"say {sorted(WORDS)}, each a string")
        return
    name, path = entry["name"], entry["file"]
    times = tree.text(path).count(entry["old"]) if path in tree.files else 0
    if times != 1:
        yield Finding(
            TABLE, f"{name}: old stands {times} times in {path}, not once", "write old as the file has it"
        )
    test = "meson:" + entry["red"][5:] if entry["red"].startswith("tsan:") else entry["red"]
    if complaint := dangling(tree, test):
        yield Finding(TABLE, f"{name}: red names {entry['red']}: {complaint}", "name a test that exists")
