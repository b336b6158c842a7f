# SPDX-License-Identifier: Apache-2.0
"""Measures on this machine, in one run, and says what machine it was.

The ids of the rows are stable; ratios are taken between rows of one run only. Progress goes to
standard error, the table to standard output.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import targets
from charts import draw

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "build/bench/bench"
HUGE_PAGE_BYTES = 2 << 20
HUGE_PAGE_WAIT_S = 20
PATH_HEAP_BYTES = 512 << 20
PUBLISH_HEAP_BYTES = 512 << 20
CONTROL_BYTES = 3 << 30
GRPC_CONNECTIONS_MAX = 16_000_000
MODES = ("l2", "ipip", "vxlan")
LARGE = 100_000  # connections: below, a table fits in a cache and its rows say nothing
CONNECTIONS = [1, 65_536, 1_000_000, 16_000_000, 80_000_000]
CHURN = 44  # a second's new connections: one in so many, 1.8 million of 80
LESS_IS_BETTER = {"ns", "us", "%", "bytes", "connections"}

Row = dict[str, Any]


@dataclass
class Run:
    """What was asked for, and what is to be said about it."""

    repeats: int
    seconds: int
    pages: str  # 4k, 2m or both
    quick: bool
    largest: int  # connections: churn takes its time, and only there
    notes: list[str]

    def note(self, text: str) -> None:
        """Goes into the report, so that a missing row is explained there."""
        print("bench:", text, file=sys.stderr)
        if text not in self.notes:
            self.notes.append(text)


def counters() -> str:
    """Whether programs can count cycles and instructions here (perf_event_open)."""
    attributes = (ctypes.c_uint64 * 16)(128 << 32, 1)  # type hardware, size; instructions
    attributes[5] = 1 << 5 | 1 << 6  # without the kernel and the hypervisor
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(298, attributes, 0, -1, -1, 0)
    if descriptor < 0:
        return "none here"
    os.close(descriptor)
    return "cycles, instructions"


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
        "counters": counters(),
        "commit": commit,
    }


# ---- pages ----


def meminfo(field: str) -> int:
    """A number of /proc/meminfo, in its unit."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def reserve(pages: int) -> int:
    """Asks for so many free huge pages, and again for a while: memory may lie in pieces. How many came."""
    count = Path("/proc/sys/vm/nr_hugepages")
    compact = Path("/proc/sys/vm/compact_memory")
    until = time.monotonic() + HUGE_PAGE_WAIT_S
    while (free := meminfo("HugePages_Free")) < pages and time.monotonic() < until:
        count.write_text(str(int(count.read_text()) + pages - free))
        if meminfo("HugePages_Free") < pages:
            compact.write_text("1")
            time.sleep(1)
    return meminfo("HugePages_Free")


@contextmanager
def huge_pages(run: Run, need_bytes: int) -> Iterator[Path | None]:
    """A hugetlbfs mount with that much free for a while, or None where the host gives none."""
    count = Path("/proc/sys/vm/nr_hugepages")
    before = int(count.read_text())
    wanted = -(-need_bytes // HUGE_PAGE_BYTES) + 16
    folder = Path(tempfile.mkdtemp(prefix="tiara-bench-"))
    mounted = False
    try:
        try:
            if (came := reserve(wanted)) < wanted:
                run.note(
                    f"only {came} of {wanted} huge pages were to be had: rows with 2 MiB pages are missing"
                )
            else:
                subprocess.run(["mount", "-t", "hugetlbfs", "none", str(folder)], check=True)
                mounted = True
        except (OSError, subprocess.CalledProcessError) as error:
            run.note(f"no huge pages here: rows with 2 MiB pages are missing: {error}")
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=False)
        folder.rmdir()
        if int(count.read_text()) != before:
            count.write_text(str(before))
        if (left := int(count.read_text())) != before:
            run.note(f"{left} huge pages stay reserved, {before} were before")


def enough_memory(run: Run, what: str, need_bytes: int) -> bool:
    """False, and a note, where a run would drive the machine out of memory."""
    available = meminfo("MemAvailable") * 1024
    if need_bytes * 1.1 < available:
        return True
    run.note(f"{what} needs {need_bytes >> 20} MiB and {available >> 20} are free: its rows are missing")
    return False


@contextmanager
def folders(run: Run, need_bytes: int) -> Iterator[list[Path]]:
    """Where segments can be made: /dev/shm for 4 KiB pages, a hugetlbfs mount for 2 MiB ones."""
    small = [Path("/dev/shm")] if run.pages != "2m" else []
    if run.pages == "4k":
        yield small
        return
    with huge_pages(run, need_bytes) as huge:
        yield [*small, *([huge] if huge else [])]


def table_bytes(connections: int) -> int:
    """The buckets that an operator gets who asks for these connections (bench_room in bench.h)."""
    slots = 8
    while slots * 9 < connections * 10:
        slots *= 2
    return slots * 16


# ---- programs ----


def call(program: str, *arguments: object) -> list[Row]:
    """The rows that a benchmark program prints."""
    command = [str(PROGRAMS / program), *map(str, arguments)]
    print("bench:", program, *command[1:], file=sys.stderr)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [row(json.loads(line)) for line in done.stdout.splitlines()]


def row(raw: Row) -> Row:
    """One line of a program as a row of the report."""
    values = raw.pop("values")
    best = min(values) if raw["unit"] in LESS_IS_BETTER else max(values)
    return {**raw, "best": best, "median": statistics.median(values), "repeats": len(values)}


def segment(folder: Path) -> Path:
    """A name that nobody else has."""
    return folder / f"tiara-bench-{os.getpid()}"


def rte_hash(run: Run, connections: int, page_bytes: int) -> Iterator[Row]:
    """DPDK's own hash in the table's place, where it fits."""
    program = "bench-rte-hash"
    if not (PROGRAMS / program).exists():
        run.note("no DPDK here: rows of rte_hash are missing")
        return
    if page_bytes == HUGE_PAGE_BYTES or enough_memory(run, f"rte_hash of {connections:,}", connections * 64):
        try:
            yield from call(program, connections, page_bytes, run.repeats)
        except subprocess.CalledProcessError:
            run.note(f"rte_hash of {connections:,} does not start with pages of {page_bytes} bytes")


def table(run: Run, connections: int) -> Iterator[Row]:
    """limit.lines and the table.* rows, and DPDK's hash in the same place."""
    if connections < LARGE or not enough_memory(run, "table", table_bytes(connections) * 2):
        return
    with folders(run, table_bytes(connections) + (64 << 20)) as places:
        for place in places:
            yield from call("bench-table", segment(place), connections, run.repeats)
            yield from call("bench-tail", segment(place), connections)
            yield from call("bench-scaling", segment(place), connections, run.repeats)
            if connections == run.largest:
                yield from call("bench-churn", segment(place), connections, connections // CHURN, run.seconds)
    if run.pages != "2m":
        yield from rte_hash(run, connections, 4096)
    if run.pages != "4k":
        with huge_pages(run, connections * 64 + (128 << 20)) as huge:
            if huge:
                yield from rte_hash(run, connections, HUGE_PAGE_BYTES)


def occupancy(run: Run) -> Iterator[Row]:
    """How full tables of three sizes are when they first refuse; pages are nothing to it."""
    for bits in (16,) if run.quick else (20, 21, 22):
        yield from call("bench-occupancy", segment(Path("/dev/shm")), 1 << bits, run.repeats)


def path(run: Run, connections: int) -> Iterator[Row]:
    """path.established, path.new and path.latency; each way of forwarding, over a million by IPIP alone."""
    need_bytes = PATH_HEAP_BYTES + table_bytes(max(connections, 1 << 22))
    if not enough_memory(run, "path", need_bytes * 2):
        return
    with folders(run, need_bytes) as places:
        for place in places:
            for mode in MODES if connections <= 1_000_000 else ("ipip",):
                yield from call("bench-path", segment(place), connections, mode, run.repeats)


def consistency(run: Run) -> Iterator[Row]:
    """100 changes of backends while packets of ten million connections go through the path."""
    connections = 1_000_000 if run.quick else 10_027_008
    with folders(run, PATH_HEAP_BYTES + table_bytes(connections)) as places:
        for place in places[-1:]:
            yield from call("bench-consistency", segment(place), connections, 100)


def publish(run: Run) -> Iterator[Row]:
    """maglev.fill and publish.change; pages are nothing to them."""
    if enough_memory(run, "publish", PUBLISH_HEAP_BYTES):
        yield from call("bench-publish", segment(Path("/dev/shm")), max(2, run.repeats))


def control(run: Run) -> Iterator[Row]:
    """maglev.fill and publish.change, then the API of an instance with 1000 services of 100 backends."""
    from control import measure

    yield from publish(run)
    if enough_memory(run, "control", CONTROL_BYTES):
        yield from map(row, measure(2 if run.quick else 10, run.repeats))


def bulk(run: Run, connections: int) -> Iterator[Row]:
    """push.native and snapshot.native by libtiara."""
    if connections < LARGE or not enough_memory(run, "bulk", table_bytes(connections) + connections * 32):
        return
    with folders(run, table_bytes(connections) + (64 << 20)) as places:
        for place in places:
            yield from call("bench-bulk", segment(place), connections, run.repeats)


def push(run: Run, connections: int) -> Iterator[Row]:
    """push.grpc: through the API."""
    from bulk import measure

    if not LARGE <= connections <= GRPC_CONNECTIONS_MAX:
        return
    if enough_memory(run, "push.grpc", table_bytes(connections) + connections * 32):
        with folders(run, table_bytes(connections) + (64 << 20)) as places:
            for place in places:
                yield from map(row, measure(segment(place), connections, run.repeats))


def flood(run: Run) -> Iterator[Row]:
    """What a million established connections get through beside a flood."""
    connections = 131_072 if run.quick else 1_000_000
    with folders(run, PATH_HEAP_BYTES + table_bytes(1 << 22)) as places:
        for place in places[-1:]:
            yield from call("bench-flood", segment(place), connections, run.repeats)


def path_once(run: Run) -> Iterator[Row]:
    """Broken connections and goodput, at one size."""
    yield from consistency(run)
    yield from flood(run)


def policies(run: Run) -> Iterator[Row]:
    """What each policy costs and gives; no connections are needed."""
    from policies import measure

    yield from map(row, measure(run.repeats))


def card(run: Run) -> Iterator[Row]:
    """The simulated card's lookups against memory's latency: no machine matters, the figure is a clock's."""
    from card import measure

    yield from map(row, measure(1 if run.quick else run.repeats))


def synth(run: Run) -> Iterator[Row]:
    """What the card takes of an FPGA; no machine matters."""
    from synth import measure

    yield from map(row, measure())


def engine(run: Run, connections: int) -> Iterator[Row]:
    """card.commands, card.decision and path.new before a card that takes every command."""
    need_bytes = PATH_HEAP_BYTES + table_bytes(max(connections, 1 << 22))
    if connections < LARGE or not enough_memory(run, "engine", need_bytes * 2):
        return
    with folders(run, need_bytes) as places:
        for place in places:
            yield from call("bench-offload", segment(place), connections, "ipip", run.repeats)


def nothing(run: Run, connections: int = 0) -> Iterator[Row]:
    """For groups that have no rows that are measured once, or none for each number of connections."""
    yield from ()


# By name: what is measured once, and what for each number of connections.
GROUPS: dict[str, tuple[Callable[[Run], Iterator[Row]], Callable[[Run, int], Iterator[Row]]]] = {
    "table": (occupancy, table),
    "path": (path_once, path),
    "bulk": (nothing, bulk),
    "control": (control, push),
    "policies": (policies, nothing),
    "card": (card, engine),
    "synth": (synth, nothing),
}


# ---- the report ----


def label(r: Row) -> str:
    """A row's name with what it was measured with."""
    p = r["params"]
    shown = {"connections", "page_bytes", "buckets", "occupancy", "samples", "transfers_per_op"}
    words = [str(value) for key, value in p.items() if key not in shown and isinstance(value, str)]
    if "percent_full" in p or "percent_of_peak" in p:
        words.insert(0, f"{p.get('percent_full', p.get('percent_of_peak'))}%")
    if "threads" in p:
        words.insert(1, f"x{p['threads']}")
    if "latency_ns" in p:
        words.append(f"{p['latency_ns']} ns")
    if "backends" in p:
        words.append(f"{p['backends']} backends")
    connections = f"{p['connections']:,}" if "connections" in p else ""
    if "buckets" in p:
        connections = connections or f"{p['buckets'] * 4:,} slots"
    page = {HUGE_PAGE_BYTES: "2 MiB", 4096: "4 KiB"}.get(p.get("page_bytes", 0), "")
    return f"{r['id']:<18} {' '.join(words):<38}{connections:>17}  {page:<5}"


def figure(value: float, unit: str) -> str:
    """As people say it: millions a second, else the number and its unit."""
    if unit == "1/s":
        return f"{value / 1e6:.2f} M/s"
    if unit == "a clock":
        return f"{value:.3f} {unit}"
    if unit == "connections":
        return f"{value:,.0f}"
    return f"{value:,.1f} {unit}"


def show(rows: list[Row]) -> None:
    """One line a row."""
    print(f"{'row':<18} {'of':<38}{'connections':>17}  {'pages':<5}{'best':>16}{'median':>16}")
    for r in rows:
        print(f"{label(r)}{figure(r['best'], r['unit']):>16}{figure(r['median'], r['unit']):>16}")


def measure(run: Run, groups: list[str], connections: list[int]) -> list[Row]:
    """All rows of these groups."""
    rows: list[Row] = []
    for group in groups:
        once, each = GROUPS[group]
        rows += once(run)
        for number in connections:
            rows += each(run, number)
    return rows


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("group", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)} (default: all)")
    parser.add_argument("--connections", type=int, nargs="+", metavar="N", help="default: 1 to 80 million")
    parser.add_argument("--pages", choices=["4k", "2m", "both"], default="both")
    parser.add_argument("--quick", action="store_true", help="a million connections, once: is it alive?")
    parser.add_argument("--repeats", type=int, metavar="N", help="1 to 16 (default 3)")
    parser.add_argument("--seconds", type=int, metavar="N", help="of churn (default 30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes machine and rows there")
    parser.add_argument("--page", type=Path, metavar="FILE", help="writes the table of synth there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draws the rows into a PNG")
    return parser


def main() -> None:
    """Runs the groups asked for."""
    parser = arguments()
    args = parser.parse_args()
    if unknown := set(args.group) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}")
    connections = args.connections or ([1_000_000] if args.quick else CONNECTIONS)
    run = Run(
        repeats=args.repeats or (1 if args.quick else 3),
        seconds=args.seconds or (2 if args.quick else 30),
        pages=args.pages,
        quick=args.quick,
        largest=max(connections),
        notes=[],
    )
    rows = measure(run, args.group or list(GROUPS), connections)
    show(rows)
    targets.show(rows)
    for note in run.notes:
        print("note:", note)
    if args.json:
        report = {"machine": machine(), "notes": run.notes, "rows": rows}
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    if args.page:
        from synth import page

        args.page.write_text(page(rows))
    if args.plot:
        draw(rows, args.plot)


if __name__ == "__main__":
    main()
