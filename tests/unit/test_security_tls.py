# SPDX-License-Identifier: Apache-2.0
"""TCP: TLS, client certificates, tokens over it, and certificates that change under running calls."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cryptography import x509
from security_world import (
    Authority,
    Caller,
    free_port,
    grant_certificate,
    grant_token,
    serving,
    status,
)
from structlog.testing import capture_logs
from tiara.domain.caller import Scope
from tiara.reconciler import Reconciler
from tiara.security.grants_file import GrantsFile
from tiara.security.listener import Ways

CODE = grpc.StatusCode


class World:
    """A server over TLS and its clients."""

    def __init__(self, authority: Authority, folder: Path, *, mutual: bool = False) -> None:
        self.authority = authority
        self.access = folder / "access.json"
        self.listen = f"127.0.0.1:{free_port()}"
        self.ways = Ways(
            (self.listen,), tls=authority.files(mutual=mutual), granted=GrantsFile(self.access).current
        )

    def channel(self, pair: tuple[bytes, bytes] | None = None, ca: bytes | None = None) -> grpc.aio.Channel:
        """A new connection of its own, verified by this authority."""
        key, certificate = pair or (None, None)
        credentials = grpc.ssl_channel_credentials(ca or self.authority.pem, key, certificate)
        return grpc.aio.secure_channel(
            self.listen, credentials, options=[("grpc.use_local_subchannel_pool", 1)]
        )

    async def served(self) -> bytes:
        """The certificate that a new connection meets."""
        _, writer = await asyncio.open_connection(
            *self.listen.split(":"), ssl=self._context(), server_hostname="localhost"
        )
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return found

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.authority.pem.decode())
        context.set_alpn_protocols(["h2"])
        return context


@pytest.fixture
def world(authority: Authority, tmp_path: Path) -> World:
    """A server's own certificate is all that TLS asks for."""
    return World(authority, tmp_path)


@pytest.fixture
def mutual(authority: Authority, tmp_path: Path) -> World:
    """Clients need a certificate too."""
    return World(authority, tmp_path, mutual=True)


@pytest.mark.parametrize("scope", [Scope.READ, Scope.OPERATE, Scope.ADMIN])
async def test_tokens_have_their_scope(reconciler: Reconciler, world: World, scope: Scope) -> None:
    """No more, no less."""
    token = grant_token(world.access, "ci", scope, timedelta(days=1))
    async with serving(reconciler, world.ways), world.channel() as channel:
        assert await Caller(channel, token).granted() is scope


async def test_without_a_token(reconciler: Reconciler, world: World) -> None:
    """UNAUTHENTICATED, and it says what is missing."""
    async with serving(reconciler, world.ways), world.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError, match=r"needs the scope read.*--token-file") as caught:
            await Caller(channel).read()
    assert caught.value.code() is CODE.UNAUTHENTICATED


@pytest.mark.parametrize("bad", ["x", "tiara_ci_", "tiara_ci_AAAA", "tiara_other_{}", "{}x", "tiara__{}"])
async def test_bad_tokens(reconciler: Reconciler, world: World, bad: str) -> None:
    """UNAUTHENTICATED; nothing of a token is said back."""
    token = grant_token(world.access, "ci", Scope.ADMIN)
    wrong = bad.format(token if bad == "{}x" else token.rpartition("_")[2])
    async with serving(reconciler, world.ways), world.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="the token is not one of this server's") as caught:
            await Caller(channel, wrong).read()
    assert caught.value.code() is CODE.UNAUTHENTICATED
    assert wrong not in str(caught.value.details()) or wrong == "x"


async def test_other_schemes_and_two_tokens(reconciler: Reconciler, world: World) -> None:
    """One `Bearer TOKEN`, whatever the case of the first word."""
    token = grant_token(world.access, "ci", Scope.READ)
    method = "/tiara.v1.NodeService/GetNode"
    async with serving(reconciler, world.ways), world.channel() as channel:
        call: Any = channel.unary_unary(method)
        assert await status(call(b"", metadata=[("authorization", f"bearer {token}")])) is CODE.OK
        for sent in (f"Basic {token}", token, "Bearer"):
            assert await status(call(b"", metadata=[("authorization", sent)])) is CODE.UNAUTHENTICATED
        twice = [("authorization", f"Bearer {token}")] * 2
        assert await status(call(b"", metadata=twice)) is CODE.UNAUTHENTICATED


async def test_expired_token(reconciler: Reconciler, world: World) -> None:
    """UNAUTHENTICATED, and it says since when."""
    token = grant_token(world.access, "ci", Scope.ADMIN, timedelta(seconds=-1))
    async with serving(reconciler, world.ways), world.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError, match=r"the token ci expired at .* UTC") as caught:
            await Caller(channel, token).read()
    assert caught.value.code() is CODE.UNAUTHENTICATED


async def test_tokens_come_and_go_while_it_runs(reconciler: Reconciler, world: World) -> None:
    """Added: let in by the next call; removed: no longer. A broken file changes nothing."""
    async with serving(reconciler, world.ways), world.channel() as channel:
        token = grant_token(world.access, "ci", Scope.READ)
        assert await status(Caller(channel, token).read()) is CODE.OK
        good = world.access.read_bytes()
        with capture_logs() as logs:
            world.access.write_bytes(good[:-5])
            assert await status(Caller(channel, token).read()) is CODE.OK
            assert await status(Caller(channel, token).read()) is CODE.OK
        assert [str(world.access) in log["reason"] for log in logs] == [True]
        world.access.unlink()
        assert await status(Caller(channel, token).read()) is CODE.UNAUTHENTICATED


async def test_plaintext_is_not_served(reconciler: Reconciler, world: World) -> None:
    """A token sent without TLS meets no method."""
    token = grant_token(world.access, "ci", Scope.ADMIN)
    async with serving(reconciler, world.ways), grpc.aio.insecure_channel(world.listen) as channel:
        assert await status(Caller(channel, token).read()) is CODE.UNAVAILABLE


async def test_unknown_server(reconciler: Reconciler, world: World) -> None:
    """A client that trusts another authority sends nothing."""
    token = grant_token(world.access, "ci", Scope.ADMIN)
    async with serving(reconciler, world.ways), world.channel(ca=trustme.CA().cert_pem.bytes()) as channel:
        assert await status(Caller(channel, token).read()) is CODE.UNAVAILABLE


# Mutual TLS


@pytest.mark.parametrize("name", ["ops", "ops.example", "root@ops.example"])
async def test_certificates_have_their_scope(reconciler: Reconciler, mutual: World, name: str) -> None:
    """By the common name, or an alternative one."""
    grant_certificate(mutual.access, name, Scope.OPERATE)
    pair = mutual.authority.client("ops", "ops.example", "root@ops.example")
    async with serving(reconciler, mutual.ways), mutual.channel(pair) as channel:
        assert await Caller(channel).granted() is Scope.OPERATE


async def test_certificate_that_is_granted_nothing(reconciler: Reconciler, mutual: World) -> None:
    """PERMISSION_DENIED; a token beside it counts."""
    token = grant_token(mutual.access, "ci", Scope.READ)
    async with serving(reconciler, mutual.ways), mutual.channel(mutual.authority.client("who")) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="certificate:who has none") as caught:
            await Caller(channel).read()
        assert await Caller(channel, token).granted() is Scope.READ
    assert caught.value.code() is CODE.PERMISSION_DENIED


async def test_no_client_certificate(reconciler: Reconciler, mutual: World) -> None:
    """No method is reached, with a good token neither."""
    token = grant_token(mutual.access, "ci", Scope.ADMIN)
    async with serving(reconciler, mutual.ways), mutual.channel() as channel:
        assert await status(Caller(channel, token).read()) is CODE.UNAVAILABLE


async def test_client_certificate_of_another_authority(reconciler: Reconciler, mutual: World) -> None:
    """The same name, made by somebody else."""
    grant_certificate(mutual.access, "ops", Scope.ADMIN)
    pair = Authority(trustme.CA(), mutual.authority.folder).client("ops")
    async with serving(reconciler, mutual.ways), mutual.channel(pair) as channel:
        assert await status(Caller(channel).read()) is CODE.UNAVAILABLE


async def test_expired_client_certificate(reconciler: Reconciler, mutual: World) -> None:
    """TLS refuses it."""
    grant_certificate(mutual.access, "ops", Scope.ADMIN)
    made = mutual.authority.ca.issue_cert(
        "ops.example", common_name="ops", not_after=datetime(2020, 1, 1, tzinfo=UTC)
    )
    pair = made.private_key_pem.bytes(), made.cert_chain_pems[0].bytes()
    async with serving(reconciler, mutual.ways), mutual.channel(pair) as channel:
        assert await status(Caller(channel).read()) is CODE.UNAVAILABLE


# Reload


async def test_reload_drops_nothing(reconciler: Reconciler, mutual: World) -> None:
    """New connections meet the new certificate; streams and calls of old ones go on."""
    grant_certificate(mutual.access, "ops", Scope.ADMIN)
    pair = mutual.authority.client("ops")
    async with serving(reconciler, mutual.ways), mutual.channel(pair) as old:
        stream: Any = old.stream_stream("/tiara.v1.ConnectionService/PushConnections")()
        calls = asyncio.create_task(keep_calling(Caller(old)))
        await asyncio.sleep(0.1)
        mutual.authority.files(mutual=True)
        async with mutual.channel(pair) as new:
            assert await Caller(new).granted() is Scope.ADMIN
        calls.cancel()
        assert await calls > 0
        assert not stream.done()
        assert await Caller(old).granted() is Scope.ADMIN
        stream.cancel()


async def keep_calling(caller: Caller) -> int:
    """Until cancelled: how many calls; each one must succeed."""
    count = 0
    try:
        while True:
            await caller.read()
            count += 1
    except asyncio.CancelledError:
        return count


async def test_new_connections_meet_the_new_certificate(reconciler: Reconciler, world: World) -> None:
    """And only they; a broken file is named in the log, once, and changes nothing."""
    async with serving(reconciler, world.ways):
        first = await world.served()
        assert x509.load_der_x509_certificate(first) == certificate_in(world)
        world.authority.files()
        second = await world.served()
        assert (
            x509.load_der_x509_certificate(second)
            == certificate_in(world)
            != x509.load_der_x509_certificate(first)
        )
        with capture_logs() as logs:
            (world.authority.folder / "server.key").write_text("nonsense")
            assert [await world.served() for _ in range(3)] == [second] * 3
        assert [log["event"] for log in logs] == ["certificate unchanged"]
        assert str(world.authority.folder / "server.key") in logs[0]["reason"]
        world.authority.files()
        assert await world.served() not in (first, second)


async def test_another_authority_for_clients(reconciler: Reconciler, mutual: World) -> None:
    """It is read again as well: old clients are out, new ones in."""
    grant_certificate(mutual.access, "ops", Scope.ADMIN)
    old = mutual.authority.client("ops")
    other = trustme.CA()
    async with serving(reconciler, mutual.ways):
        other.cert_pem.write_to_path(str(mutual.authority.folder / "ca.pem"))
        async with mutual.channel(Authority(other, mutual.authority.folder).client("ops")) as channel:
            assert await Caller(channel).granted() is Scope.ADMIN
        async with mutual.channel(old) as channel:
            assert await status(Caller(channel).read()) is CODE.UNAVAILABLE


def certificate_in(world: World) -> x509.Certificate:
    """The one in the server's file."""
    return x509.load_pem_x509_certificate((world.authority.folder / "server.pem").read_bytes())
