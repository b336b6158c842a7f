# SPDX-License-Identifier: Apache-2.0
"""Holds connections open and watches them: runs as its own process in the client's namespace.

Each flow sends a numbered request every PACE_S and checks in each answer the number and the server's
id, which must stay what it was at first. A TCP flow's request is an HTTP GET on a kept connection,
sent whether or not the one before has been answered; a UDP flow's is a datagram. A flow is broken by a
reset, an end of file, another server's id, a wrong number, or no answer for SILENCE_S. A lost datagram
is not a broken flow: the next number follows anyway.

Commands come as JSON lines on stdin, `{"do": NAME, ...}`; each is answered by one JSON line on stdout.
The traffic goes on meanwhile. It ends when stdin does.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import select
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PACE_S = 0.185
SILENCE_S = float(os.environ.get("TIARA_TESTBED_SILENCE_S", "5"))
OPEN_AT_ONCE = 64
OPEN_FILES = 16384
OPEN_WAIT_S = 8.0
ASK_AGAIN_S = 0.25
TURN_S = 0.003


class Broken(Exception):
    """Why a flow does not live any more."""


class Flow:
    """One held flow. `outstanding` has the number and the time of each request without an answer."""

    __slots__ = (
        "alive",
        "buffer",
        "name",
        "number",
        "opened_s",
        "outstanding",
        "port",
        "protocol",
        "server",
        "sock",
    )

    def __init__(self, sock: socket.socket, protocol: str, port: int) -> None:
        self.sock = sock
        self.protocol = protocol
        self.port = port
        self.name = f"{protocol} {sock.getsockname()[0]}:{port}"
        self.server = ""
        self.number = 0
        self.outstanding: deque[tuple[int, float]] = deque()
        self.buffer = b""
        self.alive = True
        self.opened_s = time.monotonic()

    def send(self, now: float) -> None:
        """Sends the next number."""
        self.number += 1
        number = self.number
        data = b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n" if self.protocol == "tcp" else b"%d"
        self.outstanding.append((number, now))
        try:
            self.sock.send(data % number)
        except BlockingIOError:
            raise Broken("send buffer full") from None
        except OSError as error:
            self._lost(error)

    def receive(self) -> list[tuple[str, int]]:
        """The answers that have come: server and number each."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return []
        except OSError as error:
            self._lost(error)
            return []
        if self.protocol == "udp":
            return [_parse(data)]
        if not data:
            raise Broken("end of file")
        return self._split(data)

    def _lost(self, error: OSError) -> None:
        # An ICMP error is a lost datagram: the server's UDP port may be closed for a while.
        if self.protocol == "tcp" or error.errno not in (errno.ECONNREFUSED, errno.EHOSTUNREACH):
            raise Broken((os.strerror(error.errno or 0)).lower())

    def _split(self, data: bytes) -> list[tuple[str, int]]:
        data = self.buffer + data
        answers = []
        while (head := data.find(b"\r\n\r\n")) >= 0 and (end := data.find(b"\n", head + 4)) >= 0:
            answers.append(_parse(data[head + 4 : end]))
            data = data[end + 1 :]
        self.buffer = data
        return answers


def _parse(body: bytes) -> tuple[str, int]:
    """`b1 /17` or `b1 17`."""
    try:
        server, number = body.split()
        return server.decode(), int(number.lstrip(b"/"))
    except ValueError:
        raise Broken(f"answer {body[:40]!r}") from None


@dataclass
class Step:
    """What was seen since the last report."""

    requests: int = 0
    longest_gap_s: float = 0.0
    longest_pause_s: float = 0.0
    lost_datagrams: int = 0
    moved: int = 0
    broken: list[dict[str, str]] = field(default_factory=list)


class Holder:
    """All flows and the loop that drives them."""

    def __init__(self) -> None:
        self.flows: dict[int, Flow] = {}
        self.ring: list[Flow] = []
        self.may_move: set[str] = set()
        self.step = Step()
        self.poll = select.epoll()
        self.position = 0
        self.cycle_s = 0.0
        self.commands = b""
        self.running = True
        self.open_wait_s = OPEN_WAIT_S

    # ---- the loop

    def run(self) -> None:
        """Drives the traffic until stdin ends."""
        os.set_blocking(0, False)
        self.poll.register(0, select.EPOLLIN)
        while self.running:
            if self._turn():
                self._command()

    def _turn(self) -> bool:
        """Sends what is due, takes what has come. True: there are commands."""
        now = time.monotonic()
        self._send_due(now)
        commands = False
        for fileno, events in self.poll.poll(TURN_S):
            if fileno == 0:
                commands = True
            elif (flow := self.flows.get(fileno)) is not None:
                self._event(flow, events, time.monotonic())
        return commands

    def _send_due(self, now: float) -> None:
        """Walks the ring: one round takes PACE_S, each flow has its place in it."""
        count = len(self.ring)
        if count == 0:
            return
        if self.position == count:
            late = now - self.cycle_s
            if late < PACE_S:
                return
            self.step.longest_pause_s = max(self.step.longest_pause_s, late)
            self._start_cycle(now if late > 2 * PACE_S else self.cycle_s + PACE_S)
            count = len(self.ring)
        due = min(count, int((now - self.cycle_s) / PACE_S * count) + 1)
        for flow in self.ring[self.position : due]:
            if flow.alive:
                self._send(flow, now)
        self.position = max(self.position, due)

    def _start_cycle(self, now: float) -> None:
        self.ring = [flow for flow in self.ring if flow.alive]
        self.position = 0
        self.cycle_s = now

    def _send(self, flow: Flow, now: float) -> None:
        try:
            if flow.outstanding and now - flow.outstanding[0][1] > SILENCE_S:
                raise Broken(f"no answer for {SILENCE_S:.0f} s")
            flow.send(now)
        except Broken as reason:
            self._break(flow, str(reason))

    def _event(self, flow: Flow, events: int, now: float) -> None:
        try:
            if events & select.EPOLLOUT:
                self.poll.modify(flow.sock.fileno(), select.EPOLLIN)
                flow.send(now)
            for server, number in flow.receive():
                self._answer(flow, server, number, now)
        except Broken as reason:
            self._break(flow, str(reason))

    def _answer(self, flow: Flow, server: str, number: int, now: float) -> None:
        waiting = flow.outstanding
        if not waiting or number < waiting[0][0]:
            return
        if server != flow.server and flow.server:
            self._move(flow, server)
        flow.server = server
        step = self.step
        step.longest_gap_s = max(step.longest_gap_s, now - waiting[0][1])
        while waiting[0][0] < number:
            if flow.protocol == "tcp":
                raise Broken(f"answer {number} in place of {waiting[0][0]}")
            waiting.popleft()
            step.lost_datagrams += 1
        waiting.popleft()
        step.requests += 1

    def _move(self, flow: Flow, server: str) -> None:
        if flow.protocol == "tcp" or flow.server not in self.may_move:
            raise Broken(f"answered by {server}, held by {flow.server}")
        self.step.moved += 1

    def _break(self, flow: Flow, reason: str) -> None:
        if flow.server:
            self.step.broken.append({"flow": flow.name, "server": flow.server, "reason": reason})
        self._end(flow)

    def _end(self, flow: Flow) -> None:
        if flow.alive:
            flow.alive = False
            del self.flows[flow.sock.fileno()]
            flow.sock.close()

    # ---- commands

    def _command(self) -> None:
        data = os.read(0, 65536)
        self.running = bool(data)
        *lines, self.commands = (self.commands + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            do: Callable[..., dict[str, Any]] = getattr(self, f"do_{request.pop('do')}")
            try:
                answer = do(**request)
            except OSError as error:
                answer = {"error": str(error)}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()

    def do_open(self, protocol: str, address: str, port: int, client_ports: list[int]) -> dict[str, Any]:
        """Opens flows and holds them; answers when each has had its first answer."""
        opened = self._open_all(protocol, (address, port), client_ports, hold=True)
        self.ring += opened
        return {"share": Counter(flow.server for flow in opened), "failed": len(client_ports) - len(opened)}

    def do_probe(
        self, protocol: str, address: str, port: int, client_ports: list[int], wait_s: float
    ) -> dict[str, Any]:
        """Opens flows, asks once, closes; says which server each client port met within wait_s."""
        self.open_wait_s = wait_s
        opened = self._open_all(protocol, (address, port), client_ports, hold=False)
        self.open_wait_s = OPEN_WAIT_S
        return {"servers": {str(flow.port): flow.server for flow in opened}}

    def do_ask(self, client_port: int, targets: list[tuple[str, int]], times: int) -> dict[str, Any]:
        """Asks many UDP services from one client port; says who answered, "" where nobody did."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            sock.bind(("", client_port))
            met: dict[tuple[str, int], str] = {}
            for _ in range(times):
                silent = [target for each in targets if (target := (each[0], each[1])) not in met]
                for position, target in enumerate(silent):
                    sock.sendto(b"%d" % position, target)
                    if position % OPEN_AT_ONCE == 0:
                        self._turn()
                        met |= _received(sock)
                until = time.monotonic() + ASK_AGAIN_S
                while time.monotonic() < until and len(met) < len(targets):
                    self._turn()
                    met |= _received(sock)
        return {"servers": [met.get((each[0], each[1]), "") for each in targets]}

    def do_allow_move(self, servers: list[str]) -> dict[str, Any]:
        """From now on UDP flows of these servers may go elsewhere, once each time."""
        self.may_move = set(servers)
        return {}

    def do_close(self) -> dict[str, Any]:
        """Ends all held flows; none of them counts as broken."""
        closed = list(self.flows.values())
        for flow in closed:
            self._end(flow)
        return {"closed": len(closed)}

    def do_stay(self) -> dict[str, Any]:
        """Goes on without commands, until the process is ended."""
        self.poll.unregister(0)
        return {}

    def do_waiting(self) -> dict[str, Any]:
        """How long the oldest request of a held flow has waited for its answer."""
        return {"oldest_ms": round(self._oldest_s() * 1000)}

    def _oldest_s(self) -> float:
        now = time.monotonic()
        return max(
            (now - flow.outstanding[0][1] for flow in self.flows.values() if flow.outstanding), default=0.0
        )

    def do_report(self) -> dict[str, Any]:
        """What was seen since the last report, and starts anew."""
        step, self.step = self.step, Step()
        live = list(self.flows.values())
        longest_gap_s = max(step.longest_gap_s, self._oldest_s())
        return {
            "held_tcp": sum(flow.protocol == "tcp" for flow in live),
            "held_udp": sum(flow.protocol == "udp" for flow in live),
            "requests": step.requests,
            "longest_gap_ms": round(longest_gap_s * 1000),
            "longest_pause_ms": round(step.longest_pause_s * 1000),
            "lost_datagrams": step.lost_datagrams,
            "moved": step.moved,
            "broken": step.broken,
        }

    def do_share(self) -> dict[str, Any]:
        """Held flows of each server by protocol, and the client port of a TCP one."""
        live = list(self.flows.values())
        share = {kind: Counter(f.server for f in live if f.protocol == kind) for kind in ("tcp", "udp")}
        return {**share, "tcp_port": min((f.port for f in live if f.protocol == "tcp"), default=0)}

    # ---- opening

    def _open_all(
        self, protocol: str, target: tuple[str, int], client_ports: list[int], hold: bool
    ) -> list[Flow]:
        """Opens flows, OPEN_AT_ONCE at a time, beside the held traffic; returns those that had an answer."""
        todo = deque(client_ports)
        opened: list[Flow] = []
        opening: list[Flow] = []
        while todo or opening:
            while todo and len(opening) < OPEN_AT_ONCE:
                opening.append(self._begin(protocol, target, todo.popleft()))
            self._turn()
            answered = [flow for flow in opening if flow.server]
            opened += answered
            for flow in answered:
                if not hold:
                    self._end(flow)
            opening = [flow for flow in opening if flow.alive and not flow.server]
            for flow in opening:
                self._urge(flow, time.monotonic())
        return opened

    def _begin(self, protocol: str, target: tuple[str, int], port: int) -> Flow:
        flow = Flow(_connect(protocol, target, port), protocol, port)
        self.flows[flow.sock.fileno()] = flow
        self.poll.register(flow.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
        return flow

    def _urge(self, flow: Flow, now: float) -> None:
        """Asks a UDP flow's first question again, gives a flow up that never answers."""
        if now - flow.opened_s > self.open_wait_s:
            self._end(flow)
        elif flow.protocol == "udp" and flow.outstanding and now - flow.outstanding[-1][1] > ASK_AGAIN_S:
            self._send(flow, now)


def _received(sock: socket.socket) -> dict[tuple[str, int], str]:
    """Who answered at each address."""
    met = {}
    try:
        while True:
            data, source = sock.recvfrom(2048)
            met[source] = _parse(data)[0]
    except BlockingIOError:
        return met


def _connect(protocol: str, target: tuple[str, int], port: int) -> socket.socket:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)
    sock.bind(("", port))
    sock.connect_ex(target)
    return sock


def main() -> None:
    """The process: reads commands until stdin ends."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    Holder().run()


if __name__ == "__main__":
    main()
