# SPDX-License-Identifier: Apache-2.0
"""The resources as frozen values. ``validate`` raises ``InvalidField`` with the path inside the value."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from enum import IntEnum, StrEnum

from tiara.domain.checks import (
    check_canonical_prefix,
    check_host,
    check_id,
    check_ipv4,
    check_mac,
    check_path,
    check_range,
)
from tiara.domain.errors import InvalidField
from tiara.domain.names import backend_name, pool_name, service_name
from tiara.domain.selection import SELECTION_ROWS

FRONTENDS_MAX = 256
"""Frontends of one virtual service."""

SOURCES_MAX = 1024
"""Prefixes in the list of sources of one virtual service."""

_UINT32_MAX = 0xFFFFFFFF


class Forwarding(StrEnum):
    """How packets reach a backend. All are direct return: ports are never rewritten."""

    L2 = "l2"
    VXLAN = "vxlan"
    IPIP = "ipip"


class Policy(StrEnum):
    """How a new connection's backend is chosen."""

    MAGLEV = "maglev"
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin"
    RENDEZVOUS = "rendezvous"


class Protocol(IntEnum):
    """Transport protocols by their IANA numbers."""

    TCP = 6
    UDP = 17

    @property
    def label(self) -> str:
        """ "tcp" or "udp"."""
        return self.name.lower()


class Health(StrEnum):
    """What a health check says; UNKNOWN counts as up."""

    UNKNOWN = "unknown"
    UP = "up"
    DOWN = "down"


def make_etag(*desired: object) -> str:
    """A short digest of desired fields; equal fields give equal etags on every node."""
    text = json.dumps(desired, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Vxlan:
    """VXLAN encapsulation (RFC 7348)."""

    vni: int = 1
    port: int = 4789
    inner_mac: str = "02:54:49:41:52:41"

    def validate(self) -> None:
        """Checks every field."""
        check_range("vni", self.vni, 1, 0xFFFFFF)
        check_range("port", self.port, 1, 65535)
        check_mac("inner_mac", self.inner_mac)


STATUS_RANGES_MAX = 16
"""Ranges of expected statuses of one HTTP check."""


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """What an HTTP(S) request asks, and what must come back. Empty ``host``: the backend's address."""

    path: str = "/"
    host: str = ""
    statuses: tuple[tuple[int, int], ...] = ((200, 399),)
    tls: bool = False
    verify: bool = False

    def expects(self, status: int) -> bool:
        """Whether an answer with this status is a success."""
        return any(first <= status <= last for first, last in self.statuses)

    def validate(self) -> None:
        """Checks every field."""
        check_path("path", self.path)
        if self.host:
            check_host("host", self.host)
        if len(self.statuses) > STATUS_RANGES_MAX:
            raise InvalidField("expected_statuses", f"{len(self.statuses)} are more than {STATUS_RANGES_MAX}")
        for i, (first, last) in enumerate(self.statuses):
            check_range(f"expected_statuses[{i}].first", first, 100, 599)
            check_range(f"expected_statuses[{i}].last", last, first, 599)
        if self.verify and not self.tls:
            raise InvalidField("verify", "is for tls only: without it there is no certificate")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A TCP connection is opened to ``port`` and closed; with ``http`` a request is sent over it."""

    port: int
    interval_ms: int = 2000
    timeout_ms: int = 1000
    rise: int = 2
    fall: int = 3
    http: HttpCheck | None = None

    def validate(self) -> None:
        """Checks every field."""
        check_range("http.port" if self.http else "tcp.port", self.port, 1, 65535)
        _inside("http", self.http)
        _check_ms("interval", self.interval_ms, 100, 300_000)
        _check_ms("timeout", self.timeout_ms, 50, 60_000)
        check_range("rise", self.rise, 1, 100)
        check_range("fall", self.fall, 1, 100)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an idle connection is remembered, in seconds."""

    tcp_new: int = 60
    tcp_established: int = 1800
    tcp_closing: int = 60
    udp: int = 120

    def validate(self) -> None:
        """Checks every field."""
        for field in ("tcp_new", "tcp_established", "tcp_closing", "udp"):
            check_range(field, getattr(self, field), 1, 32768)


@dataclass(frozen=True, slots=True)
class SlowStart:
    """A backend that begins to take new connections comes to its whole weight after ``duration_ms``."""

    duration_ms: int

    def validate(self) -> None:
        """Checks every field."""
        _check_ms("duration", self.duration_ms, 1000, 86_400_000)


@dataclass(frozen=True, slots=True)
class Pool:
    """A set of backends that share a forwarding mode, a policy and a health check."""

    id: str
    uid: str
    forwarding: Forwarding
    vxlan: Vxlan | None = None
    policy: Policy = Policy.MAGLEV
    selection_rows: int = 0
    health_check: HealthCheck | None = None
    fail_open: bool = False
    owner: str = ""
    create_ms: int = 0
    revision: int = 0
    source_affinity: bool = False
    slow_start: SlowStart | None = None

    @property
    def name(self) -> str:
        """The resource name."""
        return pool_name(self.id)

    @property
    def etag(self) -> str:
        """Over the desired fields only."""
        vxlan = self.vxlan and (self.vxlan.vni, self.vxlan.port, self.vxlan.inner_mac)
        check = self.health_check
        probe = check and astuple(check)
        ramp = self.slow_start and self.slow_start.duration_ms
        return make_etag(
            self.id,
            self.uid,
            self.forwarding,
            vxlan,
            self.policy,
            self.selection_rows,
            probe,
            self.fail_open,
            self.source_affinity,
            ramp,
        )

    def validate(self) -> None:
        """Checks every field."""
        check_id("id", self.id)
        if self.selection_rows and self.selection_rows not in SELECTION_ROWS:
            known = ", ".join(map(str, SELECTION_ROWS))
            raise InvalidField("selection_rows", f"{self.selection_rows} is none of {known}")
        if self.vxlan and self.forwarding is not Forwarding.VXLAN:
            raise InvalidField("vxlan", "is for the forwarding mode VXLAN only")
        _inside("vxlan", self.vxlan)
        _inside("health_check", self.health_check)
        _inside("slow_start", self.slow_start)


@dataclass(frozen=True, slots=True)
class Drain:
    """No new connections; after ``deadline_ms`` (Unix time, None: never) the others move too."""

    deadline_ms: int | None = None

    def passed(self, now_ms: int) -> bool:
        """True once established connections are moved."""
        return self.deadline_ms is not None and self.deadline_ms <= now_ms


@dataclass(frozen=True, slots=True)
class Backend:
    """A real server."""

    pool: str
    id: str
    uid: str
    address: str
    port: int = 0
    weight: int = 1
    drain: Drain | None = None
    disabled: bool = False
    owner: str = ""
    create_ms: int = 0
    revision: int = 0
    max_connections: int = 0

    @property
    def name(self) -> str:
        """The resource name."""
        return backend_name(self.pool, self.id)

    @property
    def etag(self) -> str:
        """Over the desired fields only: neither health nor a drain nor a disable makes it stale."""
        return make_etag(
            self.pool, self.id, self.uid, self.address, self.port, self.weight, self.max_connections
        )

    def validate(self) -> None:
        """Checks every field. Both forwarding modes are direct return, so ``port`` must be 0."""
        check_id("id", self.id)
        check_ipv4("address", self.address)
        if self.port:
            raise InvalidField(
                "port", f"{self.port} is refused: with direct return the frontend's port is kept"
            )
        check_range("weight", self.weight, 0, 65535)
        check_range("max_connections", self.max_connections, 0, _UINT32_MAX)


@dataclass(frozen=True, slots=True, order=True)
class Frontend:
    """A VIP, a protocol and a port."""

    address: str
    protocol: Protocol
    port: int

    def __str__(self) -> str:
        return f"{self.protocol.label} {self.address}:{self.port}"

    def validate(self) -> None:
        """Checks every field."""
        check_ipv4("address", self.address)
        check_range("port", self.port, 1, 65535)


@dataclass(frozen=True, slots=True)
class VirtualService:
    """What clients connect to."""

    id: str
    uid: str
    frontends: tuple[Frontend, ...]
    pool: str
    timeouts: Timeouts = Timeouts()
    owner: str = ""
    create_ms: int = 0
    revision: int = 0
    allow_sources: tuple[str, ...] = ()
    max_new_connections_per_second: int = 0

    @property
    def name(self) -> str:
        """The resource name."""
        return service_name(self.id)

    @property
    def etag(self) -> str:
        """Over the desired fields only."""
        times = self.timeouts
        return make_etag(
            self.id,
            self.uid,
            [str(frontend) for frontend in self.frontends],
            self.pool,
            (times.tcp_new, times.tcp_established, times.tcp_closing, times.udp),
            self.allow_sources,
            self.max_new_connections_per_second,
        )

    def validate(self) -> None:
        """Checks every field."""
        check_id("id", self.id)
        check_id("backend_pool", self.pool)
        if not self.frontends:
            raise InvalidField("frontends", "at least one is needed")
        if len(self.frontends) > FRONTENDS_MAX:
            raise InvalidField("frontends", f"{len(self.frontends)} are more than {FRONTENDS_MAX}")
        seen: dict[Frontend, int] = {}
        for i, frontend in enumerate(self.frontends):
            _inside(f"frontends[{i}]", frontend)
            if frontend in seen:
                raise InvalidField(f"frontends[{i}]", f"{frontend} is frontends[{seen[frontend]}] already")
            seen[frontend] = i
        _inside("timeouts", self.timeouts)
        self._validate_limits()

    def _validate_limits(self) -> None:
        check_range("max_new_connections_per_second", self.max_new_connections_per_second, 0, _UINT32_MAX)
        if len(self.allow_sources) > SOURCES_MAX:
            raise InvalidField("allow_sources", f"{len(self.allow_sources)} are more than {SOURCES_MAX}")
        seen: dict[str, int] = {}
        for i, prefix in enumerate(self.allow_sources):
            check_canonical_prefix(f"allow_sources[{i}]", prefix)
            if prefix in seen:
                raise InvalidField(
                    f"allow_sources[{i}]", f"{prefix} is allow_sources[{seen[prefix]}] already"
                )
            seen[prefix] = i


Resource = Pool | Backend | VirtualService


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """What is seen of a backend, apart from what is wanted."""

    health: Health = Health.UNKNOWN
    reason: str = ""
    draining: bool = False
    drain_deadline_ms: int | None = None
    drained: bool = False
    disabled: bool = False
    ramp_percent: int = 0


def _check_ms(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidField(field, f"{value / 1000:g} s is not in {low / 1000:g} s to {high / 1000:g} s")


def _inside(
    field: str, value: Vxlan | HealthCheck | HttpCheck | SlowStart | Timeouts | Frontend | None
) -> None:
    if value is None:
        return
    try:
        value.validate()
    except InvalidField as error:
        raise error.under(field) from None
