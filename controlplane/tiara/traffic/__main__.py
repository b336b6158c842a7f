# SPDX-License-Identifier: Apache-2.0
"""The program behind `tiara traffic`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from rich.progress import track

from tiara import pcap
from tiara.cli import output, values
from tiara.traffic import checker
from tiara.traffic import script as scripts
from tiara.traffic.link import Link, LinkError, default_route_interfaces

SHOWN_MOVED = 10
CAPTURE_TURN_S = 0.1

EPILOG = """\
\b
Exit codes:
  0  done; check: consistent
  1  check: a connection moved, or nothing arrived
  2  usage: a wrong argument, script or file; nothing was sent"""

_TAKE = click.option(
    "--take-interface", is_flag=True, help="Use the interface even if it carries the default route."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_DURATION = click.option(
    "--duration", type=values.DURATION, default="10s", show_default=True, help="End after this."
)


class Failure(click.ClickException):
    """Ends the program with a sentence and exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Prints the sentence to stderr."""
        click.echo(f"tiara traffic: {self.message}", err=True, file=file)


class Program(click.Group):
    """Turns what can go wrong into a sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except (scripts.ScriptError, pcap.PcapError, checker.CheckError, LinkError) as error:
            raise Failure(str(error)) from error
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror or error}") from error


@click.group(
    "tiara traffic",
    cls=Program,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
def cli() -> None:
    """Generate traffic by a script, and check what became of it.

    \b
    tiara traffic run clients.yaml --interface eth0 --pcap sent.pcap
    tiara traffic check sent.pcap b1=b1.pcap b2=b2.pcap
    """


@cli.command()
@click.argument("script", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--interface", metavar="IFACE", help="Send on this interface, and heed the answers.")
@click.option(
    "--pcap",
    "pcap_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what is sent (without --interface: all that would be) to this file.",
)
@click.option("--seed", type=click.IntRange(0), help="Instead of the script's.")
@click.option("--rate", type=click.IntRange(1), help="Packets a second, instead of the script's.")
@click.option("--count", type=click.IntRange(1), help="End after so many packets.")
@_DURATION
@click.option(
    "--to", default="", metavar="WHERE", help="MAC or IPv4 address of the next hop, instead of ARP for VIPs."
)
@click.option("--blind", is_flag=True, help="Do not wait for answers to SYNs.")
@_TAKE
@_JSON
def run(
    script: Path,
    interface: str | None,
    pcap_path: Path | None,
    seed: int | None,
    rate: int | None,
    count: int | None,
    duration: timedelta,
    to: str,
    blind: bool,
    take_interface: bool,
    as_json: bool,
) -> None:
    """Run a script's clients, on an interface or into a file.

    Into a file, the same script and seed give the same bytes. On an interface, what clients
    acknowledge depends on the servers; the clients' addresses must be nobody's.
    """
    _need_scapy()
    from dataclasses import replace

    if not interface and not pcap_path:
        raise click.UsageError("give --interface IFACE, --pcap FILE, or both")
    read = scripts.load(script)
    read = replace(read, seed=read.seed if seed is None else seed, rate=rate or read.rate)
    limit = count or read.packet_cnt
    if interface:
        answer = _run_live(read, interface, pcap_path, duration, limit, to, not blind, take_interface)
    else:
        assert pcap_path is not None
        answer = _run_to_file(read, pcap_path, limit, to)
    click.echo(json.dumps(answer) if as_json else _run_text(answer))


def _run_to_file(read: scripts.Script, path: Path, limit: int, to: str) -> dict[str, Any]:
    from itertools import islice

    from tiara.traffic.packets import Macs, frames

    if to and ":" not in to:
        raise click.UsageError(f"--to {to}: a file needs a MAC address; nobody can be asked for it")
    generated = islice(frames(read, Macs(to=to) if to else Macs()), limit)
    with pcap.Writer(path) as writer:
        for time_ns, frame in _progress(generated, min(limit, read.packet_cnt), "building packets"):
            writer.write(time_ns, frame)
    return {"planned": read.packet_cnt, "written": writer.count, "pcap": str(path)}


def _run_live(
    read: scripts.Script,
    interface: str,
    path: Path | None,
    duration: timedelta,
    limit: int,
    to: str,
    wait_for_answers: bool,
    take_interface: bool,
) -> dict[str, Any]:
    from tiara.traffic.live import Run

    _check_interface(interface, take_interface)
    kept: list[tuple[int, bytes]] = []
    with Link(interface) as link:
        live = Run(read, link, to, lambda *sent: kept.append(sent), wait_for_answers)
        outcome = live.go(duration.total_seconds(), limit, _on_signal())
    if path:
        with pcap.Writer(path) as writer:
            for time_ns, frame in kept:
                writer.write(time_ns, frame)
    return outcome.as_json()


def _run_text(answer: dict[str, Any]) -> str:
    if "written" in answer:
        return f"wrote {answer['written']} of {answer['planned']} packets to {answer['pcap']}"
    return (
        f"sent {answer['sent']} of {answer['planned']} packets in {answer['seconds']:.1f} s; "
        f"{answer['answered']} of {answer['connections']} connections answered, {answer['resets']} reset"
    )


@cli.command()
@click.argument("interface", metavar="IFACE")
@click.option(
    "--pcap",
    "pcap_path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="Into this file.",
)
@click.option("--count", type=click.IntRange(1), help="End after so many frames.")
@_DURATION
@_JSON
def capture(interface: str, pcap_path: Path, count: int | None, duration: timedelta, as_json: bool) -> None:
    """Write the frames of a server's interface to a file, until Ctrl-C.

    Frames for other hosts are left out; frames that the host itself sends are not.
    """
    is_stopping = _on_signal()
    with Link(interface) as link, pcap.Writer(pcap_path) as writer:
        click.echo(f"capturing on {interface}", err=True)
        deadline = time.monotonic() + duration.total_seconds()
        while not is_stopping() and writer.count != count and (left := deadline - time.monotonic()) > 0:
            frame = link.receive(min(left, CAPTURE_TURN_S), also_sent=True)
            if frame is not None:
                writer.write(time.time_ns(), frame)
        while writer.count != count and (frame := link.receive(0, also_sent=True)) is not None:
            writer.write(time.time_ns(), frame)
        missed = link.missed()
    answer = {"frames": writer.count, "missed": missed, "pcap": str(pcap_path)}
    click.echo(json.dumps(answer) if as_json else _capture_text(answer))


def _capture_text(answer: dict[str, Any]) -> str:
    text = f"wrote {answer['frames']} frames to {answer['pcap']}"
    if answer["missed"]:
        text += f"; {answer['missed']} came too fast and are missing: the checker will call them lost"
    return text


def _on_signal() -> Callable[[], bool]:
    """Whether SIGINT or SIGTERM has come; from now on neither ends the process."""
    got: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: got.append(number))
    return lambda: bool(got)


@cli.command()
@click.argument("sent", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("received", nargs=-1, required=True, metavar="[BACKEND=]RECEIVED...")
@click.option(
    "--strict", is_flag=True, help="Exit with 1 for lost, repeated, reordered, altered packets too."
)
@_JSON
def check(sent: Path, received: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Find sent packets in captures and say which backend got them.

    SENT is what `run --pcap` wrote. A capture given as BACKEND=FILE counts for that backend; the
    packets of one without a name count for the outer address (VXLAN, IPIP) or the MAC address that
    they are sent to. A connection whose packets reach two backends is inconsistent.
    """
    captures = [_received(text) for text in received]
    report = checker.check(pcap.read(sent), captures)
    click.echo(json.dumps(report.as_json()) if as_json else _report_text(report))
    if not (report.is_flawless if strict else report.is_consistent):
        sys.exit(1)


def _received(text: str) -> checker.Received:
    backend, equals, path = text.partition("=")
    return (
        checker.Received(pcap.read(Path(path)), backend)
        if equals
        else checker.Received(pcap.read(Path(text)))
    )


def _report_text(report: checker.Report) -> str:
    lines = [
        f"{report.connections} connections, {report.unseen} of them not seen",
        f"{report.sent} packets sent, {report.received} received: {report.lost} lost, "
        f"{report.duplicated} repeated, {report.reordered} reordered, {report.altered} altered",
    ]
    seen = max(report.connections - report.unseen, 1)
    rows = [
        (backend, share.connections, share.packets, values.share(share.connections / seen))
        for backend, share in report.shares.items()
    ]
    if rows:
        lines.append(output.table(("Backend", ">Connections", ">Packets", ">Share"), rows).plain)
    for moved in report.moved[:SHOWN_MOVED]:
        where = ", ".join(f"{backend} packets {_runs(sent)}" for backend, sent in moved.packets.items())
        lines.append(f"moved: {moved.connection}: {where}")
    if len(report.moved) > SHOWN_MOVED:
        lines.append(f"and {len(report.moved) - SHOWN_MOVED} more; --json has all")
    lines.append(_verdict(report))
    return "\n".join(lines)


def _verdict(report: checker.Report) -> str:
    if not report.received:
        return "inconsistent: none of the sent packets was received"
    if report.moved:
        return f"inconsistent: {len(report.moved)} connections reached more than one backend"
    return "consistent: every connection reached one backend"


def _runs(numbers: list[int]) -> str:
    """1-3, 5."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


@cli.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def replay(arguments: tuple[str, ...]) -> None:
    """Send a file faster than Python can: tiara-replay (DPDK).

    tiara traffic replay sent.pcap --io af_packet:eth0 --rate 1000000
    """
    beside = Path(sys.executable).with_name("tiara-replay")
    program = str(beside) if beside.exists() else shutil.which("tiara-replay")
    if not program:
        raise Failure(
            "tiara-replay is not installed; it is built with tiara-dataplane where DPDK is: "
            "apt-get install libdpdk-dev, then install Tiara again"
        )
    os.execv(program, ["tiara-replay", *arguments])


def _need_scapy() -> None:
    try:
        import scapy  # noqa: F401
    except ModuleNotFoundError:
        raise Failure(
            "packets are built by scapy, which is not installed; run "
            "`pip install 'tiara-lb[traffic]'` (or `pip install scapy`). Nothing was sent"
        ) from None


def _check_interface(interface: str, take_interface: bool) -> None:
    if interface in default_route_interfaces() and not take_interface:
        raise LinkError(
            f"{interface} carries the default route, and generated traffic would leave by it; "
            "give another interface, or --take-interface"
        )


def _progress(items: Any, total: int, what: str) -> Any:
    """On a terminal, a bar for what takes long."""
    if total < 10_000 or not sys.stderr.isatty():
        return items
    from rich.console import Console

    return track(items, what, total, console=Console(stderr=True), transient=True)


def main() -> None:
    """Runs the program."""
    cli(prog_name="tiara traffic")


if __name__ == "__main__":
    main()
