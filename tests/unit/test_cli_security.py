# SPDX-License-Identifier: Apache-2.0
"""`tiara` over TLS: certificates, tokens, and what it says where they are wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from cli_fake import serving
from click.testing import CliRunner, Result
from security_world import Authority
from tiara import client
from tiara.cli.main import cli
from tiara.cli.tls_errors import tls_remedy
from tiara.credentials import Credentials, CredentialsError
from tiara.domain.names import read_socket
from tiara.v1 import node_pb2, node_pb2_grpc


class Node(grpc.GenericRpcHandler):
    """Answers GetNode, ends streams; remembers the tokens it was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        """See gRPC."""
        self.sent += [str(value) for key, value in details.invocation_metadata if key == "authorization"]
        if details.method.endswith("/GetNode"):
            answer = node_pb2.Node(name="nodes/far").SerializeToString()
            return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)
        return grpc.stream_stream_rpc_method_handler(lambda requests, context: iter(()))


class Server:
    """A server that is none of Tiara's but for its name."""

    def __init__(self, credentials: grpc.ServerCredentials | None, where: str = "127.0.0.1:0") -> None:
        self.node = Node()
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers([self.node])
        if credentials is None:
            port = self._server.add_insecure_port(where)
        else:
            port = self._server.add_secure_port(where, credentials)
        self.address = where.replace(":0", f":{port}")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0)


def credentials(authority: Authority, *, mutual: bool = False, **more: object) -> grpc.ServerCredentials:
    """Of a certificate for 127.0.0.1 or what `names` says."""
    names = more.pop("names", ("127.0.0.1",))
    made = authority.ca.issue_cert(*names, **more)  # type: ignore[misc,arg-type]
    pair = (made.private_key_pem.bytes(), made.cert_chain_pems[0].bytes())
    return grpc.ssl_server_credentials([pair], authority.pem if mutual else None, mutual)


@pytest.fixture
def ca(authority: Authority) -> str:
    """The authority's file."""
    path = authority.folder / "trusted.pem"
    path.write_bytes(authority.pem)
    return str(path)


@pytest.fixture
def far(authority: Authority) -> Iterator[Server]:
    """A server over TLS."""
    server = Server(credentials(authority))
    yield server
    server.stop()


def run(server: Server, *arguments: str, **environment: str) -> Result:
    """`tiara node` there."""
    return CliRunner().invoke(
        cli, ["--server", server.address, *arguments, "node", "-o", "json"], env=environment
    )


def test_token_over_tls(far: Server, ca: str, tmp_path: Path) -> None:
    """By options and by the environment."""
    token = tmp_path / "token"
    token.write_text("tiara_ci_AAAA\n")
    assert "nodes/far" in run(far, "--tls-ca", ca, "--token-file", str(token)).stdout
    assert "nodes/far" in run(far, TIARA_TLS_CA=ca, TIARA_TOKEN_FILE=str(token)).stdout
    assert far.node.sent == ["Bearer tiara_ci_AAAA"] * 2


def test_token_over_a_unix_socket(tmp_path: Path) -> None:
    """With streams too: each call says whose it is."""
    (tmp_path / "token").write_text("tiara_ci_AAAA")
    server = Server(None, f"unix:{tmp_path}/api.sock")
    with client.connect(server.address, Credentials(token_file=tmp_path / "token")) as channel:
        node_pb2_grpc.NodeServiceStub(channel).GetNode(node_pb2.GetNodeRequest(), timeout=10)
        assert client.push_connections(channel, []).accepted == 0
    server.stop()
    assert server.node.sent == ["Bearer tiara_ci_AAAA"] * 2


def test_programs_take_the_environment(far: Server, ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`client.connect()` alone is what the command line does."""
    monkeypatch.setenv("TIARA_SERVER", far.address)
    monkeypatch.setenv("TIARA_TLS_CA", ca)
    with client.connect() as channel:
        answer = node_pb2_grpc.NodeServiceStub(channel).GetNode(node_pb2.GetNodeRequest(), timeout=10)
    assert answer.name == "nodes/far"


def test_mutual(authority: Authority, ca: str, tmp_path: Path) -> None:
    """With the client's certificate it answers; without, the message says what it may want."""
    key, certificate = authority.client("ops")
    (tmp_path / "key").write_bytes(key)
    (tmp_path / "cert").write_bytes(certificate)
    server = Server(credentials(authority, mutual=True))
    pair = ["--tls-cert", str(tmp_path / "cert"), "--tls-key", str(tmp_path / "key")]
    assert "nodes/far" in run(server, "--tls-ca", ca, *pair).stdout
    without = run(server, "--tls-ca", ca)
    server.stop()
    assert (without.exit_code, "or a client certificate (--tls-cert" in without.stderr) == (3, True)


def test_insecure_is_asked_for(ca: str) -> None:
    """TCP is TLS unless --insecure: a server without it is not spoken to by mistake."""
    server = Server(None)
    assert "nodes/far" in run(server, "--insecure").stdout
    assert "nodes/far" in run(server, TIARA_INSECURE="1").stdout
    done = run(server, "--tls-ca", ca)
    server.stop()
    assert done.exit_code == 3
    assert done.stderr.startswith(f"tiara: the control plane at {server.address} is not reached: ")
    assert "it does not speak TLS: give --insecure if it is on this machine" in done.stderr


def test_insecure_to_a_server_with_tls(far: Server) -> None:
    """The message says to leave it away."""
    done = run(far, "--insecure")
    assert (done.exit_code, "it wants TLS (leave --insecure away)" in done.stderr) == (3, True)


def test_certificates_that_are_not_believed(authority: Authority, ca: str, tmp_path: Path) -> None:
    """Of another authority, for another name, expired: which one, and what to do."""
    other = tmp_path / "other.pem"
    other.write_bytes(trustme.CA().cert_pem.bytes())
    past = datetime(2020, 1, 1, tzinfo=UTC)
    cases = [
        (credentials(authority), str(other), "is not trusted here: give it by --tls-ca FILE"),
        (credentials(authority, names=("far.example",)), ca, "is for another name"),
        (credentials(authority, not_after=past), ca, "the server's certificate has expired"),
    ]
    for served, trusted, sentence in cases:
        server = Server(served)
        done = run(server, "--tls-ca", trusted)
        server.stop()
        assert (done.exit_code, sentence in done.stderr) == (3, True), done.stderr
        assert done.stderr.count("\n") == 1


def test_mistakes_in_options(far: Server, ca: str, tmp_path: Path) -> None:
    """Usage errors: nothing was sent."""
    (tmp_path / "token").write_text("tiara_ci_AAAA")
    (tmp_path / "two").write_text("one two")
    cases = [
        (
            ["--insecure", "--token-file", str(tmp_path / "token")],
            "a token is sent over TLS or a unix socket only",
        ),
        (["--tls-ca", str(tmp_path / "none")], "--tls-ca: "),
        (["--tls-ca", ca, "--tls-cert", ca], "--tls-cert and --tls-key: both are needed"),
        (["--tls-ca", ca, "--token-file", str(tmp_path / "none")], "--token-file: "),
        (["--tls-ca", ca, "--token-file", str(tmp_path / "two")], "does not have one token"),
    ]
    for arguments, sentence in cases:
        done = run(far, *arguments)
        assert (done.exit_code, sentence in done.stderr) == (2, True), done.stderr
    assert far.node.sent == []


def test_no_token_in_the_clear() -> None:
    """For programs as well."""
    with pytest.raises(CredentialsError, match="a token is sent over TLS or a unix socket only"):
        client.connect("127.0.0.1:1", Credentials(token_file=Path("/none"), insecure=True))


def test_read_only_socket_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To whom the admin socket refuses."""

    def refuse(address: str) -> None:
        raise PermissionError

    monkeypatch.setattr("tiara.cli.errors._connect_once", refuse)
    with serving(tmp_path / "api-read.sock"):
        done = CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", "node"])
    assert (
        f"permission denied for user {os.geteuid()}; to read only: --server unix:{tmp_path}/api-read.sock"
        in done.stderr
    )


def test_names_of_read_only_sockets() -> None:
    """A suffix stays where it is."""
    assert [read_socket(path) for path in ("/a/api.sock", "/a.b/api", "/a/.x", "api.sock")] == [
        "/a/api-read.sock",
        "/a.b/api-read",
        "/a/.x-read",
        "api-read.sock",
    ]


def test_other_failures_are_not_about_tls() -> None:
    """Nothing is guessed."""
    assert tls_remedy("the server is too busy") is None
