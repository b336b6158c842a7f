# SPDX-License-Identifier: Apache-2.0
"""The packets of a script's connections, built by scapy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from tiara.traffic import script as scripts
from tiara.traffic.script import Connection, Script
from tiara.traffic.wire import Segment

WINDOW_BYTES = 64_240
_FLAGS = {scripts.SYN: "S", scripts.ACK: "A", scripts.DATA: "PA", scripts.FIN: "FA", scripts.RST: "RA"}
_TAKES_A_NUMBER = (scripts.SYN, scripts.FIN)
_BROADCAST = "ff:ff:ff:ff:ff:ff"


@dataclass(frozen=True)
class Macs:
    """Ethernet addresses of what clients send; `to` by VIP, where it is known."""

    source: str = "02:00:00:00:00:01"
    to: str = "02:00:00:00:00:02"
    by_vip: dict[str, str] = field(default_factory=dict)

    def destination(self, vip: str) -> str:
        """Where frames for this VIP go."""
        return self.by_vip.get(vip, self.to)


class Client:
    """One connection's client: knows its next sequence number and what it has heard."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.answers = 0
        self.is_reset = False
        self._sequence = connection.first_sequence
        self._acknowledged = connection.peer_sequence

    def frame(self, at: int, macs: Macs) -> bytes:
        """The connection's packet number `at`; call in order. Its IPv4 identification is `at` + 1."""
        connection = self.connection
        ip = IP(
            src=connection.address, dst=connection.frontend.address, id=at + 1, ttl=64, flags="DF"
        )  # fmt: skip
        upper = self._tcp(at) if connection.frontend.protocol == "tcp" else self._udp(at)
        link = Ether(src=macs.source, dst=macs.destination(connection.frontend.address))
        return bytes(link / ip / upper)

    def hear(self, segment: Segment) -> None:
        """Takes what the server said into account."""
        self.answers += 1
        if segment.is_reset:
            self.is_reset = True
        if segment.next_sequence is None:
            return
        ahead = (segment.next_sequence - self._acknowledged) & 0xFFFFFFFF
        if self.answers == 1 or ahead < 1 << 31:
            self._acknowledged = segment.next_sequence

    def _tcp(self, at: int) -> Packet:
        step = self.connection.steps[at]
        packet = TCP(
            sport=self.connection.port,
            dport=self.connection.frontend.port,
            flags=_FLAGS[step],
            seq=self._sequence,
            ack=0 if step == scripts.SYN else self._acknowledged,
            window=WINDOW_BYTES,
            options=[("MSS", 1460)] if step == scripts.SYN else [],
        )
        payload = self._payload(at) if step == scripts.DATA else b""
        self._sequence = (self._sequence + len(payload) + (step in _TAKES_A_NUMBER)) & 0xFFFFFFFF
        return packet / Raw(payload) if payload else packet

    def _udp(self, at: int) -> Packet:
        packet = UDP(sport=self.connection.port, dport=self.connection.frontend.port)
        return packet / Raw(self._payload(at))

    def _payload(self, at: int) -> bytes:
        if self.connection.text:
            return self.connection.text.encode()
        length = self.connection.payload_bytes
        return f"tiara {self.connection.number} {at + 1} ".encode().ljust(length, b".")[:length]


def frames(script: Script, macs: Macs) -> Iterator[tuple[int, bytes]]:
    """Every packet of a script that nobody answers: its time in ns from the start, its bytes."""
    everyone = scripts.connections(script)
    clients = [Client(connection) for connection in everyone]
    for number, (connection, at) in enumerate(scripts.order(script, everyone)):
        yield number * 1_000_000_000 // script.rate, clients[connection.number].frame(at, macs)


def arp_question(mac: str, sender: str, target: str) -> bytes:
    """Who has this address?"""
    question = ARP(op="who-has", hwsrc=mac, psrc=sender, pdst=target)
    return bytes(Ether(src=mac, dst=_BROADCAST) / question)


def arp_answer(mac: str, question: bytes, ours: set[str]) -> bytes | None:
    """The answer to who asks for an address of ours; None: it is not such a question."""
    asked = Ether(question).getlayer(ARP)
    if asked is None or asked.op != 1 or asked.pdst not in ours:
        return None
    answer = ARP(op="is-at", hwsrc=mac, psrc=asked.pdst, hwdst=asked.hwsrc, pdst=asked.psrc)
    return bytes(Ether(src=mac, dst=asked.hwsrc) / answer)


def arp_found(frame: bytes, target: str) -> str | None:
    """The MAC address that this frame says `target` has."""
    said = Ether(frame).getlayer(ARP)
    return str(said.hwsrc) if said is not None and said.op == 2 and said.psrc == target else None
