# SPDX-License-Identifier: Apache-2.0
"""The server's certificate, read again when its files change: running calls do not notice."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog


class CertificateError(Exception):
    """A file cannot be used, as a sentence that names it."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. With ``client_ca`` every client must have a certificate of that authority."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Certificates:
    """Asked by gRPC at each handshake, on threads of its own."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._stamp = _stamps(files)
        self._first = _read(files)

    def credentials(self) -> grpc.ServerCredentials:
        """For a port."""
        return grpc.dynamic_ssl_server_credentials(
            self._first,
            self._changed,  # type: ignore[arg-type] # the stubs do not know None: nothing new
            require_client_authentication=self._files.client_ca is not None,
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The new ones, once, when the files have changed and are good; None: go on with those had."""
        with self._lock:
            try:
                stamp = _stamps(self._files)
            except CertificateError:
                stamp = ()
            if stamp == self._stamp:
                return None
            self._stamp = stamp
            return self._read_again()

    def _read_again(self) -> grpc.ServerCertificateConfiguration | None:
        log = structlog.get_logger("security")
        try:
            config = _read(self._files)
        except CertificateError as error:
            log.error("certificate unchanged", reason=str(error))
            return None
        log.info("certificate read", file=str(self._files.certificate))
        return config


def _stamps(files: TlsFiles) -> tuple[int, ...]:
    paths = [files.certificate, files.key, *([files.client_ca] if files.client_ca else [])]
    return tuple(part for path in paths for part in _stamp(path))


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        had = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    return (had.st_ino, had.st_mtime_ns, had.st_size)


def _read(files: TlsFiles) -> grpc.ServerCertificateConfiguration:
    """``CertificateError``: a file is no good, or changed while it was looked at."""
    before = _stamps(files)
    _check(files)
    pair = (_bytes(files.key), _bytes(files.certificate))
    authority = _bytes(files.client_ca) if files.client_ca else None
    if _stamps(files) != before:
        raise CertificateError(f"{files.certificate} or its key changed while it was read")
    return grpc.ssl_server_certificate_configuration([pair], authority)


def _check(files: TlsFiles) -> None:
    """gRPC would say nothing of a file that it cannot use."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An encrypted key would be asked for on the terminal.
        context.load_cert_chain(files.certificate, files.key, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise _unusable(f"{files.certificate} with the key {files.key}", error) from error
    if files.client_ca is None:
        return
    try:
        context.load_verify_locations(files.client_ca)
    except (OSError, ValueError) as error:
        raise _unusable(str(files.client_ca), error) from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unusable(what: str, error: Exception) -> CertificateError:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return CertificateError(f"{what} cannot be used: {reason}")


def _unreadable(path: Path, error: OSError) -> CertificateError:
    return CertificateError(f"{path} cannot be read: {error.strerror}")
