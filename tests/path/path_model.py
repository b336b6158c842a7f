# SPDX-License-Identifier: Apache-2.0
"""The packet path in plain Python: one packet at a time, dictionaries for tables, no cleverness.

It shares with the C code only the generated constants. What they must agree on is in
docs/design/0004-packet-path.md; the hash in tests/unit/test_hash.py is design 0003's.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from path_packets import mac
from path_records import Burst, Config, Entry, Flow, Left
from test_hash import entry_key, row, tiara_hash
from tiara.domain.layout import Event, ServiceFlag, State, Status, Verdict

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
ICMP, TCP, UDP = 1, 6, 17
NUMBERS = {"tcp": TCP, "udp": UDP}
TABLE_SECRET = 0x13198A2E03707344 << 64 | 0x243F6A8885A308D3
ENTRIES_IN_TINY_TABLE = 8
SECOND = 1_000_000_000
"""In the cycles of the worker's time-stamp counter; a burst takes one."""
PASS = 10
"""Seconds within which a sweep has come to every entry."""
TRIES = 16
"""Rows looked at for a backend with room."""
TUNNEL_BYTES = {"l2": 0, "vxlan": 50, "ipip": 20}
SENT = {Verdict.FORWARDED, Verdict.FORWARDED_UNTRACKED, Verdict.FORWARDED_STRAY, Verdict.ARP_ANSWERED,
        Verdict.ICMP_ANSWERED, Verdict.INJECTED}  # fmt: skip


class Ended(Exception):
    """A packet's end: the verdict, and the frame as it is then."""

    def __init__(self, verdict: Verdict, frame: bytes) -> None:
        super().__init__(verdict.label)
        self.verdict = verdict
        self.frame = frame


@dataclass
class Packet:
    """A parsed IPv4 packet. frame is cut to the IP total length; l3 counts Ethernet and a tag."""

    frame: bytes
    l3: int
    l4: int
    client: str = ""
    vip: str = ""
    protocol: int = 0
    ports: tuple[int, int] = (0, 0)
    flags: int = 0

    @property
    def opens(self) -> bool:
        """A client's first TCP packet."""
        return self.protocol == TCP and self.flags & (SYN | ACK | FIN | RST) == SYN

    @property
    def closes(self) -> bool:
        """FIN or RST."""
        return self.protocol == TCP and bool(self.flags & (FIN | RST))

    @property
    def has_data(self) -> bool:
        """Something follows the TCP header."""
        return len(self.frame) > self.l4 + 4 * (self.frame[self.l4 + 12] >> 4)


@dataclass
class Known:
    """An entry of the table; seen in ticks."""

    backend: str
    state: State
    seen: int
    pushed: bool = False


@dataclass
class Counted:
    """Flow counters by name."""

    services: dict[str, Flow] = field(default_factory=dict)
    backends: dict[str, Flow] = field(default_factory=dict)


def checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def with_checksum(data: bytes, at: int) -> bytes:
    """The same bytes with their checksum put in at an offset."""
    blank = data[:at] + b"\0\0" + data[at + 2 :]
    return blank[:at] + checksum(blank).to_bytes(2, "big") + blank[at + 2 :]


@lru_cache(4096)
def address(data: bytes) -> str:
    """Four bytes as text."""
    return str(ipaddress.IPv4Address(data))


@lru_cache(4096)
def octets(text: str) -> bytes:
    """An address as four bytes."""
    return ipaddress.IPv4Address(text).packed


@lru_cache(4096)
def mac_octets(name: str) -> bytes:
    """A MAC address, by name or text, as six bytes."""
    return bytes.fromhex(mac(name).replace(":", ""))


def big(data: bytes, at: int) -> int:
    """Two bytes in network order."""
    return int.from_bytes(data[at : at + 2], "big")


class PathModel:
    """See PathUnderTest."""

    def new(self, setup: Config) -> None:
        """See PathUnderTest."""
        self.node = setup["node"]
        self.port_mac = mac_octets(self.node["port_mac"])
        self.kernel_mac = mac_octets(self.node["kernel_mac"])
        self.select_secret = setup["select_secret"][1] << 64 | setup["select_secret"][0]
        self.neighbours: dict[str, bytes | None] = {a: mac_octets(m) for a, m in setup["neighbours"].items()}
        self.capacity = ENTRIES_IN_TINY_TABLE if setup["buckets"] == 2 else None
        self.tick = setup["tick"]
        self.backends: dict[str, Any] = {}
        self.services: dict[str, Any] = {}
        self.order: list[str] = []  # services in the order that gives their index
        self.configured = False
        self.tsc = SECOND
        self.tokens: dict[str, tuple[int, int]] = {}  # by service: how much was in the bucket, and when
        self.table: dict[tuple[str, int, str], Known] = {}
        self.counted = Counted()
        self.events: Counter[Event] = Counter()
        self.room(128, -1, -1)

    def publish(self, config: Config) -> None:
        """See PathUnderTest."""
        self.configured = True
        self.backends, self.services = config["backends"], config["services"]
        self.order += [name for name in self.services if name not in self.order]

    def push(self, client: tuple[str, int], service: str, entry: Entry) -> Status:
        """See PathUnderTest."""
        key = (*client, service)
        if self._look_up(key):
            return Status.EXISTS
        if self._full():
            return Status.FULL
        self.table[key] = Known(entry.backend, entry.state, self.tick - entry.idle, entry.pushed)
        return Status.OK

    def find(self, client: tuple[str, int], service: str) -> Entry | None:
        """See PathUnderTest."""
        known = self._look_up((*client, service))
        if not known:
            return None
        return Entry(known.backend, known.state, known.pushed, self.tick - known.seen)

    def neighbour(self, address: str) -> tuple[str, str]:
        """See PathUnderTest."""
        if address not in self.neighbours:
            return "free", mac("zero")
        known = self.neighbours[address]
        return ("known", known.hex(":")) if known else ("wanted", mac("zero"))

    def counters(self, service: str, backend: str) -> tuple[Flow, Flow]:
        """See PathUnderTest."""
        nothing = (0, 0, 0)
        return self.counted.services.get(service, nothing), self.counted.backends.get(backend, nothing)

    def room(self, headroom: int, tx: int, kernel: int) -> None:
        """See PathUnderTest."""
        self.headroom, self.tx_room, self.kernel_room = headroom, tx, kernel

    def wait(self, ticks: int) -> None:
        """See PathUnderTest."""
        self.tick += ticks
        self.tsc += ticks * SECOND

    def sweep_gone(self) -> None:
        """Forget connections of backends that are gone, as a sweep does in its own time."""
        self.table = {k: v for k, v in self.table.items() if self._use(v.backend) in ("active", "down")}

    def inject(self, frame: bytes) -> Burst:
        """See PathUnderTest."""
        self.tsc += 1
        return Burst([self._leave(Verdict.INJECTED, frame)], Counter())

    def receive(self, frames: list[bytes]) -> Burst:
        """See PathUnderTest."""
        self.events = Counter()
        self.tsc += 1
        left = []
        for frame in frames:
            try:
                self._handle(frame)
            except Ended as end:
                left.append(self._leave(end.verdict, end.frame))
        return Burst(left, self.events)

    # ---- parse ----

    def _handle(self, frame: bytes) -> None:
        if len(frame) < 14:
            raise Ended(Verdict.TRUNCATED, frame)
        kind, l3 = big(frame, 12), 14
        if kind == 0x8100:
            if len(frame) < 18:
                raise Ended(Verdict.TRUNCATED, frame)
            kind, l3 = big(frame, 16), 18
        if kind == 0x0806:
            self._arp(frame, l3)
        if frame[:6] == self.kernel_mac:
            raise Ended(Verdict.TO_KERNEL, frame)
        if kind in (0x8100, 0x88A8):
            raise Ended(Verdict.VLAN, frame)
        if kind != 0x0800:
            raise Ended(Verdict.NOT_IPV4, frame)
        if frame[:6] != self.port_mac:
            raise Ended(Verdict.NOT_FOR_US, frame)
        packet = self._parse(frame, l3)
        self._echo(packet)
        name = self._service(packet)
        self._forward(packet, name)

    def _parse(self, frame: bytes, l3: int) -> Packet:
        ip = frame[l3:]
        if len(ip) < 20:
            raise Ended(Verdict.TRUNCATED, frame)
        version, words = ip[0] >> 4, ip[0] & 15
        total = big(ip, 2)
        if version != 4 or words < 5 or total < 4 * words:
            raise Ended(Verdict.BAD_HEADER, frame)
        if total > len(ip):
            raise Ended(Verdict.TRUNCATED, frame)
        if checksum(ip[: 4 * words]) != 0:
            raise Ended(Verdict.BAD_CHECKSUM, frame)
        frame = frame[: l3 + total]
        if address(ip[16:20]) == self.node["address"]:
            raise Ended(Verdict.TO_KERNEL, self.kernel_mac + frame[6:])
        if ip[12] in (0, 127) or ip[12] >= 224:
            raise Ended(Verdict.MARTIAN, frame)
        if big(ip, 6) & 0x3FFF:
            raise Ended(Verdict.FRAGMENT, frame)
        if ip[8] <= 1:
            raise Ended(Verdict.TTL_EXPIRED, frame)
        packet = Packet(frame, l3, l3 + 4 * words, address(ip[12:16]), address(ip[16:20]), ip[9])
        return self._parse_l4(packet)

    def _parse_l4(self, packet: Packet) -> Packet:
        l4 = packet.frame[packet.l4 :]
        if len(l4) < {TCP: 20, UDP: 8, ICMP: 8}.get(packet.protocol, 0):
            raise Ended(Verdict.TRUNCATED, packet.frame)
        if packet.protocol == TCP:
            packet.flags = l4[13]
            if l4[12] >> 4 < 5:
                raise Ended(Verdict.BAD_HEADER, packet.frame)
            if 4 * (l4[12] >> 4) > len(l4):
                raise Ended(Verdict.TRUNCATED, packet.frame)
        if packet.protocol in (TCP, UDP):
            packet.ports = (big(l4, 0), big(l4, 2))
        return packet

    # ---- ARP, ICMP echo ----

    def _is_vip(self, text: str) -> bool:
        return any(s["vip"] == text and s["use"] == "active" for s in self.services.values())

    def _arp(self, frame: bytes, l3: int) -> None:
        arp = frame[l3 : l3 + 28]
        if len(arp) < 28:
            raise Ended(Verdict.TRUNCATED, frame)
        if arp[:6] != bytes.fromhex("000108000604"):
            raise Ended(Verdict.BAD_HEADER, frame)
        sender_mac, sender, target = arp[8:14], address(arp[14:18]), address(arp[24:28])
        if sender_mac[0] & 1:
            raise Ended(Verdict.MARTIAN, frame)
        asks = big(arp, 6) == 1
        learned = sender in self.neighbours
        if learned:
            self.neighbours[sender] = sender_mac
        if frame[:6] == self.kernel_mac or (asks and target == self.node["address"]):
            raise Ended(Verdict.TO_KERNEL, frame)
        if asks and sender != target and self._is_vip(target):
            ether = sender_mac + self.port_mac + frame[12:l3]
            answer = arp[:6] + b"\0\2" + self.port_mac + arp[24:28] + sender_mac + arp[14:18]
            raise Ended(Verdict.ARP_ANSWERED, ether + answer + frame[l3 + 28 :])
        raise Ended(Verdict.ARP_LEARNED if learned else Verdict.NOT_FOR_US, frame)

    def _echo(self, packet: Packet) -> None:
        frame, l3, l4 = packet.frame, packet.l3, packet.l4
        if packet.protocol != ICMP or frame[l4 : l4 + 2] != b"\x08\0" or not self._is_vip(packet.vip):
            return
        ip = frame[l3:l4]
        ip = ip[:8] + b"\x40" + ip[9:12] + ip[16:20] + ip[12:16] + ip[20:]
        # RFC 1624: the type's word, 0x0800, becomes 0.
        total = (big(frame, l4 + 2) ^ 0xFFFF) + (0x0800 ^ 0xFFFF)
        total = (total & 0xFFFF) + (total >> 16)
        icmp = b"\0\0" + (total ^ 0xFFFF).to_bytes(2, "big") + frame[l4 + 4 :]
        ether = frame[6:12] + self.port_mac + frame[12:l3]
        raise Ended(Verdict.ICMP_ANSWERED, ether + with_checksum(ip, 10) + icmp)

    # ---- service, connection, selection ----

    def _service(self, packet: Packet) -> str:
        for name, service in self.services.items():
            wanted = (service["vip"], NUMBERS[service["protocol"]], service["port"], service["use"])
            if wanted == (packet.vip, packet.protocol, packet.ports[1], "active"):
                return str(name)
        if not self.configured:
            raise Ended(Verdict.NOT_CONFIGURED, packet.frame)
        if not self._is_vip(packet.vip):
            raise Ended(Verdict.NOT_FOR_US, packet.frame)
        if packet.protocol not in (TCP, UDP):
            raise Ended(Verdict.UNSUPPORTED_PROTOCOL, packet.frame)
        raise Ended(Verdict.NO_SERVICE, packet.frame)

    def _look_up(self, key: tuple[str, int, str]) -> Known | None:
        known = self.table.get(key)
        service = self.services.get(key[2])
        if not known or not service or service["use"] != "active":
            return None
        return known if self.tick - known.seen <= service["timeouts"][known.state.label] else None

    def _full(self) -> bool:
        live = sum(1 for key in self.table if self._look_up(key))
        return self.capacity is not None and live >= self.capacity

    def _use(self, backend: str) -> str:
        return str(self.backends[backend]["use"]) if backend in self.backends else "free"

    def _keeps(self, packet: Packet, known: Known, service: dict[str, Any]) -> bool:
        use = self._use(known.backend)
        if use not in ("active", "down"):
            self.events[Event.BACKEND_REMOVED] += 1
            return False
        if use == "down" and service["rows"]:
            if packet.protocol == UDP:
                self.events[Event.BACKEND_DOWN] += 1
                return False
            if packet.opens and known.state is State.NEW:
                return False
        return not (packet.opens and known.state is State.CLOSING)

    def _admit(self, packet: Packet, name: str, known: Known | None) -> None:
        """Who does not begin a connection is not asked."""
        service = self.services[name]
        if known and not (packet.opens and known.state is State.CLOSING):
            return
        networks = [ipaddress.IPv4Network(prefix) for prefix in service.get("sources", [])]
        if networks and not any(ipaddress.IPv4Address(packet.client) in network for network in networks):
            raise Ended(Verdict.SOURCE_DENIED, packet.frame)
        stray = not known and packet.closes
        if service.get("new_max") and not stray and not self._token(name, service["new_max"]):
            raise Ended(Verdict.RATE_LIMITED, packet.frame)

    def _token(self, name: str, per_s: int) -> bool:
        """A bucket holds a second's worth: per_s tokens."""
        second, cost = SECOND << 8, (SECOND << 8) // per_s
        level, since = self.tokens.get(name, (second, self.tsc))
        level = min(second, level + (self.tsc - since << 8))
        enough = level >= cost
        self.tokens[name] = (level - cost * enough, self.tsc)
        return enough

    def _swept(self, key: tuple[str, int, str]) -> bool:
        timeout = self.services[key[2]]["timeouts"][self.table[key].state.label]
        return bool(self.tick - self.table[key].seen > timeout + PASS)

    def _has_room(self, name: str, known: Known | None) -> bool:
        most = self.backends[name].get("connection_max", 0)
        here = sum(entry.backend == name and not self._swept(key) for key, entry in self.table.items())
        return not most or bool(known and known.backend == name) or here < most

    def _row(self, packet: Packet, service: dict[str, Any], again: int) -> str:
        port = 0 if service.get("flags", 0) & ServiceFlag.SOURCE_AFFINITY else packet.ports[0]
        value = tiara_hash(entry_key((packet.client, port, again)), self.select_secret)
        return str(service["rows"][row(value, len(service["rows"]))])

    def _select(self, packet: Packet, service: dict[str, Any], known: Known | None) -> str:
        if not service["rows"] or self._use(self._row(packet, service, 0)) not in ("active", "down"):
            raise Ended(Verdict.NO_BACKEND, packet.frame)
        for again in range(TRIES):
            backend = self._row(packet, service, again)
            if self._use(backend) not in ("active", "down"):
                continue
            if self._has_room(backend, known) or (not known and packet.closes):
                self.events[Event.CONNECTION_SPILLED] += again > 0
                return backend
        raise Ended(Verdict.BACKEND_FULL, packet.frame)

    @staticmethod
    def _next(packet: Packet, state: State) -> State:
        if packet.protocol == UDP:
            return State.UDP
        if packet.closes:
            return State.CLOSING
        if packet.opens:
            return State.ESTABLISHED if state is State.ESTABLISHED else State.NEW
        if state is State.CLOSING and not packet.has_data:
            return State.CLOSING
        return State.ESTABLISHED

    def _place(
        self, packet: Packet, key: tuple[str, int, str], known: Known | None
    ) -> tuple[str, Verdict, int]:
        """Backend, verdict, and 1 for a new place."""
        backend = self._select(packet, self.services[key[2]], known)
        if not known and packet.closes:
            return backend, Verdict.FORWARDED_STRAY, 0
        if not known and self._full():
            self.events[Event.TABLE_FULL] += 1
            return backend, Verdict.FORWARDED_UNTRACKED, 0
        state = known.state if known and not packet.opens else State.EMPTY
        self.table[key] = Known(backend, self._next(packet, state), self.tick)
        self.events[Event.CONNECTION_RESELECTED if known else Event.CONNECTION_NEW] += 1
        return backend, Verdict.FORWARDED, 1

    def _forward(self, packet: Packet, name: str) -> None:
        key = (packet.client, packet.ports[0], name)
        known = self._look_up(key)
        if known and self._keeps(packet, known, self.services[name]):
            self.table[key] = replace(
                known, state=self._next(packet, known.state), seen=self.tick, pushed=False
            )
            backend, verdict, fresh = known.backend, Verdict.FORWARDED, 0
        else:
            self._admit(packet, name, known)
            backend, verdict, fresh = self._place(packet, key, known)
        frame = self._rewrite(packet, name, self.backends[backend])
        for counts, who in ((self.counted.services, name), (self.counted.backends, backend)):
            pkts, size, connections = counts.get(who, (0, 0, 0))
            counts[who] = (pkts + 1, size + len(packet.frame), connections + fresh)
        raise Ended(verdict, frame)

    # ---- forwarding ----

    def _next_hop(self, packet: Packet, text: str) -> bytes:
        network = ipaddress.IPv4Network(f"{self.node['address']}/{self.node['netmask']}", strict=False)
        hop = text if ipaddress.IPv4Address(text) in network else str(self.node["gateway"])
        if hop != "0.0.0.0":
            known = self.neighbours.setdefault(hop, None)
            if known:
                return known
        raise Ended(Verdict.NO_NEIGHBOUR, packet.frame)

    def _rewrite(self, packet: Packet, name: str, backend: dict[str, Any]) -> bytes:
        hop = self._next_hop(packet, backend["address"])
        more = TUNNEL_BYTES[backend["forward"]]
        if len(packet.frame) - packet.l3 + more > self.node["mtu"]:
            raise Ended(Verdict.TOO_BIG, packet.frame)
        if self.headroom < more:
            raise Ended(Verdict.NO_ROOM, packet.frame)
        ether, inner = hop + self.port_mac + packet.frame[12 : packet.l3], packet.frame[packet.l3 :]
        if backend["forward"] == "vxlan":
            return ether + self._vxlan(packet, name, backend, inner)
        if backend["forward"] == "ipip":
            return ether + self._outer(backend, 4, inner, inner[1])
        return ether + inner

    def _outer(self, backend: dict[str, Any], protocol: int, payload: bytes, tos: int) -> bytes:
        start = bytes([0x45, tos]) + (20 + len(payload)).to_bytes(2, "big")
        rest = b"\0\0\x40\0\x40" + bytes([protocol, 0, 0])
        ends = octets(self.node["address"]) + octets(backend["address"])
        return with_checksum(start + rest + ends, 10) + payload

    def _vxlan(self, packet: Packet, name: str, backend: dict[str, Any], inner: bytes) -> bytes:
        inner_frame = mac_octets(backend["inner_mac"]) + self.port_mac + b"\x08\0" + inner
        key = entry_key((packet.client, packet.ports[0], self.order.index(name)))
        mix = tiara_hash(key, TABLE_SECRET) * 0x9E3779B97F4A7C15 % (1 << 64) >> 50
        vxlan = b"\x08\0\0\0" + int(backend["vni"] << 8).to_bytes(4, "big")
        ports = (49152 + mix).to_bytes(2, "big") + int(backend["tunnel_port"]).to_bytes(2, "big")
        udp = ports + (16 + len(inner_frame)).to_bytes(2, "big") + b"\0\0"
        return self._outer(backend, 17, udp + vxlan + inner_frame, inner[1])

    # ---- ways out ----

    def _leave(self, verdict: Verdict, frame: bytes) -> Left:
        if verdict in SENT:
            if self.tx_room == 0:
                return Left(Verdict.TX_FULL, "dropped", frame)
            self.tx_room -= self.tx_room > 0
            return Left(verdict, "sent", frame)
        if verdict is Verdict.TO_KERNEL:
            if self.kernel_room == 0:
                return Left(Verdict.KERNEL_FULL, "dropped", frame)
            self.kernel_room -= self.kernel_room > 0
            return Left(verdict, "kernel", frame)
        return Left(verdict, "dropped", frame)
