# SPDX-License-Identifier: Apache-2.0
"""Puts each fault of mutants.toml into a copy of the tree and runs the test that must turn red.

    mutants.py --build FOLDER [NAME...]     all, or those named; the copies and their builds stay in FOLDER

Every named test must first pass on the copy as it is. A fault that its test lets pass, that does not
compile or that has no place any more fails the run. There are two copies, and tests that are built from
the same program stay on one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300
"""A test that takes longer hangs, and that is red too."""
COPIES = 2
OPTIONS = {
    "release": ("meson", "setup", "-Dtests=true", "-Dpython=false", "-Ddataplane=disabled"),
    "tsan": ("meson", "setup", "-Dtests=true", "-Ddataplane=disabled", "-Db_sanitize=thread"),
    "fuzz": ("env", "CC=clang", "meson", "setup", "-Dtests=true", "-Ddataplane=disabled", "-Dfuzz=true",
             "-Db_sanitize=address,undefined", "-Db_lundef=false"),
}  # fmt: skip
PROGRAMS = {
    "tests/path/": ("release", "tests/path/run_memory"),
    "tests/fpga/test_rtl_differential.py": ("release", "tests/path/run_memory"),
    "tests/fpga/test_card": ("release", "fpga/sim/libtiara_sim.so"),
    "tests/fpga/test_card_records": ("release", "tests/path/run_memory"),
    "tests/fpga/test_pipes": ("release", "fpga/sim/libtiara_sim_pipes.so"),
    "tests/fpga/test_three_way": ("release", "fpga/sim/libtiara_sim.so", "tests/path/run_memory"),
    "tests/fpga/test_replay": ("release", "fpga/sim/libtiara_sim.so", "tests/path/replay_offload"),
    "tests/fuzz/": ("fuzz", "tests/fuzz/fuzz_path"),
}
"""What a folder's tests run, and the build it is in."""


class Broken(Exception):
    """What stands between a fault and its test."""


@dataclass(frozen=True)
class Mutant:
    """One fault; see mutants.toml."""

    name: str
    fault: str
    file: str
    old: str
    new: str
    red: str


@dataclass
class Copy:
    """The tree's copy and its builds."""

    folder: Path

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    def refresh(self) -> None:
        """Makes the copy the tree's working state; a file that is equal keeps its time."""
        wanted = set(tracked())
        for path in wanted:
            source, target = ROOT / path, self.tree / path
            if target.is_file() and target.read_bytes() == source.read_bytes():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        for target in [*self.tree.rglob("*")]:
            if target.is_file() and target.relative_to(self.tree).as_posix() not in wanted:
                target.unlink()
        spec = importlib.util.find_spec("tiara.native._libtiara")
        if spec and spec.origin:
            shutil.copy2(spec.origin, self.tree / "controlplane/tiara/native")

    @contextmanager
    def planted(self, mutant: Mutant) -> Iterator[None]:
        """The fault is in the copy."""
        file = self.tree / mutant.file
        sound = file.read_text()
        if sound.count(mutant.old) != 1:
            raise Broken(f"'{mutant.old}' stands {sound.count(mutant.old)} times in {mutant.file}, not once")
        file.write_text(sound.replace(mutant.old, mutant.new))
        try:
            yield
        finally:
            file.write_text(sound)

    def passes(self, test: str) -> bool:
        """Builds what the test needs and runs it."""
        kind, _, name = test.partition(":")
        if kind in ("meson", "tsan"):
            build = "tsan" if kind == "tsan" else "release"
            return self.run_c(build, name)
        return self.run_python(test)

    def run_c(self, build: str, name: str) -> bool:
        self.set_up(build)
        command = c_tests(self.folder / build)[name]
        self.ninja(build, str(Path(command[0]).relative_to(self.folder / build)))
        return self.green(*command, log=name, env={"TSAN_OPTIONS": "halt_on_error=1"})

    def run_python(self, test: str) -> bool:
        paths = [str(self.tree / folder) for folder in ("controlplane", "tests/mutants")]
        env = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
        for folder, (build, *targets) in PROGRAMS.items():
            if test.startswith(folder):
                self.set_up(build)
                self.ninja(build, *targets)
                env |= {"TIARA_BUILD": str(self.folder / build)}
        env |= {"TIARA_FUZZ_SECONDS": "3", "TIARA_PATH_PACKETS": "5000", "TIARA_CARD_PACKETS": "12500"}
        env |= {"TIARA_FPGA_BUILD": str(self.folder / "fpga")}
        plugins = ["-p", "no:cacheprovider", "-p", "first_example"]
        command = [sys.executable, "-m", "pytest", "-q", "-x", *plugins, test]
        return self.green(*command, log="pytest", env=env)

    def set_up(self, build: str) -> None:
        folder = self.folder / build
        if not (folder / "build.ninja").exists():
            run([*OPTIONS[build], str(folder), str(self.tree)], self.folder, f"{build} cannot be set up")
        self.ninja(build, "build.ninja")  # a folder from before may not know of new tests

    def ninja(self, build: str, *targets: str) -> None:
        run(["ninja", "-C", str(self.folder / build), *targets], self.folder, "does not compile")

    def green(self, *command: str, log: str, env: dict[str, str]) -> bool:
        """A test that fails half way leaves its files in a folder that goes."""
        with (
            (self.folder / f"{log}.log").open("w") as file,
            tempfile.TemporaryDirectory(prefix="tiara-mutant-", dir="/dev/shm") as scratch,
        ):
            env = {**os.environ, **env, "TIARA_TEST_FOLDER": scratch}
            try:
                done = subprocess.run(command, cwd=self.tree, stdout=file, stderr=subprocess.STDOUT,
                                      env=env, timeout=SECONDS, check=False)  # fmt: skip
            except subprocess.TimeoutExpired:
                return False
        if command[0] == sys.executable and done.returncode not in (0, 1):
            raise Broken(f"pytest could not run it; {self.folder / log}.log says why")
        return done.returncode == 0


def run(command: list[str], folder: Path, complaint: str) -> None:
    """Runs a tool that must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Broken(f"{complaint}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


@cache
def c_tests(build: Path) -> dict[str, list[str]]:
    """The command of each C test in a build folder."""
    told = subprocess.run(
        ["meson", "introspect", "--tests", str(build)], capture_output=True, text=True, check=True
    )
    return {test["name"]: test["cmd"] for test in json.loads(told.stdout)}


def tracked() -> list[str]:
    """Files that git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]


def mutants() -> list[Mutant]:
    """All that the table holds."""
    table = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())
    return [Mutant(**entry) for entry in table["mutant"]]


def is_sound(copy: Copy, test: str) -> bool:
    """A test passes on the tree as it is; says when it does not."""
    try:
        if copy.passes(test):
            return True
    except (Broken, KeyError) as error:
        print(f"  {error}")
    print(f"RED WITHOUT A FAULT  {test}", flush=True)
    return False


def try_one(copy: Copy, mutant: Mutant) -> str:
    """What became of a fault: "red" as it should be, or the complaint."""
    try:
        with copy.planted(mutant):
            return "SURVIVED" if copy.passes(mutant.red) else "red"
    except Broken as error:
        return f"BROKEN: {error}"


def program(test: str) -> str:
    """What tests must share to be tried on one copy: the program that is built, or else the file."""
    made = (targets[0] for folder, (_, *targets) in PROGRAMS.items() if test.startswith(folder))
    return next(made, test.partition("::")[0])


def by_program(wanted: list[Mutant]) -> list[list[Mutant]]:
    """Faults in the order of the table from its end: the card's take longest, and come first."""
    shares: dict[str, list[Mutant]] = {}
    for one in reversed(wanted):
        shares.setdefault(program(one.red), []).append(one)
    return list(shares.values())


class Run:
    """Tries shares of the faults, each on a copy that no other uses meanwhile."""

    def __init__(self, copies: Sequence[Copy], cnt: int) -> None:
        self.idle: SimpleQueue[Copy] = SimpleQueue()
        for copy in copies:
            self.idle.put(copy)
        self.cnt = cnt
        self.numbers = count(1)

    def share(self, faults: list[Mutant]) -> int:
        """How many of them failed, or tests that are red anyway."""
        copy = self.idle.get()
        try:
            useless = {test for test in dict.fromkeys(one.red for one in faults) if not is_sound(copy, test)}
            return len(useless) + sum(self.one(copy, fault, fault.red in useless) for fault in faults)
        finally:
            self.idle.put(copy)

    def one(self, copy: Copy, mutant: Mutant, useless: bool) -> bool:
        """Whether it failed; says what became of it."""
        started = time.monotonic()
        said = "NOT TRIED: its test is red anyway" if useless else try_one(copy, mutant)
        seconds = time.monotonic() - started
        at = f"[{next(self.numbers)}/{self.cnt}]"
        print(f"{at} {said:<9}{mutant.name}: {mutant.red} ({seconds:.0f} s)", flush=True)
        return said != "red"


def main() -> int:
    """0: each fault turned its test red."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--build", type=Path, required=True, help="folder for the copies and their builds")
    parser.add_argument("names", nargs="*", help="faults to try; all without")
    arguments = parser.parse_args()
    wanted = [one for one in mutants() if not arguments.names or one.name in arguments.names]
    if missing := set(arguments.names) - {one.name for one in wanted}:
        parser.error(f"no fault named {', '.join(sorted(missing))} in mutants.toml")
    shares = by_program(wanted)
    copies = [Copy(arguments.build.resolve() / str(i)) for i in range(min(COPIES, len(shares)))]
    for copy in copies:
        copy.folder.mkdir(parents=True, exist_ok=True)
        copy.refresh()
    with ThreadPoolExecutor(len(copies)) as pool:
        failed = sum(pool.map(Run(copies, len(wanted)).share, shares))
    print(f"{len(wanted)} faults, {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
