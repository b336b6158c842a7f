# SPDX-License-Identifier: Apache-2.0
"""Measures on this machine, in one run, and says what machine it was.

The ids of the rows are stable; ratios are taken between rows of one run only. Progress goes to
standard error, the table to standard output.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build/bench/bench"
HUGE_PAGE_BYTES = 2 << 20
MODES = ("l2", "ipip", "vxlan")
GROUPS = ("table", "path", "bulk", "publish")

Row = dict[str, Any]


def machine() -> dict[str, Any]:
    """What a reader needs to judge the figures."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    facts = dict(line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line)
    known = {key.strip(): value.strip() for key, value in facts.items()}
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "cpu": known.get("model name", "?"),
        "mhz": known.get("cpu MHz", "?"),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "commit": commit,
    }


@contextmanager
def huge_pages(need_bytes: int) -> Iterator[Path | None]:
    """A hugetlbfs mount with that much free for a while, or None where the host gives none."""
    count = Path("/proc/sys/vm/nr_hugepages")
    before = int(count.read_text())
    wanted = before + need_bytes // HUGE_PAGE_BYTES + 16
    folder = Path(tempfile.mkdtemp(prefix="tiara-bench-"))
    mounted = False
    try:
        try:
            count.write_text(str(wanted))
            subprocess.run(["mount", "-t", "hugetlbfs", "none", str(folder)], check=True)
            mounted = True
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"bench: no huge pages here, only 4 KiB ones are measured: {error}", file=sys.stderr)
        yield folder if mounted and int(count.read_text()) >= wanted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False)
            count.write_text(str(before))
        folder.rmdir()


def run(program: str, *arguments: object) -> list[Row]:
    """The rows that a benchmark program prints."""
    command = [str(PROGRAMS / program), *map(str, arguments)]
    print("bench:", *command[1:], file=sys.stderr)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [row(json.loads(line)) for line in done.stdout.splitlines()]


def row(raw: Row) -> Row:
    """One line of a program as a row of the report."""
    values = raw.pop("values")
    best = min(values) if raw["unit"] == "ns" else max(values)
    return {**raw, "best": best, "median": statistics.median(values), "repeats": len(values)}


def table(connections: int, repeats: int) -> Iterator[Row]:
    """limit.lines and the table.* rows, and DPDK's hash in the same place."""
    with huge_pages(connections * 64 * 3) as huge:
        for folder in filter(None, [Path("/dev/shm"), huge]):
            segment = folder / f"tiara-bench-{os.getpid()}"
            yield from run("bench-table", segment, connections, repeats)
            if (PROGRAMS / "bench-rte-hash").exists():
                page_bytes = HUGE_PAGE_BYTES if folder == huge else 4096
                yield from run("bench-rte-hash", connections, page_bytes, repeats)


def path(connections: int, repeats: int) -> Iterator[Row]:
    """path.established and path.new for each way of forwarding."""
    with huge_pages((512 << 20) + connections * 64) as huge:
        for folder in filter(None, [Path("/dev/shm"), huge]):
            segment = folder / f"tiara-bench-{os.getpid()}"
            for mode in MODES:
                yield from run("bench-path", segment, connections, mode, repeats)


def bulk(connections: int, repeats: int) -> Iterator[Row]:
    """push.native and snapshot.native by libtiara, push.grpc through the API."""
    from bulk import measure

    with huge_pages(connections * 64) as huge:
        for folder in filter(None, [Path("/dev/shm"), huge]):
            segment = folder / f"tiara-bench-{os.getpid()}"
            yield from run("bench-bulk", segment, connections, repeats)
            yield from map(row, measure(segment, connections, repeats))


def publish(repeats: int) -> Iterator[Row]:
    """maglev.fill and publish.change."""
    yield from run("bench-publish", f"/dev/shm/tiara-bench-{os.getpid()}", repeats)


def label(r: Row) -> str:
    """A row's name with what it was measured with."""
    p = r["params"]
    page = "2 MiB" if p["page_bytes"] == HUGE_PAGE_BYTES else "4 KiB"
    return f"{r['id']:<17} {p.get('forward', ''):<6}{p['connections']:>11,}  {page}"


def figure(value: float, unit: str) -> str:
    """As people say it: ns a packet, or millions a second."""
    return f"{value:.0f} ns" if unit == "ns" else f"{value / 1e6:.1f} M/s"


def show(rows: list[Row]) -> None:
    """One line a row."""
    print(f"{'row':<17} {'mode':<6}{'connections':>11}  {'pages':<5}{'best':>12}{'median':>12}")
    for r in rows:
        print(f"{label(r)}{figure(r['best'], r['unit']):>12}{figure(r['median'], r['unit']):>12}")


def plot(rows: list[Row], file: Path) -> None:
    """Bars of the best values: rates on the left, nanoseconds on the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sides = [("millions a second", 1e6, "1/s"), ("nanoseconds a packet", 1, "ns")]
    chosen = [(title, scale, [r for r in rows if r["unit"] == unit]) for title, scale, unit in sides]
    chosen = [side for side in chosen if side[2]]
    tall = 1.2 + 0.28 * max(len(side[2]) for side in chosen)
    drawing, axes = pyplot.subplots(1, len(chosen), figsize=(7.5 * len(chosen), tall), squeeze=False)
    for axis, (title, scale, side) in zip(axes[0], chosen, strict=True):
        bars = axis.barh([label(r) for r in side], [r["best"] / scale for r in side], color="#3b6ea5")
        axis.bar_label(bars, fmt="%.0f", padding=3)
        axis.invert_yaxis()
        axis.set_xlabel(title)
        axis.tick_params(axis="y", labelfontfamily="monospace", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    drawing.tight_layout()
    drawing.savefig(file, dpi=110)


def main() -> None:
    """Runs the groups asked for."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("group", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)} (default: all)")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 65_536, 1_000_000], metavar="N")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="1 to 16 (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes machine and rows there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draws the rows into a PNG")
    args = parser.parse_args()
    if unknown := set(args.group) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}")
    groups = args.group or GROUPS
    rows: list[Row] = []
    for connections in args.connections:
        if "table" in groups and connections >= 100_000:
            rows += table(connections, args.repeats)
        if "path" in groups:
            rows += path(connections, args.repeats)
        if "bulk" in groups and connections >= 100_000:
            rows += bulk(connections, args.repeats)
    if "publish" in groups:
        rows += publish(args.repeats)
    show(rows)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")
    if args.plot:
        plot(rows, args.plot)


if __name__ == "__main__":
    main()
