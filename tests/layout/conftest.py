# SPDX-License-Identifier: Apache-2.0
"""What the layout tests compare: the header's layout, the generated files, the shipped binaries."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "dataplane/layout"))

import generate  # noqa: E402
from tiara_layout.description import Layout  # noqa: E402

EXTENSION = "tiara.native._libtiara"
HOW = "run `script/setup`, or set TIARA_MESON_BUILD to a meson build folder made with -Dpython=true"


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def layout() -> Layout:
    """layout.h as the compiler sees it now."""
    return generate.read_layout(ROOT)


@pytest.fixture(scope="session")
def made() -> ModuleType:
    """The shipped tiara.domain.layout. Not there: the test fails and says what to run."""
    try:
        return importlib.import_module("tiara.domain.layout")
    except ModuleNotFoundError:
        pytest.fail(f"tiara is not installed: {HOW}, and PYTHONPATH to controlplane")


@pytest.fixture(scope="session")
def extension_file() -> Path:
    """The shipped cffi extension. Not there: the test fails and says what to run."""
    if build := os.environ.get("TIARA_MESON_BUILD"):
        return _only(Path(build), "_libtiara*.so")
    try:
        spec = importlib.util.find_spec(EXTENSION)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        pytest.fail(f"{EXTENSION} is not installed: {HOW}")
    return Path(spec.origin)


@pytest.fixture(scope="session")
def dataplane_file() -> Path:
    """The shipped tiara-dataplane. Not there: the test fails and says what to run."""
    if build := os.environ.get("TIARA_MESON_BUILD"):
        return _only(Path(build), "tiara-dataplane")
    beside = Path(sys.executable).parent / "tiara-dataplane"
    found = str(beside) if beside.is_file() else shutil.which("tiara-dataplane")
    if found is None:
        pytest.fail(f"tiara-dataplane is not installed: {HOW}")
    return Path(found)


@pytest.fixture(scope="session")
def extension(extension_file: Path) -> ModuleType:
    """The extension itself, loaded from its file."""
    spec = importlib.util.spec_from_file_location(EXTENSION, extension_file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _only(build: Path, pattern: str) -> Path:
    found = [path for path in build.rglob(pattern) if path.is_file()]
    if len(found) != 1:
        pytest.fail(f"TIARA_MESON_BUILD={build} holds {len(found)} files named {pattern}: {HOW}")
    return found[0]
