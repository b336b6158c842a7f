# SPDX-License-Identifier: Apache-2.0
"""What a real server needs to serve a pool: the commands that make it so, and whether it is so."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

L2, VXLAN, IPIP = "l2", "vxlan", "ipip"
OVERHEAD_BYTES = {L2: 0, VXLAN: 50, IPIP: 20}
"""What encapsulation adds to a client's packet."""

CONF = Path("/proc/sys/net/ipv4/conf")
_ANY = ("any", "0.0.0.0")


@dataclass(frozen=True)
class Plan:
    """A pool as its servers see it. `vips` are addresses or prefixes, `interface` faces the balancer."""

    pool: str
    mode: str
    vips: tuple[str, ...]
    interface: str = "eth0"
    device: str = ""
    vni: int = 1
    port: int = 4789
    inner_mac: str = "02:54:49:41:52:41"
    mtu_bytes: int = 1500

    @property
    def tunnel(self) -> str:
        """The tunnel device's name; empty: there is none."""
        if self.mode == L2:
            return ""
        return self.device or ("tunl0" if self.mode == IPIP else f"tiara{self.vni}")

    @property
    def underlay_bytes(self) -> int:
        """What the interface must carry."""
        return self.mtu_bytes + OVERHEAD_BYTES[self.mode]


class Host:
    """This machine, as far as the kernel tells: `links` are those of `ip -j -d address`."""

    def __init__(self, links: Sequence[dict[str, Any]], conf: Path = CONF) -> None:
        self.links = links
        self._conf = conf

    @classmethod
    def read(cls) -> Host:
        """Asks the kernel. OSError, CalledProcessError or ValueError: it does not answer."""
        done = subprocess.run(
            ["ip", "-json", "-details", "address"], capture_output=True, text=True, check=True
        )
        return cls(json.loads(done.stdout or "[]"))

    def link(self, name: str) -> dict[str, Any] | None:
        """An interface."""
        return next((link for link in self.links if link.get("ifname") == name), None)

    def holders(self, vip: str) -> list[str]:
        """Interfaces on which the whole of an address or prefix is local."""
        wanted = ipaddress.ip_network(vip)
        return [
            link["ifname"]
            for link in self.links
            for at in link.get("addr_info", ())
            if at.get("family") == "inet" and _holds(link["ifname"], at, wanted)
        ]

    def setting(self, interface: str, name: str) -> int:
        """What is in force: the kernel takes the greater of `all` and the interface's."""
        return max(self._number("all", name), self._number(interface, name))

    def _number(self, interface: str, name: str) -> int:
        try:
            return int((self._conf / interface / name).read_text())
        except FileNotFoundError:
            return 0

    def tunnel(self, plan: Plan) -> dict[str, Any] | None:
        """The device that takes the pool's packets, by what it does and not by its name."""
        fits = _is_vxlan if plan.mode == VXLAN else _is_ipip
        return next((link for link in self.links if fits(plan, link)), None)


@dataclass(frozen=True)
class Step:
    """One thing that a server needs. `fault` says what is there instead; empty: it is as it should be."""

    what: str
    commands: tuple[str, ...]
    fault: Callable[[Host], str]


@dataclass(frozen=True)
class Finding:
    """A step on a host."""

    step: Step
    fault: str


def steps(plan: Plan) -> list[Step]:
    """All that a server of the pool needs. VIPs come last: before, they would be answered for by ARP."""
    found = [
        _arp(plan, "arp_ignore", 1, "no answer to ARP for a VIP: the balancer has it"),
        _arp(plan, "arp_announce", 2, "no ARP from a VIP either"),
    ]
    if plan.tunnel:
        found.append(_device(plan))
    found += [_rp_filter(plan), _mtu(plan)]
    return found + [_vip(plan, vip) for vip in plan.vips]


def script(plan: Plan) -> str:
    """A shell script that does all of it; it may run again."""
    lines = [
        f"# Makes this machine a real server of pool {plan.pool} ({plan.mode}). Run it as root.",
        "# Nothing here outlives a reboot.",
        "set -e",
    ]
    for step in steps(plan):
        lines += [f"# {step.what}", *step.commands]
    return "\n".join(lines) + "\n"


def check(plan: Plan, host: Host) -> list[Finding]:
    """Each step, and what is wrong with it here."""
    return [Finding(step, step.fault(host)) for step in steps(plan)]


def _holds(name: str, at: dict[str, Any], wanted: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    # on lo all addresses of a prefix are local, elsewhere the one address
    bits = at.get("prefixlen", 32) if name == "lo" else 32
    held = ipaddress.ip_network(f"{at['local']}/{bits}", strict=False)
    return (
        isinstance(held, ipaddress.IPv4Network)
        and isinstance(wanted, ipaddress.IPv4Network)
        and wanted.subnet_of(held)
    )


def _vip(plan: Plan, vip: str) -> Step:
    prefix = str(ipaddress.ip_network(vip))

    def fault(host: Host) -> str:
        holders = host.holders(vip)
        if plan.interface in holders:
            return f"it is on {plan.interface}, which answers ARP for it: take it off there"
        return "" if holders else "no interface has it"

    return Step(
        f"{vip} on lo: the server answers clients as the VIP",
        (f"ip address replace {prefix} dev lo",),
        fault,
    )


def _arp(plan: Plan, name: str, value: int, why: str) -> Step:
    def fault(host: Host) -> str:
        found = host.setting(plan.interface, name)
        return "" if value <= found <= 2 else f"it is {found}"

    return Step(f"{name} {value}: {why}", (f"echo {value} > {CONF}/all/{name}",), fault)


def _device(plan: Plan) -> Step:
    name = plan.tunnel
    if plan.mode == IPIP:
        make = "modprobe ipip"
        what = f"{name} up: packets inside IPv4 (IPIP) are unpacked"
    else:
        kind = f"type vxlan id {plan.vni} dstport {plan.port} nolearning"
        make = (
            f"ip link show dev {name} >/dev/null 2>&1 || ip link add {name} address {plan.inner_mac} {kind}"
        )
        what = f"{name}: VXLAN {plan.vni} on port {plan.port} to {plan.inner_mac} is unpacked"
    return Step(what, (make, f"ip link set dev {name} up"), partial(_device_fault, plan))


def _device_fault(plan: Plan, host: Host) -> str:
    link = host.tunnel(plan)
    if link is None:
        return _near_miss(plan, host) or f"no device does that ({plan.tunnel} is to)"
    return "" if "UP" in link.get("flags", ()) else f"{link['ifname']} is down"


def _near_miss(plan: Plan, host: Host) -> str:
    """What is different about the device that has the name."""
    link = host.link(plan.tunnel)
    if link is None or plan.mode != VXLAN:
        return ""
    kind, data = _kind(link)
    if kind != VXLAN:
        return f"{plan.tunnel} is no VXLAN device"
    found = {"VXLAN": data.get("id"), "port": data.get("port"), "MAC": link.get("address")}
    wanted = {"VXLAN": plan.vni, "port": plan.port, "MAC": plan.inner_mac}
    wrong = ", ".join(f"{name} {found[name]}" for name in wanted if found[name] != wanted[name])
    return f"{plan.tunnel} has {wrong}; remove it first: ip link delete {plan.tunnel}"


def _rp_filter(plan: Plan) -> Step:
    """Loose is enough but for a device without an address: the kernel has no route to compare with."""
    device = plan.tunnel or plan.interface

    def fault(host: Host) -> str:
        link = host.tunnel(plan) if plan.tunnel else host.link(device)
        if link is None:
            return f"there is no {device}"
        found = host.setting(link["ifname"], "rp_filter")
        addressed = any(at.get("family") == "inet" for at in link.get("addr_info", ()))
        if found == 1:
            return "it is 1 (strict)"
        return "it is 2, and the device has no address" if found == 2 and not addressed else ""

    value = 0 if plan.tunnel else 2
    commands = [f"echo {value} > {CONF}/{device}/rp_filter"]
    if plan.tunnel:
        commands = [
            f"all=$(cat {CONF}/all/rp_filter)",
            f'for i in {CONF}/*/rp_filter; do [ "$(cat $i)" -ge "$all" ] || echo "$all" > $i; done',
            f"echo 0 > {CONF}/all/rp_filter",
            *commands,
        ]
    why = "clients' packets come another way than answers go"
    return Step(f"rp_filter {value} for {device}: {why}", tuple(commands), fault)


def _mtu(plan: Plan) -> Step:
    def fault(host: Host) -> str:
        link = host.link(plan.interface)
        if link is None:
            return f"there is no {plan.interface}: give --interface"
        return "" if link["mtu"] >= plan.underlay_bytes else f"it is {link['mtu']}"

    why = f"{plan.mtu_bytes} of the client and {OVERHEAD_BYTES[plan.mode]} around it" if plan.tunnel else ""
    what = f"MTU of {plan.interface} at least {plan.underlay_bytes}" + (f": {why}" if why else "")
    found = f"$(ip -o link show dev {plan.interface} | sed 's/.* mtu \\([0-9]*\\) .*/\\1/')"
    command = (  # never makes it smaller
        f'[ "{found}" -ge {plan.underlay_bytes} ] || '
        f"ip link set dev {plan.interface} mtu {plan.underlay_bytes}"
    )
    return Step(what, (command,), fault)


def _kind(link: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    info = link.get("linkinfo", {})
    return info.get("info_kind", ""), info.get("info_data", {})


def _is_vxlan(plan: Plan, link: dict[str, Any]) -> bool:
    kind, data = _kind(link)
    found = (data.get("id"), data.get("port"), link.get("address"))
    return kind == VXLAN and found == (plan.vni, plan.port, plan.inner_mac)


def _is_ipip(plan: Plan, link: dict[str, Any]) -> bool:
    kind, data = _kind(link)
    return kind == IPIP and data.get("remote", "any") in _ANY
