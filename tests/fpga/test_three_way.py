# SPDX-License-Identifier: Apache-2.0
"""C path, Verilated card and Python model agree on every packet of random traffic.

TIARA_CARD_PACKETS sets on how many: 100,000 by default, in seeds of 12,500, two at a time.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from three_way import SEED_PACKETS, run

PACKETS = int(os.environ.get("TIARA_CARD_PACKETS", "100000"))
LEAST = {
    "sent": 20_000,
    "bucket 1": 8_000,
    "bucket 2": 8_000,
    "l2": 10_000,
    "ipip": 3_000,
    "vxlan": 3_000,
    "tagged": 1_000,
    "padded": 1_000,
    "up: miss": 5_000,
    "up: opens": 1_500,
    "up: closes": 1_000,
    "up: fragment": 700,
    "up: options": 1_500,
    "up: ttl": 700,
    "up: too_big": 700,
    "up: no_service": 2_500,
    "up: no_backend": 100,
    "C: bad_checksum": 500,
    "C: arp_learned": 600,
    "for another MAC": 5_000,
    "SYN": 1_200,
    "FIN": 400,
    "RST": 800,
    "a backend goes": 150,
    "beside its command: none": 1_500,
    "beside its command: miss": 400,
    "lookups overtaken in memory": 3_000,
}
"""How often what must have come up in 100,000 packets."""


def test_three_agree() -> None:
    """Same verdict and bytes, or handed up for the declared reason; and nothing is missing in the traffic."""
    seen: Counter[str] = Counter()
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        try:
            for done in as_completed([pool.submit(run, seed) for seed in range(PACKETS // SEED_PACKETS)]):
                seen += done.result()
        finally:
            pool.shutdown(cancel_futures=True)
    print(*(f"{count:9,} {name}" for name, count in sorted(seen.items())), sep="\n")
    rare = {name: seen[name] for name, least in LEAST.items() if seen[name] < least * PACKETS / 100_000}
    assert rare == {}
