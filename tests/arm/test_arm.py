# SPDX-License-Identifier: Apache-2.0
"""The Arm builds, looked at: the instructions of their 16-byte words, and where they refuse to run.

TIARA_BUILD is the folder of the two meson build folders `arm` and `arm-lse2` (`script/test arm` makes them).
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / os.environ.get("TIARA_BUILD", "build")
SYSROOT = "/usr/aarch64-linux-gnu"


def said(*command: str | Path) -> str:
    """What a tool prints; it succeeds."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def libraries(build: str) -> list[Path]:
    """libtiara of one of the builds, and the packet path and table that it is linked with."""
    paths = [BUILD / build / "dataplane" / name for name in ("libtiara.a", "libtiara-path.a")]
    for path in paths:
        assert path.exists(), f"{path} is not built: `script/test arm` builds it"
    return paths


def instructions(build: str, function: str) -> list[str]:
    """A function's instructions with single spaces, registers and all."""
    listing = said("aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", *libraries(build))
    found = re.search(rf"^[0-9a-f]+ <{function}>:\n(.*?)\n\n", listing + "\n\n", re.MULTILINE | re.DOTALL)
    assert found, f"no {function} in {libraries(build)}"
    return [" ".join(line.split("\t")[1:]) for line in found[1].splitlines() if "\t" in line]


def ordered(listing: list[str], *patterns: str) -> bool:
    """Whether instructions match the patterns one right after the other."""
    size = len(patterns)
    return any(
        all(
            re.fullmatch(pattern, line)
            for pattern, line in zip(patterns, listing[at : at + size], strict=True)
        )
        for at in range(len(listing) - size + 1)
    )


@pytest.mark.parametrize("build", ["arm", "arm-lse2"])
def test_nothing_calls_libatomic(build: str) -> None:
    """libatomic may take a lock, and its locks are one process's: the segment is shared by several."""
    undefined = said("aarch64-linux-gnu-nm", "--undefined-only", *libraries(build))
    assert re.findall(r"\b__(?:atomic|sync|aarch64)_\w+", undefined) == []


@pytest.mark.parametrize("build", ["arm", "arm-lse2"])
def test_a_swap_is_one_casp(build: str) -> None:
    """The 16-byte CAS is casp with acquire and release, and no loop around anything."""
    listing = instructions(build, "tiara_neighbour_swap")
    assert [line.split()[0] for line in listing].count("caspal") == 1
    assert not [line for line in listing if re.match(r"ld\w*x|st\w*x", line)]


def test_without_lse2_a_load_is_a_casp() -> None:
    """Nothing else reads 16 bytes at once before Armv8.4."""
    listing = instructions("arm", "tiara_neighbour_read")
    assert ordered(listing, r"caspa x0, x1, x0, x1, \[x\d+\]")
    assert not [line for line in listing if re.fullmatch(r"ldp x0, x1, \[x\d+\]", line)]


def test_with_lse2_a_load_writes_nothing() -> None:
    """ldar first (an earlier casp's store), one ldp, then the barrier for what is read next."""
    listing = instructions("arm-lse2", "tiara_neighbour_read")
    assert ordered(listing, r"ldar x\d+, \[(x\d+)\]", r"ldp x\d+, x\d+, \[x\d+\]", "dmb ishld")
    assert not [line for line in listing if line.startswith("casp")]


@pytest.mark.parametrize("build", ["arm", "arm-lse2"])
def test_a_line_is_compared_before_what_is_read_next(build: str) -> None:
    """The filter's plain loads follow an ldar (an earlier casp's store), and a barrier follows them."""
    listing = instructions(build, "tiara_table_find")
    assert ordered(listing, r"ldar x\d+, .*", r"ld2 .*", r"ld2 .*", "dmb ishld", "cmeq .*")


def test_a_sweep_looks_after_it_took_its_slice() -> None:
    """Its plain loads of a line follow an ldar, which waits for the stlr of the slice's number."""
    names = [line.split()[0] for line in instructions("arm", "tiara_sweep_slice_wk")]
    assert names.index("ldaddal") < names.index("ldar") < names.index("caspa")


def test_a_build_for_lse2_refuses_an_older_core() -> None:
    """There its loads would tear, silently: it says so and touches nothing."""
    program = BUILD / "arm-lse2/tests/unit/control-segment"
    done = subprocess.run(
        ["qemu-aarch64", "-cpu", "neoverse-n1", "-L", SYSROOT, program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "built for Armv8.4 and this core is older (no LSE2)" in done.stderr
