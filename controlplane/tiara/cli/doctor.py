# SPDX-License-Identifier: Apache-2.0
"""tiara doctor: what keeps this machine or its balancer from working, and what to do."""

import json
from collections.abc import Sequence

import click
import grpc
from rich.text import Text

from tiara.cli import errors, output
from tiara.cli.session import Session
from tiara.cli.version import client_version
from tiara.doctor import asked, kernel, running
from tiara.doctor.checks import examine
from tiara.doctor.facts import Balancer, Facts
from tiara.doctor.finding import Finding, Status

_COLOURS = {Status.OK: "green", Status.WARNING: "yellow", Status.WRONG: "red", Status.SKIPPED: "dim"}


class NotWell(errors.CliError):
    """Something is wrong."""

    exit_code = 1


def parse_io(_ctx: click.Context, _option: click.Parameter, text: str | None) -> str:
    """Reads what tiara-dataplane takes for --io."""
    kind, _, interface = (text or "").partition(":")
    if text is None or text == "eal" or (kind in ("af_packet", "af_xdp") and interface):
        return text or ""
    raise click.BadParameter(f"{text!r} is neither af_packet:IFACE, af_xdp:IFACE nor eal")


@click.command()
@click.option(
    "--io", callback=parse_io, metavar="HOW", help="As for tiara-dataplane, while none runs: af_packet:IFACE."
)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Likewise.")
@click.option("--connections", type=click.IntRange(8), default=1 << 20, show_default=True, help="Likewise.")
@click.option(
    "--mtu", type=click.IntRange(576, 9000), default=1500, show_default=True, help="Of the clients' packets."
)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice((output.TABLE, output.JSON)),
    default=output.TABLE,
    help="table is for people, json for programs.",
)
@click.pass_context
def doctor(ctx: click.Context, io: str, workers: int, connections: int, mtu: int, form: str) -> None:
    """Look for what is wrong with this machine and its balancer.

    Run it on the balancer, in the data plane's network namespace, as the user
    that starts it; the daemons may be down. Nothing is changed. Ends with 0 when
    nothing is wrong (warnings are not), with 1 when something is.
    """
    session, instance = ctx.obj, str(ctx.find_root().params["instance"])
    balancer, unreached = _asked(session)
    process = running.find("tiara-dataplane", instance)
    dataplane = running.dataplane(process, io, workers, connections)
    addresses = sorted({backend.address for backend in balancer.backends}) if balancer else []
    machine = kernel.machine(instance, dataplane, addresses)
    findings = examine(Facts(machine, balancer, unreached, client_version(), mtu, instance))
    _show(findings, form)
    faults = sum(finding.status == Status.WRONG for finding in findings)
    if faults:
        raise NotWell(f"{faults} wrong")


def _asked(session: Session) -> tuple[Balancer | None, str]:
    try:
        return asked.balancer(session), ""
    except grpc.RpcError as error:
        return None, errors.from_rpc(error, session.address).message


def _show(findings: Sequence[Finding], form: str) -> None:
    if form == output.JSON:
        fields = ("check", "status", "what", "remedy")
        click.echo(json.dumps([{name: getattr(f, name) for name in fields} for f in findings], indent=2))
        return
    rows = [(Text(f.status, _COLOURS[f.status]), f.check, f.what) for f in findings]
    lines = output.table(["Status", "Check", "What"], rows).split("\n")
    shown = [lines[0]]
    for line, finding in zip(lines[1:], findings, strict=True):
        shown += [line, *([Text(f"         -> {finding.remedy}")] if finding.remedy else [])]
    output.print_text(Text("\n").join(shown))
