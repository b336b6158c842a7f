# SPDX-License-Identifier: Apache-2.0
"""The ways to the API: sockets and their modes, stale and live ones, TCP that is refused."""

from __future__ import annotations

import grp
import os
import socket
import stat
from pathlib import Path

import pytest
from conftest import Api
from security_world import Authority, serving
from tiara.domain.caller import Scope
from tiara.reconciler import Reconciler
from tiara.security.certificates import TlsFiles
from tiara.security.identity import BySocket
from tiara.security.listener import Listener, StartError, Ways, listeners
from tiara.security.user import become, group_id


def socket_at(path: Path) -> Listener:
    """One admin socket."""
    return listeners(Ways((f"unix:{path}",), read_socket=False))[0]


async def test_sockets_have_their_modes(reconciler: Reconciler, tmp_path: Path) -> None:
    """Admin: 0660 and the group asked for; read-only: everyone's."""
    group = 12345 if os.geteuid() == 0 else os.getegid()
    async with serving(reconciler, Ways((f"unix:{tmp_path}/api.sock",), group=group)):
        admin, reader = (tmp_path / "api.sock").stat(), (tmp_path / "api-read.sock").stat()
    assert (stat.S_IMODE(admin.st_mode), stat.S_IMODE(reader.st_mode)) == (0o660, 0o666)
    assert (admin.st_gid, reader.st_gid) == (group, os.getegid())


async def test_live_socket_is_refused(api: Api, tmp_path: Path) -> None:
    """A second control plane does not take the first one's socket."""
    with pytest.raises(StartError, match="is served by another process"):
        socket_at(tmp_path / "api.sock").claim()


def test_stale_socket_is_replaced(tmp_path: Path) -> None:
    """What a killed process left behind is removed."""
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    socket_at(path).claim()
    assert not path.exists()


def test_no_socket_is_left_alone(tmp_path: Path) -> None:
    """A file under that name is not ours to delete."""
    path = tmp_path / "api.sock"
    path.write_text("precious")
    with pytest.raises(StartError, match="is no socket"):
        socket_at(path).claim()
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("listen", "insecure", "reason"),
    [
        ("127.0.0.1:1", False, "TCP is served without TLS only on loopback and with --insecure"),
        ("0.0.0.0:1", True, "give --tls-cert and --tls-key"),
        ("[::]:1", True, "give --tls-cert and --tls-key"),
        ("198.18.0.1:1", True, "give --tls-cert and --tls-key"),
        ("host:1", True, "is neither unix:PATH nor ADDRESS:PORT"),
        ("x", True, "is neither unix:PATH nor ADDRESS:PORT"),
        ("127.0.0.1:99999", True, "is neither unix:PATH nor ADDRESS:PORT"),
    ],
)
def test_tcp_that_is_refused(listen: str, insecure: bool, reason: str) -> None:
    """Without TLS only on loopback and with --insecure; the sentence says what to give."""
    with pytest.raises(StartError, match=reason):
        listeners(Ways((listen,), insecure=insecure))


@pytest.mark.parametrize("path", ["relative", "/" + "x" * 120])
def test_socket_paths_that_are_refused(path: str) -> None:
    """They must be absolute and fit."""
    with pytest.raises(StartError, match="must be an absolute path of at most 107 bytes"):
        socket_at(Path(path)).claim()


def test_loopback_with_insecure() -> None:
    """That is allowed, IPv6 too."""
    ways = listeners(Ways(("127.0.0.1:7777", "[::1]:7777"), insecure=True))
    assert [way.target for way in ways] == ["127.0.0.1:7777", "[::1]:7777"]
    assert [way.credentials for way in ways] == [None, None]


def test_each_admin_socket_has_a_read_only_one() -> None:
    """Beside it, unless it is not wanted."""
    found = listeners(Ways(("unix:/a/x.sock", "unix:/b/y")))
    assert [(way.target, isinstance(way.identify, BySocket) and way.identify.scope) for way in found] == [
        ("unix:/a/x.sock", Scope.ADMIN),
        ("unix:/b/y", Scope.ADMIN),
        ("unix:/a/x-read.sock", Scope.READ),
        ("unix:/b/y-read", Scope.READ),
    ]
    assert len(listeners(Ways(("unix:/a/x.sock", "unix:/b/y"), read_socket=False))) == 2


def test_certificates_need_tcp(authority: Authority) -> None:
    """TLS that nobody could use is a mistake."""
    with pytest.raises(StartError, match="is of no use without TCP"):
        listeners(Ways(("unix:/a/x.sock",), tls=authority.files()))


@pytest.mark.parametrize("broken", ["server.pem", "server.key", "ca.pem"])
@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_certificates_that_cannot_be_used(authority: Authority, broken: str, content: bytes | None) -> None:
    """Missing, empty, damaged: no start, and the file is named."""
    files = authority.files(mutual=True)
    path = authority.folder / broken
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StartError, match=broken):
        listeners(Ways(("0.0.0.0:1",), tls=files))


def test_key_of_another_certificate(authority: Authority, tmp_path: Path) -> None:
    """Found at the start, not by the first client."""
    files = authority.files()
    (tmp_path / "other").mkdir()
    other = Authority(authority.ca, tmp_path / "other").files()
    with pytest.raises(StartError, match=r"server\.pem with the key .*server\.key cannot be used"):
        listeners(Ways(("0.0.0.0:1",), tls=TlsFiles(files.certificate, other.key)))


def test_groups_and_users() -> None:
    """By name or number; what is not there is a sentence."""
    here = grp.getgrgid(os.getegid())
    assert (group_id(here.gr_name), group_id("12345")) == (here.gr_gid, 12345)
    with pytest.raises(StartError, match="--group 'nobody-has-it': there is no such group"):
        group_id("nobody-has-it")
    with pytest.raises(StartError, match="--user 'nobody-has-it': there is no such user"):
        become("nobody-has-it", [])
