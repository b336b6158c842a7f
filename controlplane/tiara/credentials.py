# SPDX-License-Identifier: Apache-2.0
"""What a client shows to a control plane, and how it knows that it is the right one."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc


class CredentialsError(ValueError):
    """They cannot be used, as a sentence that names the option."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files, in PEM but for the token's. `tls_ca` None: the authorities that this machine trusts."""

    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token_file: Path | None = None
    insecure: bool = False

    @classmethod
    def from_environment(cls) -> Credentials:
        """TIARA_TLS_CA, TIARA_TLS_CERT, TIARA_TLS_KEY, TIARA_TOKEN_FILE; TIARA_INSECURE not empty or 0."""
        return cls(
            _path("TIARA_TLS_CA"),
            _path("TIARA_TLS_CERT"),
            _path("TIARA_TLS_KEY"),
            _path("TIARA_TOKEN_FILE"),
            os.environ.get("TIARA_INSECURE", "0") not in ("", "0"),
        )

    def token(self, *, plain: bool) -> str:
        """What the token's file says; empty: there is none. `plain`: it would travel in the clear."""
        if self.token_file is None:
            return ""
        if plain:
            raise CredentialsError(
                "--token-file: a token is sent over TLS or a unix socket only; leave it or --insecure away"
            )
        text = _read("--token-file", self.token_file).decode(errors="replace").strip()
        if not (text.isascii() and text.isprintable() and text and " " not in text):
            raise CredentialsError(f"--token-file: {self.token_file} does not have one token, and no more")
        return text

    def tls(self) -> grpc.ChannelCredentials:
        """For a channel."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise CredentialsError("--tls-cert and --tls-key: both are needed, or none")
        return grpc.ssl_channel_credentials(
            _read("--tls-ca", self.tls_ca or _trusted()),
            _read("--tls-key", self.tls_key) if self.tls_key else None,
            _read("--tls-cert", self.tls_cert) if self.tls_cert else None,
        )


def _path(variable: str) -> Path | None:
    text = os.environ.get(variable)
    return Path(text) if text else None


def _trusted() -> Path:
    found = ssl.get_default_verify_paths().cafile
    if found is None:
        raise CredentialsError("--tls-ca: this machine has no list of trusted authorities; give a file")
    return Path(found)


def _read(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialsError(f"{option}: {path} cannot be read: {error.strerror}") from error


def with_token(channel: grpc.Channel, token: str) -> grpc.Channel:
    """The same channel; each call says whose it is."""
    return grpc.intercept_channel(channel, _Sender(token)) if token else channel


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Sender(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """gRPC's own call credentials want TLS, and a token is for unix sockets too."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def _signed(self, details: Any) -> _Details:
        rest = (getattr(details, name, None) for name in _Details._fields[3:])
        return _Details(details.method, details.timeout, [*(details.metadata or ()), self._header], *rest)

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._signed(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._signed(client_call_details), request)

    def intercept_stream_unary(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._signed(client_call_details), request_iterator)

    def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> Any:
        return continuation(self._signed(client_call_details), request_iterator)
