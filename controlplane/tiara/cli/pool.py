# SPDX-License-Identifier: Apache-2.0
"""tiara pool: sets of backends that share a forwarding mode and a health check."""

import re
from collections import Counter
from datetime import timedelta
from typing import Any

import click
from rich.text import Text

from tiara import client
from tiara.cli import backend, complete, output, values
from tiara.cli.options import Reader, Writer, reads, watches, writes
from tiara.cli.session import Session
from tiara.v1 import backend_pool_pb2 as pb

MODES = {
    "l2": pb.FORWARDING_MODE_L2_DIRECT_RETURN,
    "vxlan": pb.FORWARDING_MODE_VXLAN,
    "ipip": pb.FORWARDING_MODE_IPIP,
}
POLICIES = {
    "maglev": pb.SELECTION_POLICY_MAGLEV,
    "wrr": pb.SELECTION_POLICY_WEIGHTED_ROUND_ROBIN,
    "rendezvous": pb.SELECTION_POLICY_RENDEZVOUS,
}
_POLICY_TEXT = {value: text for text, value in POLICIES.items()}
_MODE_TEXT = {value: text for text, value in MODES.items()}


def parse_http(text: str) -> tuple[int, str]:
    """Reads PORT or PORT/PATH into port and path."""
    port, slash, path = text.partition("/")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not PORT or PORT/PATH, as 80 or 8080/healthz")
    return int(port), slash + path


def parse_statuses(text: str) -> list[tuple[int, int]]:
    """Reads 200-299,401."""
    if not re.fullmatch(r"\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*", text):
        raise ValueError(f"{text!r} is not statuses or ranges of them, as 200-299,401")
    ranges = (part.partition("-") for part in text.split(","))
    return [(int(first), int(last or first)) for first, _, last in ranges]


HTTP = values.Parsed("port/path", parse_http)
STATUSES = values.Parsed("statuses", parse_statuses)


@click.group()
def pool() -> None:
    """Sets of backends that share a forwarding mode and a health check."""


@pool.command()
@click.argument("name")
@click.option(
    "--mode",
    type=click.Choice(list(MODES)),
    required=True,
    help="l2: direct return, only MAC addresses change. vxlan: the frame inside VXLAN. "
    "ipip: the packet inside IPv4.",
)
@click.option("--vni", type=click.IntRange(1, 16777215), help="VXLAN network identifier, default 1.")
@click.option("--vxlan-port", type=values.PORT, help="VXLAN's UDP port, default 4789.")
@click.option("--inner-mac", help="Destination MAC inside VXLAN, default 02:54:49:41:52:41.")
@click.option("--check-tcp", type=values.PORT, metavar="PORT", help="Health check: open a TCP connection.")
@click.option("--check-http", type=HTTP, metavar="PORT[/PATH]", help="Health check: GET that path, as 80/up.")
@click.option("--check-https", type=HTTP, metavar="PORT[/PATH]", help="Likewise over TLS.")
@click.option("--check-host", metavar="NAME", help="Host header and TLS name, default the backend's address.")
@click.option(
    "--check-status",
    type=STATUSES,
    metavar="RANGES",
    help="Statuses that are a success, as 200-299,401; default 200-399.",
)
@click.option("--check-verify", is_flag=True, help="The certificate must be valid for the name.")
@click.option("--interval", type=values.DURATION, help="Between checks (10 % more or less), default 2s.")
@click.option("--timeout", type=values.DURATION, help="A check has failed after this, default 1s.")
@click.option("--rise", type=click.IntRange(1, 100), help="Successes in a row that make it up, default 2.")
@click.option("--fall", type=click.IntRange(1, 100), help="Failures in a row that make it down, default 3.")
@click.option(
    "--rows",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    metavar="N",
    help="Rows of the selection table, a prime; the server chooses, usually 65537.",
)
@click.option(
    "--policy",
    type=click.Choice(list(POLICIES)),
    help="How new connections choose, default maglev. wrr: weighted round robin, the most even shares. "
    "rendezvous: when backends change, exactly their share moves.",
)
@click.option("--source-affinity", is_flag=True, help="All connections of one client address choose alike.")
@click.option(
    "--slow-start",
    type=values.DURATION,
    help="A backend that begins to take connections ramps up for so long, in ten steps: 1s to 1d.",
)
@click.option("--fail-open", is_flag=True, help="All backends down: use all, not none.")
@writes
def create(
    write: Writer,
    name: str,
    *,
    mode: str,
    vni: int | None,
    vxlan_port: int | None,
    inner_mac: str | None,
    interval: timedelta | None,
    timeout: timedelta | None,
    rise: int | None,
    fall: int | None,
    rows: int,
    policy: str | None,
    source_affinity: bool,
    slow_start: timedelta | None,
    fail_open: bool,
    **checks: Any,
) -> None:
    """Create a pool.

    \b
    tiara pool create web --mode l2 --check-tcp 80
    tiara pool create app --mode l2 --check-http 8080/healthz --fail-open
    tiara pool create far --mode vxlan --vni 7
    tiara pool create cache --mode l2 --policy rendezvous --slow-start 2m
    """
    wanted = pb.BackendPool(
        forwarding_mode=MODES[mode],
        policy=POLICIES[policy] if policy else pb.SELECTION_POLICY_UNSPECIFIED,
        source_affinity=source_affinity,
        slow_start=ramp(slow_start),
        selection_rows=rows,
        fail_open=fail_open,
        vxlan=_vxlan(mode, vni, vxlan_port, inner_mac),
        health_check=_health_check(checks, interval, timeout, rise, fall),
    )
    request = pb.CreateBackendPoolRequest(backend_pool_id=name, backend_pool=wanted)
    created = write.session.call(write.session.pools.CreateBackendPool, request)
    write.done(f"pool {name} created", created)


def ramp(duration: timedelta | None) -> pb.SlowStart | None:
    """A slow start of that duration."""
    return None if duration is None else pb.SlowStart(duration=values.to_duration(duration))


def _vxlan(mode: str, vni: int | None, port: int | None, inner_mac: str | None) -> pb.VxlanOptions | None:
    if vni is None and port is None and inner_mac is None:
        return None
    if mode != "vxlan":
        raise click.UsageError("--vni, --vxlan-port and --inner-mac are for --mode vxlan")
    return pb.VxlanOptions(vni=vni or 0, port=port or 0, inner_mac=inner_mac or "")


def _health_check(
    checks: dict[str, Any],
    interval: timedelta | None,
    timeout: timedelta | None,
    rise: int | None,
    fall: int | None,
) -> pb.HealthCheck | None:
    given = [kind for kind in ("check_tcp", "check_http", "check_https") if checks[kind] is not None]
    if len(given) > 1:
        raise click.UsageError("give one of --check-tcp, --check-http and --check-https")
    if not given and any(option is not None for option in (interval, timeout, rise, fall)):
        raise click.UsageError(
            "--interval, --timeout, --rise and --fall need --check-tcp, --check-http or --check-https"
        )
    http = http_check(checks)
    if not given:
        return None
    check = pb.HealthCheck(http=http, rise=rise or 0, fall=fall or 0)
    if http is None:
        check.tcp.port = checks["check_tcp"]
    if interval is not None:
        check.interval.FromTimedelta(interval)
    if timeout is not None:
        check.timeout.FromTimedelta(timeout)
    return check


def http_check(checks: dict[str, Any]) -> pb.HttpCheck | None:
    """What the options of an HTTP check ask for; None where there is none.

    Raises:
        click.UsageError: some are given that need one.
    """
    where = checks["check_http"] or checks["check_https"]
    if where is None:
        if checks["check_host"] or checks["check_status"] or checks["check_verify"]:
            raise click.UsageError("--check-host, --check-status and --check-verify need --check-http(s)")
        return None
    port, path = where
    return pb.HttpCheck(
        port=port,
        path=path,
        host=checks["check_host"] or "",
        expected_statuses=[pb.StatusRange(first=a, last=b) for a, b in checks["check_status"] or ()],
        tls=checks["check_https"] is not None,
        verify=checks["check_verify"],
    )


@pool.command()
@click.argument("name", shell_complete=complete.pools)
@reads
def get(read: Reader, name: str) -> None:
    """Show a pool."""
    request = pb.GetBackendPoolRequest(name=client.pool_name(name))
    read.show(lambda: read.session.call(read.session.pools.GetBackendPool, request), _details)


@pool.command("list")
@watches
def list_(read: Reader) -> None:
    """List pools."""
    read.show(lambda: fetch_all(read.session), lambda answer: _table(read, answer))


@pool.command()
@click.argument("name", shell_complete=complete.pools)
@click.option("--force", is_flag=True, help="Delete its backends too.")
@writes
def delete(write: Writer, name: str, force: bool) -> None:
    """Delete a pool that no service uses."""
    request = pb.DeleteBackendPoolRequest(name=client.pool_name(name), force=force)
    write.session.call(write.session.pools.DeleteBackendPool, request)
    write.done(f"pool {name} deleted")


def fetch_all(session: Session) -> pb.ListBackendPoolsResponse:
    """Every pool."""
    return session.pages(session.pools.ListBackendPools, pb.ListBackendPoolsRequest())


def mode_text(value: "pb.ForwardingMode.ValueType") -> str:
    """l2, vxlan or ipip."""
    return _MODE_TEXT.get(value, "-")


def policy_text(value: "pb.SelectionPolicy.ValueType") -> str:
    """maglev, wrr or rendezvous."""
    return _POLICY_TEXT.get(value or pb.SELECTION_POLICY_MAGLEV, "-")


def _details(found: pb.BackendPool) -> Text:
    return output.fields(
        [
            ("Pool", values.short(found.name)),
            ("Mode", mode_text(found.forwarding_mode)),
            ("Tunnel", _tunnel(found)),
            ("Policy", policy_text(found.policy)),
            ("Source affinity", "yes" if found.source_affinity else "no"),
            ("Slow start", _slow_start_text(found)),
            ("Rows", _rows(found)),
            ("Health check", _check_details(found)),
            ("Fail open", "yes" if found.fail_open else "no"),
            ("Created", values.moment(found.create_time)),
            ("Revision", found.revision),
            ("Uid", found.uid),
            ("Etag", found.etag),
        ]
    )


def _table(read: Reader, answer: pb.ListBackendPoolsResponse) -> Text:
    members = backend.fetch_all(read.session).backends
    all_of = Counter(_pool_of(member) for member in members)
    down_of = Counter(_pool_of(member) for member in members if backend.is_down(member))
    titles = ["Pool", "Mode", "Policy", ">Rows", "Check", ">Backends", ">Down"]
    if read.wide:
        titles += ["Affinity", "Slow start", "Fail open", "Tunnel", ">Revision", "Created", "Uid"]
    rows = []
    for found in answer.backend_pools:
        row = [*_cells(found), all_of[found.name], down_of[found.name]]
        rows.append(row + _wide_cells(found) if read.wide else row)
    return output.table(titles, rows)


def _pool_of(member: pb.Backend) -> str:
    return member.name.partition("/backends/")[0]


def _cells(found: pb.BackendPool) -> list[output.Cell]:
    return [
        values.short(found.name),
        mode_text(found.forwarding_mode),
        policy_text(found.policy),
        _rows(found),
        _check_kind(found.health_check) or "-",
    ]


def _wide_cells(found: pb.BackendPool) -> list[output.Cell]:
    return [
        "yes" if found.source_affinity else "no",
        _slow_start_text(found) or "-",
        "yes" if found.fail_open else "no",
        _tunnel(found) or "-",
        found.revision,
        values.moment(found.create_time),
        found.uid,
    ]


def _rows(found: pb.BackendPool) -> output.Cell:
    return found.selection_rows or "auto"


def _slow_start_text(found: pb.BackendPool) -> str:
    return values.duration(found.slow_start.duration) if found.HasField("slow_start") else ""


def _tunnel(found: pb.BackendPool) -> str:
    """VXLAN's options with the defaults of those that are unset."""
    if found.forwarding_mode != pb.FORWARDING_MODE_VXLAN:
        return ""
    vxlan = found.vxlan
    mac = vxlan.inner_mac or "02:54:49:41:52:41"
    return f"vni {vxlan.vni or 1} port {vxlan.port or 4789} to {mac}"


def _check_details(found: pb.BackendPool) -> str:
    check = found.health_check
    if not _check_kind(check):
        return "none: every backend counts as up"
    interval = values.duration(check.interval) if check.HasField("interval") else "2s"
    timeout = values.duration(check.timeout) if check.HasField("timeout") else "1s"
    times = f"every {interval}, failed after {timeout}"
    return f"{_check_words(check)} {times}, up after {check.rise or 2}, down after {check.fall or 3}"


def _check_kind(check: pb.HealthCheck) -> str:
    """As "tcp 80" or "https 443"; empty: no check."""
    if check.HasField("http"):
        return f"{'https' if check.http.tls else 'http'} {check.http.port}"
    return f"tcp {check.tcp.port}" if check.HasField("tcp") else ""


def _check_words(check: pb.HealthCheck) -> str:
    """All that a probe asks and expects."""
    if not check.HasField("http"):
        return _check_kind(check)
    http = check.http
    ranges = [(to.first, to.last or to.first) for to in http.expected_statuses] or [(200, 399)]
    wanted = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
    host = f" host {http.host}" if http.host else ""
    verified = " verified" if http.verify else ""
    return f"{_check_kind(check)}{http.path or '/'}{host}{verified} expects {wanted}"
