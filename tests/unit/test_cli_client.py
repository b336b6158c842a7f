# SPDX-License-Identifier: Apache-2.0
"""The client module: packed connections v1 byte for byte, addresses, pushes in chunks."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_fake import World, serving
from tiara import client
from tiara.cli import values
from tiara.v1 import connection_pb2, virtual_service_pb2


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A fake server with nothing in it."""
    with serving(tmp_path / "api.sock") as world:
        yield world


def pinned(port: int, service: str = "web", backend: str = "b1", **more: object) -> client.PushedConnection:
    """A connection of a service pinned to a backend of the pool web."""
    names = {"service": client.service_name(service), "backend": client.backend_name("web", backend)}
    return client.PushedConnection("198.18.0.7", port, **names, **more)  # type: ignore[arg-type]


def test_records_are_golden() -> None:
    """16 bytes in network order: address, port, service, backend, idle, state, flags."""
    _, records = client.pack_connections(
        [
            pinned(40000),
            pinned(40001, backend="b2", idle_s=0x1234, state=connection_pb2.CONNECTION_STATE_CLOSING),
            pinned(40002, service="dns", state=connection_pb2.CONNECTION_STATE_UDP),
            pinned(40003, backend="b2", state=connection_pb2.CONNECTION_STATE_NEW),
        ]
    )
    assert records.hex(" ", 4).split() == [
        *("c6120007", "9c400000", "00000000", "00000300"),
        *("c6120007", "9c410000", "00000001", "12340400"),
        *("c6120007", "9c420001", "00000000", "00000500"),
        *("c6120007", "9c430000", "00000001", "00000200"),
    ]


def test_dictionaries_hold_each_name_once() -> None:
    """In order of first use; a service counts once for each frontend."""
    header, _ = client.pack_connections(
        [
            pinned(1, frontend="tcp:198.18.100.1:80"),
            pinned(2, frontend="tcp:198.18.100.1:443", backend="b2"),
            pinned(3, frontend="tcp:198.18.100.1:80", backend="b2"),
        ]
    )
    assert (header.format, header.record_bytes) == (1, 16)
    assert [values.frontend(s.frontend) for s in header.services] == [
        "tcp 198.18.100.1:80",
        "tcp 198.18.100.1:443",
    ]
    assert [b.backend for b in header.backends] == [
        "backendPools/web/backends/b1",
        "backendPools/web/backends/b2",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        client.PushedConnection("198.18.0", 1, "s", "b"),
        client.PushedConnection("fd00::7", 1, "s", "b"),
        client.PushedConnection("198.18.0.7", 65536, "s", "b"),
        client.PushedConnection("198.18.0.7", 1, "s", "b", idle_s=65536),
        client.PushedConnection("198.18.0.7", 1, "s", "b", state=connection_pb2.CONNECTION_STATE_UNSPECIFIED),
    ],
)
def test_what_does_not_fit_is_named_by_position(wrong: client.PushedConnection) -> None:
    """Nothing is packed wrongly or silently left out."""
    with pytest.raises(ValueError, match=r"^connection 1, PushedConnection"):
        client.pack_connections([pinned(1), wrong])


def test_chunks_are_numbered_whole_and_at_most_1_mib() -> None:
    """The header comes first; 65536 records fill a chunk."""
    header, one = client.pack_connections([pinned(40000)])
    requests = list(client.push_requests(header, one * 65537))
    assert requests[0].header == header
    assert [(r.chunk.sequence, len(r.chunk.records)) for r in requests[1:]] == [(1, 1 << 20), (2, 16)]


def test_push_adds_chunks_up(world: World, tmp_path: Path) -> None:
    """Positions of refusals count in the whole push."""
    world.push_refusals = {0: connection_pb2.PUSH_REFUSAL_REASON_FULL}
    with client.connect(f"{tmp_path}/api.sock") as channel:
        answer = client.push_connections(channel, (pinned(1 + i % 65535) for i in range(65537)))
    assert (answer.sequence, answer.accepted) == (2, 65535)
    assert [r.index for r in answer.refusals] == [0, 65536]
    assert len(world.pushed) == 65537 * 16


def test_push_of_nothing(world: World, tmp_path: Path) -> None:
    """No connections: no chunk, no error."""
    with client.connect(f"unix:{tmp_path}/api.sock") as channel:
        answer = client.push_connections(channel, [])
    assert (answer.accepted, len(answer.refusals), world.pushed) == (0, 0, b"")


def test_names_and_addresses() -> None:
    """The API's names of what a caller knows by id."""
    assert client.pool_name("web") == "backendPools/web"
    assert client.backend_name("web", "b1") == "backendPools/web/backends/b1"
    assert client.service_name("web") == "virtualServices/web"
    assert client.default_address("lab") == "unix:/run/tiara/lab/api.sock"
    assert client.parse_frontend("udp:198.18.100.2:53") == virtual_service_pb2.Frontend(
        address="198.18.100.2", protocol=virtual_service_pb2.PROTOCOL_UDP, port=53
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("500ms", 0.5), ("1m30s", 90), ("1.5h", 5400), ("2d", 172800), ("0s", 0)],
)
def test_durations(text: str, seconds: float) -> None:
    """Units may follow each other."""
    assert values.parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "5 s", "5x", "1h30"])
def test_durations_without_a_unit_are_refused(text: str) -> None:
    """A bare number could mean anything."""
    with pytest.raises(ValueError, match="is not a duration with its unit"):
        values.parse_duration(text)
