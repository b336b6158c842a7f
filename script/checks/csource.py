# SPDX-License-Identifier: Apache-2.0
"""C sources as the checks see them: includes, and code without comments and strings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

from .tree import Tree

_NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


@cache
def code(text: str) -> str:
    """The text with comments and strings blanked, line numbers kept."""
    return _NOISE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def includes(tree: Tree, path: str) -> Iterator[tuple[int, str]]:
    """Line and target of each include: a path of the tree where there is one, else as written."""
    for line, written in _written_includes(tree.text(path)):
        yield line, _resolve(tree, path, written)


def reached(tree: Tree, path: str) -> Iterator[tuple[int, str, str]]:
    """Everything included, directly or not: line of the first step, what, and by which way."""
    for line, first in includes(tree, path):
        seen = {first: first}
        queue = [first]
        while queue:
            at = queue.pop()
            yield line, at, seen[at]
            if at in tree.file_set:
                for _, target in includes(tree, at):
                    if target not in seen:
                        seen[target] = f"{seen[at]} -> {target}"
                        queue.append(target)


@cache
def _written_includes(text: str) -> tuple[tuple[int, str], ...]:
    return tuple((text.count("\n", 0, m.start()) + 1, m[2]) for m in _INCLUDE.finditer(text))


def _resolve(tree: Tree, path: str, written: str) -> str:
    folder = PurePosixPath(path).parent
    for base in (folder, PurePosixPath("dataplane/include"), PurePosixPath("dataplane"), PurePosixPath()):
        candidate = _normal(base / written)
        if candidate in tree.file_set:
            return candidate
    return written


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
