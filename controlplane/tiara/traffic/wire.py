# SPDX-License-Identifier: Apache-2.0
"""What the checker and live clients read of a frame: bare, in VXLAN (RFC 7348) or IPIP (RFC 2003)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ETHERTYPE_ARP = 0x0806
_ETHERTYPE_IPV4 = 0x0800
_ETHERTYPE_VLAN = 0x8100
_IPIP, _TCP, _UDP = 4, 6, 17
_VXLAN_PORT = 4789
_VXLAN_BYTES = 8
_NAMES = {_TCP: "tcp", _UDP: "udp"}
_FIN, _SYN, _RST = 0x01, 0x02, 0x04


@dataclass(frozen=True, order=True)
class Key:
    """A connection as its packets show it."""

    protocol: str
    source: str
    source_port: int
    destination: str
    destination_port: int

    def __str__(self) -> str:
        return (
            f"{self.source}:{self.source_port} -> {self.protocol}:{self.destination}:{self.destination_port}"
        )

    def reversed(self) -> Key:
        """The other direction."""
        return Key(self.protocol, self.destination, self.destination_port, self.source, self.source_port)


@dataclass(frozen=True)
class Segment:
    """A TCP or UDP packet in a frame. `place` is where it was sent: outer address, else MAC address."""

    key: Key
    number: int  # IPv4 identification
    l4: bytes
    mac: str
    outer: str

    @property
    def place(self) -> str:
        """The outer destination of an encapsulated packet, the destination MAC of a bare one."""
        return self.outer or self.mac

    @property
    def is_reset(self) -> bool:
        """A TCP packet with RST."""
        return self.key.protocol == "tcp" and bool(self.l4[13] & _RST)

    @property
    def next_sequence(self) -> int | None:
        """The sequence number after this TCP packet; None: it is not TCP, or a reset."""
        if self.key.protocol != "tcp" or self.is_reset:
            return None
        flags = self.l4[13]
        length = len(self.l4) - (self.l4[12] >> 4) * 4 + bool(flags & _SYN) + bool(flags & _FIN)
        return int((struct.unpack_from("!I", self.l4, 4)[0] + length) & 0xFFFFFFFF)


def ethertype(frame: bytes) -> int:
    """Of the frame itself; 0: it is too short to have one."""
    return int.from_bytes(frame[12:14], "big") if len(frame) >= 14 else 0


def segments(frame: bytes) -> Iterator[Segment]:
    """The TCP and UDP packets in a frame, from the outermost inwards."""
    mac = frame[:6].hex(":")
    packet = _packet_of(frame)
    outer = ""
    while packet is not None:
        header_bytes = (packet[0] & 15) * 4
        protocol = packet[9]
        destination = socket.inet_ntoa(packet[16:20])
        l4 = packet[header_bytes:]
        if (found := _segment(packet, protocol, l4, mac, outer)) is not None:
            yield found
        outer = destination
        packet = _inside(protocol, l4)


def _inside(protocol: int, l4: bytes) -> bytes | None:
    """The IPv4 packet that this one carries."""
    if protocol == _IPIP:
        return _whole(l4)
    if protocol == _UDP and int.from_bytes(l4[2:4], "big") == _VXLAN_PORT:
        return _packet_of(l4[8 + _VXLAN_BYTES :])
    return None


def _segment(packet: bytes, protocol: int, l4: bytes, mac: str, outer: str) -> Segment | None:
    is_first = not int.from_bytes(packet[6:8], "big") & 0x1FFF
    if protocol not in _NAMES or not is_first or len(l4) < (20 if protocol == _TCP else 8):
        return None
    source_port, destination_port = struct.unpack_from("!HH", l4)
    key = Key(
        _NAMES[protocol],
        socket.inet_ntoa(packet[12:16]),
        source_port,
        socket.inet_ntoa(packet[16:20]),
        destination_port,
    )
    return Segment(key, int.from_bytes(packet[4:6], "big"), l4, mac, outer)


def _packet_of(frame: bytes) -> bytes | None:
    """The IPv4 packet of an Ethernet frame, with or without a VLAN tag."""
    start = 18 if ethertype(frame) == _ETHERTYPE_VLAN else 14
    if int.from_bytes(frame[start - 2 : start], "big") != _ETHERTYPE_IPV4:
        return None
    return _whole(frame[start:])


def _whole(packet: bytes) -> bytes | None:
    """Without what follows its total length; None: not all of it is there."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    length = int.from_bytes(packet[2:4], "big")
    return packet[:length] if (packet[0] & 15) * 4 <= length <= len(packet) else None
