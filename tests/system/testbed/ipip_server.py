# SPDX-License-Identifier: Apache-2.0
"""A real server's end of IPIP for kernels without it: takes the outer header off, gives the rest to a TUN."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys

IPPROTO_IPIP = 4
DEVICE = "ipip-in"
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001


def _open_tun() -> int:
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN_NO_PI))
    subprocess.run(["ip", "link", "set", DEVICE, "up"], check=True)
    return tun


def serve(address: str) -> None:
    """Decapsulates what is sent to this address until the process is ended."""
    tun = _open_tun()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, IPPROTO_IPIP) as outer:
        outer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        outer.bind((address, 0))
        print("ready", flush=True)
        while True:
            packet = outer.recv(65536)
            os.write(tun, packet[4 * (packet[0] & 15) :])


if __name__ == "__main__":
    serve(sys.argv[1])
