# SPDX-License-Identifier: Apache-2.0
"""TCP segments in somebody else's name: right 5-tuples, sequence numbers that are only guessed."""

from __future__ import annotations

import json
import random
import socket
import sys
from dataclasses import asdict, dataclass

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}
_INTERFACE = "eth0"


@dataclass(frozen=True)
class Spoof:
    """What is sent: from each of the client's ports `rounds` times one segment of each kind of `flags`."""

    mac: str
    client: str
    vip: str
    port: int
    client_ports: tuple[int, ...]
    flags: tuple[str, ...]
    rounds: int = 1
    seed: int = 1

    def arguments(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))


def checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071)."""
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def segment(spoof: Spoof, client_port: int, flags: str, numbers: random.Random) -> bytes:
    """An IPv4 packet with a TCP header only; its checksums are right, so that nobody drops it for them."""
    ends = socket.inet_aton(spoof.client) + socket.inet_aton(spoof.vip)
    ports = client_port.to_bytes(2, "big") + spoof.port.to_bytes(2, "big")
    bits = sum(FLAGS[flag] for flag in flags)
    tcp = ports + numbers.randbytes(8) + bytes([0x50, bits]) + b"\x04\0\0\0\0\0"
    tcp = tcp[:16] + checksum(ends + b"\0\6\0\x14" + tcp) + tcp[18:]
    ip = b"\x45\0\0\x28\0\0\x40\0\x40\6\0\0" + ends
    return ip[:10] + checksum(ip) + ip[12:] + tcp


def send(spoof: Spoof) -> int:
    """Sends all of it; how many segments that were."""
    numbers = random.Random(spoof.seed)
    cnt = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((_INTERFACE, 0))
        ether = bytes.fromhex(spoof.mac.replace(":", "")) + raw.getsockname()[4] + b"\x08\0"
        for _ in range(spoof.rounds):
            for flags in spoof.flags:
                for client_port in spoof.client_ports:
                    raw.send(ether + segment(spoof, client_port, flags, numbers))
                    cnt += 1
    return cnt


if __name__ == "__main__":
    print(send(Spoof(**json.loads(sys.argv[1]))))
