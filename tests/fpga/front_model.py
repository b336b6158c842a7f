# SPDX-License-Identifier: Apache-2.0
"""What the front of the card does with a frame, in plain Python (docs/design/0017, fpga/doc).

It shares with the RTL only the layout. `World` is what the CPU has written into the card.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import IntEnum

from rtl_bits import pack
from test_hash import buckets, entry_key, tiara_hash

SECRET = 0x13198A2E03707344 << 64 | 0x243F6A8885A308D3
BUCKETS = 256
SERVICE_LINES = 64
MAX_BEATS = 24
"""As tests/fpga/rtl/tiara_front.sv has them."""
LOW_BITS = 15
"""The stand-in for the lookup misses for a client port that ends in this."""


class Reason(IntEnum):
    """enum tiara_card_reason."""

    NONE = 0
    MISS = 1
    OPENS = 2
    CLOSES = 3
    FRAGMENT = 4
    OPTIONS = 5
    TTL = 6
    OTHER = 7
    NO_SERVICE = 8
    TOO_BIG = 9
    NO_BACKEND = 10


FORWARDS = {"l2": 1, "vxlan": 2, "ipip": 3}
MORE_BYTES = {"l2": 0, "vxlan": 50, "ipip": 20}


@dataclass(frozen=True)
class Backend:
    """A line of the backend table."""

    forward: str
    addr: str = "198.19.5.13"
    next_hop_mac: str = "02:00:00:00:01:01"
    inner_mac: str = "02:00:00:00:aa:03"
    vni: int = 77
    tunnel_port: int = 4789
    mtu: int = 1500


@dataclass
class World:
    """Registers and tables."""

    port_mac: str = "02:00:00:00:00:02"
    kernel_mac: str = "00:00:00:00:00:02"
    address: str = "198.18.0.2"
    services: dict[tuple[str, int, int], int] = field(default_factory=dict)
    """By VIP, port and protocol: the service's index."""
    backends: dict[int, Backend] = field(default_factory=dict)
    """By line."""


@dataclass(frozen=True)
class Up:
    """A packet of the CPU stream: its bytes and tiara_card_meta."""

    frame: bytes
    reason: Reason
    key: int = 0
    hash: int = 0


@dataclass(frozen=True)
class Out:
    """A packet that was forwarded, and what the event beside it says."""

    frame: bytes
    line: int
    service_idx: int
    slot: int
    client_bytes: int


def mac_octets(text: str) -> bytes:
    """Six bytes."""
    return bytes.fromhex(text.replace(":", ""))


def octets(text: str) -> bytes:
    """Four bytes."""
    return ipaddress.IPv4Address(text).packed


def big(data: bytes, at: int) -> int:
    """Two bytes in network order."""
    return int.from_bytes(data[at : at + 2], "big")


def checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total = sum(big(data, i) for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def crc32c(data: bytes) -> int:
    """From 0, not inverted: linear, which is what masks can do."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


def service_lines(frontend: tuple[str, int, int], lines: int) -> tuple[int, int]:
    """The two lines of the service table where a frontend may stand."""
    vip, port, protocol = frontend
    value = crc32c(octets(vip) + port.to_bytes(2, "big") + bytes([protocol]))
    half = lines // 2
    return value % half, half + (value >> 16) % half


def place_services(services: dict[tuple[str, int, int], int], lines: int) -> dict[int, tuple[str, int, int]]:
    """A line for each frontend; others are moved to their other line where they must (cuckoo)."""
    placed: dict[int, tuple[str, int, int]] = {}
    for number, frontend in enumerate(services):
        moving, line = frontend, service_lines(frontend, lines)[number % 2]
        for _ in range(64):
            moving, placed[line] = placed.get(line, ("", 0, 0)), moving
            if not moving[0]:
                break
            first, second = service_lines(moving, lines)
            line = second if line == first else first
        else:
            raise AssertionError("the service table is too full")
    return placed


def service_bits(frontend: tuple[str, int, int], index: int) -> int:
    """struct tiara_card_service."""
    vip, port, protocol = frontend
    return pack("tiara_card_service_t", vip=octets(vip), port=port.to_bytes(2, "big"), protocol=protocol,
                valid=1, service_idx=index)  # fmt: skip


def backend_bits(world: World, backend: Backend) -> int:
    """struct tiara_card_backend."""
    return pack(
        "tiara_card_backend_t",
        next_hop_mac=mac_octets(backend.next_hop_mac),
        port_mac=mac_octets(world.port_mac),
        addr=octets(backend.addr),
        local_addr=octets(world.address),
        vni=backend.vni,
        tunnel_port=backend.tunnel_port.to_bytes(2, "big"),
        inner_mac=mac_octets(backend.inner_mac),
        mtu_bytes=backend.mtu,
        forward=FORWARDS[backend.forward],
        valid=1,
    )


def identity_bits(world: World) -> int:
    """tiara_card_identity_t."""
    return pack("tiara_card_identity_t", port_mac=mac_octets(world.port_mac),
                kernel_mac=mac_octets(world.kernel_mac), address=octets(world.address))  # fmt: skip


def l3_off(frame: bytes) -> int:
    """Where the IPv4 header begins."""
    return 18 if frame[12:14] == b"\x81\x00" else 14


def parse(world: World, frame: bytes) -> Reason:
    """Why a frame goes up before anything is looked up; NONE: it does not."""
    off = l3_off(frame)
    ip = frame[off:]
    ours = frame[:6] == mac_octets(world.port_mac) and frame[:6] != mac_octets(world.kernel_mac)
    if not ours or frame[off - 2 : off] != b"\x08\0" or len(ip) < 20:
        return Reason.OTHER
    total = big(ip, 2)
    if ip[0] >> 4 != 4 or ip[0] & 15 < 5 or not 20 <= total <= len(ip):
        return Reason.OTHER
    if ip[16:20] == octets(world.address) or ip[12] in (0, 127) or ip[12] >= 224:
        return Reason.OTHER
    if ip[0] & 15 > 5:
        return Reason.OPTIONS
    if checksum(ip[:20]):
        return Reason.OTHER
    if big(ip, 6) & 0x3FFF:
        return Reason.FRAGMENT
    if ip[8] <= 1:
        return Reason.TTL
    return _parse_l4(ip[9], ip[20:total])


def _parse_l4(protocol: int, l4: bytes) -> Reason:
    if protocol == 17:
        return Reason.NONE if len(l4) >= 8 else Reason.OTHER
    if protocol != 6 or len(l4) < 20 or not 20 <= 4 * (l4[12] >> 4) <= len(l4):
        return Reason.OTHER
    if l4[13] & 0x02:
        return Reason.OPENS
    return Reason.CLOSES if l4[13] & 0x05 else Reason.NONE


def handle(world: World, frame: bytes) -> Up | Out:
    """What becomes of a frame that is whole and not too long."""
    reason = parse(world, frame)
    if reason not in (Reason.NONE, Reason.OPENS, Reason.CLOSES):
        return Up(frame, reason)
    off = l3_off(frame)
    ip = frame[off:]
    vip, port = str(ipaddress.IPv4Address(ip[16:20])), big(ip, 20)
    index = world.services.get((vip, big(ip, 22), ip[9]))
    if index is None:
        return Up(frame, Reason.NO_SERVICE if reason is Reason.NONE else reason)
    key = entry_key((str(ipaddress.IPv4Address(ip[12:16])), port, index))
    value = tiara_hash(key, SECRET)
    if reason is Reason.NONE:
        reason = _look_up(world, big(ip, 2), port & LOW_BITS)
    if reason is not Reason.NONE:
        return Up(frame, reason, key, value)
    line = port & LOW_BITS
    slot = buckets(value, BUCKETS)[0] << 2 | 1
    whole = frame[: off + big(ip, 2)]
    return Out(rewrite(world, world.backends[line], whole, value), line, index, slot, len(whole))


def _look_up(world: World, total: int, line: int) -> Reason:
    if line == LOW_BITS:
        return Reason.MISS
    backend = world.backends.get(line)
    if backend is None:
        return Reason.NO_BACKEND
    return Reason.TOO_BIG if total + MORE_BYTES[backend.forward] > backend.mtu else Reason.NONE


def rewrite(world: World, backend: Backend, frame: bytes, value: int) -> bytes:
    """The frame to the backend; value is the connection's hash."""
    off = l3_off(frame)
    ether = mac_octets(backend.next_hop_mac) + mac_octets(world.port_mac) + frame[12:off]
    ip = frame[off:]
    if backend.forward == "ipip":
        return ether + _outer(world, backend, 4, ip[1], ip)
    if backend.forward == "vxlan":
        inner = mac_octets(backend.inner_mac) + mac_octets(world.port_mac) + b"\x08\0" + ip
        source = 49152 + (value * 0x9E3779B97F4A7C15 % (1 << 64) >> 50)
        udp = source.to_bytes(2, "big") + backend.tunnel_port.to_bytes(2, "big")
        udp += (16 + len(inner)).to_bytes(2, "big") + b"\0\0"
        vxlan = b"\x08\0\0\0" + (backend.vni << 8).to_bytes(4, "big")
        return ether + _outer(world, backend, 17, ip[1], udp + vxlan + inner)
    return ether + ip


def _outer(world: World, backend: Backend, protocol: int, tos: int, payload: bytes) -> bytes:
    start = bytes([0x45, tos]) + (20 + len(payload)).to_bytes(2, "big") + b"\0\0\x40\0\x40"
    ends = octets(world.address) + octets(backend.addr)
    blank = start + bytes([protocol, 0, 0]) + ends
    return blank[:10] + checksum(blank).to_bytes(2, "big") + blank[12:] + payload
