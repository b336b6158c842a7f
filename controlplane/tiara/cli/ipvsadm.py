# SPDX-License-Identifier: Apache-2.0
"""What `ipvsadm -Sn` prints (see ipvsadm(8)), as values; no more of it is understood than is used."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from tiara import client

NO_OPTION = ""

# Each option's meaning, and whether a word follows it.
_OPTIONS = {
    "-A": ("add-service", False), "--add-service": ("add-service", False),
    "-a": ("add-server", False), "--add-server": ("add-server", False),
    "-t": ("tcp", True), "--tcp-service": ("tcp", True),
    "-u": ("udp", True), "--udp-service": ("udp", True),
    "--sctp-service": ("sctp", True),
    "-f": ("mark", True), "--fwmark-service": ("mark", True),
    "-6": ("ipv6", False), "--ipv6": ("ipv6", False),
    "-s": ("scheduler", True), "--scheduler": ("scheduler", True),
    "-b": ("flags", True), "--sched-flags": ("flags", True),
    "-p": ("persistent", True), "--persistent": ("persistent", True),
    "-M": ("netmask", True), "--netmask": ("netmask", True),
    "--pe": ("pe", True),
    "-o": ("one-packet", False), "--ops": ("one-packet", False),
    "-r": ("server", True), "--real-server": ("server", True),
    "-g": ("gatewaying", False), "--gatewaying": ("gatewaying", False),
    "-i": ("ipip", False), "--ipip": ("ipip", False),
    "-m": ("masquerading", False), "--masquerading": ("masquerading", False),
    "-w": ("weight", True), "--weight": ("weight", True),
    "-x": ("upper", True), "--u-threshold": ("upper", True),
    "-y": ("lower", True), "--l-threshold": ("lower", True),
    "--tun-type": ("tunnel", True),
    "--tun-port": ("tunnel-port", True),
    "--tun-nocsum": ("tunnel-checksum", False), "--tun-csum": ("tunnel-checksum", False),
    "--tun-remcsum": ("tunnel-checksum", False),
}  # fmt: skip


class Unsupported(Exception):
    """Why a line cannot be taken over, as a sentence."""


@dataclass(frozen=True)
class Line:
    """A line of the file; ``number`` counts from 1."""

    number: int
    text: str


@dataclass(frozen=True)
class Server:
    """A real server. ``by_tunnel``: IPIP, else direct return."""

    line: Line
    address: str
    by_tunnel: bool
    weight: int
    most: int
    """Connections it takes, 0: no limit."""
    lower: bool


@dataclass
class Service:
    """A virtual service and its servers, in the file's order. ``lost``: some are not taken over."""

    line: Line
    protocol: str
    address: str
    port: int
    options: dict[str, str]
    servers: list[Server] = field(default_factory=list)
    lost: bool = False


@dataclass(frozen=True)
class Skipped:
    """A line that cannot be taken over, and why."""

    line: Line
    reason: str


@dataclass
class Rules:
    """All of a file."""

    services: list[Service] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def parse(text: str) -> Rules:
    """Reads rules; what cannot be taken over is in ``skipped``."""
    rules, known = Rules(), dict[str, Service | None]()
    for line in _lines(text):
        key = NO_OPTION
        try:
            options = _options(line.text)
            key = _key(options)
            _take(rules, known, line, key, options)
        except Unsupported as error:
            rules.skipped.append(Skipped(line, str(error)))
            if key:
                _lose(known, key)
    return _without_orphans(rules)


def _lose(known: dict[str, Service | None], key: str) -> None:
    service = known.setdefault(key, None)
    if service is not None:
        service.lost = True


def _without_orphans(rules: Rules) -> Rules:
    """A service all of whose servers are left out would only take its clients' packets away."""
    for service in [one for one in rules.services if one.lost and not one.servers]:
        rules.services.remove(service)
        rules.skipped.append(Skipped(service.line, "none of its servers can be taken over"))
    rules.skipped.sort(key=lambda one: one.line.number)
    return rules


def _lines(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield Line(number, line.strip())


def _options(text: str) -> dict[str, str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise Unsupported(f"cannot be read: {error}") from None
    words = words[1:] if words[0].endswith("ipvsadm") else words
    found: dict[str, str] = {}
    while words:
        meaning, takes_word = _meaning(words[0])
        # -p may stand alone.
        has_word = takes_word and len(words) > 1 and not words[1].startswith("-")
        if takes_word and not has_word and meaning != "persistent":
            raise Unsupported(f"{words[0]} needs a value")
        found[meaning] = words[1] if has_word else NO_OPTION
        words = words[2 if has_word else 1 :]
    return found


def _meaning(word: str) -> tuple[str, bool]:
    if word not in _OPTIONS:
        raise Unsupported(f"{word} is not known: wanted is what ipvsadm -Sn prints")
    return _OPTIONS[word]


def _key(options: dict[str, str]) -> str:
    """What names the service in the lines of its servers."""
    for kind in ("tcp", "udp", "sctp", "mark"):
        if kind in options:
            return f"{kind} {options[kind]}"
    raise Unsupported("names no service: -t or -u is missing")


def _take(
    rules: Rules, known: dict[str, Service | None], line: Line, key: str, options: dict[str, str]
) -> None:
    if "add-service" in options:
        if key in known:
            raise Unsupported("this service is there already")
        known[key] = service = _service(line, options)
        rules.services.append(service)
        return
    if "add-server" not in options:
        raise Unsupported("is neither -A nor -a")
    if key not in known:
        raise Unsupported("its service is not in a line above")
    owner = known[key]
    if owner is None:
        raise Unsupported("its service is not taken over")
    owner.servers.append(_server(owner, line, options))


def _service(line: Line, options: dict[str, str]) -> Service:
    if "mark" in options:
        raise Unsupported("firewall marks are not there: services are addresses and ports")
    if "sctp" in options:
        raise Unsupported("SCTP is not there: only TCP and UDP are")
    if "pe" in options:
        raise Unsupported(f"persistence engine {options['pe']} is not there")
    protocol = "tcp" if "tcp" in options else "udp"
    address, port = _endpoint(options[protocol])
    return Service(line, protocol, address, port, options)


def _endpoint(text: str) -> tuple[str, int]:
    if text.startswith("["):
        raise Unsupported("IPv6 is not there yet")
    if text.endswith(":0"):
        raise Unsupported("port 0 (every port) is not there: name each port")
    try:
        return client.parse_endpoint(text)
    except ValueError:
        raise Unsupported(f"{text} is not ADDRESS:PORT in numbers: save with ipvsadm -Sn") from None


def _server(service: Service, line: Line, options: dict[str, str]) -> Server:
    if "masquerading" in options:
        raise Unsupported("NAT (-m) is not there: servers answer by direct return only, -g or -i")
    if options.get("tunnel", "ipip") != "ipip":
        raise Unsupported(f"tunnels by {options['tunnel']} are not there: IPIP is, and VXLAN")
    if "server" not in options:
        raise Unsupported("-r is missing")
    address, port = _endpoint(options["server"])
    if port != service.port:
        raise Unsupported(f"port {port} is not the service's {service.port}: direct return keeps the port")
    if any(server.address == address for server in service.servers):
        raise Unsupported("this server is there already")
    by_tunnel = "ipip" in options
    if any(server.by_tunnel != by_tunnel for server in service.servers):
        raise Unsupported("servers of one service are reached one way: all by -g or all by -i")
    weight, most = _weight(options.get("weight", "1")), _limit(options.get("upper", "0"))
    return Server(line, address, by_tunnel, weight, most, options.get("lower", "0") != "0")


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) > 0xFFFFFFFF:
        raise Unsupported(f"limit {text} is not 0 to 4294967295")
    return int(text)


def _weight(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise Unsupported(f"weight {text} is not 0 to 65535")
    return int(text)
