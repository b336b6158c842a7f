# SPDX-License-Identifier: Apache-2.0
"""What the data plane is to hold: the planner makes these, the native layer writes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from tiara.domain.layout import Forward, Use
from tiara.domain.model import Frontend, Protocol

BackendKey = tuple[str, str, str]
"""(pool, backend, uid in hex)."""

ServiceKey = tuple[str, str, str, int, int]
"""(service, uid in hex, vip, port, protocol number)."""

SourceRanges = tuple[tuple[int, int], ...]
"""(first, last) address numbers, both included: in order, none touching another."""


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """One backend's record."""

    pool: str
    backend: str
    uid: str
    address: str
    use: Use
    forward: Forward
    vni: int = 0
    tunnel_port: int = 0
    inner_mac: str = "00:00:00:00:00:00"
    ramp_tenths: int = 0
    connection_max: int = 0

    @property
    def key(self) -> BackendKey:
        """What identifies the record."""
        return (self.pool, self.backend, self.uid)


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One frontend's record. Timeouts in ticks of 1 s. No sources: all may begin connections."""

    service: str
    uid: str
    vip: str
    protocol: Protocol
    port: int
    tcp_new: int
    tcp_established: int
    tcp_closing: int
    udp: int
    source_affinity: bool = False
    sources: SourceRanges = ()
    new_max_per_s: int = 0

    @property
    def key(self) -> ServiceKey:
        """What identifies the record."""
        return (self.service, self.uid, self.vip, self.port, int(self.protocol))

    @property
    def frontend(self) -> Frontend:
        """What clients connect to."""
        return Frontend(self.vip, self.protocol, self.port)


@dataclass(frozen=True, slots=True)
class SelectionTable:
    """Rows hold positions in ``backends``, the usable ones in order of name.

    ``rows`` is an array of native uint32 in bytes: empty when there is no backend to choose.
    """

    backends: tuple[BackendKey, ...] = ()
    rows: bytes = field(default=b"", repr=False)

    @property
    def row_cnt(self) -> int:
        """How many rows."""
        return len(self.rows) // 4


EMPTY_TABLE = SelectionTable()
