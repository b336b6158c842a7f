# SPDX-License-Identifier: Apache-2.0
"""Small helpers for programs that call Tiara's gRPC API: names, addresses, pushed connections.

Everything else is in the generated stubs of `tiara.v1`; nothing here hides them.
"""

import ipaddress
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import grpc

from tiara.credentials import Credentials, with_token
from tiara.v1 import connection_pb2, connection_pb2_grpc, virtual_service_pb2

PACKED_FORMAT = 1
RECORD_BYTES = 16
CHUNK_BYTES = 1 << 20

# Client address, client port, service position, backend position, idle seconds, state, flags.
_RECORD = struct.Struct("!IHHIHBB")

# A record's state byte, by the API's state.
_STATE_BYTE = {
    connection_pb2.CONNECTION_STATE_NEW: 2,
    connection_pb2.CONNECTION_STATE_ESTABLISHED: 3,
    connection_pb2.CONNECTION_STATE_CLOSING: 4,
    connection_pb2.CONNECTION_STATE_UDP: 5,
}

# A control plane that was restarted is found again within a second; a dump's header names all backends.
_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]

_PROTOCOLS = {"tcp": virtual_service_pb2.PROTOCOL_TCP, "udp": virtual_service_pb2.PROTOCOL_UDP}


def pool_name(pool: str) -> str:
    """The API's name of the pool with this id."""
    return f"backendPools/{pool}"


def backend_name(pool: str, backend: str) -> str:
    """The API's name of the backend with this id in this pool."""
    return f"backendPools/{pool}/backends/{backend}"


def service_name(service: str) -> str:
    """The API's name of the virtual service with this id."""
    return f"virtualServices/{service}"


def default_address(instance: str = "default") -> str:
    """Where the control plane of an instance listens unless told otherwise."""
    return f"unix:/run/tiara/{instance}/api.sock"


def is_socket(address: str) -> bool:
    """Whether an address is a unix socket's."""
    return address.startswith(("unix:", "/"))


def connect(address: str | None = None, credentials: Credentials | None = None) -> grpc.Channel:
    """A channel to a control plane.

    Args:
        address: "unix:/path", a bare "/path" of a socket, or "host:port" (TLS, unless the
            credentials say insecure). None means TIARA_SERVER of the environment, else the instance
            named by TIARA_INSTANCE.
        credentials: None means those of the environment, see `Credentials.from_environment`.

    Raises:
        CredentialsError: a file cannot be read, or a token would travel in the clear.
    """
    if address is None:
        instance = os.environ.get("TIARA_INSTANCE", "default")
        address = os.environ.get("TIARA_SERVER", default_address(instance))
    if credentials is None:
        credentials = Credentials.from_environment()
    token = credentials.token(plain=credentials.insecure and not is_socket(address))
    return with_token(_channel(address, credentials), token)


def _channel(address: str, credentials: Credentials) -> grpc.Channel:
    target = f"unix:{address}" if address.startswith("/") else address
    if is_socket(address) or credentials.insecure:
        return grpc.insecure_channel(target, options=_CHANNEL_OPTIONS)
    return grpc.secure_channel(target, credentials.tls(), options=_CHANNEL_OPTIONS)


def parse_endpoint(text: str) -> tuple[str, int]:
    """An IPv4 address and a port from "198.18.0.7:40000".

    Raises:
        ValueError: it is not an address in canonical text and a port from 1 to 65535.
    """
    address, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not ADDRESS:PORT, as 198.18.0.7:40000")
    return str(ipaddress.IPv4Address(address)), int(port)


def parse_frontend(text: str) -> virtual_service_pb2.Frontend:
    """A frontend from "tcp:198.18.100.1:80".

    Raises:
        ValueError: it is not PROTOCOL:ADDRESS:PORT.
    """
    protocol, _, endpoint = text.partition(":")
    if protocol not in _PROTOCOLS:
        raise ValueError(f"{text!r} is not PROTOCOL:ADDRESS:PORT, as tcp:198.18.100.1:80")
    address, port = parse_endpoint(endpoint)
    return virtual_service_pb2.Frontend(address=address, protocol=_PROTOCOLS[protocol], port=port)


@dataclass(frozen=True, slots=True)
class PushedConnection:
    """A connection to put into the table, and the backend it is pinned to.

    `service` and `backend` are the API's names. `frontend`, as "tcp:198.18.100.1:80", may be empty
    where the service has exactly one. `idle_s`, 0 to 65535, is how long ago its last packet was.
    """

    client_address: str
    client_port: int
    service: str
    backend: str
    frontend: str = ""
    state: "connection_pb2.ConnectionState.ValueType" = connection_pb2.CONNECTION_STATE_ESTABLISHED
    idle_s: int = 0


def pack_connections(
    connections: Iterable[PushedConnection],
) -> tuple[connection_pb2.PackedHeader, bytes]:
    """Packs connections into format 1: a header with its dictionaries, and 16 bytes for each.

    The records keep the order of `connections`. See `PackedChunk` in the API for their bytes.

    Raises:
        ValueError: an address is not IPv4, or a number does not fit; the message has the position.
    """
    services: dict[tuple[str, str], int] = {}
    backends: dict[str, int] = {}
    records = bytearray()
    for position, item in enumerate(connections):
        service = services.setdefault((item.service, item.frontend), len(services))
        backend = backends.setdefault(item.backend, len(backends))
        try:
            records += _pack_record(item, service, backend)
        except (struct.error, ValueError, KeyError) as error:
            raise ValueError(f"connection {position}, {item}: {error}") from error
    return _header(services, backends), bytes(records)


def _pack_record(item: PushedConnection, service: int, backend: int) -> bytes:
    address = int(ipaddress.IPv4Address(item.client_address))
    state = _STATE_BYTE[item.state]
    return _RECORD.pack(address, item.client_port, service, backend, item.idle_s, state, 0)


def _header(services: Iterable[tuple[str, str]], backends: Iterable[str]) -> connection_pb2.PackedHeader:
    header = connection_pb2.PackedHeader(format=PACKED_FORMAT, record_bytes=RECORD_BYTES)
    for name, frontend in services:
        service = header.services.add(virtual_service=name)
        if frontend:
            service.frontend.CopyFrom(parse_frontend(frontend))
    for name in backends:
        header.backends.add(backend=name)
    return header


def push_requests(
    header: connection_pb2.PackedHeader, records: bytes, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[connection_pb2.PushConnectionsRequest]:
    """The stream that pushes packed records: the header, then numbered chunks of whole records."""
    yield connection_pb2.PushConnectionsRequest(header=header)
    for sequence, start in enumerate(range(0, len(records), chunk_bytes), 1):
        chunk = connection_pb2.PackedChunk(sequence=sequence, records=records[start : start + chunk_bytes])
        yield connection_pb2.PushConnectionsRequest(chunk=chunk)


def push_answers(
    channel: grpc.Channel,
    header: connection_pb2.PackedHeader,
    records: bytes,
    timeout_s: float | None = None,
) -> Iterator[connection_pb2.PushConnectionsResponse]:
    """Pushes packed records and yields the answer to each chunk.

    Refusals count their position in all of `records`, not in their chunk.

    Raises:
        grpc.RpcError: the server refused the stream. Chunks answered before that are in the table.
    """
    stub = connection_pb2_grpc.ConnectionServiceStub(channel)
    chunk_records = CHUNK_BYTES // RECORD_BYTES
    for answer in stub.PushConnections(push_requests(header, records), timeout=timeout_s):
        for refusal in answer.refusals:
            refusal.index += (answer.sequence - 1) * chunk_records
        yield answer


def push_connections(
    channel: grpc.Channel,
    connections: Iterable[PushedConnection],
    on_conflict: "connection_pb2.OnConflict.ValueType" = connection_pb2.ON_CONFLICT_KEEP,
    timeout_s: float | None = None,
) -> connection_pb2.PushConnectionsResponse:
    """Puts connections into the table; returns how many got in and which did not, by position.

    Raises:
        ValueError: a connection cannot be packed; nothing was sent.
        grpc.RpcError: the server refused the stream. Chunks answered before that are in the table.
    """
    header, records = pack_connections(connections)
    header.on_conflict = on_conflict
    total = connection_pb2.PushConnectionsResponse()
    for answer in push_answers(channel, header, records, timeout_s):
        add_answer(total, answer)
    return total


def add_answer(
    total: connection_pb2.PushConnectionsResponse, answer: connection_pb2.PushConnectionsResponse
) -> None:
    """Adds the answer to one chunk to that of the whole push."""
    total.sequence = answer.sequence
    total.accepted += answer.accepted
    total.refusals.extend(answer.refusals)
