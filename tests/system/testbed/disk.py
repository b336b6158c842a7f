# SPDX-License-Identifier: Apache-2.0
"""A small file system of its own for the store: to be filled, and to be made read-only."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from testbed.topology import TestbedError, run

SIZE_BYTES = 48 << 20
_STEP_BYTES = 4096


class Disk:
    """A tmpfs on `folder` while it is used as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store.db"
        self._ballast = folder / "ballast"

    def __enter__(self) -> Disk:
        self.folder.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tiara-testbed", str(self.folder))
        return self

    def __exit__(self, *_: object) -> None:
        run("umount", "-l", str(self.folder))

    def fill(self) -> None:
        """Not a page is left."""
        with self._ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(_STEP_BYTES)) == _STEP_BYTES:
                pass

    def free(self) -> None:
        """There is room again."""
        self._ballast.unlink()

    def set_read_only(self, read_only: bool) -> None:
        """While nobody has a file open for writing."""
        run("mount", "-o", f"remount,{'ro' if read_only else 'rw'}", str(self.folder))

    def check(self) -> int:
        """The revision that the store's file holds now, read from a copy. TestbedError: it is damaged."""
        with TemporaryDirectory(prefix="tiara-testbed-") as folder:
            for path in self.folder.glob("store.db*"):
                if path.suffix != ".lock" and not path.name.endswith("-shm"):
                    (Path(folder) / path.name).write_bytes(path.read_bytes())
            return _revision(Path(folder) / self.store.name)

    def used_bytes(self) -> int:
        """By the store, its log included."""
        return sum(path.stat().st_size for path in self.folder.glob("store.db*"))


def _revision(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        damage = db.execute("PRAGMA integrity_check").fetchall()
        if damage != [("ok",)]:
            raise TestbedError(f"the store is damaged: {damage[:3]}")
        revision: int = db.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0]
        return revision
    finally:
        db.close()


def descriptors(pid: int) -> int:
    """Open files of a process."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def private_bytes(pid: int) -> int:
    """Memory of a process that is not shared: what a leak would add to."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    raise TestbedError(f"process {pid} has ended")
