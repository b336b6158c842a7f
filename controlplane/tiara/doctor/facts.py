# SPDX-License-Identifier: Apache-2.0
"""What is known about a machine and its balancer when it is judged. None: it could not be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Dataplane:
    """How tiara-dataplane was started, or would be. `io` empty: nobody has said."""

    io: str = ""
    interface: str = ""
    workers: int = 1
    kernel_interface: str = "tiara0"
    connections: int = 1 << 20
    heap_mb: int = 256
    running: bool = False
    elsewhere: bool = False
    """It runs in another network namespace than this program."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface of this network namespace. `merging` names offloads that change what was on the wire."""

    name: str
    mtu_bytes: int
    up: bool = True
    driver: str = ""
    queues: int = 1
    addresses: tuple[str, ...] = ()
    merging: tuple[str, ...] | None = ()
    forwarding: bool = False
    rp_filter: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """The way that the kernel would take. `device` empty: there is none."""

    device: str = ""
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A file with an instance's connections. `layout_id` None: it may not be read."""

    path: str
    size_bytes: int
    huge: bool
    layout_id: int | None


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine, as any user sees it."""

    dataplane: Dataplane = Dataplane()
    pages_total: int = 0
    pages_free: int = 0
    hugetlbfs: str = ""
    """Where 2 MiB pages are mounted and may be written; empty: nowhere."""
    segment: Segment | None = None
    capabilities: int = 0
    tun: bool = True
    port: Link | None = None
    kernel: Link | None = None
    default_routes: tuple[str, ...] = ()
    """Interfaces with a default route."""
    routes: Mapping[str, Route] = field(default_factory=dict)
    """By backend's address."""
    neighbours: Mapping[str, str] = field(default_factory=dict)
    """State, as FAILED, by address, on the kernel's interface."""
    now: datetime = datetime.min
    synchronized: bool | None = True
    clock_source: str = "tsc"
    steady_tsc: bool = True
    store: str = ""
    store_free_bytes: int | None = 1 << 40


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend as the control plane has it. `down` is its health check's reason."""

    name: str
    address: str
    down: str = ""
    fresh: int = 0
    """TCP connections that have been silent since their SYN."""
    known: int = 0
    """Of those looked at, all that it has."""


@dataclass(frozen=True, slots=True)
class Balancer:
    """What the API answers."""

    version: str = ""
    dataplane_version: str = ""
    layout_id: str = ""
    live: bool = False
    workers: int = 0
    page_bytes: int = 0
    stored: int = 0
    applied: int = 0
    not_applied: str = ""
    pools: Mapping[str, str] = field(default_factory=dict)
    """Forwarding mode by pool: l2, vxlan or ipip."""
    backends: tuple[Backend, ...] = ()
    verdicts: Mapping[str, int] = field(default_factory=dict)
    reached: Mapping[str, str] | None = field(default_factory=dict)
    """Verdict of a client's first packet, by the name of the backend that it would go to."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it. Without a balancer, `unreached` says why."""

    machine: Machine
    balancer: Balancer | None
    unreached: str = ""
    version: str = ""
    mtu_bytes: int = 1500
    """Of the clients' packets."""
    instance: str = "default"
