# SPDX-License-Identifier: Apache-2.0
"""The simulated card at its rate: lookups a clock against memory's latency.

The card is the RTL with 16 memory ports of 64 reads each, the table 60 % full with random keys; of the
packets, one in a hundred misses and the others hit in the bucket where they are. Latencies are in cycles of
322 MHz; up to a quarter more is drawn for each read, and each port refreshes for 84 of 1256 cycles.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BUILD = "build/bench-card"
BUCKET_BITS = 14
OPTIONS = ["-Dtests=true", "-Dpython=false", "-Ddataplane=disabled", "-Dsim_ports=16", "-Dsim_outstanding=64",
           f"-Dsim_bucket_bits={BUCKET_BITS}"]  # fmt: skip
GHZ = 0.322
FULL = 0.6
MISS = 0.01
PACKETS = 20_000

sys.path[:0] = [str(ROOT / "tests" / name) for name in ("fpga", "path", "unit")]

Row = dict[str, Any]
Client = tuple[str, int]


def measure(repeats: int, latencies_ns: tuple[int, ...] = (100, 200, 300, 400)) -> Iterator[Row]:
    """A row for each latency; raw, as a program prints it."""
    os.environ["TIARA_BUILD"] = BUILD
    if not (ROOT / BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", BUILD, *OPTIONS], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "--quiet", "-C", BUILD, "fpga/sim/libtiara_sim.so"], cwd=ROOT, check=True)
    for latency_ns in latencies_ns:
        values = [_lookups_a_clock(latency_ns, seed) for seed in range(1, repeats + 1)]
        yield {"id": "card.lookup", "params": {"latency_ns": latency_ns, "connections": 0},
               "unit": "a clock", "values": values}  # fmt: skip


def _lookups_a_clock(latency_ns: int, seed: int) -> float:
    """In the middle of a run, of packets of one beat; every way out is compared with what it should be."""
    from card_sim import Card, Memory  # only now is TIARA_BUILD said
    from test_card import set_up

    cycles = int(latency_ns * GHZ)
    card, draw = Card(Memory(seed, cycles, cycles // 4, 0, 1256, 84)), random.Random(seed)
    card.configure(_secret(), "198.18.0.2", "port", "kernel")
    card.reset()
    set_up(card)
    clients = _fill(card, draw)
    wanted, frames = [], []
    for _ in range(PACKETS):
        address, port = draw.choice(clients)
        hits = draw.random() >= MISS
        wanted.append("sent" if hits else "cpu")
        frames.append(_frame((address, port if hits else 1)))
    left = card.receive(frames)
    assert [one.way for one in left] == wanted, "a key was not found, or one that is not there was"
    first, last = PACKETS // 4, 3 * PACKETS // 4
    rate = (last - first) / (left[last].cycle - left[first].cycle)
    card.close()
    return rate


def _secret() -> int:
    from path_model import TABLE_SECRET

    return TABLE_SECRET


def _fill(card: Any, draw: random.Random) -> list[Client]:
    """Entries straight into memory: the first bucket, or the second when that is full."""
    from test_card import LINE, WEB_INDEX
    from test_hash import buckets, entry_key, tiara_hash
    from tiara.domain.layout import State

    table: dict[int, bytes] = {}
    clients: list[Client] = []
    tail = LINE.to_bytes(4, "little") + bytes([1, 0, State.ESTABLISHED, 0])
    while len(clients) < FULL * (4 << BUCKET_BITS):
        client = f"198.18.{draw.randrange(64, 256)}.{draw.randrange(1, 255)}", draw.randrange(1024, 65536)
        key = entry_key((*client, WEB_INDEX))
        for bucket in buckets(tiara_hash(key, _secret()), 1 << BUCKET_BITS):
            if len(table.get(bucket, b"")) < 64:
                table[bucket] = table.get(bucket, b"") + key.to_bytes(8, "little") + tail
                clients.append(client)
                break
    made = card.ffi.new("struct tiara_bucket *")
    for bucket, data in table.items():
        card.ffi.memmove(made, data.ljust(64, b"\0"), 64)
        card.poke(bucket, made)
    return clients


def _frame(client: Client) -> bytes:
    """60 bytes of TCP from a client to the service."""
    from card_sim import mac_octets, octets
    from front_model import checksum

    ip = b"\x45\0\0\x2e\0\1\0\0\x3f\6\0\0" + octets(client[0]) + octets("198.18.0.100")
    ip = ip[:10] + checksum(ip).to_bytes(2, "big") + ip[12:]
    tcp = client[1].to_bytes(2, "big") + b"\0\x50" + bytes(8) + b"\x50\x10\x20\0\0\0\0\0" + bytes(6)
    return mac_octets("port") + mac_octets("gw") + b"\x08\0" + ip + tcp
