# SPDX-License-Identifier: Apache-2.0
"""A copy of the tree that a test may change."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Copy:
    """The copy: plant() changes it, and the fixture takes everything back after the test."""

    root: Path
    kept: dict[Path, bytes | None] = field(default_factory=dict)

    def keep(self, path: str) -> Path:
        """What is there comes back after the test, whoever writes the file meanwhile."""
        file = self.root / path
        self.kept.setdefault(file, file.read_bytes() if file.exists() else None)
        return file

    def plant(self, path: str, text: str) -> None:
        """Writes a file, new or in place of what was there."""
        file = self.keep(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces text that must be there."""
        text = (self.root / path).read_text()
        assert old in text
        self.plant(path, text.replace(old, new, 1))

    def check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs the copy's script/check with this environment's tools."""
        return subprocess.run(
            [str(self.root / "script/check"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TIARA_BUILD": str(self.build), "MYPY_CACHE_DIR": str(self.build / "mypy")},
        )

    @property
    def build(self) -> Path:
        return self.root / "build"

    def restore(self) -> None:
        for file, content in self.kept.items():
            if content is None:
                file.unlink(missing_ok=True)
            else:
                file.write_bytes(content)
        self.kept.clear()
