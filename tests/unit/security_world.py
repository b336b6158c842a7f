# SPDX-License-Identifier: Apache-2.0
"""For tests of access: an authority's files, servers on real sockets, one call by each kind of method."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import trustme
from tiara.domain.caller import Scope
from tiara.reconciler import Reconciler
from tiara.security.certificates import TlsFiles
from tiara.security.grants import Certificate, make_token
from tiara.security.grants_file import edit
from tiara.security.listener import Ways, listeners
from tiara.server import start_on
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import backend_pool_pb2_grpc, node_pb2, node_pb2_grpc

CALL_S = 10


@dataclass(frozen=True)
class Authority:
    """Makes certificates into a folder."""

    ca: trustme.CA
    folder: Path

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self.ca.cert_pem.bytes()

    def files(self, *, mutual: bool = False) -> TlsFiles:
        """Of a new server certificate, over whatever the folder had."""
        self.ca.cert_pem.write_to_path(str(self.folder / "ca.pem"))
        made = self.ca.issue_cert("127.0.0.1", "localhost")
        made.private_key_pem.write_to_path(str(self.folder / "server.key"))
        (self.folder / "server.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        return TlsFiles(
            self.folder / "server.pem",
            self.folder / "server.key",
            self.folder / "ca.pem" if mutual else None,
        )

    def client(self, name: str, *alternative: str) -> tuple[bytes, bytes]:
        """Key and certificate of a client."""
        made = self.ca.issue_cert(*(alternative or (f"{name}.example",)), common_name=name)
        return made.private_key_pem.bytes(), made.cert_chain_pems[0].bytes()


def free_port() -> int:
    """Nobody's at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def grant_token(path: Path, name: str, scope: Scope, valid: timedelta | None = None) -> str:
    """Adds a token to the file; its text. A negative time: expired."""
    now = datetime.now(UTC)
    made, text = make_token(name, scope, now, now + valid if valid else None)
    edit(path, lambda grants: replace(grants, tokens={**grants.tokens, name: made}))
    return text


def grant_certificate(path: Path, name: str, scope: Scope) -> None:
    """Adds it to the file."""
    made = Certificate(name, scope)
    edit(path, lambda grants: replace(grants, certificates={**grants.certificates, name: made}))


@asynccontextmanager
async def serving(reconciler: Reconciler, ways: Ways) -> AsyncIterator[None]:
    """Servers on all these ways."""
    servers = [await start_on(reconciler, way, "test") for way in listeners(ways)]
    try:
        yield
    finally:
        for server in servers:
            await server.stop(0)


@dataclass(frozen=True)
class Caller:
    """A client with its credentials."""

    channel: grpc.aio.Channel
    token: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What it sends with each call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    async def read(self) -> node_pb2.Node:
        """A method that reads."""
        stub = node_pb2_grpc.NodeServiceStub(self.channel)
        return await stub.GetNode(node_pb2.GetNodeRequest(), metadata=self.metadata, timeout=CALL_S)

    async def operate(self) -> bp.Backend:
        """A method that operates, on what is not there: NOT_FOUND where it is let through."""
        stub = backend_pool_pb2_grpc.BackendPoolServiceStub(self.channel)
        request = bp.DrainBackendRequest(name="backendPools/none/backends/none")
        return await stub.DrainBackend(request, metadata=self.metadata, timeout=CALL_S)

    async def administrate(self) -> object:
        """A method for admins, on what is not there: NOT_FOUND where it is let through."""
        stub = backend_pool_pb2_grpc.BackendPoolServiceStub(self.channel)
        request = bp.DeleteBackendPoolRequest(name="backendPools/none")
        return await stub.DeleteBackendPool(request, metadata=self.metadata, timeout=CALL_S)

    async def granted(self) -> Scope:
        """The widest scope whose methods are let through."""
        for scope, call in ((Scope.ADMIN, self.administrate), (Scope.OPERATE, self.operate)):
            if await status(call()) is grpc.StatusCode.NOT_FOUND:
                return scope
        return Scope.READ if await status(self.read()) is grpc.StatusCode.OK else Scope.NONE


async def status(call: object) -> grpc.StatusCode:
    """How a call ended."""
    try:
        await call  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK
