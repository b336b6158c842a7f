# SPDX-License-Identifier: Apache-2.0
"""A script: which clients send what to which frontends, in which order. The same seed, the same packets."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

T = TypeVar("T")

SYN, ACK, DATA, FIN, RST = "syn", "ack", "data", "fin", "rst"
WORDS = {
    SYN: (SYN,),
    ACK: (ACK,),
    DATA: (DATA,),
    FIN: (FIN,),
    RST: (RST,),
    "handshake": (SYN, ACK),
}
PACKETS_MAX = 65_535  # of one connection: the IPv4 identification numbers them
CONNECTIONS_MAX = 1_000_000
PAYLOAD_BYTES_MAX = 1_400

_WORD = re.compile(r"([a-z]+)(?:\*(\d{1,5}))?")
_SPREADS = ("random", "sequential")


class ScriptError(ValueError):
    """A script is wrong; the message says where and what to write instead. Nothing was sent."""


@dataclass(frozen=True, order=True)
class Frontend:
    """Where clients connect to."""

    protocol: str  # tcp or udp
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.protocol}:{self.address}:{self.port}"


@dataclass(frozen=True)
class Group:
    """Connections of one kind. `clients` is the first address and how many follow it."""

    frontends: tuple[Frontend, ...]
    steps: tuple[str, ...]
    clients: tuple[int, int]
    ports: range
    connections: int = 1
    payload_bytes: int = 64
    text: str = ""
    spread: str = "random"


@dataclass(frozen=True)
class Script:
    """Groups of connections, and the order and pace of their packets.

    `rate` is packets a second; `at_once` is how many connections take turns, 0: all.
    """

    groups: tuple[Group, ...]
    seed: int = 1
    rate: int = 1000
    at_once: int = 0

    @property
    def packet_cnt(self) -> int:
        """Packets of the whole script."""
        return sum(group.connections * len(group.steps) for group in self.groups)


@dataclass(frozen=True)
class Connection:
    """One connection of a script: who, where to, what, and the numbers it starts with."""

    number: int
    address: str
    port: int
    frontend: Frontend
    steps: tuple[str, ...]
    payload_bytes: int
    text: str
    first_sequence: int
    peer_sequence: int  # what is acknowledged while no server has answered


class _Dice:
    """The script's only chance: random() is the one method whose numbers Python keeps for ever."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, limit: int) -> int:
        return int(self._random.random() * limit)


def connections(script: Script) -> list[Connection]:
    """All connections, in the order in which they open. No two have the same 5-tuple.

    Raises:
        ScriptError: a group has more connections than client addresses and ports.
    """
    dice = _Dice(script.seed)
    used: set[tuple[int, int, Frontend]] = set()
    found: list[Connection] = []
    for group in script.groups:
        for address, port, frontend in _tuples(group, dice, used):
            found.append(
                Connection(
                    number=len(found),
                    address=str(ipaddress.IPv4Address(address)),
                    port=port,
                    frontend=frontend,
                    steps=group.steps,
                    payload_bytes=group.payload_bytes,
                    text=group.text,
                    first_sequence=dice.below(1 << 32),
                    peer_sequence=dice.below(1 << 32),
                )
            )
    return found


def _tuples(
    group: Group, dice: _Dice, used: set[tuple[int, int, Frontend]]
) -> Iterator[tuple[int, int, Frontend]]:
    """Client address, port and frontend of each connection; frontends take turns."""
    first, address_cnt = group.clients
    room = address_cnt * len(group.ports)
    for number in range(group.connections):
        frontend = group.frontends[number % len(group.frontends)]
        start = dice.below(room) if group.spread == "random" else number // len(group.frontends)
        for step in range(room):
            place = (start + step) % room
            found = (first + place % address_cnt, group.ports[place // address_cnt], frontend)
            if found not in used:
                break
        else:
            raise ScriptError(
                f"{frontend} has more connections than its {room} client addresses and ports; "
                "give wider clients or ports"
            )
        used.add(found)
        yield found


def order(script: Script, everyone: list[Connection]) -> Iterator[tuple[Connection, int]]:
    """Each packet's connection and its number there, from 0: `at_once` connections take random turns."""
    dice = _Dice(script.seed + 1)
    waiting = iter(everyone)
    active: list[list[Any]] = []
    limit = script.at_once or len(everyone)
    while True:
        while len(active) < limit and (fresh := next(waiting, None)) is not None:
            active.append([fresh, 0])
        if not active:
            return
        chosen = dice.below(len(active))
        connection, at = active[chosen]
        yield connection, at
        active[chosen][1] += 1
        if at + 1 == len(connection.steps):
            del active[chosen]


# ---- reading


def load(path: Path) -> Script:
    """Reads a script.

    Raises:
        ScriptError: it is not one; the message has file, line and key.
        OSError: it cannot be read.
    """
    try:
        found = YAML().load(path.read_text())
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScriptError(f"{path}:{line}: is not YAML: {error.problem or error.context}") from None
    if not isinstance(found, CommentedMap):
        raise ScriptError(f"{path}:1: is not a script: write `groups:` and below it what clients send")
    return _Reader(str(path)).script(found)


def frontend(value: object) -> Frontend:
    """Reads tcp:198.18.100.1:80."""
    match str(value).split(":"):
        case ["tcp" | "udp" as protocol, address, port]:
            return Frontend(protocol, str(ipaddress.IPv4Address(address)), _port(port))
    raise ValueError(f"{value!r} is not PROTOCOL:ADDRESS:PORT, as tcp:198.18.100.1:80")


def steps(value: object) -> tuple[str, ...]:
    """Reads `handshake data*3 fin`."""
    found: list[str] = []
    for word in str(value).split():
        match = _WORD.fullmatch(word)
        if not match or match[1] not in WORDS:
            raise ValueError(f"{word!r} is no packet; write {', '.join(WORDS)}, or data*3")
        found += WORDS[match[1]] * int(match[2] or 1)
    if not 1 <= len(found) <= PACKETS_MAX:
        raise ValueError(f"a connection has 1 to {PACKETS_MAX} packets, not {len(found)}")
    return tuple(found)


def clients(value: object) -> tuple[int, int]:
    """Reads 198.18.0.64/26 or 198.18.0.70: first address, number of addresses.

    A network's first and last address are nobody's.
    """
    try:
        network = ipaddress.IPv4Network(str(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not an address or a network, as 198.18.0.64/26: {error}") from None
    first, count = int(network.network_address), network.num_addresses
    return (first + 1, count - 2) if network.prefixlen < 31 else (first, count)


def ports(value: object) -> range:
    """Reads 40000-49999 or 40000."""
    first, _, last = str(value).partition("-")
    found = range(_port(first), _port(last or first) + 1)
    if not found:
        raise ValueError(f"{value!r} ends before it begins; write the lower port first")
    return found


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def _number(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
        return int(value)

    return read


def _spread(value: object) -> str:
    if value not in _SPREADS:
        raise ValueError(f"{value!r} is no spread; write {' or '.join(_SPREADS)}")
    return str(value)


def _text(value: object) -> str:
    text = str(value)
    if len(text.encode()) > PAYLOAD_BYTES_MAX:
        raise ValueError(f"has {len(text.encode())} bytes; {PAYLOAD_BYTES_MAX} bytes are the most")
    return text


def _frontends(value: object) -> tuple[Frontend, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError("is empty; list at least one, as tcp:198.18.100.1:80")
    return tuple(frontend(item) for item in listed)


_SHARED: dict[str, Callable[[object], Any]] = {
    "clients": clients,
    "ports": ports,
    "spread": _spread,
    "payload_bytes": _number(0, PAYLOAD_BYTES_MAX),
    "text": _text,
}
_TOP: dict[str, Callable[[object], Any]] = {
    **_SHARED,
    "seed": _number(0, 2**63 - 1),
    "rate": _number(1, 10_000_000),
    "at_once": _number(0, CONNECTIONS_MAX),
}
_GROUP: dict[str, Callable[[object], Any]] = {
    **_SHARED,
    "frontends": _frontends,
    "packets": steps,
    "connections": _number(1, CONNECTIONS_MAX),
}
_GROUP_MUST = ("frontends", "packets", "clients")


class _Reader:
    """Turns YAML into a script; knows where each key stands."""

    def __init__(self, path: str) -> None:
        self._path = path

    def script(self, found: CommentedMap) -> Script:
        groups = found.get("groups")
        top = self._values(found, _TOP, "", but="groups")
        if not isinstance(groups, CommentedSeq) or not groups:
            raise self._wrong(found, "groups", "groups", "lists what clients send; write at least one group")
        shared = {key: top.pop(key) for key in _SHARED if key in top}
        read = tuple(self._group(group, f"groups[{at}]", shared) for at, group in enumerate(groups))
        script = Script(groups=read, **top)
        if (total := sum(group.connections for group in read)) > CONNECTIONS_MAX:
            raise self._wrong(
                found, "groups", "groups", f"have {total} connections; {CONNECTIONS_MAX} are the most"
            )
        return script

    def _group(self, found: object, where: str, shared: dict[str, Any]) -> Group:
        if not isinstance(found, CommentedMap):
            raise ScriptError(f"{self._path}: {where} is not a group; write `- frontends: ...`")
        values = {**shared, **self._values(found, _GROUP, f"{where}.")}
        for key in _GROUP_MUST:
            if key not in values:
                raise self._wrong(found, None, f"{where}.{key}", "is missing")
        group = Group(steps=values.pop("packets"), **{"ports": range(20000, 60000), **values})
        only_data = all(step == DATA for step in group.steps)
        if any(each.protocol == "udp" for each in group.frontends) and not only_data:
            raise self._wrong(found, "packets", f"{where}.packets", "UDP has only data; write data or data*3")
        return group if not group.text else replace(group, payload_bytes=len(group.text.encode()))

    def _values(
        self, found: CommentedMap, known: dict[str, Callable[[object], Any]], where: str, but: str = ""
    ) -> dict[str, Any]:
        values = {}
        for key, value in found.items():
            if key == but:
                continue
            if key not in known:
                raise self._wrong(
                    found, key, f"{where}{key}", f"is not known; known are {', '.join(sorted(known))}"
                )
            try:
                values[key] = known[key](value)
            except ValueError as error:
                raise self._wrong(found, key, f"{where}{key}", str(error)) from None
        return values

    def _wrong(self, found: CommentedMap, key: object, where: str, what: str) -> ScriptError:
        line = found.lc.key(key)[0] if key in found else found.lc.line
        return ScriptError(f"{self._path}:{line + 1}: {where}: {what}")
