# SPDX-License-Identifier: Apache-2.0
"""Ethernet frames by hand, sent and awaited in a namespace; as a program it is the part that runs there."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from testbed.topology import Topology

BROADCAST = "ff:ff:ff:ff:ff:ff"
ETHERTYPE_ARP = "0806"
_INTERFACE = "eth0"
_SOL_PACKET, _PACKET_AUXDATA = 263, 8  # <linux/if_packet.h>
_VLAN_VALID = 1 << 4


def mac_bytes(mac: str) -> bytes:
    """Six bytes of "02:00:00:00:00:01"."""
    return bytes.fromhex(mac.replace(":", ""))


def kernel_mac(port_mac: str) -> str:
    """The exception path's MAC: the port's with the locally administered bit changed."""
    raw = mac_bytes(port_mac)
    return bytes([raw[0] ^ 2, *raw[1:]]).hex(":")


def checksum(data: bytes | bytearray) -> int:
    """Internet checksum (RFC 1071); 0 of data that holds its right checksum."""
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def arp_request(mac: str, sender: str, target: str) -> bytes:
    """A broadcast question for `target`."""
    return b"".join(
        [
            mac_bytes(BROADCAST),
            mac_bytes(mac),
            bytes.fromhex(f"{ETHERTYPE_ARP}0001080006040001"),
            mac_bytes(mac),
            socket.inet_aton(sender),
            bytes(6),
            socket.inet_aton(target),
        ]
    ).ljust(60, b"\0")


def echo_request(mac: str, dst_mac: str, src: str, dst: str, number: int) -> bytes:
    """An ICMP echo request whose identifier and sequence are `number`."""
    icmp = bytearray(bytes.fromhex("08000000") + number.to_bytes(2, "big") * 2 + b"tiara" * 8)
    icmp[2:4] = checksum(icmp).to_bytes(2, "big")
    ip = bytearray(bytes.fromhex("450000000000000040010000") + socket.inet_aton(src) + socket.inet_aton(dst))
    ip[2:4] = (len(ip) + len(icmp)).to_bytes(2, "big")
    ip[10:12] = checksum(ip).to_bytes(2, "big")
    return mac_bytes(dst_mac) + mac_bytes(mac) + bytes.fromhex("0800") + bytes(ip) + bytes(icmp)


def syn(mac: str, dst_mac: str, src: tuple[str, int], dst: tuple[str, int]) -> bytes:
    """A TCP SYN without options; its TCP checksum is nobody's."""
    ip = bytearray(bytes.fromhex("450000280000000040060000"))
    ip += socket.inet_aton(src[0]) + socket.inet_aton(dst[0])
    ip[10:12] = checksum(ip).to_bytes(2, "big")
    tcp = struct.pack("!HHIIBBHHH", src[1], dst[1], 1, 0, 0x50, 2, 1024, 0, 0)
    return mac_bytes(dst_mac) + mac_bytes(mac) + bytes.fromhex("0800") + bytes(ip) + tcp


def with_tag(frame: bytes, vlan: int) -> bytes:
    """The same frame with an 802.1Q tag."""
    return frame[:12] + bytes.fromhex("8100") + vlan.to_bytes(2, "big") + frame[12:]


@dataclass(frozen=True)
class Mask:
    """Frames that hold `data` at `offset`."""

    offset: int
    data: bytes

    def fits(self, frame: bytes) -> bool:
        """Whether this frame does."""
        return frame[self.offset : self.offset + len(self.data)] == self.data


def arp_from(sender: str, operation: int) -> list[Mask]:
    """ARP of this operation (1 asks, 2 answers) whose sender's address is `sender`."""
    return [
        Mask(12, bytes.fromhex(ETHERTYPE_ARP)),
        Mask(20, operation.to_bytes(2, "big")),
        Mask(28, socket.inet_aton(sender)),
    ]


def arp_question(target: str) -> list[Mask]:
    """ARP requests for `target`."""
    return [Mask(12, bytes.fromhex(ETHERTYPE_ARP)), Mask(20, b"\0\1"), Mask(38, socket.inet_aton(target))]


def echo_answer(src: str, number: int) -> list[Mask]:
    """The answer to `echo_request`."""
    return [
        Mask(12, bytes.fromhex("0800")),
        Mask(26, socket.inet_aton(src)),
        Mask(34, b"\0\0"),
        Mask(38, number.to_bytes(2, "big") * 2),
    ]


class Exchange:
    """Sends frames from a namespace's eth0 and waits there for `count` frames that fit all masks.

    What is not answered is sent again every 200 ms. Waits for the socket to listen before it returns.
    """

    def __init__(
        self,
        topology: Topology,
        role: str,
        masks: list[Mask],
        *,
        send: bytes = b"",
        count: int = 1,
        wait_s: float = 10.0,
    ) -> None:
        order = {
            "masks": [(mask.offset, mask.data.hex()) for mask in masks],
            "send": send.hex(),
            "count": count,
            "wait_s": wait_s,
        }
        self._process = subprocess.Popen(
            topology.command(role, sys.executable, __file__, json.dumps(order)),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"

    def frames(self) -> list[bytes]:
        """The frames that fit, in order; fewer than `count` when they did not come in time."""
        out, _ = self._process.communicate()
        return [bytes.fromhex(text) for text in json.loads(out)]


def _receive(raw: socket.socket) -> tuple[bytes, int]:
    """A frame as it was on the wire, and its kind: the kernel takes a tag off and tells it beside."""
    frame, control, _, where = raw.recvmsg(4096, 64)
    for level, kind, data in control:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, _, _, _, _, tag, tag_type = struct.unpack("IIIHHHH", data)
            if status & _VLAN_VALID:
                frame = frame[:12] + tag_type.to_bytes(2, "big") + tag.to_bytes(2, "big") + frame[12:]
    return frame, where[2]


def _run(order: dict[str, Any]) -> list[bytes]:
    masks = [Mask(offset, bytes.fromhex(data)) for offset, data in order["masks"]]
    found: list[bytes] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as raw:
        raw.bind((_INTERFACE, 3))
        raw.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        raw.settimeout(0.2)
        print("listening", flush=True)
        again, deadline = 0.0, time.monotonic() + order["wait_s"]
        while len(found) < order["count"] and time.monotonic() < deadline:
            if order["send"] and time.monotonic() >= again:
                raw.send(bytes.fromhex(order["send"]))
                again = time.monotonic() + 0.2
            try:
                frame, kind = _receive(raw)
            except TimeoutError:
                continue
            if kind != socket.PACKET_OUTGOING and all(mask.fits(frame) for mask in masks):
                found.append(frame)
    return found


if __name__ == "__main__":
    print(json.dumps([frame.hex() for frame in _run(json.loads(sys.argv[1]))]))
