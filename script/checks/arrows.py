# SPDX-License-Identifier: Apache-2.0
"""Arrows that must never exist (design section 2): who may include or import whom."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

from . import csource
from .tree import Finding, Result, Tree

SHIPPED_C = "dataplane"
SHIPPED_PYTHON = "controlplane"


@dataclass(frozen=True)
class Arrow:
    """From files below `source` (but not `but`) no way may lead to any of `targets`."""

    source: str
    targets: tuple[str, ...]
    mend: str
    but: tuple[str, ...] = ()
    direct_only: bool = False


_DPDK = ("rte_*", "dpdk*")
_STDLIB = ("stdio.h", "malloc.h", "stdlib.h", "syslog.h", "unistd.h", "pthread.h", "sys/*.h")

C_ARROWS = (
    Arrow("dataplane/path", ("dataplane/control/*", "dataplane/app/*"), "the packet path knows neither"),
    Arrow("dataplane/path", _STDLIB, "nothing on the packet path allocates, prints or makes a system call"),
    Arrow("dataplane/path", _DPDK, "DPDK stays behind port/port.h"),
    Arrow("dataplane/offload", ("dataplane/control/*", "dataplane/app/*"), "the engine runs on workers"),
    Arrow("dataplane/offload", _STDLIB, "nothing in the engine allocates, prints or makes a system call"),
    Arrow("dataplane/offload", _DPDK, "the engine runs without DPDK"),
    Arrow("dataplane/table", _DPDK, "the table runs without DPDK"),
    Arrow("dataplane/table", _STDLIB, "nothing in the table allocates, prints or makes a system call"),
    Arrow(
        "dataplane/table",
        ("dataplane/control/*", "dataplane/app/*", "dataplane/port/*"),
        "the table is below them",
    ),
    Arrow("dataplane/control", _DPDK, "libtiara is used without DPDK"),
    Arrow(SHIPPED_C, ("tests/*",), "what is shipped does not know its tests"),
)

_PURE = ("grpc", "cffi", "asyncio", "time", "random")
_PURE_MEND = "keep it pure: take the value as an argument"

PYTHON_ARROWS = (
    Arrow("controlplane/tiara/planner", _PURE, _PURE_MEND),
    Arrow("controlplane/tiara/domain", _PURE, _PURE_MEND),
    Arrow(
        "controlplane/tiara/api",
        ("tiara.native", "tiara.store"),
        "call the reconciler, which joins them",
        direct_only=True,
    ),
    Arrow(
        "controlplane",
        ("cffi", "_cffi_backend"),
        "only tiara.native speaks cffi",
        but=("controlplane/tiara/native/",),
        direct_only=True,
    ),
    Arrow("controlplane", ("ctypes",), "only cffi in API mode checks sizes", direct_only=True),
    Arrow(
        "controlplane",
        ("tiara.native",),
        "only tiara.reconciler calls tiara.native",
        but=("controlplane/tiara/native/", "controlplane/tiara/reconciler/"),
        direct_only=True,
    ),
    Arrow(
        "",
        ("scapy",),
        "scapy is GPL-2: only tiara.traffic and tests, in their own process",
        but=("controlplane/tiara/traffic/", "tests/"),
        direct_only=True,
    ),
    Arrow(SHIPPED_PYTHON, ("tests", "conftest"), "what is shipped does not know its tests"),
)

_RTE_ETH = re.compile(r"\brte_eth_\w*")


def check(tree: Tree) -> Result:
    """All arrows, in C by #include and in Python by import."""
    findings = [*_c_findings(tree), *_driver_calls(tree), *_python_findings(tree)]
    return Result(sorted(set(findings), key=str))


def _c_findings(tree: Tree) -> Iterator[Finding]:
    for arrow in C_ARROWS:
        for path in tree.under(arrow.source, ends=(".c", ".h")):
            for line, target, way in csource.reached(tree, path):
                if any(fnmatchcase(target, pattern) for pattern in arrow.targets):
                    yield Finding(f"{path}:{line}", f"never-arrow: includes {way}", arrow.mend)


def _driver_calls(tree: Tree) -> Iterator[Finding]:
    for path in tree.under(SHIPPED_C, ends=(".c", ".h")):
        if path.startswith("dataplane/port/"):
            continue
        for at, text in enumerate(csource.code(tree.text(path)).splitlines(), 1):
            if match := _RTE_ETH.search(text):
                yield Finding(
                    f"{path}:{at}", f"never-arrow: calls {match[0]}", "move the call to dataplane/port"
                )


def _python_findings(tree: Tree) -> Iterator[Finding]:
    modules = {_module_name(path): path for path in tree.under("controlplane", ends=(".py",))}
    for arrow in PYTHON_ARROWS:
        for path in tree.under(arrow.source, ends=(".py",)):
            if path.startswith(arrow.but or ("\0",)):
                continue
            for line, target, way in _reached(tree, modules, path, arrow.direct_only):
                if any(target == t or target.startswith(t + ".") for t in arrow.targets):
                    yield Finding(f"{path}:{line}", f"never-arrow: imports {way}", arrow.mend)


def _reached(
    tree: Tree, modules: dict[str, str], path: str, direct_only: bool
) -> Iterator[tuple[int, str, str]]:
    """Line, module and way of each import, through the tree's own modules unless direct_only."""
    for line, first in _imports(tree, path):
        seen = {first: first}
        queue = [first]
        while queue:
            at = queue.pop()
            yield line, at, seen[at]
            if direct_only or at not in modules:
                continue
            for _, target in _imports(tree, modules[at]):
                if target not in seen:
                    seen[target] = f"{seen[at]} -> {target}"
                    queue.append(target)


def _imports(tree: Tree, path: str) -> tuple[tuple[int, str], ...]:
    return _imports_of(tree.text(path), _package(path))


@cache
def _imports_of(text: str, package: str) -> tuple[tuple[int, str], ...]:
    """Line and full name of everything a module imports, wherever in it, by name or by a string."""
    return tuple(_walk_imports(text, package))


def _walk_imports(text: str, package: str) -> Iterator[tuple[int, str]]:
    try:
        module = ast.parse(text)
    except SyntaxError:  # ruff reports it
        return
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            yield node.lineno, base
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and (name := _imported_by_call(node)):
            yield node.lineno, name


def _base(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    kept = parents[: len(parents) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _imported_by_call(node: ast.Call) -> str | None:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in ("import_module", "__import__") or not node.args:
        return None
    first = node.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _module_name(path: str) -> str:
    parts = path.removeprefix("controlplane/").removesuffix(".py").split("/")
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _package(path: str) -> str:
    """The package a module is in; an __init__ is in the package it makes."""
    return ".".join(path.removeprefix("controlplane/").split("/")[:-1])
