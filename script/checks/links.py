# SPDX-License-Identifier: Apache-2.0
"""Links of pages to files and headings of this tree."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from .tree import Finding, Result, Tree

_LINK = re.compile(r"\]\((?P<to>[^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<text>.*?) *$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def check(tree: Tree) -> Result:
    """Links that lead to no file or folder, or to no heading of the page they lead to."""
    return Result([finding for path in tree.under("", ends=(".md",)) for finding in _page(tree, path)])


def _page(tree: Tree, path: str) -> Iterator[Finding]:
    text = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), tree.text(path))
    for link in _LINK.finditer(text):
        if re.match(r"[a-z]+:", link["to"]):
            continue
        where = f"{path}:{text.count(chr(10), 0, link.start()) + 1}"
        file, _, heading = link["to"].partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) if file else path
        if target not in tree.file_set and not tree.under(target):
            yield Finding(where, f"{link['to']}: no such file", "link to a file that is there")
        elif heading and heading not in _anchors(tree.text(target)):
            yield Finding(where, f"{link['to']}: no such heading", f"link to a heading of {target}")


def _anchors(text: str) -> set[str]:
    """Headings as a viewer names them: small letters, hyphens for blanks, and no other sign."""
    headings = (match["text"].lower() for match in _HEADING.finditer(text))
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in headings}
