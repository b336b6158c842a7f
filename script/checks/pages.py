# SPDX-License-Identifier: Apache-2.0
"""fpga/doc: a page for each module of the card, each with all its parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from .registers import PAGE
from .tree import Finding, Result, Tree

RTL, DOC = "fpga/rtl", "fpga/doc"
PARTS = ("Purpose", "Parameters", "Ports", "Latency", "Ordering and stalls", "Reset", "Undefined")
_MODULE = re.compile(r"^module (\w+)", re.MULTILINE)
_PARAMETER = re.compile(r"^  parameter [^=]*?(\w+)\s*=", re.MULTILINE)


def check(tree: Tree) -> Result:
    """Modules without a page, pages without a module, and pages that leave something out."""
    modules = {
        name: path for path in tree.under(RTL, ends=(".sv",)) for name in _MODULE.findall(tree.text(path))
    }
    pages = {PurePosixPath(path).stem: path for path in tree.under(DOC, ends=(".md",)) if path != PAGE}
    findings = [Finding(modules[name], f"no page {DOC}/{name}.md", f"write it: {', '.join(PARTS)}")
                for name in sorted(modules.keys() - pages.keys())]  # fmt: skip
    findings += [Finding(pages[name], f"no module {name}", "the page goes with the module")
                 for name in sorted(pages.keys() - modules.keys())]  # fmt: skip
    for name in sorted(modules.keys() & pages.keys()):
        findings += _page(tree, modules[name], pages[name])
    return Result(findings)


def _page(tree: Tree, module: str, page: str) -> Iterator[Finding]:
    text = tree.text(page)
    for part in PARTS:
        if not re.search(rf"^\*\*{part}\.\*\*\s+\S", text, re.MULTILINE):
            yield Finding(page, f"says nothing of {part}", f"write '**{part}.** ...' at a line's beginning")
    for name in _PARAMETER.findall(tree.text(module)):
        if not re.search(rf"\b{name}\b", text):
            yield Finding(page, f"does not name parameter {name}", f"say under Parameters what {name} is")
