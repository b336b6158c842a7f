# SPDX-License-Identifier: Apache-2.0
"""Checks of the balancer: daemons, and the way of packets to servers. Those need the control plane."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tiara.cli.realserver import OVERHEAD_BYTES
from tiara.doctor.facts import Backend, Balancer, Facts, Link
from tiara.doctor.finding import Finding, ok, skipped, warning, wrong
from tiara.domain.layout import LAYOUT_ID

UNANSWERED_MIN = 10
"""So many connections without a second packet are no chance."""
_NO_API = "no control plane answers: what the pools are is not known"
_NO_LINK = "no interface of the data plane is seen from here"


def controlplane(facts: Facts) -> Iterator[Finding]:
    """It answers, and has what it stored in force."""
    name, balancer = "control plane", facts.balancer
    if balancer is None:
        reason, _, remedy = facts.unreached.partition("\n")
        yield wrong(name, reason, remedy.strip() or f"tiara-controlplane --instance {facts.instance}")
        return
    yield ok(name, f"answers, {balancer.version}")
    if balancer.applied < balancer.stored and balancer.live:
        what = f"revision {balancer.stored} is stored, {balancer.applied} applied: {balancer.not_applied}"
        yield wrong(name, what, "look at tiara node and at what the control plane logs")


def dataplane(facts: Facts) -> Iterator[Finding]:
    """It runs, with workers."""
    name, balancer = "data plane", facts.balancer
    start = f"tiara-dataplane --instance {facts.instance} --io af_packet:IFACE --address ADDRESS/BITS"
    if balancer is None and facts.machine.dataplane.running:
        yield ok(name, "runs; workers cannot be seen without the control plane")
    elif balancer is None or not balancer.live:
        yield wrong(name, f"none runs for instance {facts.instance}: no packet is forwarded", start)
    elif balancer.workers == 0:
        what = "it runs and none of its workers does"
        yield wrong(name, what, "start it again: connections stay in the segment")
    else:
        yield ok(name, f"runs, {balancer.dataplane_version}, workers {balancer.workers}")


def versions(facts: Facts) -> Iterator[Finding]:
    """Programs of one version, one layout."""
    name, balancer = "versions", facts.balancer
    if balancer is None:
        yield skipped(name, "no control plane answers")
        return
    mine = f"{LAYOUT_ID:016x}"
    if balancer.layout_id not in ("", mine):
        what = f"the segment has layout {balancer.layout_id}, this program {mine}"
        yield wrong(name, what, "install one version of all three programs")
        return
    daemons = {"control plane": balancer.version, "data plane": balancer.dataplane_version}
    others = [f"{who} {found}" for who, found in daemons.items() if found not in ("", facts.version)]
    if others:
        what = f"this program is {facts.version}, {', '.join(others)}"
        yield warning(name, what, "start the daemons again after an upgrade, the control plane first")
    else:
        yield ok(name, f"all {facts.version}, layout {mine}")


def mtu(facts: Facts) -> Iterator[Finding]:
    """A client's largest packet fits the port in each pool's tunnel."""
    name, link, balancer = "MTU", _narrowest(facts), facts.balancer
    if link is None or balancer is None:
        yield skipped(name, _NO_API if balancer is None else _NO_LINK)
        return
    faults = [_mtu_fault(name, facts, link, pool, mode) for pool, mode in sorted(balancer.pools.items())]
    found = [fault for fault in faults if fault is not None]
    yield from found or [ok(name, f"{link.mtu_bytes} of {link.name} carry {facts.mtu_bytes} in every pool")]
    dropped = balancer.verdicts.get("too_big", 0)
    if dropped and not found:
        what = f"{dropped} packets were larger than the port carries (too_big)"
        yield warning(
            name, what, "switch segmentation off where they come from: ethtool -K IFACE tso off gso off"
        )


def _narrowest(facts: Facts) -> Link | None:
    """The TAP has the MTU that the port had when the data plane began."""
    links = [link for link in (facts.machine.port, facts.machine.kernel) if link is not None]
    return min(links, key=lambda link: link.mtu_bytes, default=None)


def _mtu_fault(name: str, facts: Facts, link: Link, pool: str, mode: str) -> Finding | None:
    needed = facts.mtu_bytes + OVERHEAD_BYTES[mode]
    if link.mtu_bytes >= needed:
        return None
    what = (
        f"pool {pool} ({mode}) needs {needed} for clients' packets of {facts.mtu_bytes}, "
        f"{link.name} carries {link.mtu_bytes}"
    )
    port = facts.machine.port.name if facts.machine.port else link.name
    return wrong(name, what, f"ip link set {port} mtu {needed}, then start the data plane again")


def rp_filter(facts: Facts) -> Iterator[Finding]:
    """Strict on the kernel's interface, it drops answers of servers whose way there is another one."""
    name, link = "rp_filter", facts.machine.kernel
    if link is None:
        yield skipped(name, "there is no kernel interface here: the data plane has none, or does not run")
        return
    loose = f"sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{link.name}.rp_filter=2"
    others = [b for b in _backends(facts) if _device(facts, b) not in ("", link.name)]
    if link.rp_filter == 1 and others:
        what = f"it is 1 (strict) on {link.name}: what {others[0].address} answers there is dropped"
        yield wrong(name, what, loose)
    elif link.rp_filter == 1:
        yield warning(name, f"it is 1 (strict) on {link.name}: it drops whom no route there leads to", loose)
    else:
        yield ok(name, f"{link.rp_filter} on {link.name}")


def route(facts: Facts) -> Iterator[Finding]:
    """Health checks leave by the kernel's interface. Servers answer clients: their way is theirs."""
    name, link = "return path", facts.machine.kernel
    if facts.balancer is None or link is None:
        yield skipped(name, _NO_API if facts.balancer is None else "there is no kernel interface here")
        return
    astray = [b for b in _backends(facts) if _device(facts, b) != link.name]
    for backend in astray:
        device = _device(facts, backend)
        way = f"leads by {device}, not by {link.name}" if device else "does not exist"
        what = f"the route to {backend.name} ({backend.address}) {way}: it is not reached for health checks"
        yield wrong(
            name, what, f"ip route add {backend.address}/32 dev {link.name} (with via ROUTER off the link)"
        )
    if not astray:
        yield ok(name, f"every backend is reached by {link.name}")
    yield from _unanswered(name, facts.balancer)


def _unanswered(name: str, balancer: Balancer) -> Iterator[Finding]:
    """Of direct return only the clients' side is seen; a handshake that goes on shows that it works."""
    for backend in balancer.backends:
        if backend.fresh < UNANSWERED_MIN or backend.fresh < backend.known:
            continue
        what = f"no client of {backend.name} went on after its SYN ({backend.fresh} connections)"
        pool = backend.name.partition("/")[0]
        remedy = f"on {backend.address}: tiara backend-setup {pool} --check, and ip route get CLIENT"
        yield wrong(name, what, remedy)


def neighbours(facts: Facts) -> Iterator[Finding]:
    """The MAC address of each backend's next hop is known."""
    name, balancer = "next hops", facts.balancer
    if balancer is None or not balancer.live:
        yield skipped(name, _NO_API if balancer is None else "no data plane runs")
        return
    silent = [b for b in balancer.backends if _is_silent(facts, balancer, b)]
    for backend in silent:
        what = f"nobody answers ARP for the next hop of {backend.name} ({backend.address})"
        remedy = (
            "start that server, or correct its address; behind a router start tiara-dataplane with --gateway"
        )
        yield wrong(name, what, remedy)
    if balancer.reached is None:
        yield skipped(name, "who is reached is not told to this user: it needs the scope operate")
    elif not silent:
        known, total = len(balancer.reached), len(balancer.backends)
        others = "" if known == total else "; no new client goes to the others"
        yield ok(name, f"known for {known} of {total} backends{others}")


def _is_silent(facts: Facts, balancer: Balancer, backend: Backend) -> bool:
    if balancer.reached is not None and backend.name in balancer.reached:
        return balancer.reached[backend.name] == "no_neighbour"
    route_ = facts.machine.routes.get(backend.address)
    hop = route_.gateway if route_ and route_.gateway else backend.address
    return facts.machine.neighbours.get(hop) == "FAILED"


def backends(facts: Facts) -> Iterator[Finding]:
    """What health checks say; the rest is to be looked at there."""
    name, balancer = "backends", facts.balancer
    if balancer is None:
        yield skipped(name, _NO_API)
        return
    if balancer.live:
        yield from _health(name, balancer)
    else:
        yield skipped(name, "health checks go through the data plane, and none runs")
    for pool in sorted(balancer.pools):
        there = f"on its servers: tiara backend-setup {pool} --check"
        yield skipped(name, f"decapsulation and VIPs of pool {pool} are seen {there}")


def _health(name: str, balancer: Balancer) -> Iterator[Finding]:
    down = [backend for backend in balancer.backends if backend.down]
    for backend in down:
        pool = backend.name.partition("/")[0]
        remedy = f"look at the service on {backend.address}, and there: tiara backend-setup {pool} --check"
        yield wrong(name, f"{backend.name} is down: {backend.down}", remedy)
    if not down:
        yield ok(name, f"{len(balancer.backends)}, none is down")


def _backends(facts: Facts) -> Sequence[Backend]:
    return facts.balancer.backends if facts.balancer else ()


def _device(facts: Facts, backend: Backend) -> str:
    found = facts.machine.routes.get(backend.address)
    return found.device if found else ""
