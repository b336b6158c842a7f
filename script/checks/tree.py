# SPDX-License-Identifier: Apache-2.0
"""The tree under check and what is found in it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """One failure in one line: where, what, how to mend it."""

    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: {self.mend}"


@dataclass(frozen=True)
class Result:
    """Of one part: what it found, and what it could not look at and why."""

    findings: Sequence[Finding] = ()
    skipped: Sequence[str] = ()


@dataclass
class Tree:
    """Files that git tracks or would track, by path below the root."""

    root: Path
    _text: dict[str, str] = field(default_factory=dict)

    @cached_property
    def files(self) -> tuple[str, ...]:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        )
        paths = sorted(set(listed.stdout.split("\0")) - {""})
        return tuple(path for path in paths if (self.root / path).is_file())

    @cached_property
    def file_set(self) -> frozenset[str]:
        return frozenset(self.files)

    def under(self, *folders: str, ends: tuple[str, ...] = ("",)) -> list[str]:
        """Files below any of the folders ("" is the root) with one of the endings."""
        heads = tuple(folder and folder.rstrip("/") + "/" for folder in folders)
        return [path for path in self.files if path.startswith(heads) and path.endswith(ends)]

    def text(self, path: str) -> str:
        """A file's text, empty when it is not text."""
        if path not in self._text:
            try:
                self._text[path] = (self.root / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                self._text[path] = ""
        return self._text[path]


def run(tree: Tree, *command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a tool at the root and keeps what it says."""
    return subprocess.run(command, cwd=tree.root, capture_output=True, text=True, check=False, env=env)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """All that a tool said, for a finding."""
    return (
        " | ".join((done.stderr + done.stdout).split("\n")).strip(" |") or f"it ended with {done.returncode}"
    )
