# SPDX-License-Identifier: Apache-2.0
"""Which scope each method needs, and who may do what on each kind of way to the API."""

from __future__ import annotations

import asyncio
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import grpc
import pytest
import tiara.v1
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from security_world import Caller, free_port, grant_token, serving, status
from tiara.api import add_servicers
from tiara.api.interceptor import ErrorInterceptor
from tiara.domain import caller as domain
from tiara.domain.caller import Scope, calling, current_caller
from tiara.domain.errors import PermissionDenied, Unauthenticated
from tiara.reconciler import Reconciler
from tiara.security.grants_file import GrantsFile
from tiara.security.listener import Ways, listeners
from tiara.security.scopes import SCOPES, needed_scope, require
from tiara.v1 import backend_pool_pb2 as bp

CODE = grpc.StatusCode


def described_methods() -> Iterator[str]:
    """Every method of tiara.v1, from its descriptors."""
    for module in pkgutil.iter_modules(tiara.v1.__path__):
        if module.name.endswith("_pb2"):
            descriptor = import_module(f"tiara.v1.{module.name}").DESCRIPTOR
            for service in descriptor.services_by_name.values():
                yield from (f"/{service.full_name}/{method.name}" for method in service.methods)


def served_methods() -> Iterator[str]:
    """Every method that a server answers, of other packages too."""
    server = Mock()
    add_servicers(server, Mock(), "test", "1")
    for call in server.add_registered_method_handlers.call_args_list:
        service, handlers = call.args
        yield from (f"/{service}/{method}" for method in handlers)


def test_every_method_has_its_scope() -> None:
    """One that is added must be thought about: it needs a line in the table."""
    methods = {*described_methods(), *served_methods()}
    assert len(methods) >= 20
    assert sorted(methods - SCOPES.keys()) == []


def test_every_line_is_a_method() -> None:
    """A method's name with a slip in it would be admin's alone."""
    ours = {method for method in SCOPES if method.startswith("/tiara.")}
    assert sorted(ours - {*described_methods()}) == []


def test_scopes_follow_what_methods_do() -> None:
    """By their verbs: reading reads, making and removing is an admin's."""
    for method, scope in SCOPES.items():
        verb = method.rpartition("/")[2]
        if verb.startswith(("Get", "List", "Dump")):
            assert scope <= Scope.READ, method
        if verb.startswith(("Create", "Update", "Delete", "Apply", "Restore", "Rollback")):
            assert scope is Scope.ADMIN, method
        if verb.startswith(("Drain", "Undrain", "Push")):
            assert scope is Scope.OPERATE, method


def test_unknown_methods_are_for_admins() -> None:
    """What nobody has thought about is not for everyone."""
    assert needed_scope("/tiara.v1.NodeService/Format") is Scope.ADMIN
    require(domain.Caller("x", "", Scope.ADMIN), "/tiara.v1.NodeService/Format")
    with pytest.raises(PermissionDenied, match="Format needs the scope admin; x has operate"):
        require(domain.Caller("x", "", Scope.OPERATE), "/tiara.v1.NodeService/Format")
    with pytest.raises(Unauthenticated, match="needs the scope admin"):
        require(domain.Caller("", "", Scope.NONE), "/tiara.v1.NodeService/Format")


async def test_admin_socket(reconciler: Reconciler, tmp_path: Path) -> None:
    """Everything, by whoever the file's mode lets in."""
    ways, channel = (
        Ways((f"unix:{tmp_path}/api.sock",)),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/api.sock"),
    )
    async with serving(reconciler, ways), channel:
        assert await Caller(channel).granted() is Scope.ADMIN


async def test_read_only_socket(reconciler: Reconciler, tmp_path: Path) -> None:
    """It reads. Anything else is PERMISSION_DENIED, names the scope and changes nothing."""
    ways, channel = (
        Ways((f"unix:{tmp_path}/api.sock",)),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/api-read.sock"),
    )
    async with serving(reconciler, ways), channel:
        assert await Caller(channel).granted() is Scope.READ
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await Caller(channel).operate()
        push: Any = channel.stream_stream("/tiara.v1.ConnectionService/PushConnections")
        with pytest.raises(grpc.aio.AioRpcError, match="PushConnections needs the scope operate"):
            await push(iter([b""]), timeout=10).read()
    assert caught.value.code() is CODE.PERMISSION_DENIED
    assert caught.value.details() == "DrainBackend needs the scope operate; socket:read has read"
    info = error_details_pb2.ErrorInfo()
    rpc_status.from_call(caught.value).details[0].Unpack(info)
    assert (info.reason, info.metadata["scope"]) == ("PERMISSION_DENIED", "operate")


async def test_tokens_on_sockets_only_take_away(reconciler: Reconciler, tmp_path: Path) -> None:
    """An admin's token on the read-only socket reads; a reader's on the admin socket reads."""
    path = tmp_path / "access.json"
    admin, reader = grant_token(path, "root", Scope.ADMIN), grant_token(path, "eye", Scope.READ)
    ways = Ways((f"unix:{tmp_path}/api.sock",), granted=GrantsFile(path).current)
    async with serving(reconciler, ways):
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/api-read.sock") as channel:
            assert await Caller(channel, admin).granted() is Scope.READ
        async with grpc.aio.insecure_channel(f"unix:{tmp_path}/api.sock") as channel:
            assert await Caller(channel, reader).granted() is Scope.READ
            assert await Caller(channel, admin).granted() is Scope.ADMIN
            assert await status(Caller(channel, "tiara_root_wrong").read()) is CODE.UNAUTHENTICATED


async def test_plain_tcp_takes_no_token(reconciler: Reconciler, tmp_path: Path) -> None:
    """--insecure on loopback is everyone's; a token sent in the clear is refused, though it is right."""
    path = tmp_path / "access.json"
    token = grant_token(path, "ci", Scope.ADMIN)
    listen = f"127.0.0.1:{free_port()}"
    ways = Ways((listen,), insecure=True, granted=GrantsFile(path).current)
    async with serving(reconciler, ways), grpc.aio.insecure_channel(listen) as channel:
        assert await Caller(channel).granted() is Scope.ADMIN
        with pytest.raises(grpc.aio.AioRpcError, match="sent in the clear") as caught:
            await Caller(channel, token).read()
    assert caught.value.code() is CODE.UNAUTHENTICATED


async def test_validate_only_reads(tmp_path: Path) -> None:
    """What changes nothing needs no more than reading, whatever the method."""
    request = Mock(spec=bp.CreateBackendPoolRequest, validate_only=True)
    create = "/tiara.v1.BackendPoolService/CreateBackendPool"
    assert needed_scope(create, request) is Scope.READ
    assert needed_scope(create, bp.CreateBackendPoolRequest()) is Scope.ADMIN


async def test_calls_know_their_caller(tmp_path: Path) -> None:
    """Each its own, also while others run; outside calls it is the process itself."""
    seen: dict[str, domain.Caller] = {}

    def parsed(raw: bytes) -> StringValue:
        return StringValue(value=raw.decode())

    async def answer(request: StringValue, context: object) -> bytes:
        await asyncio.sleep(0.05)
        seen[request.value] = current_caller()
        return b""

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
            return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=parsed)

    ways = listeners(Ways((f"unix:{tmp_path}/api.sock",)))
    servers = [grpc.aio.server(interceptors=[ErrorInterceptor(way.identify)]) for way in ways]
    for server, way in zip(servers, ways, strict=True):
        server.add_generic_rpc_handlers([Handler()])
        way.bind(server)
        await server.start()
    async with (
        grpc.aio.insecure_channel(f"unix:{tmp_path}/api.sock") as admin,
        grpc.aio.insecure_channel(f"unix:{tmp_path}/api-read.sock") as reader,
    ):
        method = "/tiara.v1.NodeService/GetNode"
        pairs: list[tuple[Any, bytes]] = [
            (admin.unary_unary(method), b"admin"),
            (reader.unary_unary(method), b"reader"),
        ]
        await asyncio.gather(*(call(request) for call, request in pairs))
    for server in servers:
        await server.stop(0)
    assert seen == {
        "admin": domain.Caller("socket:admin", f"unix:{tmp_path}/api.sock", Scope.ADMIN),
        "reader": domain.Caller("socket:read", f"unix:{tmp_path}/api-read.sock", Scope.READ),
    }
    assert current_caller() == domain.Caller("local", "", Scope.ADMIN)


def test_calling_is_for_a_block() -> None:
    """The caller before it comes back."""
    with calling(domain.Caller("x", "y", Scope.READ)):
        assert current_caller().who == "x"
    assert current_caller().who == "local"
