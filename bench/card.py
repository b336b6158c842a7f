# SPDX-License-Identifier: Apache-2.0
"""The simulated card at its rate: lookups a clock against memory's latency, while connections come and go.

The card is the RTL with 16 memory ports of 64 reads each at 322 MHz, its table 60 % full with random keys,
each in its first bucket or, where that is full, in its second. Of the packets one in a hundred misses.
In each 1431 cycles, 225,000 times a second, one connection is installed and one removed. Up to a quarter
more than the latency is drawn for each read; each port answers nothing for 112 of 1255 cycles: HBM2's
refresh, 350 ns of 3.9 us.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILD = "build/bench-card"
BUCKET_BITS = 14
OPTIONS = ["-Dtests=true", "-Dpython=false", "-Ddataplane=disabled", "-Dsim_ports=16", "-Dsim_outstanding=64",
           f"-Dsim_bucket_bits={BUCKET_BITS}"]  # fmt: skip
GHZ = 0.322
REFRESH_NS, REFRESH_EVERY_NS = 350, 3900
CHANGES_PER_S = 225_000
CHANGE_CYCLES = int(GHZ * 1e9 / CHANGES_PER_S)
FULL = 0.6
MISS = 0.01
PACKETS = 60_000
LINES = 64

sys.path[:0] = [str(ROOT / "tests" / name) for name in ("fpga", "path", "unit")]

Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A connection's place in the card."""

    address: str
    port: int
    key: int
    slot: int
    second: bool

    @property
    def line(self) -> int:
        """Of the backend table: neighbours in a bucket go to different backends."""
        return self.slot % LINES


@dataclass(frozen=True)
class Table:
    """What is in the card from the beginning: `stay` is asked for; of `leave` one goes for each of `come`."""

    stay: list[Entry]
    leave: list[Entry]
    come: list[Entry]


@dataclass(frozen=True)
class Run:
    """One of a seed at a latency."""

    per_clock: float
    per_s: float  # packets, by the wall clock
    second_percent: float  # hits that were in the second bucket


def measure(repeats: int, latencies_ns: tuple[int, ...] = (100, 200, 300, 400)) -> Iterator[Row]:
    """Builds the card, then rows(); raw, as a program prints them."""
    os.environ["TIARA_BUILD"] = BUILD
    if not (ROOT / BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", BUILD, *OPTIONS], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "--quiet", "-C", BUILD, "fpga/sim/libtiara_sim.so"], cwd=ROOT, check=True)
    yield from rows(repeats, latencies_ns)


def rows(repeats: int, latencies_ns: tuple[int, ...]) -> Iterator[Row]:
    """card.lookup and card.model for each latency."""
    tables = [_table(random.Random(seed)) for seed in range(1, repeats + 1)]
    for latency_ns in latencies_ns:
        runs = [_run(table, latency_ns, seed) for seed, table in enumerate(tables, 1)]
        shares = sum(run.second_percent for run in runs) / len(runs)
        params = {
            "latency_ns": latency_ns,
            "connections": len(tables[0].stay) + len(tables[0].leave),
            "second_bucket_percent": round(shares, 2),
            "miss_percent": MISS * 100,
            "changes_per_s": 2 * CHANGES_PER_S,
            "refresh_ns": [REFRESH_NS, REFRESH_EVERY_NS],
        }
        yield {
            "id": "card.lookup",
            "params": params,
            "unit": "a clock",
            "values": [r.per_clock for r in runs],
        }
        yield {"id": "card.model", "params": params, "unit": "1/s", "values": [r.per_s for r in runs]}


def _run(table: Table, latency_ns: int, seed: int) -> Run:
    """The rate is that in the middle, of packets of one beat; whatever the card said is compared."""
    from card_sim import Memory  # only now is TIARA_BUILD said

    cycles, draw = int(latency_ns * GHZ), random.Random(seed)
    refresh = int(REFRESH_EVERY_NS * GHZ), int(REFRESH_NS * GHZ)
    card = _started(Memory(seed, cycles, cycles // 4, 0, *refresh), table)
    wanted = [None if draw.random() < MISS else draw.choice(table.stay) for _ in range(PACKETS)]
    card.send(_frame(*((e.address, e.port) if e else (draw.choice(table.stay).address, 1))) for e in wanted)
    began = time.perf_counter()
    for come, leave in zip(table.come, table.leave, strict=True):
        card.step(CHANGE_CYCLES)
        _change(card, come, leave)
    card.run()
    took_s, left = time.perf_counter() - began, card.left()
    _check(card, table, wanted, left)
    card.close()
    first, last = PACKETS // 4, 3 * PACKETS // 4
    hits = [entry for entry in wanted if entry]
    return Run(per_clock=(last - first) / (left[last].cycle - left[first].cycle), per_s=PACKETS / took_s,
               second_percent=100 * sum(entry.second for entry in hits) / len(hits))  # fmt: skip


def _started(memory: Any, table: Table) -> Any:
    """A card with a service, its backends and the table, straight in memory."""
    from card_sim import Card, mac_octets, octets
    from path_model import TABLE_SECRET
    from test_card import set_up

    card = Card(memory)
    card.configure(TABLE_SECRET, "198.18.0.2", "port", "kernel")
    card.reset()
    set_up(card)
    for line in range(LINES):
        card.backend(line, next_hop_mac=_mac(line), port_mac=mac_octets("port"), addr=octets("198.18.0.11"),
                     mtu_bytes=1500, forward=1, valid=1)  # fmt: skip
    _fill(card, [*table.stay, *table.leave])
    return card


def _fill(card: Any, entries: list[Entry]) -> None:
    from tiara.domain.layout import State

    buckets: dict[int, bytearray] = {}
    for entry in entries:
        at = entry.slot % 4 * 16
        buckets.setdefault(entry.slot // 4, bytearray(64))[at : at + 16] = entry.key.to_bytes(
            8, "little"
        ) + bytes([entry.line, 0, 0, 0, 1, 0, State.ESTABLISHED, 0])
    made = card.ffi.new("struct tiara_bucket *")
    for bucket, data in buckets.items():
        card.ffi.memmove(made, bytes(data), 64)
        card.poke(bucket, made)


def _change(card: Any, come: Entry, leave: Entry) -> None:
    from tiara.domain.layout import CardKind, State

    what = {"backend_line": come.line, "state": State.ESTABLISHED}
    card.command(CardKind.INSTALL, slot=come.slot, key=come.key, **what)
    card.command(CardKind.REMOVE, slot=leave.slot, key=leave.key)


def _check(card: Any, table: Table, wanted: list[Entry | None], left: list[Any]) -> None:
    """Each packet's way, backend and slot; then what came and what went."""
    from tiara.domain.layout import CardKind, CardRemoved

    _check_ways(wanted, left)
    removed = card.answers()
    assert [a.kind for a in removed] == [CardKind.REMOVED] * len(table.leave)
    assert all(a.seen[0] == CardRemoved.FOUND for a in removed), "a removal did not find its connection"
    assert _harvest(card) == {e.slot for e in wanted if e}, "other slots were used than was asked for"
    gone = [None] * len(table.leave)
    _check_ways(gone, card.receive(_frame(e.address, e.port) for e in table.leave))
    _check_ways(table.come, card.receive(_frame(e.address, e.port) for e in table.come))


def _check_ways(wanted: list[Any], left: list[Any]) -> None:
    ways = [(one.way, one.frame[:6]) if one.way == "sent" else ("cpu", b"") for one in left]
    right = [("sent", _mac(e.line)) if e else ("cpu", b"") for e in wanted]
    assert ways == right, "a key was not found, or in vain"


def _harvest(card: Any) -> set[int]:
    """Slots that packets used."""
    from tiara.domain.layout import CardKind

    card.command(CardKind.HARVEST, harvest=1)
    card.run()
    lines = [answer for answer in card.answers() if answer.kind == CardKind.HARVESTED]
    return {a.slot + 64 * i + n for a in lines for i in (0, 1) for n in range(64) if a.seen[i] >> n & 1}


def _table(draw: random.Random) -> Table:
    """FULL, in the order of arrival; who comes later finds a place in a first bucket."""
    used: dict[int, int] = {}
    keys: set[int] = set()
    slots, changes = 4 << BUCKET_BITS, PACKETS // CHANGE_CYCLES
    placed: list[Entry] = []
    while len(placed) < FULL * slots:
        placed += _place(draw, used, keys, 2)
    come: list[Entry] = []
    while len(come) < changes:
        come += _place(draw, used, keys, 1)
    return Table(placed[changes:], placed[:changes], come)


def _place(draw: random.Random, used: dict[int, int], keys: set[int], tries: int) -> list[Entry]:
    """A new client in the first of so many of its buckets that has room; none: none has, or it is not new."""
    from path_model import TABLE_SECRET
    from test_card import WEB_INDEX
    from test_hash import buckets, entry_key, tiara_hash

    address, port = f"198.18.{draw.randrange(64, 256)}.{draw.randrange(1, 255)}", draw.randrange(1024, 65536)
    key = entry_key((address, port, WEB_INDEX))
    for i, bucket in enumerate(buckets(tiara_hash(key, TABLE_SECRET), 1 << BUCKET_BITS)[:tries]):
        if key not in keys and used.setdefault(bucket, 0) < 4:
            keys.add(key)
            used[bucket] += 1
            return [Entry(address, port, key, 4 * bucket + used[bucket] - 1, bool(i))]
    return []


def _mac(line: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, line])


def _frame(address: str, port: int) -> bytes:
    """60 bytes of TCP from a client to the service."""
    from card_sim import mac_octets, octets
    from front_model import checksum

    ip = b"\x45\0\0\x2e\0\1\0\0\x3f\6\0\0" + octets(address) + octets("198.18.0.100")
    ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
    tcp = port.to_bytes(2, "big") + b"\0\x50" + bytes(8) + b"\x50\x10\x20\0\0\0\0\0" + bytes(6)
    return mac_octets("port") + mac_octets("gw") + b"\x08\0" + ip + tcp
