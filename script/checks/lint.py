# SPDX-License-Identifier: Apache-2.0
"""What linters say: ruff, clang-tidy, Verilator, and whether meson's files parse."""

from __future__ import annotations

import importlib
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import PurePosixPath

from .tree import Finding, Result, Tree, one_line, run

_TIDY_CHECKS = (
    "-*,bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-narrowing-conversions,"
    "-bugprone-reserved-identifier,-bugprone-macro-parentheses,-bugprone-assignment-in-if-condition,"
    "-bugprone-implicit-widening-of-multiplication-result,-bugprone-suspicious-string-compare,clang-diagnostic-*"
)
_TIDY_FLAGS = (
    *("-std=gnu11", "-Wall", "-Wextra", "-Wshadow", "-Wno-missing-field-initializers"),
    *("-march=x86-64-v3", "-mpclmul", "-mcx16", "-D_GNU_SOURCE", '-DTIARA_VERSION="0"'),
    *("-Idataplane/include", "-Idataplane"),
)
_TIDY_LINE = re.compile(r"^(?P<where>[^:\n]+:\d+):\d+: (?:error|warning): (?P<what>.*)$", re.MULTILINE)
_RTL = "fpga/rtl"
_RTL_LINE = re.compile(
    r"^%(?:Warning|Error)(?P<kind>-\w+)?: (?P<where>[^:\n]+:\d+):\d+: (?P<what>.*)$", re.MULTILINE
)
# What builds without DPDK, so that the check needs none.
_TIDY_FOLDERS = ("dataplane/table", "dataplane/path", "dataplane/control", "dataplane/layout")


def ruff(tree: Tree) -> Result:
    """ruff's rules, chosen in pyproject.toml."""
    done = run(tree, "ruff", "check", "--output-format=concise", ".")
    findings = [_ruff_finding(line) for line in done.stdout.splitlines() if re.match(r"[^ ]+:\d+:", line)]
    if done.returncode and not findings:
        findings.append(Finding("pyproject.toml", "ruff fails", one_line(done)))
    return Result(findings)


def tidy(tree: Tree) -> Result:
    """clang-tidy's bug-prone set on what builds without DPDK."""
    tool = shutil.which("clang-tidy")
    if not tool:
        return Result(skipped=["clang-tidy is not installed: apt-get install clang-tidy"])
    sources = tree.under(*_TIDY_FOLDERS, ends=(".c",))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda path: list(_tidy_one(tree, tool, path)), sources)
        return Result(sorted({finding for findings in found for finding in findings}, key=str))


def rtl(tree: Tree) -> Result:
    """Verilator's lint on every package and module, each as a top of its own."""
    tool = shutil.which("verilator")
    if not tool:
        return Result(skipped=["verilator is not installed: apt-get install verilator"])
    packages = packages_in_order(tree, _RTL)
    tops = [path for path in tree.under(_RTL, ends=(".sv",)) if path not in packages]
    commands = [[*packages]] if packages else []
    commands += [["-y", _RTL, "--top-module", PurePosixPath(top).stem, *packages, top] for top in tops]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda more: list(_rtl_one(tree, tool, more)), commands)
        said = {finding for findings in found for finding in findings}
    return Result(sorted({*said, *_silenced(tree)}, key=str))


def _silenced(tree: Tree) -> Iterator[Finding]:
    """Warnings that are turned off without a comment before that says why."""
    for path in tree.under(_RTL, ends=(".sv",)):
        lines = tree.text(path).splitlines()
        for number, (before, line) in enumerate(pairwise(lines), 2):
            if "lint_off" in line and not before.strip().startswith("//"):
                yield Finding(
                    f"{path}:{number}", "lint is silenced without a reason", "say why in a // line before"
                )


def packages_in_order(tree: Tree, folder: str) -> list[str]:
    """A folder's packages, each behind those that it imports."""
    waiting = {PurePosixPath(path).stem: path for path in tree.under(folder, ends=("_pkg.sv",))}
    ordered: list[str] = []

    def place(name: str) -> None:
        path = waiting.pop(name, None)
        if path:
            for wanted in re.findall(r"\b(\w+_pkg)::", tree.text(path)):
                place(wanted)
            ordered.append(path)

    for name in sorted(waiting):
        place(name)
    return ordered


def _rtl_one(tree: Tree, tool: str, arguments: list[str]) -> Iterator[Finding]:
    command = ["--lint-only", "-Wall", *arguments]
    done = run(tree, tool, *command)
    found = list(_RTL_LINE.finditer(done.stderr))
    for match in found:
        what = f"{match['what']} ({(match['kind'] or '-error')[1:]})"
        yield Finding(match["where"], what, "mend it, or lint_off with the reason")
    if done.returncode and not found:
        yield Finding(arguments[-1], "Verilator fails", f"verilator {' '.join(command)}: {one_line(done)}")


def meson(tree: Tree) -> Result:
    """meson files that do not parse."""
    findings: list[Finding] = []
    parser = importlib.import_module("mesonbuild.mparser")
    for path in tree.under("", ends=("meson.build", "meson.options")):
        try:
            parser.Parser(tree.text(path), path).parse()
        except Exception as error:  # meson's own exceptions share no public base
            line = getattr(error, "lineno", 1)
            what = str(error).splitlines()[0]
            findings.append(Finding(f"{path}:{line}", what, "meson cannot read it as it is"))
    return Result(findings)


def _ruff_finding(line: str) -> Finding:
    path, row, _, what = line.split(":", 3)
    return Finding(f"{path}:{row}", what.strip(), "`ruff rule <code>` says why")


def _tidy_one(tree: Tree, tool: str, path: str) -> Iterator[Finding]:
    done = run(tree, tool, "--quiet", f"--checks={_TIDY_CHECKS}", path, "--", *_TIDY_FLAGS)
    found = list(_TIDY_LINE.finditer(done.stdout))
    for match in found:
        where = match["where"].removeprefix(f"{tree.root}/")
        yield Finding(where, match["what"], "mend it, or NOLINT with the reason")
    if done.returncode and not found:
        yield Finding(path, "clang-tidy fails", one_line(done))
