# SPDX-License-Identifier: Apache-2.0
"""Generated files: made again and compared with what is there, or written."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import reference, registers
from .protos import ProtocError, Protos
from .tree import Finding, Result, Tree, run

GENERATE = "run `script/check generate`"
STUBS = "controlplane/tiara/v1"
_GENERATOR = "dataplane/layout/generate.py"


def check(tree: Tree) -> Result:
    """Layout files, proto stubs, registers and the API reference that differ from what their sources make."""
    return Result([*_layout(tree), *_stubs(tree), *_registers(tree), *_reference(tree)])


def generate(tree: Tree) -> int:
    """Writes everything that is generated; 0 when that went well."""
    done = run(tree, sys.executable, _GENERATOR)
    print(done.stdout + done.stderr, end="")
    if done.returncode:
        return done.returncode
    with tempfile.TemporaryDirectory() as folder:
        if complaint := _protoc(tree, Path(folder)):
            print(complaint)
            return 1
        for path in _stale_stubs(tree, Path(folder)):
            made = Path(folder) / Path(path).relative_to("controlplane")
            if made.is_file():
                (tree.root / path).parent.mkdir(parents=True, exist_ok=True)
                (tree.root / path).write_bytes(made.read_bytes())
                print(f"wrote {path}")
            else:
                (tree.root / path).unlink()
                print(f"removed {path}")
    return _write_registers(tree) or _write_reference(tree)


def _reference(tree: Tree) -> Iterator[Finding]:
    try:
        made = reference.page(Protos.read(tree))
    except ProtocError:
        return  # Said of the stubs
    if _read(tree.root / reference.PAGE) != made:
        yield Finding(reference.PAGE, "differs from what proto/tiara/v1 makes", GENERATE)


def _write_reference(tree: Tree) -> int:
    made, path = reference.page(Protos.read(tree)), tree.root / reference.PAGE
    if _read(path) != made:
        path.write_text(made, encoding="utf-8")
        print(f"wrote {reference.PAGE}")
    return 0


def _registers(tree: Tree) -> Iterator[Finding]:
    try:
        made = registers.outputs(_read(tree.root / registers.SOURCE))
    except (registers.RegisterError, ValueError, KeyError, TypeError) as error:
        yield Finding(registers.SOURCE, f"is no register map ({error})", "mend it")
        return
    for path, text in made.items():
        if _read(tree.root / path) != text:
            yield Finding(path, f"differs from what {registers.SOURCE} makes", GENERATE)


def _write_registers(tree: Tree) -> int:
    try:
        made = registers.outputs(_read(tree.root / registers.SOURCE))
    except registers.RegisterError as error:
        print(f"{registers.SOURCE}: {error}")
        return 1
    for path, text in made.items():
        target = tree.root / path
        if _read(target) != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _layout(tree: Tree) -> Iterator[Finding]:
    done = run(tree, sys.executable, _GENERATOR, "--check")
    for line in (done.stdout + done.stderr).splitlines():
        where, _, what = line.partition(": ")
        if what.startswith("differs"):
            yield Finding(where, "differs from what dataplane/include/tiara/*.h make", GENERATE)
        else:
            yield Finding(where, what, "see the rules at the top of layout.h")
    if done.returncode and not done.stdout + done.stderr:
        yield Finding(_GENERATOR, f"ended with {done.returncode} and said nothing", "run it")


def _stubs(tree: Tree) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        if complaint := _protoc(tree, Path(folder)):
            yield Finding("proto/tiara/v1", "protoc refuses it", complaint.replace("\n", " | "))
            return
        for path in _stale_stubs(tree, Path(folder)):
            yield Finding(path, "differs from what proto/tiara/v1 makes", GENERATE)


def _protoc(tree: Tree, folder: Path) -> str:
    """Writes the stubs below folder; what protoc complains of, empty when all is well."""
    protos = tree.under("proto", ends=(".proto",))
    outs = [f"--{kind}_out={folder}" for kind in ("python", "mypy", "grpc_python", "mypy_grpc")]
    done = run(tree, sys.executable, "-m", "grpc_tools.protoc", "-Iproto", *outs, *protos)
    return done.stderr.strip() if done.returncode else ""


def _stale_stubs(tree: Tree, folder: Path) -> list[str]:
    made = {f"controlplane/{path.relative_to(folder)}" for path in folder.rglob("*_pb2*")}
    there = {str(path.relative_to(tree.root)) for path in (tree.root / STUBS).glob("*_pb2*.py*")}
    return sorted(path for path in made | there if not _same(tree, folder, path))


def _same(tree: Tree, folder: Path, path: str) -> bool:
    made, there = folder / Path(path).relative_to("controlplane"), tree.root / path
    return made.is_file() and there.is_file() and made.read_bytes() == there.read_bytes()
