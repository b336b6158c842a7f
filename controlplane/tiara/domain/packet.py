# SPDX-License-Identifier: Apache-2.0
"""Ethernet frames of a client's packet, and the headers that a tunnel puts before it."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

from tiara.domain.model import Protocol

TCP_FIN, TCP_SYN, TCP_RST, TCP_ACK = 0x01, 0x02, 0x04, 0x10
PAYLOAD_MAX = 9000
"""Bytes; more than any port's MTU lets through."""

_CLIENT_MAC = bytes.fromhex("020000000001")
_IPV4 = b"\x08\x00"
_TTL = 64


@dataclass(frozen=True, slots=True)
class PacketFlow:
    """Where a packet comes from and goes to. Ports are 0 but for TCP and UDP.

    ``protocol`` is an IANA number, ``tcp_flags`` are bits as in the TCP header (RFC 9293 section 3.1).
    """

    protocol: int
    client_address: str
    client_port: int
    address: str
    port: int
    tcp_flags: int = 0
    payload_bytes: int = 0


@dataclass(frozen=True, slots=True)
class OuterHeaders:
    """What a frame to a backend carries before the client's packet. Addresses are empty without a tunnel."""

    source_mac: str
    destination_mac: str
    source_address: str = ""
    destination_address: str = ""
    source_port: int = 0
    destination_port: int = 0
    vni: int = 0


def client_frame(flow: PacketFlow, to_mac: str) -> bytes:
    """The frame that a client's packet comes in, with right checksums and zeros for data."""
    segment = _tcp(flow) if flow.protocol == Protocol.TCP else _udp(flow)
    segment += bytes(flow.payload_bytes)
    addresses = _octets(flow.client_address) + _octets(flow.address)
    pseudo = addresses + struct.pack("!BBH", 0, flow.protocol, len(segment))
    at = 16 if flow.protocol == Protocol.TCP else 6
    segment = _with_checksum(segment, at, pseudo)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, _TTL, flow.protocol, 0)
    mac = bytes.fromhex(to_mac.replace(":", ""))
    return mac + _CLIENT_MAC + _IPV4 + _with_checksum(header + addresses, 10) + segment


def outer_headers(frame: bytes, ip_offset: int, tunnel: str) -> OuterHeaders:
    """Reads a frame that the packet path made; ``tunnel``: "vxlan", "ipip", or anything else for none."""
    source_mac, destination_mac = frame[6:12].hex(":"), frame[:6].hex(":")
    if tunnel not in ("vxlan", "ipip"):
        return OuterHeaders(source_mac, destination_mac)
    source, destination = (_address(frame, ip_offset + at) for at in (12, 16))
    if tunnel == "ipip":
        return OuterHeaders(source_mac, destination_mac, source, destination)
    source_port, destination_port = struct.unpack_from("!HH", frame, ip_offset + 20)
    vni = int.from_bytes(frame[ip_offset + 32 : ip_offset + 35], "big")
    return OuterHeaders(source_mac, destination_mac, source, destination, source_port, destination_port, vni)


def _tcp(flow: PacketFlow) -> bytes:
    return struct.pack("!HHIIBBHHH", flow.client_port, flow.port, 1, 1, 5 << 4, flow.tcp_flags, 65535, 0, 0)


def _udp(flow: PacketFlow) -> bytes:
    return struct.pack("!HHHH", flow.client_port, flow.port, 8 + flow.payload_bytes, 0)


def _octets(address: str) -> bytes:
    packed: bytes = ipaddress.IPv4Address(address).packed
    return packed


def _address(frame: bytes, at: int) -> str:
    return str(ipaddress.IPv4Address(frame[at : at + 4]))


def _with_checksum(data: bytes, at: int, before: bytes = b"") -> bytes:
    """RFC 1071; the field at ``at`` is zero."""
    padded = before + data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    checksum: int = ~total & 0xFFFF
    return data[:at] + checksum.to_bytes(2, "big") + data[at + 2 :]
