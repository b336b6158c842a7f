# SPDX-License-Identifier: Apache-2.0
"""The plain card's trace (tests/path/card_twin_trace.c) on the Verilated card.

All that reached the plain card reaches the Verilated one in the same order. As long as each answer is the
same, whoever drives the plain card would have driven this one alike.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from card_sim import Card
from front_model import place_services
from tiara.domain.layout import CardKind, CardRemoved

STATE = 14
"""Where struct tiara_card_entry has its state; 0: it is empty."""


class CardReplay:
    """Raises AssertionError at the first line that the Verilated card answers otherwise."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self.buckets = 1 << card.read("BUCKET_BITS")
        self.said: list[tuple[str, bytes]] = []
        """By the Verilated card, and not by the plain one yet."""
        self.entries: dict[int, bytes] = {}
        self.lines: dict[tuple[str, int, int], int] = {}
        self.seen: Counter[str] = Counter()

    def play(self, trace: str) -> None:
        """A line after the other."""
        for line in trace.splitlines():
            name, number, *data = line.split()
            if name in ("answer", "sent", "cpu"):
                assert self.said, line
                said = self.said.pop(0)
                assert said == (name, bytes.fromhex(data[0])), f"{said[0]} {said[1].hex()}, not {line}"
            else:
                assert self.said == [], line
                getattr(self, name)(int(number), bytes.fromhex("".join(data)))
            self.seen[name] += 1
        assert self.said == []

    def secret(self, _: int, data: bytes) -> None:
        """Of the hash."""
        self.card.write_words("SECRET", data)

    def node(self, address: int, port_mac: bytes) -> None:
        """The identity."""
        self.card.write_words("ADDRESS", address.to_bytes(4, "big"))
        self.card.write_words("PORT_MAC", port_mac)

    def reset(self, epoch: int, _: bytes) -> None:
        """By the CPU or by itself."""
        self.card.reset()
        self.lines.clear()
        assert self.card.epoch == epoch

    def backend(self, line: int, data: bytes) -> None:
        """A line of the backend table."""
        self.card.backend_line(line, data)

    def service(self, _: int, data: bytes) -> None:
        """A line of the service table."""
        made = self.card.ffi.new("struct tiara_card_service *")
        self.card.ffi.memmove(made, data, len(data))
        vip = str(ipaddress.IPv4Address(data[:4]))
        frontend = (vip, int.from_bytes(data[4:6], "big"), int(made.protocol))
        (line,) = place_services({frontend: made.service_idx}, self.card.read("SERVICE_LINES"))
        self.card.service(line, frontend if made.valid else None, made.service_idx)

    def command(self, _: int, data: bytes) -> None:
        """Arrives, and is answered or not."""
        made = self.card.ffi.new("struct tiara_card_command *")
        self.card.ffi.memmove(made, data, len(data))
        self.card.post(made)
        self.card.run()
        while (answer := self.card.answer()) is not None:
            if answer.kind == CardKind.REMOVED and not answer.seen[0] & CardRemoved.FOUND:
                answer.seen[0] = 0  # R9: of what found nothing the CPU does not look at the bit
            self.said.append(("answer", bytes(self.card.ffi.buffer(answer))))

    def frame(self, _: int, data: bytes) -> None:
        """From the wire."""
        self.said += [(one.way, one.frame) for one in self.card.receive([data])]

    def service_total(self, index: int, data: bytes) -> None:
        """Was read."""
        self.total(index, data, backend=False)

    def backend_total(self, line: int, data: bytes) -> None:
        """Was read."""
        self.total(line, data, backend=True)

    def total(self, index: int, data: bytes, backend: bool) -> None:
        """Packets and bytes."""
        expected = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")
        assert self.card.totals(index, backend) == expected

    def entry(self, slot: int, data: bytes) -> None:
        """Of the plain card's table, which ends with `table`."""
        self.entries[slot] = data

    def table(self, _: int, __: bytes) -> None:
        """Slot by slot the same."""
        have = {slot: self.card.peek(slot) for slot in range(4 * self.buckets)}
        assert {slot: data for slot, data in have.items() if data[STATE]} == self.entries
        self.entries = {}
