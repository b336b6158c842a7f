# SPDX-License-Identifier: Apache-2.0
"""tiara node, tiara stats, tiara version: this balancer and its counters."""

from collections.abc import Mapping

import click
import grpc
from rich.text import Text

from tiara.cli import output, values
from tiara.cli.options import Reader, watches
from tiara.cli.session import Session
from tiara.cli.version import client_version, skew
from tiara.v1 import node_pb2 as pb

VERSION_TIMEOUT_S = 1.0


@click.command()
@watches
def node(read: Reader) -> None:
    """Show this balancer: its daemons, workers and revisions."""
    read.show(lambda: _get(read.session), _details)


@click.command()
@click.option("--count", is_flag=True, help="Scan the table: live connections and who has them.")
@watches
def stats(read: Reader, count: bool) -> None:
    """Show counters: verdicts, events, services, backends, workers.

    Counters begin when the segment is made and outlive both daemons.
    """
    request = pb.GetStatisticsRequest(count_connections=count)
    read.show(
        lambda: read.session.call(read.session.node.GetStatistics, request),
        lambda answer: _statistics(answer, count, read.wide),
    )


@click.command()
@click.pass_obj
def version(session: Session) -> None:
    """Show the versions of this program and of the daemons, and the segment's layout id.

    All must have the same minor version (0.1 of 0.1.3); others are warned about.
    """
    click.echo(f"tiara          {client_version()}")
    try:
        found = session.node.GetNode(pb.GetNodeRequest(), timeout=VERSION_TIMEOUT_S)
    except grpc.RpcError:
        click.echo(f"control plane  not reached at {session.address}")
        return
    click.echo(f"control plane  {found.version}")
    click.echo(f"data plane     {found.dataplane_version or 'none has run'}")
    click.echo(f"layout id      {found.layout_id or 'no segment'}")
    for warning in skew(found.version, found.dataplane_version):
        click.echo(f"tiara: {warning}", err=True)


def _get(session: Session) -> pb.Node:
    return session.call(session.node.GetNode, pb.GetNodeRequest())


def _details(found: pb.Node) -> Text:
    return output.fields(
        [
            ("Node", values.short(found.name)),
            ("Address", found.address or "none"),
            ("Control plane", found.version),
            ("Data plane", _dataplane(found)),
            ("Workers", _workers_running(found)),
            ("Revision", _revision(found)),
            ("Generation", _generation(found)),
            ("Segment", _segment(found)),
            ("Layout id", found.layout_id),
            ("In quarantine", _quarantine(found)),
        ]
    )


def _dataplane(found: pb.Node) -> Text:
    if not found.dataplane_version:
        return Text("none has run", "yellow")
    live = Text("running", "green") if found.dataplane_live else Text("not running", "red")
    parts = [Text(found.dataplane_version), live, Text(f"starts {found.dataplane_starts}")]
    if found.HasField("first_forward"):
        parts.append(Text(f"first packet {values.duration(found.first_forward)} after start"))
    return Text(", ").join(parts)


def _workers_running(found: pb.Node) -> str:
    """The others sleep for want of packets."""
    return f"{found.workers_online}, {found.workers_awake} awake" if found.workers_online else "none"


def _revision(found: pb.Node) -> Text:
    stored, applied = found.stored_revision, found.applied_revision
    if stored == applied:
        return Text(f"{stored}, applied")
    reason = found.not_applied_reason
    text = f"{stored} stored, {applied} applied" + (f": {reason}" if reason else "")
    return Text(text, "yellow")


def _generation(found: pb.Node) -> str:
    waiting = found.generations_waiting
    return f"{found.generation}, {waiting} older kept for a worker" if waiting else str(found.generation)


def _segment(found: pb.Node) -> str:
    if not found.layout_id:
        return "none"
    return f"{values.size(found.segment_bytes)} in pages of {values.size(found.page_bytes)}"


def _quarantine(found: pb.Node) -> str:
    return f"{found.quarantined_services} services, {found.quarantined_backends} backends"


def _statistics(answer: pb.Statistics, counted: bool, wide: bool) -> Text:
    return output.stack(
        [
            _summary(answer, counted),
            _services(answer, counted),
            _backends(answer, counted),
            _workers(answer) if wide else None,
        ]
    )


def _summary(answer: pb.Statistics, counted: bool) -> Text:
    lines = [
        output.wrap("packets", _traffic(answer), 10),
        output.wrap("table", _table_words(answer, counted), 10),
        *_tiers(answer, counted),
        output.wrap("verdicts", _words(answer.verdicts), 10),
        output.wrap("events", _words(answer.events), 10),
    ]
    return Text("\n").join(lines)


def _traffic(answer: pb.Statistics) -> list[str]:
    return [
        f"received {values.count(answer.rx_packets)} ({values.size(answer.rx_bytes)})",
        f"sent {values.count(answer.tx_packets)} ({values.size(answer.tx_bytes)})",
    ]


def _table_words(answer: pb.Statistics, counted: bool) -> list[str]:
    capacity = values.count(answer.connection_capacity)
    if not counted:
        return [f"room for {capacity} (--count counts the live ones)"]
    differ = f"{values.count(answer.differ_from_selection)} differ from the selection table"
    return [f"{values.count(answer.connections)} of {capacity}", differ]


def _tiers(answer: pb.Statistics, counted: bool) -> list[Text]:
    """Who forwarded, and how many connections the card has; nothing without a card."""
    card, cpu = (answer.verdicts.get(name, 0) for name in ("forwarded_by_card", "forwarded"))
    if not card and not answer.offloaded_connections:
        return []
    words = [f"card {values.count(card)} packets", f"cpu {values.count(cpu)} packets"]
    if counted:
        words.append(f"{values.count(answer.offloaded_connections)} connections in the card")
    return [output.wrap("tiers", words, 10)]


def _words(counters: Mapping[str, int]) -> list[str]:
    """Counters that are not zero, the largest first."""
    counted = sorted(counters.items(), key=lambda item: (-item[1], item[0]))
    return [f"{name} {values.count(number)}" for name, number in counted if number] or ["none"]


def _services(answer: pb.Statistics, counted: bool) -> Text | None:
    if not answer.services:
        return None
    refused = any(s.refused_packets for s in answer.services)
    titles = ["Service", "Frontend", ">Packets", ">Bytes", ">New"]
    titles += [">Refused"] * refused + [">Live"] * counted
    rows = [
        [
            values.short(s.virtual_service),
            s.frontend,
            values.count(s.packets),
            values.size(s.bytes),
            values.count(s.connections_total),
            *([values.count(s.refused_packets)] if refused else []),
            *([values.count(s.connections)] if counted else []),
        ]
        for s in answer.services
    ]
    return output.table(titles, rows)


def _backends(answer: pb.Statistics, counted: bool) -> Text | None:
    if not answer.backends:
        return None
    titles = ["Backend", ">Packets", ">Bytes", ">New", ">Want"] + [">Live", ">Share"] * counted
    rows = [
        [
            values.short(b.backend),
            values.count(b.packets),
            values.size(b.bytes),
            values.count(b.connections_total),
            values.share(b.wanted_share),
            *([values.count(b.connections), _live_share(answer, b)] if counted else []),
        ]
        for b in answer.backends
    ]
    return output.table(titles, rows)


def _live_share(answer: pb.Statistics, one: pb.BackendStatistics) -> str:
    """Of the live connections of its pool."""
    pool = one.backend.partition("/backends/")[0]
    of_pool = sum(b.connections for b in answer.backends if b.backend.startswith(f"{pool}/"))
    return values.share(one.connections / of_pool) if of_pool else "-"


def _workers(answer: pb.Statistics) -> Text:
    rows = [
        [w.worker, w.generation or "asleep", values.count(w.bursts), values.share(w.busy_share)]
        for w in answer.workers
    ]
    return output.table(["Worker", ">Generation", ">Bursts", ">Busy"], rows)
