# SPDX-License-Identifier: Apache-2.0
"""Frames written as text, built by scapy: what people read in a record beside its hex.

    eth gw>port / ip 198.18.64.7>198.18.0.100 ttl=63 / tcp 40000>80 S data=hello / pad 6

Layers: eth, vlan, arp, ip, tcp, udp, icmp, vxlan, raw. Last come `pad N` (zero bytes added) and
`cut N` (only the first N bytes kept). `key=value` sets scapy's field of that name.

`python tests/path/path_packets.py tests/path/records/*.toml` writes the hex of each text into records.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

MACS = {
    "gw": "02:00:00:00:01:01",
    "client": "02:00:00:00:01:02",
    "port": "02:00:00:00:00:02",
    "kernel": "00:00:00:00:00:02",
    "b1": "02:00:00:00:00:11",
    "b2": "02:00:00:00:00:12",
    "b3": "02:00:00:00:00:13",
    "inner": "02:00:00:00:aa:03",
    "zero": "00:00:00:00:00:00",
    "broadcast": "ff:ff:ff:ff:ff:ff",
}


def mac(name: str) -> str:
    """A MAC address by its name in records, or as it is."""
    return MACS.get(name, name)


def _fields(words: list[str]) -> dict[str, Any]:
    pairs = dict(word.split("=", 1) for word in words if "=" in word)
    pairs.pop("data", None)
    return {key: value if not re.fullmatch(r"0x[0-9a-f]+|\d+", value) else int(value, 0)
            for key, value in pairs.items()}  # fmt: skip


def _data(words: list[str]) -> Packet | None:
    for word in words:
        if word.startswith("data="):
            text = word.removeprefix("data=")
            repeat = re.fullmatch(r"(\d+)\*(.)", text)
            return Raw(repeat[2].encode() * int(repeat[1]) if repeat else text.encode())
    return None


def _with_data(packet: Packet, words: list[str]) -> Packet:
    data = _data(words)
    return packet / data if data else packet


def _eth(words: list[str]) -> Packet:
    src, dst = words[0].split(">")
    return Ether(src=mac(src), dst=mac(dst), **_fields(words))


def _vlan(words: list[str]) -> Packet:
    return Dot1Q(vlan=int(words[0]), **_fields(words))


def _arp(words: list[str]) -> Packet:
    """`arp who TARGET tell SENDER MAC` or `arp SENDER is-at MAC tell TARGET TARGET_MAC`."""
    if words[0] == "who":
        return ARP(op=1, psrc=words[3], hwsrc=mac(words[4]), pdst=words[1], hwdst=mac("zero"),
                   **_fields(words))  # fmt: skip
    return ARP(op=2, psrc=words[0], hwsrc=mac(words[2]), pdst=words[4], hwdst=mac(words[5]),
               **_fields(words))  # fmt: skip


def _ip(words: list[str]) -> Packet:
    src, dst = words[0].split(">")
    fields = {"ttl": 63, "id": 1} | _fields(words)
    fields["options"] = [IPOption_NOP()] * int(fields.pop("nops", 0))
    return IP(src=src, dst=dst, **fields)


def _ports(words: list[str]) -> dict[str, Any]:
    src, dst = words[0].split(">")
    return {"sport": int(src), "dport": int(dst)}


def _tcp(words: list[str]) -> Packet:
    return _with_data(TCP(**_ports(words), flags=words[1], seq=1000, **_fields(words)), words)


def _udp(words: list[str]) -> Packet:
    return _with_data(UDP(**_ports(words), **_fields(words)), words)


def _icmp(words: list[str]) -> Packet:
    return _with_data(ICMP(type=int(words[0]) if words[0].isdigit() else words[0], **_fields(words)), words)


def _vxlan(words: list[str]) -> Packet:
    return VXLAN(vni=int(words[0]), flags=0x08)


def _raw(words: list[str]) -> Packet:
    return Raw(bytes.fromhex(words[0]))


_LAYERS = {"eth": _eth, "vlan": _vlan, "arp": _arp, "ip": _ip, "tcp": _tcp, "udp": _udp, "icmp": _icmp,
           "vxlan": _vxlan, "raw": _raw}  # fmt: skip


def build(text: str) -> bytes:
    """The bytes of a frame, checksums and lengths as they should be unless the text sets them."""
    packet: Packet | None = None
    pad, cut = 0, None
    for layer in text.split(" / "):
        name, *words = layer.split()
        if name == "pad":
            pad = int(words[0])
        elif name == "cut":
            cut = int(words[0])
        else:
            made = _LAYERS[name](words)
            packet = made if packet is None else packet / made
    return (bytes(packet or b"") + bytes(pad))[:cut]


_TEXT_LINE = re.compile(r'^(in|out|inject) = "(.*)"$')


def fill(toml: str) -> str:
    """Records with the hex of every text below it; hex that was there is replaced."""
    lines = []
    for line in toml.splitlines():
        if re.match(r"^(in|out|inject)_hex = ", line):
            continue
        lines.append(line)
        match = _TEXT_LINE.match(line)
        if match and match[2] != "same":
            lines.append(f'{match[1]}_hex = "{build(match[2]).hex()}"')
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(fill(Path(name).read_text()))
