# SPDX-License-Identifier: Apache-2.0
"""Packets from random sources, each of which sends one and never another."""

from __future__ import annotations

import json
import random
import socket
import sys
from dataclasses import asdict, dataclass

from testbed.spoof import FLAGS, checksum

_INTERFACE = "eth0"
_SOURCES = int.from_bytes(socket.inet_aton("198.19.0.0"), "big")


@dataclass(frozen=True)
class Flood:
    """What is sent: `cnt` packets of one `kind`, "syn", "ack" (with data) or "udp"."""

    mac: str
    vip: str
    port: int
    kind: str
    cnt: int
    seed: int = 1

    def arguments(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))


def packet(flood: Flood, numbers: random.Random) -> bytes:
    """An IPv4 packet from a source of 198.19/16, with right checksums."""
    source = (_SOURCES + 1 + numbers.randrange(65534)).to_bytes(4, "big")
    ends = source + socket.inet_aton(flood.vip)
    ports = (1024 + numbers.randrange(64000)).to_bytes(2, "big") + flood.port.to_bytes(2, "big")
    if flood.kind == "udp":
        l4 = ports + (16).to_bytes(2, "big") + b"\0\0" + numbers.randbytes(8)
    else:
        bits, data = (FLAGS["S"], b"") if flood.kind == "syn" else (FLAGS["P"] | FLAGS["A"], b"GET / HT")
        l4 = ports + numbers.randbytes(8) + bytes([0x50, bits]) + b"\x04\0\0\0\0\0" + data
        pseudo = ends + b"\0\6" + len(l4).to_bytes(2, "big")
        l4 = l4[:16] + checksum(pseudo + l4) + l4[18:]
    protocol = 17 if flood.kind == "udp" else 6
    ip = (
        b"\x45\0" + (20 + len(l4)).to_bytes(2, "big") + b"\0\0\x40\0\x40" + bytes([protocol]) + b"\0\0" + ends
    )
    return ip[:10] + checksum(ip) + ip[12:] + l4


def send(flood: Flood) -> None:
    """Sends all of it."""
    numbers = random.Random(flood.seed)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((_INTERFACE, 0))
        ether = bytes.fromhex(flood.mac.replace(":", "")) + raw.getsockname()[4] + b"\x08\0"
        for _ in range(flood.cnt):
            raw.send(ether + packet(flood, numbers))


if __name__ == "__main__":
    send(Flood(**json.loads(sys.argv[1])))
