# SPDX-License-Identifier: Apache-2.0
"""tiara import: other balancers' configurations as lb.yaml."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click

from tiara import client
from tiara.cli import ipvsadm, lbfile
from tiara.cli.lbfile import FILE, BadFile
from tiara.v1 import backend_pool_pb2 as pool_pb
from tiara.v1 import virtual_service_pb2 as service_pb
from tiara.v1.configuration_pb2 import Configuration

_HELD = "weights count here, held connections do not"
_BY_DESTINATION = "it chooses by destination, which a service has one of; here by connection"
_NOTES = {
    "wlc": _HELD,
    "lc": f"{_HELD}; all weights are 1",
    "sed": _HELD,
    "nq": _HELD,
    "twos": _HELD,
    "lblc": _BY_DESTINATION,
    "lblcr": _BY_DESTINATION,
    "dh": _BY_DESTINATION,
    "fo": "it uses the heaviest server only; here all share by weight: give the others weight 0",
    "ovf": "it fills the heaviest server first; here all share by weight",
}
_EXACT = ("mh", "rr", "wrr", "sh")
_ROUND_ROBIN = ("rr", "wrr")
_WEIGHTLESS = ("rr", "lc")


@click.group("import")
def import_() -> None:
    """Other balancers' configurations as lb.yaml."""


@import_.command("ipvsadm")
@click.argument("file", type=FILE)
@click.option("--owner", default="ipvsadm", show_default=True, help="Who declares what is imported.")
@click.option("--skip-unsupported", is_flag=True, help="Leave out what is not there, as comments.")
def ipvsadm_(file: Path, owner: str, skip_unsupported: bool) -> None:
    """Print lb.yaml for what `ipvsadm -Sn` printed to FILE (- is stdin).

    Each service gets a pool of its own: direct return (-g) or IPIP (-i). NAT
    and firewall marks are refused with their line, or left out. Comments say
    where a scheduler is not the same.

    \b
    ipvsadm -Sn | tiara import ipvsadm - > lb.yaml
    tiara plan -f lb.yaml
    """
    name = "stdin" if str(file) == "-" else str(file)
    rules = ipvsadm.parse(sys.stdin.read() if str(file) == "-" else file.read_text(errors="replace"))
    if rules.skipped and not skip_unsupported:
        raise _refused(name, rules.skipped)
    click.echo(convert(rules, owner).text(name, rules.skipped), nl=False)


def _refused(name: str, skipped: Iterable[ipvsadm.Skipped]) -> BadFile:
    lines = [f"{name}:{one.line.number}: {one.line.text}: {one.reason}" for one in skipped]
    lines += ["nothing is printed; --skip-unsupported leaves such lines out"]
    return BadFile("\n  ".join(lines))


@dataclass
class Imported:
    """A configuration, and what there is to say about its pools, by name."""

    configuration: Configuration
    notes: dict[str, list[str]] = field(default_factory=dict)

    def text(self, source: str, skipped: Iterable[ipvsadm.Skipped]) -> str:
        """As lb.yaml with comments."""
        header = [
            f"From {source}, as ipvsadm -Sn printed it. Connections that it holds are not in here.",
            "No pool has a health check yet: see healthCheck in docs/api.md.",
            *(f"left out, line {s.line.number}: {s.line.text}: {s.reason}" for s in skipped),
        ]
        lines = lbfile.dump(self.configuration, header).splitlines(keepends=True)
        return "".join(f"{self._comments(line)}{line}" for line in lines)

    def _comments(self, line: str) -> str:
        """What stands above a pool's first line."""
        notes = self.notes.get(line.strip().removeprefix("- name: "), [])
        return "".join(f"# {note}\n" for note in notes)


def convert(rules: ipvsadm.Rules, owner: str) -> Imported:
    """One pool and one service for each virtual service."""
    imported = Imported(Configuration(owner=owner))
    for service in rules.services:
        pool = client.pool_name(_id(service))
        imported.notes[pool] = list(_notes(service))
        imported.configuration.backend_pools.append(_pool(pool, service))
        imported.configuration.backends.extend(_backends(service))
        imported.configuration.virtual_services.append(_service(pool, service))
    return imported


def _id(service: ipvsadm.Service) -> str:
    return f"{service.protocol}-{service.address.replace('.', '-')}-{service.port}"


def _pool(name: str, service: ipvsadm.Service) -> pool_pb.BackendPool:
    by_tunnel = any(server.by_tunnel for server in service.servers)
    mode = pool_pb.FORWARDING_MODE_IPIP if by_tunnel else pool_pb.FORWARDING_MODE_L2_DIRECT_RETURN
    return pool_pb.BackendPool(
        name=name,
        forwarding_mode=mode,
        policy=_policy(service),
        source_affinity=_by_source(service),
    )


def _policy(service: ipvsadm.Service) -> "pool_pb.SelectionPolicy.ValueType":
    """Round robin is by shares, too; what hashes or looks at loads is nearest to Maglev."""
    if _scheduler(service) in _ROUND_ROBIN:
        return pool_pb.SELECTION_POLICY_WEIGHTED_ROUND_ROBIN
    return pool_pb.SELECTION_POLICY_MAGLEV


def _by_source(service: ipvsadm.Service) -> bool:
    """Persistence, and schedulers that hash the address alone: without sh-port, mh-port."""
    scheduler = _scheduler(service)
    hashed = scheduler in ("sh", "mh") and f"{scheduler}-port" not in service.options.get("flags", "")
    return hashed or "persistent" in service.options


def _backends(service: ipvsadm.Service) -> Iterator[pool_pb.Backend]:
    weightless = _scheduler(service) in _WEIGHTLESS
    for server in service.servers:
        name = client.backend_name(_id(service), f"b-{server.address.replace('.', '-')}")
        weight = min(server.weight, 1) if weightless else server.weight
        yield pool_pb.Backend(name=name, address=server.address, weight=weight, max_connections=server.most)


def _service(pool: str, service: ipvsadm.Service) -> service_pb.VirtualService:
    frontend = client.parse_frontend(f"{service.protocol}:{service.address}:{service.port}")
    return service_pb.VirtualService(
        name=client.service_name(_id(service)), frontends=[frontend], backend_pool=pool
    )


def _scheduler(service: ipvsadm.Service) -> str:
    return service.options.get("scheduler", "wlc")


def _notes(service: ipvsadm.Service) -> Iterator[str]:
    scheduler = _scheduler(service)
    if scheduler not in _EXACT:
        yield f"{scheduler}: {_NOTES.get(scheduler, 'this scheduler is not known; here by weight')}"
    if "persistent" in service.options:
        yield "persistence: by client address, as long as backends stay; it does not time out"
    if not service.servers:
        yield "no server: direct return is taken"
    if "netmask" in service.options and service.options["netmask"] != "255.255.255.255":
        yield f"netmask {service.options['netmask']}: each client address is for itself here"
    if "one-packet" in service.options:
        yield "one-packet scheduling: here datagrams of one client and port keep together"
    for server in service.servers:
        if server.lower:
            yield f"{server.address}: its lower threshold is left out: it takes more as soon as it has room"
