# SPDX-License-Identifier: Apache-2.0
"""The server of one run of the program."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

import click
import grpc
from google.protobuf.message import Message

from tiara import client
from tiara.credentials import Credentials, CredentialsError
from tiara.v1 import (
    backend_pool_pb2_grpc,
    configuration_pb2_grpc,
    connection_pb2_grpc,
    node_pb2_grpc,
    packet_pb2_grpc,
    virtual_service_pb2_grpc,
)

CALL_TIMEOUT_S = 10.0
PAGE_SIZE = 1000
_CREDENTIALS = ("tls_ca", "tls_cert", "tls_key", "token_file", "insecure")

Sent = TypeVar("Sent", bound=Message)
Received = TypeVar("Received", bound=Message)


class Session:
    """The server, reached at the first call."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self.address = address
        self._credentials = credentials

    @cached_property
    def channel(self) -> grpc.Channel:
        """To the server."""
        try:
            return client.connect(self.address, self._credentials)
        except CredentialsError as error:
            raise click.UsageError(str(error)) from error

    @cached_property
    def pools(self) -> backend_pool_pb2_grpc.BackendPoolServiceStub:
        """Pools and backends."""
        return backend_pool_pb2_grpc.BackendPoolServiceStub(self.channel)

    @cached_property
    def services(self) -> virtual_service_pb2_grpc.VirtualServiceServiceStub:
        """Virtual services."""
        return virtual_service_pb2_grpc.VirtualServiceServiceStub(self.channel)

    @cached_property
    def connections(self) -> connection_pb2_grpc.ConnectionServiceStub:
        """The connection table."""
        return connection_pb2_grpc.ConnectionServiceStub(self.channel)

    @cached_property
    def configuration(self) -> configuration_pb2_grpc.ConfigurationServiceStub:
        """Desired state as a whole, and its history."""
        return configuration_pb2_grpc.ConfigurationServiceStub(self.channel)

    @cached_property
    def node(self) -> node_pb2_grpc.NodeServiceStub:
        """The node and its counters."""
        return node_pb2_grpc.NodeServiceStub(self.channel)

    @cached_property
    def packets(self) -> packet_pb2_grpc.PacketServiceStub:
        """What becomes of packets."""
        return packet_pb2_grpc.PacketServiceStub(self.channel)

    def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Sent, Received]",
        request: Sent,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Received:
        """One call with the usual deadline, or another."""
        return method(request, timeout=timeout_s)

    def pages(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Any, Received]",
        request: Any,
        limit: int = 0,
        counted: Callable[[Any], int] = lambda answer: 0,
    ) -> Received:
        """All pages of a list in one answer; with a limit, pages until that many are counted."""
        request.page_size = min(limit or PAGE_SIZE, PAGE_SIZE)
        answer: Any = self.call(method, request)
        while answer.next_page_token and not (limit and counted(answer) >= limit):
            request.page_token = answer.next_page_token
            answer.next_page_token = ""
            answer.MergeFrom(self.call(method, request))
        return answer  # type: ignore[no-any-return]


def session_of(ctx: click.Context) -> Session:
    """The session that the program's own options ask for.

    Raises:
        click.UsageError: the address is none.
    """
    options = ctx.find_root().params
    address = options["server"] or client.default_address(options["instance"])
    host, _, port = address.rpartition(":")
    if not client.is_socket(address) and not (host and port.isdigit()):
        raise click.UsageError(f"{address!r} is neither unix:/path nor host:port")
    return Session(address, Credentials(**{name: options[name] for name in _CREDENTIALS}))
