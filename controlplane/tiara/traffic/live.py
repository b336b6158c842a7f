# SPDX-License-Identifier: Apache-2.0
"""Clients of a script on an interface: they ask for their VIPs by ARP, send, and heed the answers.

The kernel must not hold a client's address: it would reset connections that it does not know.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from tiara.traffic import packets, wire
from tiara.traffic import script as scripts
from tiara.traffic.link import Link, LinkError, own_networks
from tiara.traffic.packets import Client, Macs
from tiara.traffic.script import Connection, Script

ARP_TRIES = 5
ARP_WAIT_S = 0.3
ANSWER_WAIT_S = 0.3
LINGER_S = 0.5
_CLOSE_S = 0.000_2  # nearer to its time than this, a packet goes out


@dataclass
class Outcome:
    """What a run sent and heard."""

    planned: int
    sent: int
    connections: int
    answered: int  # connections with at least one packet from the server
    resets: int
    heard: int  # packets from servers
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Run:
    """One run of a script on an interface.

    `keep` gets each sent frame with its time in ns since 1970. `wait_for_answers` off: an ACK does
    not wait for the SYN's answer.
    """

    def __init__(
        self,
        script: Script,
        link: Link,
        to: str,
        keep: Callable[[int, bytes], None],
        wait_for_answers: bool = True,
    ) -> None:
        self._script = script
        self._link = link
        self._keep = keep
        self._wait = wait_for_answers
        self._connections = scripts.connections(script)
        self._clients = [Client(connection) for connection in self._connections]
        self._by_answer = {_answer_key(client.connection): client for client in self._clients}
        self._ours = {connection.address for connection in self._connections}
        self._heard = 0
        self._check_addresses()
        self._macs = self._resolve(to)

    def go(self, seconds: float, count: int, is_stopping: Callable[[], bool]) -> Outcome:
        """Sends at the script's pace until it, the time or the count is over, or is_stopping says so."""
        started = time.monotonic()
        sent = 0
        for connection, at in scripts.order(self._script, self._connections):
            due = started + sent / self._script.rate
            if is_stopping() or sent == count or max(due, time.monotonic()) - started > seconds:
                break
            client = self._clients[connection.number]
            self._listen_until(due)
            self._await_handshake(client, at)
            frame = client.frame(at, self._macs)
            self._link.send(frame)
            self._keep(time.time_ns(), frame)
            sent += 1
        ended = time.monotonic()
        self._listen_until(ended + LINGER_S)
        return Outcome(
            planned=self._script.packet_cnt,
            sent=sent,
            connections=len(self._clients),
            answered=sum(client.answers > 0 for client in self._clients),
            resets=sum(client.is_reset for client in self._clients),
            heard=self._heard,
            seconds=round(ended - started, 3),
        )

    def _check_addresses(self) -> None:
        networks = own_networks()
        for address in sorted(self._ours):
            if any(ipaddress.IPv4Address(address) in network for network in networks):
                raise LinkError(
                    f"the client address {address} is this host's own, whose kernel would reset its "
                    "connections; give clients addresses that nobody has"
                )

    # ---- ARP

    def _resolve(self, to: str) -> Macs:
        """Where frames go: to the MAC or the next hop that was given, else to each VIP's own MAC."""
        if ":" in to:
            return Macs(self._link.mac, to)
        if to:
            return Macs(self._link.mac, self._ask(to))
        vips = {connection.frontend.address for connection in self._connections}
        return Macs(self._link.mac, by_vip={vip: self._ask(vip) for vip in sorted(vips)})

    def _ask(self, address: str) -> str:
        question = packets.arp_question(self._link.mac, self._connections[0].address, address)
        for _ in range(ARP_TRIES):
            self._link.send(question)
            deadline = time.monotonic() + ARP_WAIT_S
            while (left := deadline - time.monotonic()) > 0:
                frame = self._link.receive(left)
                if frame is None or wire.ethertype(frame) != wire.ETHERTYPE_ARP:
                    continue
                if found := packets.arp_found(frame, address):
                    return found
                self._answer_arp(frame)
        raise LinkError(
            f"nobody on {self._link.interface} answers ARP for {address}; start the balancer, "
            "or give the next hop: --to ADDRESS or --to MAC"
        )

    def _answer_arp(self, frame: bytes) -> None:
        if answer := packets.arp_answer(self._link.mac, frame, self._ours):
            self._link.send(answer)

    # ---- answers

    def _listen_until(self, deadline: float) -> None:
        """Takes what comes; at least what is there already."""
        while True:
            left = deadline - time.monotonic()
            frame = self._link.receive(left if left > _CLOSE_S else 0)
            if frame is not None:
                self._hear(frame)
            elif time.monotonic() >= deadline - _CLOSE_S:
                return

    def _await_handshake(self, client: Client, at: int) -> None:
        """Before an ACK that follows a SYN: until the server's answer is there, for a while."""
        steps = client.connection.steps
        if not self._wait or at == 0 or steps[at - 1 : at + 1] != (scripts.SYN, scripts.ACK):
            return
        deadline = time.monotonic() + ANSWER_WAIT_S
        while not client.answers and (left := deadline - time.monotonic()) > 0:
            frame = self._link.receive(left)
            if frame is not None:
                self._hear(frame)

    def _hear(self, frame: bytes) -> None:
        if wire.ethertype(frame) == wire.ETHERTYPE_ARP:
            self._answer_arp(frame)
            return
        for segment in wire.segments(frame):
            client = self._by_answer.get(segment.key)
            if client is not None:
                client.hear(segment)
                self._heard += 1


def _answer_key(connection: Connection) -> wire.Key:
    """The key of what the server sends to this connection's client."""
    frontend = connection.frontend
    return wire.Key(frontend.protocol, frontend.address, frontend.port, connection.address, connection.port)
