# SPDX-License-Identifier: Apache-2.0
"""Sends datagrams to two VIPs in turn, each from a socket of its own: every packet is a new connection.

usage: stream.py VIP VIP
It ends at the first line on stdin and prints, in the order of sending, which VIP was asked and who
answered ("" where nobody did), as JSON.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

PORT = 5300
PACE_S = 0.0007
WAIT_S = 1.0
WAITING_MAX = 8000


class Stream:
    """What was asked, what came back."""

    def __init__(self, vips: list[str]) -> None:
        self.vips = vips
        self.answers: list[tuple[int, str]] = []
        self.waiting: dict[int, tuple[socket.socket, int]] = {}
        self.poll = select.epoll()

    def ask(self) -> None:
        """One more."""
        number = len(self.answers)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        sock.sendto(b"%d" % number, (self.vips[number % 2], PORT))
        self.answers.append((number % 2, ""))
        self.waiting[sock.fileno()] = sock, number
        self.poll.register(sock.fileno(), select.EPOLLIN)

    def take(self, wait_s: float) -> None:
        """What has come."""
        for fileno, _ in self.poll.poll(wait_s):
            sock, number = self.waiting.pop(fileno)
            self.answers[number] = number % 2, sock.recv(100).split()[0].decode()
            sock.close()


def main() -> None:
    """The program."""
    stream = Stream(sys.argv[1:3])
    while not select.select([0], [], [], 0)[0]:
        if len(stream.waiting) < WAITING_MAX:
            stream.ask()
        stream.take(0)
        time.sleep(PACE_S)
    until = time.monotonic() + WAIT_S
    while stream.waiting and time.monotonic() < until:
        stream.take(0.05)
    print(json.dumps(stream.answers))


if __name__ == "__main__":
    main()
