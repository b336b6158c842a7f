# SPDX-License-Identifier: Apache-2.0
"""A UDP echo of a real server: answers each datagram with the server's id, a space and the datagram.

It listens on every address, VIPs included, and answers from the one that was asked.
"""

from __future__ import annotations

import select
import socket
import sys
from contextlib import suppress

IP_PKTINFO = 8  # <linux/in.h>; Python's socket module does not name it before 3.14


def _open(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind(("0.0.0.0", port))
    sock.setblocking(False)
    return sock


def _answer(sock: socket.socket, prefix: bytes) -> None:
    try:
        for _ in range(64):
            data, control, _, client = sock.recvmsg(2048, 64)
            info = control[0][2]
            # in_pktinfo: interface 4, local address 4, destination of the datagram 4
            source = bytes(4) + info[8:12] + bytes(4)
            with suppress(OSError):  # no way back: who sent it wants no answer
                sock.sendmsg([prefix, data], [(socket.IPPROTO_IP, IP_PKTINFO, source)], 0, client)
    except BlockingIOError:
        pass


def serve(server: str, ports: list[int]) -> None:
    """Answers until the process is ended."""
    prefix = server.encode() + b" "
    socks = {sock.fileno(): sock for sock in map(_open, ports)}
    poll = select.epoll()
    for fileno in socks:
        poll.register(fileno, select.EPOLLIN)
    while True:
        for fileno, _ in poll.poll():
            _answer(socks[fileno], prefix)


if __name__ == "__main__":
    serve(sys.argv[1], [int(port) for port in sys.argv[2:]])
