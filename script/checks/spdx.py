# SPDX-License-Identifier: Apache-2.0
"""The licence line, first in every source file."""

from __future__ import annotations

from pathlib import PurePosixPath

from .generated import STUBS
from .tree import Finding, Result, Tree

LINE = "SPDX-License-Identifier: Apache-2.0"
SOURCES = {
    *(".c", ".h", ".cc", ".cpp", ".hpp", ".cdef", ".proto", ".py", ".pyi", ".sh", ".sv", ".svh", ".v"),
    *(".tcl", ".sby", ".toml", ".yml", ".yaml", ".cmake", ".mk", ".service", ".conf"),
}
NAMES = {"meson.build", "meson.options", "Dockerfile", "Makefile"}


def check(tree: Tree) -> Result:
    """Sources whose first line (the second after #!) is not the licence line."""
    return Result(
        [
            Finding(path, f"no '{LINE}'", "make it the first line, after #! where there is one")
            for path in tree.files
            if _is_source(tree, path) and not _has_line(tree.text(path))
        ]
    )


def _is_source(tree: Tree, path: str) -> bool:
    name = PurePosixPath(path)
    if not tree.text(path) or (path.startswith(STUBS + "/") and "_pb2" in name.name):
        return False
    return name.suffix in SOURCES or name.name in NAMES or tree.text(path).startswith("#!")


def _has_line(text: str) -> bool:
    lines = text.splitlines()
    first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
    return LINE in first
