# SPDX-License-Identifier: Apache-2.0
"""A network interface of Linux, frame by frame; and whether it may be used for generated traffic."""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import select
import socket
import struct
import time
from pathlib import Path
from types import TracebackType

_ALL_PROTOCOLS = 3  # ETH_P_ALL
_BUFFER_BYTES = 32 << 20
_SO_RCVBUFFORCE = 33  # <asm/socket.h>; Python's socket module does not name it
_RECEIVE_BYTES = 65_536
_IFF_UP = 1
_SIOCGIFFLAGS = 0x8913
_SOL_PACKET, _PACKET_STATISTICS = 263, 6  # <linux/if_packet.h>


class LinkError(RuntimeError):
    """An interface cannot be used; the message has the remedy. Nothing was sent."""


def default_route_interfaces() -> set[str]:
    """Interfaces that IPv4's default route of this network namespace goes through."""
    lines = Path("/proc/net/route").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {words[0] for words in fields if words[1] == words[7] == "00000000"}


def own_networks() -> list[ipaddress.IPv4Network]:
    """The addresses that this network namespace's kernel holds: it would reset their connections."""
    # not by bind(): a namespace without any route lets every address be bound
    return parse_own_networks(Path("/proc/net/fib_trie").read_text())


def parse_own_networks(fib_trie: str) -> list[ipaddress.IPv4Network]:
    """Of /proc/net/fib_trie."""
    found = []
    address = ""
    for line in fib_trie.splitlines():
        match line.split():
            case ["|--", address]:
                pass
            case [bits, "host", "LOCAL"]:
                found.append(ipaddress.IPv4Network(f"{address}{bits}"))
    return sorted(set(found))


class Link:
    """Sends and receives frames on an interface. Frames for other hosts are not received.

    Raises:
        LinkError: there is no such interface, it is down, or the right to use it is missing.
    """

    def __init__(self, interface: str) -> None:
        self.interface = interface
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except PermissionError:
            raise LinkError(f"{interface} needs root or the capability NET_RAW; run it with sudo") from None
        try:
            self._open()
        except BaseException:
            self._socket.close()
            raise

    def _open(self) -> None:
        self._enlarge()
        try:
            self._socket.bind((self.interface, _ALL_PROTOCOLS))
            up = self._flags() & _IFF_UP
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            raise LinkError(
                f"there is no interface {self.interface}; give one that `ip link` shows"
            ) from None
        if not up:
            raise LinkError(f"{self.interface} is down; run `ip link set {self.interface} up`")
        mac: bytes = self._socket.getsockname()[4]
        self.mac = mac.hex(":")
        self._socket.setblocking(False)

    def _flags(self) -> int:
        # not /sys: it shows the network namespace in which it was mounted
        request = struct.pack("16sH14x", self.interface.encode(), 0)
        answer = fcntl.ioctl(self._socket, _SIOCGIFFLAGS, request)
        return int(struct.unpack_from("H", answer, 16)[0])

    def _enlarge(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)

    def send(self, frame: bytes) -> None:
        """Sends a frame; waits for room in the interface's queue."""
        while True:
            try:
                self._socket.send(frame)
                return
            except (BlockingIOError, OSError) as error:
                if not isinstance(error, BlockingIOError) and error.errno != errno.ENOBUFS:
                    raise LinkError(f"{self.interface} sends no more: {error}") from None
                select.select([], [self._socket], [], 0.01)

    def receive(self, wait_s: float, *, also_sent: bool = False) -> bytes | None:
        """The next frame for this host (or, with `also_sent`, from it); None: none came in time."""
        deadline = time.monotonic() + wait_s
        while True:
            try:
                frame, where = self._socket.recvfrom(_RECEIVE_BYTES)
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([self._socket], [], [], left)[0]:
                    return None
                continue
            except OSError as error:
                raise LinkError(f"{self.interface} receives no more: {error}") from None
            if where[2] == socket.PACKET_OTHERHOST or (where[2] == socket.PACKET_OUTGOING and not also_sent):
                continue
            return frame

    def missed(self) -> int:
        """Frames since the last call that came faster than they were received."""
        _, missed = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        return int(missed)

    def close(self) -> None:
        """Ends it."""
        self._socket.close()

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
