# SPDX-License-Identifier: Apache-2.0
"""The ways to the API: an admin socket, a read-only one beside it, and TCP."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from tiara.domain.caller import Caller, Scope
from tiara.domain.names import read_socket
from tiara.security.certificates import CertificateError, Certificates, TlsFiles
from tiara.security.grants import Grants
from tiara.security.identity import BySocket, ByTls, Context, Granted, by_plain_tcp

ADMIN_MODE = 0o660
READ_MODE = 0o666
_PATH_BYTES = 107


class StartError(Exception):
    """Why the process cannot start, as a sentence."""


@dataclass(frozen=True, slots=True)
class Listener:
    """An address for gRPC, what it takes to come in there, and who that makes of a caller."""

    target: str
    identify: Callable[[Context], Caller]
    credentials: grpc.ServerCredentials | None = None
    mode: int = ADMIN_MODE
    group: int | None = None

    def claim(self) -> None:
        """``StartError``: another process has it. A dead one's socket is removed."""
        if self.path:
            _claim_socket(self.path)

    def bind(self, server: grpc.aio.Server) -> None:
        """Adds it to a server; a socket has its mode and group before anyone can connect."""
        mask = os.umask(0o177)
        try:
            self._add(server)
            if self.path:
                self._open(self.path)
        except (RuntimeError, OSError) as error:
            raise StartError(f"cannot listen on {self.target}: {error}") from error
        finally:
            os.umask(mask)

    @property
    def path(self) -> Path | None:
        """Of a socket."""
        return Path(self.target.removeprefix("unix:")) if self.target.startswith("unix:") else None

    def _add(self, server: grpc.aio.Server) -> None:
        if self.credentials is None:
            server.add_insecure_port(self.target)
        else:
            server.add_secure_port(self.target, self.credentials)

    def _open(self, path: Path) -> None:
        if self.group is not None:
            os.chown(path, -1, self.group)
        path.chmod(self.mode)


@dataclass(frozen=True, slots=True)
class Ways:
    """What the command line says of them; each of ``listen`` is unix:PATH or ADDRESS:PORT."""

    listen: tuple[str, ...]
    read_socket: bool = True
    insecure: bool = False
    tls: TlsFiles | None = None
    group: int | None = None
    granted: Granted = field(default=Grants)


def listeners(ways: Ways) -> list[Listener]:
    """All of them, not yet claimed. ``StartError``: one is refused."""
    sockets = [listen for listen in ways.listen if listen.startswith("unix:")]
    tcp = [listen for listen in ways.listen if not listen.startswith("unix:")]
    found = [_admin(listen, ways) for listen in sockets]
    if ways.read_socket:
        found += [_read_only(listen, ways) for listen in sockets]
    if ways.tls and not tcp:
        raise StartError("--tls-cert is of no use without TCP: give --listen ADDRESS:PORT too")
    return found + _tcp(tcp, ways)


def _admin(listen: str, ways: Ways) -> Listener:
    path = listen.removeprefix("unix:")
    identify = BySocket("socket:admin", Scope.ADMIN, path, ways.granted)
    return Listener(listen, identify, mode=ADMIN_MODE, group=ways.group)


def _read_only(listen: str, ways: Ways) -> Listener:
    path = read_socket(listen.removeprefix("unix:"))
    return Listener(f"unix:{path}", BySocket("socket:read", Scope.READ, path, ways.granted), mode=READ_MODE)


def _tcp(tcp: list[str], ways: Ways) -> list[Listener]:
    loopback = [_is_loopback(listen) for listen in tcp]
    if ways.tls and tcp:
        try:
            credentials = Certificates(ways.tls).credentials()
        except CertificateError as error:
            raise StartError(f"--tls-cert, --tls-key, --tls-client-ca: {error}") from error
        return [Listener(listen, ByTls(ways.granted), credentials) for listen in tcp]
    for listen, local in zip(tcp, loopback, strict=True):
        if not (local and ways.insecure):
            raise StartError(
                f"--listen {listen} is refused: TCP is served without TLS only on loopback and with "
                "--insecure; give --tls-cert and --tls-key"
            )
    return [Listener(listen, by_plain_tcp) for listen in tcp]


def _is_loopback(listen: str) -> bool:
    host, _, port = listen.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    if address is None or not port.isdecimal() or int(port) > 65535:
        raise StartError(f"--listen {listen!r} is neither unix:PATH nor ADDRESS:PORT")
    return address.is_loopback


def _claim_socket(path: Path) -> None:
    if not path.is_absolute() or len(os.fsencode(path)) > _PATH_BYTES:
        raise StartError(f"--listen unix:{path} must be an absolute path of at most {_PATH_BYTES} bytes")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not path.exists():
        return
    if not path.is_socket():
        raise StartError(f"{path} exists and is no socket; move it away or give another --listen")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise StartError(f"{path} is served by another process; stop it or give another --instance")
