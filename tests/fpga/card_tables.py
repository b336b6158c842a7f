# SPDX-License-Identifier: Apache-2.0
"""What a CPU keeps of a card's tables, and how it tells the card: entries, backend lines, services."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import front_model
from card_sim import Card, mac_octets, octets
from path_model import TABLE_SECRET, PathModel
from path_records import Config
from path_runner import PROTOCOLS
from test_hash import buckets, entry_key, tiara_hash
from tiara.domain.layout import CardKind, CardRemoved, State

OFFLOADED = {State.ESTABLISHED, State.UDP}
FORWARDS = {"l2": 1, "vxlan": 2, "ipip": 3}

Key = tuple[str, int, str]
"""Client address, client port, service."""


@dataclass(frozen=True)
class Offloaded:
    """An entry that the card has."""

    slot: int
    backend: str
    bucket: int
    """0: the first of its key's two, 1: the second."""


@cache
def hashed(connection: tuple[str, int, int]) -> tuple[int, int]:
    """Key as a number, and its hash."""
    number = entry_key(connection)
    return number, tiara_hash(number, TABLE_SECRET)


class CardTables:
    """They follow the configuration and the connections of the Python model."""

    def __init__(self, card: Card, model: PathModel, draw: random.Random) -> None:
        self.card, self.model, self.random = card, model, draw

    def new(self, node: Config) -> None:
        """All empty."""
        self.node = node
        self.config: Config = {"backends": {}, "services": {}}
        self.order: dict[str, list[str]] = {"services": [], "backends": []}
        self.held: dict[Key, Offloaded] = {}
        self.slots: set[int] = set()
        self.lines: dict[int, dict[str, Any]] = {}
        self.frontends: dict[int, tuple[tuple[str, int, int], int]] = {}
        self.neighbours = dict(self.model.neighbours)
        self.card.configure(TABLE_SECRET, node["address"], node["port_mac"], node["kernel_mac"])
        self.card.reset()
        self.bucket_cnt = 1 << self.card.read("BUCKET_BITS")
        self.service_lines = self.card.read("SERVICE_LINES")

    def publish(self, config: Config) -> None:
        """Lines of backends that go lose their validity; their entries stay until the next sync."""
        self.config = config
        for kind, names in self.order.items():
            names += [name for name in config[kind] if name not in names]
        self.write_backends()
        self.remove([key for key in self.held if self.is_stale(key)])
        self.write_services()

    # ---- entries

    def wanted(self, key: Key) -> str | None:
        """The backend with which the card may have a connection."""
        entry = self.model.find(key[:2], key[2])
        if entry is None or entry.state not in OFFLOADED:
            return None
        use = self.config["backends"].get(entry.backend, {}).get("use")
        return entry.backend if use == "active" else None

    def is_stale(self, key: Key) -> bool:
        """The card would forward where the CPU would not any more."""
        held = self.held.get(key)
        return bool(held and self.wanted(key) != held.backend and self.line_of(held.backend)["valid"])

    def line_of(self, backend: str) -> dict[str, Any]:
        """As the card has it."""
        return self.lines[self.order["backends"].index(backend)]

    def hash(self, key: Key) -> tuple[int, int]:
        """See hashed."""
        return hashed((key[0], key[1], self.order["services"].index(key[2])))

    def keys(self) -> set[Key]:
        """That the CPU knows of."""
        return {*self.model.table, *self.held}

    def sync(self, keys: Iterable[Key]) -> None:
        """The card gets the lines, and for these keys the entries, that the CPU's tables make right now."""
        wanted = {key: self.wanted(key) for key in keys}
        held = {key: self.held[key].backend for key in wanted if key in self.held}
        self.remove([key for key, backend in held.items() if wanted[key] != backend])
        if self.model.neighbours != self.neighbours:
            self.write_backends()
        for key, backend in wanted.items():
            if backend and key not in self.held:
                self.install(key, backend)
        self.card.run()

    def install(self, key: Key, backend: str) -> None:
        """Into a free slot of either bucket."""
        number, value = self.hash(key)
        places = [(4 * bucket + i, which) for which, bucket in enumerate(buckets(value, self.bucket_cnt))
                  for i in range(4) if 4 * bucket + i not in self.slots]  # fmt: skip
        slot, bucket = self.random.choice(places)
        self.slots.add(slot)
        self.held[key] = Offloaded(slot, backend, bucket)
        self.card.command(CardKind.INSTALL, value >> 60, slot=slot, key=number,
                          backend_line=self.order["backends"].index(backend),
                          state=State.ESTABLISHED)  # fmt: skip

    def remove(self, keys: Iterable[Key]) -> None:
        """And wait for each answer, as R5 says."""
        numbers = dict(self.begin_removal(key) for key in keys)
        if numbers:
            self.card.run()
            self.end_removals(numbers)

    def begin_removal(self, key: Key) -> tuple[tuple[int, int], int]:
        """Channel and number, and the slot."""
        number, value = self.hash(key)
        slot = self.held.pop(key).slot
        return (value >> 60, self.card.command(CardKind.REMOVE, value >> 60, slot=slot, key=number)), slot

    def end_removals(self, numbers: dict[tuple[int, int], int]) -> None:
        """Each was answered, and found what was to be removed."""
        answers = self.card.answers()
        assert {(one.channel, one.number): one.slot for one in answers} == numbers
        assert all(one.seen[0] & CardRemoved.FOUND for one in answers)
        self.slots -= set(numbers.values())

    # ---- services, backends

    def write_services(self) -> None:
        """Lines of the service table that differ from what is there."""
        services = {
            (service["vip"], service["port"], PROTOCOLS[service["protocol"]]): self.order["services"].index(
                name
            )
            for name, service in self.config["services"].items()
            if service["use"] == "active"
        }
        placed = front_model.place_services(services, self.service_lines)
        wanted = {line: (frontend, services[frontend]) for line, frontend in placed.items() if frontend[0]}
        for line in self.frontends.keys() - wanted.keys():
            self.card.service(line, None)
        for line, (frontend, index) in wanted.items():
            if self.frontends.get(line) != (frontend, index):
                self.card.service(line, frontend, index)
        self.frontends = wanted

    def write_backends(self) -> None:
        """Lines of the backend table that differ from what is there."""
        self.neighbours = dict(self.model.neighbours)
        for name, backend in self.config["backends"].items():
            index, line = self.order["backends"].index(name), self.line(backend)
            if self.lines.get(index) != line:
                self.card.backend(index, **line)
                self.lines[index] = line

    def line(self, backend: dict[str, Any]) -> dict[str, Any]:
        """struct tiara_card_backend: valid when the backend is active and the next hop's MAC known."""
        network = ipaddress.IPv4Network(f"{self.node['address']}/{self.node['netmask']}", strict=False)
        address = ipaddress.IPv4Address(backend["address"])
        hop = str(address) if address in network else self.node["gateway"]
        state, hop_mac = self.model.neighbour(hop)
        known = state == "known" and hop != "0.0.0.0"
        return {
            "next_hop_mac": mac_octets(hop_mac),
            "port_mac": mac_octets(self.node["port_mac"]),
            "addr": octets(backend["address"]),
            "local_addr": octets(self.node["address"]),
            "vni": backend.get("vni", 0),
            "tunnel_port": int(backend.get("tunnel_port", 0)).to_bytes(2, "big"),
            "inner_mac": mac_octets(backend.get("inner_mac", "zero")),
            "mtu_bytes": self.node["mtu"],
            "forward": FORWARDS[backend["forward"]],
            "valid": int(known and backend["use"] == "active"),
        }
