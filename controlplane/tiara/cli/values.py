# SPDX-License-Identifier: Apache-2.0
"""How values are written and read: names, durations, numbers, endpoints."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast

import click
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tiara import client
from tiara.v1 import connection_pb2, virtual_service_pb2

T = TypeVar("T")

_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")

_PROTOCOL_TEXT = {virtual_service_pb2.PROTOCOL_TCP: "tcp", virtual_service_pb2.PROTOCOL_UDP: "udp"}
PROTOCOLS = {text: value for value, text in _PROTOCOL_TEXT.items()}

STATES = {
    "new": connection_pb2.CONNECTION_STATE_NEW,
    "established": connection_pb2.CONNECTION_STATE_ESTABLISHED,
    "closing": connection_pb2.CONNECTION_STATE_CLOSING,
    "udp": connection_pb2.CONNECTION_STATE_UDP,
}
_STATE_TEXT = {value: text for text, value in STATES.items()}


class Parsed(click.ParamType[T]):
    """An argument read by a function that raises ValueError with a message for its user."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Reads one; what a program passed in already read stays as it is."""
        if not isinstance(value, str):
            return cast(T, value)
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_duration(text: str) -> timedelta:
    """Reads 30s, 500ms, 1m30s, 2h; a number without a unit is refused."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration with its unit, as 30s, 500ms or 1m30s")
    parts = _DURATION_PART.findall(text)
    return timedelta(seconds=sum(float(number) * _UNIT_S[unit] for number, unit in parts))


def parse_backend(text: str) -> str:
    """Reads POOL/NAME into the API's name of that backend."""
    pool, slash, name = text.partition("/")
    if not (pool and slash and name) or "/" in name:
        raise ValueError(f"{text!r} is not POOL/NAME, as web/b1")
    return client.backend_name(pool, name)


PORT = click.IntRange(1, 65535)
DURATION = Parsed("duration", parse_duration)
FRONTEND = Parsed("protocol:address:port", client.parse_frontend)
ENDPOINT = Parsed("address:port", client.parse_endpoint)
BACKEND = Parsed("pool/name", parse_backend)


def sources(given: tuple[str, ...]) -> tuple[str, ...]:
    """Prefixes; "all" alone is the list that is empty."""
    return () if given == ("all",) else given


def short(name: str) -> str:
    """The API's name without its collections: web, web/b1."""
    return "/".join(name.split("/")[1::2])


_KIND = {"backendPools": "pool", "backends": "backend", "virtualServices": "service", "nodes": "node"}


def titled(name: str) -> str:
    """With its kind, as commands have it: backend web/b1."""
    collections = name.split("/")[::2]
    return f"{_KIND.get(collections[-1], collections[-1])} {short(name)}"


def parse_resource(text: str) -> str:
    """Reads the API's name of a resource; POOL/NAME is a backend's."""
    parts = text.split("/")
    if not all(parts) or len(parts) == 1 or (parts[0] not in _KIND and len(parts) != 2):
        wanted = "backendPools/web, virtualServices/web, or web/b1 for a backend"
        raise ValueError(f"{text!r} is no resource's name, as {wanted}")
    return text if parts[0] in _KIND else parse_backend(text)


RESOURCE = Parsed("resource", parse_resource)


def to_duration(value: timedelta) -> Duration:
    """For a request."""
    duration = Duration()
    duration.FromTimedelta(value)
    return duration


def duration(value: Duration | timedelta) -> str:
    """As 1m30s, 2h or 500ms: rounded down to seconds from one second on."""
    delta = value if isinstance(value, timedelta) else value.ToTimedelta()
    seconds = int(delta.total_seconds())
    if seconds < 1:
        return f"{delta // timedelta(milliseconds=1)}ms" if delta else "0s"
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def count(number: int) -> str:
    """With thousands separated: 231,020."""
    return f"{number:,}"


def size(number: int) -> str:
    """Bytes in binary units: 14.8 MiB."""
    value, units = float(number), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{number} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def share(part: float) -> str:
    """A share of 1 as a percentage: 33.4 %."""
    return f"{100 * part:.1f} %"


def moment(value: Timestamp) -> str:
    """UTC, to the second."""
    return value.ToDatetime(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local_moment(value: Timestamp) -> str:
    """In this machine's zone, to the second."""
    return f"{value.ToDatetime(UTC).astimezone():%Y-%m-%d %H:%M:%S}"


def until(value: Timestamp) -> timedelta:
    """From now; not below zero."""
    return max(value.ToDatetime(UTC) - now(), timedelta())


def now() -> datetime:
    """This moment, with its zone."""
    return datetime.now(UTC)


def protocol(value: "virtual_service_pb2.Protocol.ValueType") -> str:
    """tcp or udp."""
    return _PROTOCOL_TEXT.get(value, "-")


def frontend(value: virtual_service_pb2.Frontend) -> str:
    """As statistics write it: tcp 198.18.100.1:80."""
    return f"{protocol(value.protocol)} {value.address}:{value.port}"


def state(value: "connection_pb2.ConnectionState.ValueType") -> str:
    """As established."""
    return _STATE_TEXT.get(value, "-")
