# SPDX-License-Identifier: Apache-2.0
"""script/check [PART ...]: each failure is one line: where, what, how to mend it.

Without a part all of them run. `script/check generate` writes everything that is generated;
`script/check mend` does that and lets the formatters change what they would.
`script/check freeze`, at a release, makes the API as it is the one that must not be broken.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from . import (
    arrows,
    contract,
    form,
    generated,
    groups,
    links,
    lint,
    mutants,
    pages,
    plan,
    spdx,
    tokens,
    types,
)
from .tree import Result, Tree

# The slow ones first: two run at a time.
PARTS: dict[str, tuple[Callable[[Tree], Result], str]] = {
    "types": (types.check, "mypy strict"),
    "tidy": (lint.tidy, "clang-tidy on C that needs no DPDK"),
    "generated": (generated.check, "layout files, proto stubs and API reference are what their sources make"),
    "contract": (
        contract.check,
        "buf's rules, nothing broken since proto/baseline.binpb, bounds on requests",
    ),
    "rtl": (lint.rtl, "Verilator's lint"),
    "format": (form.check, "clang-format and ruff format change nothing"),
    "lint": (lint.ruff, "ruff's rules"),
    "arrows": (arrows.check, "no include or import that must never exist"),
    "tokens": (tokens.check, "no forbidden word"),
    "spdx": (spdx.check, "the licence line first"),
    "pages": (pages.check, "a page for each RTL module, with all its parts"),
    "meson": (lint.meson, "meson files parse"),
    "links": (links.check, "links of pages lead to files and headings that are there"),
    "plan": (plan.check, "every test that tests/plan.toml names exists"),
    "groups": (groups.check, "every test file is run by a group of script/test"),
    "mutants": (mutants.check, "every fault of tests/mutants has its place and its test"),
}


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments):
        print(_help())
        return 0
    tree = Tree(Path.cwd())
    if arguments == ["generate"]:
        return generated.generate(tree)
    if arguments == ["freeze"]:
        return contract.freeze(tree)
    if arguments == ["mend"]:
        form.mend(tree)
        return generated.generate(tree)
    if unknown := [name for name in arguments if name not in PARTS]:
        print(f"script/check: no part named {unknown[0]}: one of {', '.join(PARTS)}, generate, mend, freeze")
        return 2
    return check(tree, arguments or list(PARTS))


def check(tree: Tree, names: list[str]) -> int:
    """Runs the parts, two at a time, and prints each one's line as it ends."""
    started, failed = time.monotonic(), 0
    width = max(len(name) for name in PARTS)
    with ThreadPoolExecutor(2) as pool:
        jobs = {pool.submit(PARTS[name][0], tree): name for name in names}
        for job in as_completed(jobs):
            result = job.result()
            failed += len(result.findings)
            verdict = "FAIL" if result.findings else "skip" if result.skipped else "ok"
            notes = [*map(str, result.findings), *(f"skipped: {why}" for why in result.skipped)]
            print(f"{verdict:<5}{jobs[job]:<{width + 2}}{PARTS[jobs[job]][1]}", flush=True)
            print("".join(f"  {note}\n" for note in notes), end="", flush=True)
    print(f"script/check: {failed} to mend" if failed else _all_well(names, started))
    return 1 if failed else 0


def _all_well(names: list[str], started: float) -> str:
    return f"script/check: {len(names)} parts passed in {time.monotonic() - started:.0f} s"


def _help() -> str:
    rows = "".join(f"  {name:<12}{what}\n" for name, (_, what) in PARTS.items())
    return f"{(__doc__ or '').strip()}\n\nParts:\n{rows}".rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
