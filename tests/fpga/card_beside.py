# SPDX-License-Identifier: Apache-2.0
"""The C packet path with the Verilated card beside it: the C path's table says what the card holds.

Every frame goes to both. What the card forwards, the C path must have forwarded with the same bytes; what
it hands up must go up unchanged, for the reason that a few lines of Python (below, and front_model) give.
"""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import front_model
from card_sim import Card, Left, mac_octets, octets
from path_model import TABLE_SECRET
from path_packets import mac
from path_records import Burst, Config, Entry, Flow
from path_runner import PROTOCOLS, PathProgram
from test_hash import buckets, entry_key, tiara_hash
from tiara.domain.layout import CardKind, CardReason, CardRemoved, State, Status, Verdict

OFFLOADED = {State.ESTABLISHED, State.UDP}
FORWARDS = {"l2": 1, "vxlan": 2, "ipip": 3}
NOT_THE_CARDS = {Verdict.TX_FULL, Verdict.NO_ROOM}
"""Ends for want of room in the CPU's port or buffers; a card has neither."""

Key = tuple[str, int, str]
"""Client address, client port, service."""


@dataclass
class Offloaded:
    """What the CPU knows of an entry in the card."""

    slot: int
    backend: str


@dataclass
class Seen:
    """What became of frames, for tests that want to know that something was tested."""

    ways: Counter[str] = field(default_factory=Counter)
    reasons: Counter[CardReason] = field(default_factory=Counter)
    bytes_by_service: Counter[str] = field(default_factory=Counter)
    pkts_by_service: Counter[str] = field(default_factory=Counter)


class Beside:
    """See PathUnderTest."""

    def __init__(self, c: PathProgram, card: Card, seed: int = 1) -> None:
        self.c, self.card = c, card
        self.random = random.Random(seed)
        self.seen = Seen()

    def new(self, setup: Config) -> None:
        """See PathUnderTest."""
        self.c.new(setup)
        self.node = setup["node"]
        self.config: Config = {"backends": {}, "services": {}}
        self.world = front_model.World(mac(self.node["port_mac"]), mac(self.node["kernel_mac"]),
                                       self.node["address"])  # fmt: skip
        self.order: dict[str, list[str]] = {"services": [], "backends": []}
        self.keys: set[Key] = set()
        self.held: dict[Key, Offloaded] = {}
        self.slots: dict[int, Key] = {}
        self.lines: dict[int, dict[str, Any]] = {}
        self.frontends: dict[int, tuple[tuple[str, int, int], int]] = {}
        self.card.configure(TABLE_SECRET, self.node["address"], self.node["port_mac"],
                            self.node["kernel_mac"])  # fmt: skip
        self.card.reset()

    def publish(self, config: Config) -> None:
        """See PathUnderTest. Entries go before what they name changes."""
        self.remove(set(self.held))
        self.config = config
        for kind, names in self.order.items():
            names += [name for name in config[kind] if name not in names]
        self.c.publish(config)
        self.write_services()
        self.sync()

    def push(self, client: tuple[str, int], service: str, entry: Entry) -> Status:
        """See PathUnderTest."""
        status = self.c.push(client, service, entry)
        self.keys.add((*client, service))
        self.sync()
        return status

    def find(self, client: tuple[str, int], service: str) -> Entry | None:
        """See PathUnderTest."""
        return self.c.find(client, service)

    def neighbour(self, address: str) -> tuple[str, str]:
        """See PathUnderTest."""
        return self.c.neighbour(address)

    def counters(self, service: str, backend: str) -> tuple[Flow, Flow]:
        """See PathUnderTest."""
        return self.c.counters(service, backend)

    def room(self, headroom: int, tx: int, kernel: int) -> None:
        """See PathUnderTest."""
        self.c.room(headroom, tx, kernel)

    def wait(self, ticks: int) -> None:
        """See PathUnderTest."""
        self.c.wait(ticks)
        self.sync()

    def inject(self, frame: bytes) -> Burst:
        """See PathUnderTest. What the kernel sends passes no card."""
        return self.c.inject(frame)

    def receive(self, frames: list[bytes]) -> Burst:
        """See PathUnderTest. The card sees the frames first, all of them in flight together."""
        expected = [self.expect(frame) for frame in frames]
        got = self.card.receive(frames)
        burst = self.c.receive(frames)
        assert len(got) == len(frames)
        for frame, one in zip(frames, self.in_order(frames, got, expected), strict=True):
            reason, key = expected[frames.index(frame)]
            said = f"{frame.hex()}: {one.way} {one.reason.label}"
            assert one.reason is reason, f"{said}, not {reason.label}"
            self.seen.ways[one.way] += 1
            self.seen.reasons[reason] += 1
            if reason is not CardReason.NONE:
                assert one.way == "cpu" and one.frame == frame, said
                self.check_meta(one, key)
        for place, (frame, left) in enumerate(zip(frames, burst.left, strict=True)):
            reason, key = expected[place]
            if reason is CardReason.NONE:
                assert key
                one = self.in_order(frames, got, expected)[place]
                if left.verdict not in NOT_THE_CARDS:
                    assert (one.way, one.frame) == (left.way, left.frame), frame.hex()
                    assert left.verdict is Verdict.FORWARDED, frame.hex()
                self.seen.pkts_by_service[key[2]] += 1
                self.seen.bytes_by_service[key[2]] += client_bytes(frame)
        self.sync()
        return burst

    @staticmethod
    def in_order(
        frames: list[bytes], got: list[Left], expected: list[tuple[CardReason, Key | None]]
    ) -> list[Left]:
        """Each stream keeps its order; which of the two a frame took is what is expected of it."""
        ways = {way: [one for one in got if one.way == way] for way in ("sent", "cpu")}
        for way, ones in ways.items():
            wanted = sum((reason is CardReason.NONE) == (way == "sent") for reason, _ in expected)
            assert len(ones) == wanted, (way, [frame.hex() for frame in frames], expected)
        queues = {way: iter(ones) for way, ones in ways.items()}
        return [next(queues["sent" if reason is CardReason.NONE else "cpu"]) for reason, _ in expected]

    def check_meta(self, one: Left, key: Key | None) -> None:
        """Key and hash beside a frame that is handed up."""
        if key is None:
            assert (one.key, one.hash, one.service_idx) == (0, 0, 0)
            return
        index = self.order["services"].index(key[2])
        number = entry_key((key[0], key[1], index))
        assert (one.key, one.hash, one.service_idx) == (number, tiara_hash(number, TABLE_SECRET), index)

    # ---- the card in Python

    def expect(self, frame: bytes) -> tuple[CardReason, Key | None]:
        """Why a frame goes up (NONE: it is forwarded), and its key if it has one."""
        reason = CardReason(front_model.parse(self.world, frame))
        if reason not in (CardReason.NONE, CardReason.OPENS, CardReason.CLOSES):
            return reason, None
        off = front_model.l3_off(frame)
        ip = frame[off:]
        name = self.service_of(str(ipaddress.IPv4Address(ip[16:20])), front_model.big(ip, 22), ip[9])
        if name is None:
            return CardReason.NO_SERVICE if reason is CardReason.NONE else reason, None
        key = (str(ipaddress.IPv4Address(ip[12:16])), front_model.big(ip, 20), name)
        self.keys.add(key)
        if reason is not CardReason.NONE:
            return reason, key
        if key not in self.held:
            return CardReason.MISS, key
        line = self.lines[self.order["backends"].index(self.held[key].backend)]
        if not line["valid"]:
            return CardReason.NO_BACKEND, key
        more = {1: 0, 2: 50, 3: 20}[line["forward"]]
        too_big = front_model.big(ip, 2) + more > line["mtu_bytes"]
        return CardReason.TOO_BIG if too_big else CardReason.NONE, key

    def service_of(self, vip: str, port: int, protocol: int) -> str | None:
        """The active service of a frontend."""
        for name, service in self.config["services"].items():
            wanted = service["vip"], service["port"], PROTOCOLS[service["protocol"]]
            if service["use"] == "active" and wanted == (vip, port, protocol):
                return str(name)
        return None

    # ---- what the CPU tells the card

    def sync(self) -> None:
        """The card gets the lines and entries that the C path's tables make right now."""
        wanted = {key: entry.backend for key in self.keys if (entry := self.offloadable(key))}
        self.remove({key for key, held in self.held.items() if wanted.get(key) != held.backend})
        self.write_backends()
        for key in sorted(wanted.keys() - self.held.keys()):
            self.install(key, wanted[key])
        self.card.run()

    def offloadable(self, key: Key) -> Entry | None:
        """The connection, if the next packet of it would be forwarded as the last."""
        if key[2] not in self.config["services"]:
            return None
        entry = self.c.find(key[:2], key[2])
        if entry is None or entry.state not in OFFLOADED:
            return None
        use = self.config["backends"].get(entry.backend, {}).get("use")
        return entry if use == "active" or (use == "down" and entry.state is not State.UDP) else None

    def channel(self, key: Key) -> int:
        """R1: by the key's hash."""
        return self.hash(key)[1] >> 60

    def hash(self, key: Key) -> tuple[int, int]:
        number = entry_key((key[0], key[1], self.order["services"].index(key[2])))
        return number, tiara_hash(number, TABLE_SECRET)

    def install(self, key: Key, backend: str) -> None:
        """Into a free slot of either bucket."""
        number, value = self.hash(key)
        places = [bucket * 4 + i for bucket in buckets(value, 1 << self.card.read("BUCKET_BITS"))
                  for i in range(4)]  # fmt: skip
        slot = self.random.choice([place for place in places if place not in self.slots])
        self.slots[slot], self.held[key] = key, Offloaded(slot, backend)
        self.card.command(CardKind.INSTALL, self.channel(key), slot=slot, key=number,
                          backend_line=self.order["backends"].index(backend),
                          state=State.ESTABLISHED)  # fmt: skip

    def remove(self, keys: set[Key]) -> None:
        """And wait for each answer, as R5 says."""
        numbers = {}
        for key in sorted(keys):
            held = self.held.pop(key)
            del self.slots[held.slot]
            channel = self.channel(key)
            number = self.card.command(CardKind.REMOVE, channel, slot=held.slot, key=self.hash(key)[0])
            numbers[channel, number] = held.slot
        if not keys:
            return
        self.card.run()
        answers = self.card.answers()
        assert {(one.channel, one.number): one.slot for one in answers} == numbers
        assert all(one.seen[0] & CardRemoved.FOUND for one in answers)

    def write_services(self) -> None:
        """Lines of the service table that differ from what is there."""
        services = {
            (service["vip"], service["port"], PROTOCOLS[service["protocol"]]): self.order["services"].index(
                name
            )
            for name, service in self.config["services"].items()
            if service["use"] == "active"
        }
        placed = front_model.place_services(services, self.card.read("SERVICE_LINES"))
        wanted = {line: (frontend, services[frontend]) for line, frontend in placed.items() if frontend[0]}
        for line in self.frontends.keys() - wanted.keys():
            self.card.service(line, None)
        for line, (frontend, index) in wanted.items():
            if self.frontends.get(line) != (frontend, index):
                self.card.service(line, frontend, index)
        self.frontends = wanted

    def write_backends(self) -> None:
        """Lines of the backend table that differ from what is there."""
        for name, backend in self.config["backends"].items():
            index, line = self.order["backends"].index(name), self.line(backend)
            if self.lines.get(index) != line:
                self.card.backend(index, **line)
                self.lines[index] = line

    def line(self, backend: dict[str, Any]) -> dict[str, Any]:
        """struct tiara_card_backend: valid when the next hop's MAC is known."""
        network = ipaddress.IPv4Network(f"{self.node['address']}/{self.node['netmask']}", strict=False)
        address = ipaddress.IPv4Address(backend["address"])
        hop = str(address) if address in network else self.node["gateway"]
        state, hop_mac = self.c.neighbour(hop)
        tunnel_port = int(backend.get("tunnel_port", 0)).to_bytes(2, "big")
        return {
            "next_hop_mac": mac_octets(hop_mac),
            "port_mac": mac_octets(self.node["port_mac"]),
            "addr": octets(backend["address"]),
            "local_addr": octets(self.node["address"]),
            "vni": backend.get("vni", 0),
            "tunnel_port": tunnel_port,
            "inner_mac": mac_octets(backend.get("inner_mac", "zero")),
            "mtu_bytes": self.node["mtu"],
            "forward": FORWARDS[backend["forward"]],
            "valid": int(state == "known" and hop != "0.0.0.0"),
        }


def client_bytes(frame: bytes) -> int:
    """Of a frame without its padding."""
    off = front_model.l3_off(frame)
    return off + front_model.big(frame, off + 2)
