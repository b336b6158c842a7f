# SPDX-License-Identifier: Apache-2.0
"""tiara pool set: changes of a pool that is there."""

from typing import Any

import click

from tiara import client
from tiara.cli import complete, pool, values
from tiara.cli.options import Writer, etag_option, masked, writes
from tiara.v1 import backend_pool_pb2 as pb

_KINDS = {"check_tcp": "tcp", "check_http": "http", "check_https": "http"}


@click.command("set")
@click.argument("name", shell_complete=complete.pools)
@click.option("--mode", type=click.Choice(list(pool.MODES)), help="How packets reach the backends.")
@click.option("--vni", type=click.IntRange(1, 16777215), help="VXLAN network identifier.")
@click.option("--vxlan-port", type=values.PORT, help="VXLAN's UDP port.")
@click.option("--inner-mac", help="Destination MAC inside VXLAN.")
@click.option("--check-tcp", type=values.PORT, metavar="PORT", help="Health check: open a TCP connection.")
@click.option("--check-http", type=pool.HTTP, metavar="PORT[/PATH]", help="Health check: GET that path.")
@click.option("--check-https", type=pool.HTTP, metavar="PORT[/PATH]", help="Likewise over TLS.")
@click.option("--check-host", metavar="NAME", help="With --check-http(s): Host header and TLS name.")
@click.option("--check-status", type=pool.STATUSES, metavar="RANGES", help="Likewise: as 200-299,401.")
@click.option("--check-verify", is_flag=True, help="Likewise: the certificate must be valid for the name.")
@click.option("--no-check", is_flag=True, help="No health check: every backend counts as up.")
@click.option("--interval", type=values.DURATION, help="Between checks.")
@click.option("--timeout", type=values.DURATION, help="A check has failed after this.")
@click.option("--rise", type=click.IntRange(1, 100), help="Successes in a row that make it up.")
@click.option("--fall", type=click.IntRange(1, 100), help="Failures in a row that make it down.")
@click.option("--policy", type=click.Choice(list(pool.POLICIES)), help="How new connections choose.")
@click.option(
    "--source-affinity/--no-source-affinity",
    default=None,
    help="Connections of one client address choose alike, or each for itself.",
)
@click.option("--slow-start", type=values.DURATION, help="Backends that begin to take connections ramp up.")
@click.option("--no-slow-start", is_flag=True, help="They have their whole share at once.")
@click.option("--rows", type=click.IntRange(0, 2**32 - 1), metavar="N", help="0: the server chooses.")
@click.option("--fail-open/--no-fail-open", default=None, help="All backends down: use all, or none.")
@etag_option
@writes
def set_(write: Writer, name: str, etag: str, no_check: bool, no_slow_start: bool, **given: Any) -> None:
    """Change a pool; established connections stay.

    \b
    tiara pool set web --check-http 8080/healthz --interval 5s
    tiara pool set web --no-check
    tiara pool set web --policy rendezvous --slow-start 2m
    """
    _need_one_check(no_check, given)
    if no_slow_start and given["slow_start"] is not None:
        raise click.UsageError("--slow-start and --no-slow-start exclude each other")
    wanted = pb.BackendPool(
        name=client.pool_name(name),
        etag=etag,
        forwarding_mode=pool.MODES.get(given["mode"] or "", pb.FORWARDING_MODE_UNSPECIFIED),
        vxlan=_vxlan(given),
        policy=pool.POLICIES.get(given["policy"] or "", pb.SELECTION_POLICY_UNSPECIFIED),
        source_affinity=bool(given["source_affinity"]),
        slow_start=pool.ramp(given["slow_start"]),
        selection_rows=given["rows"] or 0,
        fail_open=bool(given["fail_open"]),
        health_check=None if no_check else _check(given),
    )
    request = pb.UpdateBackendPoolRequest(
        backend_pool=wanted,
        update_mask=masked(slow_start=no_slow_start or given["slow_start"], **_fields(no_check, given)),
    )
    changed = write.session.call(write.session.pools.UpdateBackendPool, request)
    write.done(f"pool {name} changed", changed)


def _need_one_check(no_check: bool, given: dict[str, Any]) -> None:
    kinds = [kind for kind in _KINDS if given[kind] is not None]
    if len(kinds) + no_check > 1:
        raise click.UsageError("give one of --check-tcp, --check-http, --check-https and --no-check")
    if no_check and any(given[name] is not None for name in ("interval", "timeout", "rise", "fall")):
        raise click.UsageError("--interval, --timeout, --rise and --fall are for a check, not for --no-check")


def _fields(no_check: bool, given: dict[str, Any]) -> dict[str, Any]:
    """Whatever was given, by the path of its field."""
    checks = {f"health_check.{_KINDS[kind]}": given[kind] for kind in _KINDS if given[kind] is not None}
    return {
        "forwarding_mode": given["mode"],
        "vxlan.vni": given["vni"],
        "vxlan.port": given["vxlan_port"],
        "vxlan.inner_mac": given["inner_mac"],
        "health_check": no_check or None,
        **checks,
        **{f"health_check.{name}": given[name] for name in ("interval", "timeout", "rise", "fall")},
        "policy": given["policy"],
        "source_affinity": given["source_affinity"],
        "selection_rows": given["rows"],
        "fail_open": given["fail_open"],
    }


def _vxlan(given: dict[str, Any]) -> pb.VxlanOptions | None:
    if all(given[name] is None for name in ("vni", "vxlan_port", "inner_mac")):
        return None
    return pb.VxlanOptions(
        vni=given["vni"] or 0, port=given["vxlan_port"] or 0, inner_mac=given["inner_mac"] or ""
    )


def _check(given: dict[str, Any]) -> pb.HealthCheck | None:
    check = pb.HealthCheck(http=pool.http_check(given), rise=given["rise"] or 0, fall=given["fall"] or 0)
    if given["check_tcp"]:
        check.tcp.port = given["check_tcp"]
    for name in ("interval", "timeout"):
        if given[name] is not None:
            getattr(check, name).FromTimedelta(given[name])
    return check if check.ListFields() else None
