# SPDX-License-Identifier: Apache-2.0
"""tiara explain: what the data plane would do with a packet, and why."""

import sys
from itertools import islice
from pathlib import Path

import click
from rich.text import Text

from tiara import pcap
from tiara.cli import output, values
from tiara.cli.options import Reader, reads
from tiara.v1 import packet_pb2 as pb
from tiara.v1 import virtual_service_pb2

_FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")
_WAY = {
    pb.PACKET_WAY_DROPPED: "dropped",
    pb.PACKET_WAY_SENT: "sent",
    pb.PACKET_WAY_KERNEL: "to the kernel",
}


def parse_flags(text: str) -> int:
    """Reads names of TCP flags as in "syn,ack" into bits."""
    bits = 0
    for name in text.lower().split(","):
        if name not in _FLAGS:
            raise ValueError(f"{name!r} is no TCP flag; give some of {', '.join(_FLAGS)}, with commas")
        bits |= 1 << _FLAGS.index(name)
    return bits


def parse_hex(text: str) -> bytes:
    """Reads a frame in hex; spaces, line ends and colons between bytes are allowed."""
    try:
        frame = bytes.fromhex(text.replace(":", " "))
    except ValueError:
        raise ValueError("is no frame in hex, two digits a byte") from None
    if not frame:
        raise ValueError("there is no byte in it")
    return frame


@click.command()
@click.argument("protocol", type=click.Choice(list(values.PROTOCOLS)), required=False)
@click.argument("client", type=values.ENDPOINT, metavar="[CLIENT:PORT]", required=False)
@click.argument("frontend", type=values.ENDPOINT, metavar="[ADDRESS:PORT]", required=False)
@click.option("--syn", is_flag=True, help="As a client's first packet; otherwise one amid a connection.")
@click.option("--flags", type=values.Parsed("flags", parse_flags), help="TCP flags, as fin,ack.")
@click.option(
    "--bytes",
    "size",
    type=click.IntRange(0, 9000),
    default=0,
    help="Bytes of data in it. 0 unless given.",
)
@click.option("--hex", "digits", metavar="HEX", help="An Ethernet frame as it is; - is stdin.")
@click.option(
    "--pcap",
    "capture",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A frame of a capture.",
)
@click.option("--packet", type=click.IntRange(1), default=1, show_default=True, help="Which of the capture.")
@reads
def explain(
    read: Reader,
    *,
    protocol: str | None,
    client: tuple[str, int] | None,
    frontend: tuple[str, int] | None,
    syn: bool,
    flags: int | None,
    size: int,
    digits: str | None,
    capture: Path | None,
    packet: int,
) -> None:
    """Show what the data plane would do with a packet, and why.

    It is the data plane's own code that answers; nothing is sent, counted or changed.

    \b
    tiara explain tcp 198.18.0.7:40000 198.18.100.1:443
    tiara explain udp 198.18.0.7:5353 198.18.100.2:53 --bytes 40
    tiara explain --pcap trouble.pcap --packet 7 -o json
    """
    ways = [protocol is not None, digits is not None, capture is not None]
    if sum(ways) != 1:
        raise click.UsageError("give one of PROTOCOL CLIENT:PORT ADDRESS:PORT, --hex and --pcap")
    if protocol is None and (syn or flags or size):
        raise click.UsageError("--syn, --flags and --bytes go with PROTOCOL CLIENT:PORT ADDRESS:PORT")
    request = pb.ExplainPacketRequest()
    if capture is not None:
        request.frame = _captured(capture, packet)
    elif digits is not None:
        request.frame = _typed(digits)
    else:
        request.flow.CopyFrom(_flow(protocol, client, frontend, _bits(protocol, syn, flags), size))
    read.show(
        lambda: read.session.call(read.session.packets.ExplainPacket, request),
        lambda answer: _table(answer, read.wide),
    )


def _bits(protocol: str | None, syn: bool, flags: int | None) -> int:
    if protocol != "tcp" and (syn or flags):
        raise click.UsageError("--syn and --flags go with tcp")
    if syn and flags:
        raise click.UsageError("give --syn or --flags, not both")
    return 1 << _FLAGS.index("syn") if syn else flags or 0


def _flow(
    protocol: str | None,
    client: tuple[str, int] | None,
    frontend: tuple[str, int] | None,
    bits: int,
    size: int,
) -> pb.PacketFlow:
    if protocol is None or client is None or frontend is None:
        raise click.UsageError("after the protocol come CLIENT:PORT and ADDRESS:PORT")
    return pb.PacketFlow(
        protocol=values.PROTOCOLS[protocol],
        client_address=client[0],
        client_port=client[1],
        address=frontend[0],
        port=frontend[1],
        tcp_flags=bits,
        payload_bytes=size,
    )


def _typed(digits: str) -> bytes:
    try:
        return parse_hex(sys.stdin.read() if digits == "-" else digits)
    except ValueError as error:
        raise click.UsageError(f"--hex: {error}") from error


def _captured(capture: Path, number: int) -> bytes:
    try:
        for _, frame in islice(pcap.read(capture), number - 1, number):
            return frame
    except (pcap.PcapError, OSError) as error:
        raise click.UsageError(f"--pcap: {error}") from error
    raise click.UsageError(f"--packet: {capture} has no frame number {number}")


def _table(answer: pb.ExplainPacketResponse, wide: bool) -> Text:
    return output.fields(
        [
            ("Verdict", _verdict(answer)),
            ("Packet", _packet(answer)),
            ("Service", values.short(answer.virtual_service)),
            ("Hash", _hash(answer)),
            ("Row", _row(answer)),
            ("Connection", _before(answer)),
            ("Then", _after(answer)),
            ("Backend", _backend(answer)),
            ("Headers", _headers(answer)),
            ("Leaves", f"{_WAY.get(answer.way, '-')}, handled by {answer.tier}"),
            ("Events", ", ".join(answer.events)),
            ("Generation", _generation(answer)),
            ("Frame", answer.frame.hex() if wide else ""),
        ]
    )


def _verdict(answer: pb.ExplainPacketResponse) -> Text:
    colour = "red" if answer.way == pb.PACKET_WAY_DROPPED else "green"
    meaning = f": {answer.meaning}" if answer.meaning else ""
    return Text.assemble((answer.verdict, colour), meaning)


def _packet(answer: pb.ExplainPacketResponse) -> str:
    if not answer.HasField("flow"):
        return "not one for a service"
    flow = answer.flow
    if flow.protocol == virtual_service_pb2.PROTOCOL_UNSPECIFIED:
        return f"{flow.client_address} -> {flow.address}, neither tcp nor udp"
    named = [name for bit, name in enumerate(_FLAGS) if flow.tcp_flags >> bit & 1]
    ends = f"{flow.client_address}:{flow.client_port} -> {flow.address}:{flow.port}"
    return f"{values.protocol(flow.protocol)} {ends}" + (f" {','.join(named)}" if named else "")


def _hash(answer: pb.ExplainPacketResponse) -> str:
    selection = answer.selection
    return (
        f"{selection.hash}, buckets {selection.buckets[0]} and {selection.buckets[1]}"
        if selection.hash
        else ""
    )


def _row(answer: pb.ExplainPacketResponse) -> str:
    if not answer.HasField("selection"):
        return ""
    selection = answer.selection
    if not selection.rows:
        return "none: the pool has nobody to select"
    return f"{selection.row} of {selection.rows}: {values.short(selection.backend) or 'a removed backend'}"


def _before(answer: pb.ExplainPacketResponse) -> str:
    if not answer.HasField("selection"):
        return ""
    if not answer.HasField("connection"):
        return "none"
    found = answer.connection
    backend = values.short(found.backend) or "a removed backend"
    idle = "not seen yet" if found.pushed else f"seen {values.duration(found.idle)} ago"
    return f"{values.state(found.state)} at {backend}, {idle}, expires in {values.duration(found.expires)}"


def _after(answer: pb.ExplainPacketResponse) -> str:
    if not answer.HasField("selection"):
        return ""
    state = values.state(answer.state)
    if not answer.fresh:
        return state if answer.state else "none"
    return f"selected anew, {state}" if answer.HasField("connection") else f"made, {state}"


def _backend(answer: pb.ExplainPacketResponse) -> str:
    return f"{values.short(answer.backend)} by {answer.forwarding}" if answer.backend else ""


def _headers(answer: pb.ExplainPacketResponse) -> str:
    if not answer.HasField("outer"):
        return ""
    outer = answer.outer
    parts = [f"{outer.source_mac} -> {outer.destination_mac}"]
    ports = (f":{outer.source_port}", f":{outer.destination_port}") if outer.destination_port else ("", "")
    if outer.source_address:
        parts.append(f"{outer.source_address}{ports[0]} -> {outer.destination_address}{ports[1]}")
    if outer.destination_port:
        parts.append(f"VNI {outer.vni}")
    return ", ".join(parts)


def _generation(answer: pb.ExplainPacketResponse) -> str:
    return str(answer.generation) + ("" if answer.dataplane_live else ", but no data plane runs")
