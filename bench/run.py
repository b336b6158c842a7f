# SPDX-License-Identifier: Apache-2.0
"""script/bench: measures on this machine, in one run, and says what machine it was.

The ids of the rows are stable; ratios are taken between rows of one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HUGE_PAGE_BYTES = 2 << 20


def machine() -> dict[str, Any]:
    """What a reader needs to judge the figures."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if "model name" in line), "?"
    )
    mhz = next((line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if "cpu MHz" in line), "?")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cpu": model,
        "mhz": mhz,
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "commit": commit,
    }


def row(raw: dict[str, Any]) -> dict[str, Any]:
    """One line of a benchmark program as a row of the report; higher values are better."""
    values = raw["values"]
    return {
        "id": raw["id"],
        "params": raw["params"],
        "unit": raw["unit"],
        "best": max(values),
        "median": statistics.median(values),
        "repeats": len(values),
    }


class Hugetlbfs:
    """A hugetlbfs mount with enough pages for a while; gives both back."""

    def __init__(self, need_bytes: int) -> None:
        self._pages = Path("/proc/sys/vm/nr_hugepages")
        self._before = int(self._pages.read_text())
        self._need = need_bytes // HUGE_PAGE_BYTES + 16
        self.folder = Path(tempfile.mkdtemp(prefix="tiara-bench-"))

    def __enter__(self) -> Path | None:
        try:
            self._pages.write_text(str(self._before + self._need))
            subprocess.run(["mount", "-t", "hugetlbfs", "none", str(self.folder)], check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
        return self.folder if int(self._pages.read_text()) >= self._before + self._need else None

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self.folder)], check=False, stderr=subprocess.DEVNULL)
        self.folder.rmdir()
        try:
            self._pages.write_text(str(self._before))
        except OSError as error:
            print(f"bench: the number of huge pages stays raised: {error}", file=sys.stderr)


def table(connections: int, repeats: int) -> list[dict[str, Any]]:
    """The table.* rows and limit.lines, on 4 KiB pages and, where the host gives them, on 2 MiB ones."""
    program = ROOT / "build/bench/bench/bench-table"
    rows = []
    with Hugetlbfs(connections * 64) as huge:
        for folder in filter(None, [Path("/dev/shm"), huge]):
            command = [
                str(program),
                str(folder / f"tiara-bench-{os.getpid()}"),
                str(connections),
                str(repeats),
            ]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows += [row(json.loads(line)) for line in done.stdout.splitlines()]
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """The rows, and each as a share of the memory's limit of the same run."""
    limit = {json.dumps(r["params"]): r["best"] for r in rows if r["id"] == "limit.lines"}
    print(f"{'row':<14}{'connections':>13}{'page':>9}{'best':>12}{'median':>12}{'x limit':>9}")
    for r in rows:
        p = r["params"]
        share = r["best"] / limit[json.dumps(p)]
        print(
            f"{r['id']:<14}{p['connections']:>13,}{p['page_bytes'] // 1024:>5} KiB"
            f"{r['best'] / 1e6:>10.1f} M{r['median'] / 1e6:>10.1f} M{share:>9.2f}"
        )


def main() -> None:
    """Runs the groups asked for."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("group", nargs="?", choices=["table"], default="table", help="what to measure")
    parser.add_argument("--connections", type=int, nargs="+", default=[1_000_000], metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="1 to 16 (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes machine and rows there")
    args = parser.parse_args()
    rows = [r for n in args.connections for r in table(n, args.repeats)]
    show(rows)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
