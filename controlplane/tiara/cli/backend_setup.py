# SPDX-License-Identifier: Apache-2.0
"""tiara backend-setup: what a pool's real servers need, printed or verified."""

import ipaddress
import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace

import click
import grpc
from rich.text import Text

from tiara import client
from tiara.cli import complete, errors, output, realserver, values
from tiara.cli.errors import CliError
from tiara.cli.pool import mode_text
from tiara.cli.session import Session
from tiara.v1 import backend_pool_pb2, virtual_service_pb2


class NotReady(CliError):
    """Something that a real server needs is missing."""

    exit_code = 1


def parse_vip(text: str) -> str:
    """Reads an IPv4 address or prefix."""
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither an IPv4 address nor a prefix: {error}") from None
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def parse_mac(text: str) -> str:
    """Reads a MAC address."""
    parts = text.lower().split(":")
    if len(parts) != 6 or any(len(part) != 2 or set(part) - set("0123456789abcdef") for part in parts):
        raise ValueError(f"{text!r} is no MAC address, as 02:54:49:41:52:41")
    return ":".join(parts)


def parse_interface(text: str) -> str:
    """Reads a name that an interface may have, and that a shell takes as it is."""
    if not 1 <= len(text) <= 15 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in text):
        raise ValueError(f"{text!r} is no interface's name")
    return text


VIP = values.Parsed("address", parse_vip)
MAC = values.Parsed("mac", parse_mac)
INTERFACE = values.Parsed("interface", parse_interface)


@click.command("backend-setup")
@click.argument("pool", shell_complete=complete.pools)
@click.option(
    "--mode",
    type=click.Choice([realserver.L2, realserver.IPIP, realserver.VXLAN]),
    help="The pool's forwarding mode; without it the control plane is asked.",
)
@click.option(
    "--vip", "vips", type=VIP, multiple=True, help="A VIP, or a prefix of them; else those of services."
)
@click.option("--vni", type=click.IntRange(1, 16777215), help="VXLAN network identifier; else the pool's.")
@click.option("--vxlan-port", type=values.PORT, help="VXLAN's UDP port; else the pool's.")
@click.option("--inner-mac", type=MAC, help="MAC address of the VXLAN device; else the pool's.")
@click.option(
    "--interface",
    type=INTERFACE,
    default="eth0",
    show_default=True,
    help="The server's, towards the balancer.",
)
@click.option("--device", type=INTERFACE, help="Name of the tunnel device, default tiaraVNI or tunl0.")
@click.option(
    "--mtu", type=click.IntRange(576, 9000), default=1500, show_default=True, help="Of the clients' packets."
)
@click.option(
    "--check", is_flag=True, help="Verify this machine instead; 1 is the exit code if anything is missing."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def backend_setup(
    session: Session,
    pool: str,
    *,
    mode: str | None,
    vips: Sequence[str],
    vni: int | None,
    vxlan_port: int | None,
    inner_mac: str | None,
    interface: str,
    device: str | None,
    mtu: int,
    check: bool,
    as_json: bool,
) -> None:
    """Print the commands that make a machine a real server of POOL.

    What is not given is asked of the control plane; with --mode and --vip
    it is not needed.

    \b
    tiara backend-setup web | ssh root@b1 sh
    tiara backend-setup web --mode vxlan --vip 198.18.100.1 --vni 7 --check
    """
    given = realserver.Plan(
        pool, mode or "", tuple(vips), interface, device or "", vni or 0, vxlan_port or 0,
        inner_mac or "", mtu,
    )  # fmt: skip
    plan = _filled(session, given)
    if check:
        _check(plan, as_json)
    elif as_json:
        made = [{"what": step.what, "commands": list(step.commands)} for step in realserver.steps(plan)]
        click.echo(json.dumps(made, indent=2))
    else:
        click.echo(realserver.script(plan), nl=False)


def _filled(session: Session, given: realserver.Plan) -> realserver.Plan:
    """What was not given is the control plane's, or else the default."""
    enough = bool(given.mode and given.vips)
    if enough and (given.mode != realserver.VXLAN or (given.vni and given.port and given.inner_mac)):
        return _with_defaults(given)
    try:
        return _with_defaults(_asked(session, given))
    except grpc.RpcError as error:
        known = errors.from_rpc(error, session.address)
        if not isinstance(known, errors.Unreachable):
            raise known from error
        if enough:
            click.echo("tiara: no control plane is reached; VXLAN's defaults are taken", err=True)
            return _with_defaults(given)
        raise errors.Unreachable(f"{known.message}\n  Without one: give --mode and --vip") from error


def _asked(session: Session, given: realserver.Plan) -> realserver.Plan:
    name = client.pool_name(given.pool)
    pool = session.call(session.pools.GetBackendPool, backend_pool_pb2.GetBackendPoolRequest(name=name))
    mode = mode_text(pool.forwarding_mode)
    if given.mode and given.mode != mode:
        raise click.UsageError(f"pool {given.pool} forwards by {mode}, not by {given.mode}")
    return replace(
        given,
        mode=mode,
        vips=given.vips or _vips(session, given.pool),
        vni=given.vni or pool.vxlan.vni,
        port=given.port or pool.vxlan.port,
        inner_mac=given.inner_mac or pool.vxlan.inner_mac,
    )


def _vips(session: Session, pool: str) -> tuple[str, ...]:
    services = session.pages(
        session.services.ListVirtualServices, virtual_service_pb2.ListVirtualServicesRequest()
    )
    name = client.pool_name(pool)
    found = {
        frontend.address
        for service in services.virtual_services
        if service.backend_pool == name
        for frontend in service.frontends
    }
    if not found:
        raise click.UsageError(f"no service uses pool {pool} yet: give --vip")
    return tuple(sorted(found, key=ipaddress.IPv4Address))


def _with_defaults(plan: realserver.Plan) -> realserver.Plan:
    standard = realserver.Plan("", "", ())
    return replace(
        plan,
        vni=plan.vni or standard.vni,
        port=plan.port or standard.port,
        inner_mac=plan.inner_mac or standard.inner_mac,
    )


def _check(plan: realserver.Plan, as_json: bool) -> None:
    try:
        findings = realserver.check(plan, realserver.Host.read())
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise NotReady(f"this machine cannot be looked at: {error}") from error
    if as_json:
        click.echo(json.dumps([_finding(found) for found in findings], indent=2))
    else:
        output.print_text(Text("\n").join(line for found in findings for line in _lines(found)))
    missing = sum(bool(found.fault) for found in findings)
    if missing:
        raise NotReady(f"{missing} of {len(findings)} are missing for pool {plan.pool}")


def _finding(found: realserver.Finding) -> dict[str, object]:
    step = found.step
    return {"what": step.what, "ok": not found.fault, "fault": found.fault, "remedy": list(step.commands)}


def _lines(found: realserver.Finding) -> list[Text]:
    if not found.fault:
        return [Text("ok       ", "green") + Text(found.step.what)]
    line = Text("missing  ", "red") + Text(f"{found.step.what}; {found.fault}")
    return [line, *(Text(f"           {command}") for command in found.step.commands)]
