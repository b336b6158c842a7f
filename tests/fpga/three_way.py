# SPDX-License-Identifier: Apache-2.0
"""Random packets through the C path, the Verilated card and the Python model, and what came up in them."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, ClassVar

from card_beside import Beside
from card_sim import Card, Memory, mac_octets
from front_model import l3_off
from path_model import ACK, FIN, RST, SYN, TCP
from path_records import Entry, Left, merged, setups
from path_runner import PathProgram
from test_differential import CLIENTS, FLAGS, TARGETS, Traffic
from tiara.domain.layout import State, Verdict

ROUNDS = 5
"""Of a seed. Each begins with C and the model anew, and with a reset of the card."""
STRIDE = 50
"""Packets between two pauses."""
SEED_PACKETS = ROUNDS * 50 * STRIDE


class LongTraffic(Traffic):
    """With more of what a card forwards: connections' data, some of it of many beats."""

    targets: ClassVar[list[str]] = [*TARGETS, *TARGETS[:1] * 30]
    flags: ClassVar[list[int]] = [*FLAGS, *[ACK] * 30]

    def frame(self) -> bytes:
        """See Traffic. Some are padded to Ethernet's shortest."""
        made = super().frame()
        return made.ljust(60, b"\0") if self.random.random() < 0.1 else made

    def tcp(self) -> bytes:
        """See Traffic."""
        return super().tcp() + self.more()

    def udp(self) -> bytes:
        """See Traffic."""
        return super().udp() + self.more()

    def more(self) -> bytes:
        """Mostly nothing."""
        if self.random.random() < 0.9:
            return b""
        return self.random.randbytes(self.random.choice([8, 64, 200, 1400]))


class ThreeWay:
    """One round: a configuration and what becomes of it, a memory, a seed."""

    def __init__(self, c: PathProgram, card: Card, seed: str) -> None:
        self.random = random.Random(seed)
        self.traffic = LongTraffic(self.random.getrandbits(32))
        self.beside = Beside(c, card, self.random.getrandbits(32))
        card.reconfigure(self.memory())
        rows = {"dns": {"rows": ["b3", "b2", "b4", "b5"]}}
        node = {"mtu": self.random.choice([120, 150, 1500])}
        self.config: dict[str, Any] = merged(setups()["spread"], {"node": node, "services": rows})
        self.beside.new(self.config)
        self.beside.publish(self.config)
        self.seen: Counter[str] = Counter()

    def memory(self) -> Memory:
        """Quick and in order, or anything."""
        pick = self.random.choice
        if self.random.random() < 0.2:
            return Memory()
        return Memory(
            latency_cycles=pick([5, 10, 40]),
            jitter_cycles=pick([0, 10, 60]),
            reorder_pct=pick([0, 30, 90]),
            refresh_every_cycles=pick([0, 500]),
            refresh_cycles=50,
            idle_pct=pick([0, 30]),
            stall_pct=pick([0, 0, 40]),
        )

    def publish(self) -> None:
        """Uses and rows drawn anew."""
        names = list(self.config["backends"])
        uses = {name: self.random.choice(["active"] * 6 + ["down", "gone"]) for name in names}
        for name, use in uses.items():
            if self.config["backends"][name]["use"] == "active" != use:
                self.seen["a backend goes"] += 1
        change = {
            "backends": {name: {"use": use} for name, use in uses.items()},
            "services": {
                name: {"rows": self.random.choices(names, k=self.random.choice([1, 7, 13]))}
                for name in self.config["services"]
            },
        }
        self.config = merged(self.config, change)
        self.beside.publish(self.config)

    def push(self) -> None:
        """A connection to where traffic comes."""
        service, state = self.random.choice([("web", State.ESTABLISHED), ("dns", State.UDP)])
        client = self.random.choice(CLIENTS[:3]), 40000 + self.random.randrange(8)
        backend = self.random.choice(["b1", "b2", "b3", "b5"])
        self.beside.push(client, service, Entry(backend, state, True, self.random.randrange(5)))

    def run(self) -> Counter[str]:
        """How often what happened."""
        for _ in range(SEED_PACKETS // ROUNDS // STRIDE):
            if self.random.random() < 0.2:
                self.publish()
            if self.random.random() < 0.3:
                self.beside.wait(self.random.choice([1, 1, 2, 6]))
            self.push()
            frames = [self.traffic.frame() for _ in range(STRIDE)]
            most, busy = self.random.choice([1, 4, 16, 32]), self.random.choice([0, 0.3])
            for frame, left in zip(frames, self.beside.receive_each(frames, most, busy), strict=True):
                self.count(frame, left)
        self.check_totals()
        seen = self.beside.seen
        reasons = {f"up: {reason.label}": count for reason, count in seen.reasons.items()}
        return self.seen + seen.kinds + Counter(reasons) + Counter(seen.ways)

    def count(self, frame: bytes, left: Left) -> None:
        """What is particular about a frame."""
        self.seen["packets"] += 1
        self.seen[f"C: {left.verdict.label}"] += 1
        self.seen["for another MAC"] += frame[:6] != mac_octets("port")
        ip = frame[l3_off(frame) :]
        if left.verdict is Verdict.FORWARDED and ip[9] == TCP:
            flags = ip[4 * (ip[0] & 15) + 13]
            for name, flag in (("SYN", SYN), ("FIN", FIN), ("RST", RST)):
                self.seen[name] += bool(flags & flag)

    def check_totals(self) -> None:
        """The card counted what it forwarded, each packet once."""
        seen, tables = self.beside.seen, self.beside.tables
        for index, name in enumerate(tables.order["services"]):
            counted = self.beside.card.totals(index, backend=False)
            assert counted == (seen.pkts_by_service[name], seen.bytes_by_service[name])


def run(seed: int) -> Counter[str]:
    """What came up in SEED_PACKETS packets; raises AssertionError where two of the three differ."""
    c, card = PathProgram(), Card(Memory(seed=seed))
    seen: Counter[str] = Counter()
    for number in range(ROUNDS):
        try:
            seen += ThreeWay(c, card, f"{seed}-{number}").run()
        except AssertionError as difference:
            raise AssertionError(f"seed {seed}, round {number}: {difference}") from difference
    seen["lookups overtaken in memory"] = card.memory().reordered
    card.close()
    c.close()
    return seen
