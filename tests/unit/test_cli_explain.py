# SPDX-License-Identifier: Apache-2.0
"""`tiara explain` and `tiara connections flush`: what they ask for, and exactly what they print."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from cli_fake import World, serving
from click.testing import CliRunner, Result
from tiara import pcap
from tiara.cli.main import cli
from tiara.v1 import connection_pb2, packet_pb2, virtual_service_pb2

Tiara = Callable[..., Result]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fake server."""
    with serving(tmp_path / "api.sock") as world:
        yield world


@pytest.fixture
def tiara(tmp_path: Path, world: World) -> Tiara:
    """Runs a command line against the fake."""

    def run(line: str, stdin: str = "") -> Result:
        return CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", *line.split()], stdin)

    return run


def forwarded() -> packet_pb2.ExplainPacketResponse:
    """A new connection through a tunnel."""
    return packet_pb2.ExplainPacketResponse(
        verdict="forwarded",
        meaning="sent to the backend; its connection is in the table",
        way=packet_pb2.PACKET_WAY_SENT,
        events=["connection_new"],
        tier="cpu",
        generation=12,
        dataplane_live=True,
        flow=packet_pb2.PacketFlow(
            protocol=virtual_service_pb2.PROTOCOL_TCP,
            client_address="198.18.0.7",
            client_port=40000,
            address="198.18.100.1",
            port=443,
            tcp_flags=2,
        ),
        virtual_service="virtualServices/web",
        selection=packet_pb2.PacketSelection(
            hash="00c0ffee00c0ffee",
            buckets=[17, 4],
            row=63990,
            rows=65537,
            backend="backendPools/web/backends/b1",
        ),
        state=connection_pb2.CONNECTION_STATE_NEW,
        fresh=True,
        backend="backendPools/web/backends/b1",
        forwarding="vxlan",
        outer=packet_pb2.OuterHeaders(
            source_mac="02:54:49:41:00:01",
            destination_mac="02:00:00:00:00:0b",
            source_address="198.18.0.2",
            destination_address="198.18.0.11",
            source_port=50000,
            destination_port=4789,
            vni=7,
        ),
        frame=b"\x02\xab",
    )


def test_new_connection(tiara: Tiara, world: World) -> None:
    """All of the answer, a line each; wide adds the frame."""
    world.explanation = forwarded()
    expected = dedent("""\
        Verdict     forwarded: sent to the backend; its connection is in the table
        Packet      tcp 198.18.0.7:40000 -> 198.18.100.1:443 syn
        Service     web
        Hash        00c0ffee00c0ffee, buckets 17 and 4
        Row         63990 of 65537: web/b1
        Connection  none
        Then        made, new
        Backend     web/b1 by vxlan
        Headers     02:54:49:41:00:01 -> 02:00:00:00:00:0b, 198.18.0.2:50000 -> 198.18.0.11:4789, VNI 7
        Leaves      sent, handled by cpu
        Events      connection_new
        Generation  12
        """)
    line = "explain tcp 198.18.0.7:40000 198.18.100.1:443 --syn"
    assert tiara(line).stdout == expected
    assert tiara(f"{line} -o wide").stdout == expected + "Frame       02ab\n"
    assert world.requests[0].flow == packet_pb2.PacketFlow(
        protocol=virtual_service_pb2.PROTOCOL_TCP,
        client_address="198.18.0.7",
        client_port=40000,
        address="198.18.100.1",
        port=443,
        tcp_flags=2,
    )


def test_known_connection(tiara: Tiara, world: World) -> None:
    """Its state before and after; another backend than the row's; a data plane that does not run."""
    world.explanation = forwarded()
    world.explanation.fresh = world.explanation.dataplane_live = False
    world.explanation.state = connection_pb2.CONNECTION_STATE_CLOSING
    world.explanation.connection.CopyFrom(
        connection_pb2.Connection(
            state=connection_pb2.CONNECTION_STATE_ESTABLISHED, backend="backendPools/web/backends/b2"
        )
    )
    world.explanation.connection.idle.FromSeconds(3)
    world.explanation.connection.expires.FromSeconds(90)
    printed = tiara("explain tcp 198.18.0.7:40000 198.18.100.1:443 --flags fin,ack --bytes 9").stdout
    assert (
        "Connection  established at web/b2, seen 3s ago, expires in 1m30s\nThen        closing\n" in printed
    )
    assert "Generation  12, but no data plane runs\n" in printed
    assert (world.requests[0].flow.tcp_flags, world.requests[0].flow.payload_bytes) == (17, 9)


def test_dropped(tiara: Tiara, world: World) -> None:
    """Lines that say nothing are left out."""
    world.explanation = packet_pb2.ExplainPacketResponse(
        verdict="vlan",
        meaning="tagged twice, or with a provider's tag",
        way=packet_pb2.PACKET_WAY_DROPPED,
        tier="cpu",
        generation=3,
        dataplane_live=True,
    )
    assert tiara("explain --hex 00:01:02").stdout == dedent("""\
        Verdict     vlan: tagged twice, or with a provider's tag
        Packet      not one for a service
        Leaves      dropped, handled by cpu
        Generation  3
        """)


def test_frames_of_all_kinds(tiara: Tiara, world: World, tmp_path: Path) -> None:
    """Hex with spaces, colons and line ends, by argument and stdin; the frames of a capture."""
    with pcap.Writer(tmp_path / "two.pcap") as capture:
        capture.write(1, b"first")
        capture.write(2, b"second")
    lines = [
        ("explain --hex 00:aB", ""),
        ("explain --hex -", "00 ab\ncd:ef\n"),
        (f"explain --pcap {tmp_path}/two.pcap", ""),
        (f"explain --pcap {tmp_path}/two.pcap --packet 2", ""),
    ]
    for line, stdin in lines:
        assert tiara(line, stdin).exit_code == 0, line
    sent = [request.frame for request in world.requests]
    assert sent == [b"\x00\xab", b"\x00\xab\xcd\xef", b"first", b"second"]


def test_explain_as_json(tiara: Tiara, world: World) -> None:
    """The API's message."""
    world.explanation = forwarded()
    answer = json.loads(tiara("explain udp 198.18.0.7:1 198.18.100.1:53 -o json").stdout)
    assert (answer["verdict"], answer["selection"]["row"], answer["frame"]) == ("forwarded", 63990, "Aqs=")
    assert answer["way"] == "PACKET_WAY_SENT"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("explain", "give one of PROTOCOL CLIENT:PORT ADDRESS:PORT, --hex and --pcap"),
        ("explain tcp 198.18.0.7:1 198.18.100.1:1 --hex 00", "give one of"),
        ("explain tcp 198.18.0.7:1", "after the protocol come CLIENT:PORT and ADDRESS:PORT"),
        ("explain tcp 198.18.0.7 198.18.100.1:1", "is not ADDRESS:PORT"),
        ("explain udp 198.18.0.7:1 198.18.100.1:1 --syn", "--syn and --flags go with tcp"),
        ("explain tcp 198.18.0.7:1 198.18.100.1:1 --syn --flags ack", "not both"),
        ("explain tcp 198.18.0.7:1 198.18.100.1:1 --flags sin", "'sin' is no TCP flag"),
        ("explain --hex 0", "--hex: is no frame in hex"),
        ("explain --hex -", "--hex: there is no byte in it"),
        ("explain --hex 00 --bytes 3", "go with PROTOCOL"),
        ("explain --pcap FILE", "is not a pcap file"),
        ("explain --pcap CUT", "ends within a frame"),
        ("explain --pcap EMPTY", "has no frame number 1"),
        ("connections flush", "give a filter, or --yes"),
        ("connections flush --idle 5", "is not a duration"),
    ],
)
def test_wrong_command_lines(tiara: Tiara, world: World, tmp_path: Path, line: str, message: str) -> None:
    """Exit code 2, one sentence, nothing sent."""
    (tmp_path / "FILE").write_bytes(b"no capture")
    with pcap.Writer(tmp_path / "EMPTY"):
        pass
    (tmp_path / "CUT").write_bytes((tmp_path / "EMPTY").read_bytes() + bytes(8) + b"\x09\0\0\0\x09\0\0\0abc")
    for name in ("FILE", "CUT", "EMPTY"):
        line = line.replace(f"--pcap {name}", f"--pcap {tmp_path}/{name}")
    result = tiara(line)
    assert (result.exit_code, world.requests) == (2, [])
    assert message in " ".join(result.stderr.split())


# Flush


def test_flush_by_filter(tiara: Tiara, world: World) -> None:
    """Every filter arrives in its field; the count is printed."""
    world.flushed.removed = 12345
    filters = "--service web --backend web/b1 --client 10.0.0.0/8 --state closing --idle 1m30s"
    assert tiara(f"connections flush {filters}").stdout == "12,345 connections flushed\n"
    expected = connection_pb2.FlushConnectionsRequest(
        virtual_service="virtualServices/web",
        backend="backendPools/web/backends/b1",
        client_prefix="10.0.0.0/8",
        state=connection_pb2.CONNECTION_STATE_CLOSING,
    )
    expected.min_idle.FromSeconds(90)
    assert world.requests == [expected]
    tiara(f"connections list {filters}")
    listed = world.requests[1]
    for field in ("virtual_service", "backend", "client_prefix", "state", "min_idle"):
        assert getattr(listed, field) == getattr(expected, field)


def test_flush_all(tiara: Tiara, world: World) -> None:
    """Only with --yes."""
    assert tiara("connections flush --yes").stdout == "0 connections flushed\n"
    assert world.requests == [connection_pb2.FlushConnectionsRequest(all=True)]


def test_flush_that_is_not_complete(tiara: Tiara, world: World) -> None:
    """The count, and exit code 1 with what to do."""
    world.flushed.complete = False
    result = tiara("connections flush --client 10.0.0.0/8 -o json")
    assert json.loads(result.stdout) == {"removed": "0", "complete": False}
    assert result.exit_code == 1 and "flush again" in result.stderr
