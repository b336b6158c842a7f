# SPDX-License-Identifier: Apache-2.0
"""Who makes a call, by the way it came: a socket, TLS, or plain TCP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import grpc

from tiara.domain.caller import Caller, Scope
from tiara.domain.errors import Unauthenticated
from tiara.security.grants import Grants, Token

Context = grpc.aio.ServicerContext[Any, Any]
Granted = Callable[[], Grants]


@dataclass(frozen=True, slots=True)
class BySocket:
    """The socket's file mode has let them in; a token says who they are and can only take away."""

    who: str
    scope: Scope
    path: str
    granted: Granted

    def __call__(self, context: Context) -> Caller:
        """See ``ErrorInterceptor``."""
        token = _token(context, self.granted)
        if token is None:
            return Caller(self.who, f"unix:{self.path}", self.scope)
        return Caller(f"token:{token.name}", f"unix:{self.path}", min(token.scope, self.scope))


@dataclass(frozen=True, slots=True)
class ByTls:
    """A token, else the client's certificate, which TLS has verified."""

    granted: Granted

    def __call__(self, context: Context) -> Caller:
        """See ``ErrorInterceptor``."""
        token = _token(context, self.granted)
        if token is not None:
            return Caller(f"token:{token.name}", _peer(context), token.scope)
        who, scope = _certificate(context, self.granted())
        return Caller(who, _peer(context), scope)


def by_plain_tcp(context: Context) -> Caller:
    """Whoever is on this machine, as --insecure says."""
    if _credentials(context):
        raise Unauthenticated(
            "tokens are taken over TLS and unix sockets only; this one has been sent in the clear: "
            "remove it (tiara-controlplane token remove NAME) and add another"
        )
    return Caller("tcp:insecure", _peer(context), Scope.ADMIN)


def _token(context: Context, granted: Granted) -> Token | None:
    """The call's token, where it sends one that may be used."""
    credentials = _credentials(context)
    if not credentials:
        return None
    scheme, _, text = credentials[0].partition(" ")
    token = granted().token(text.strip()) if scheme.lower() == "bearer" and len(credentials) == 1 else None
    if token is None:
        raise Unauthenticated(
            "the token is not one of this server's: it is mistyped, or was removed; "
            "tiara-controlplane token list names those there are"
        )
    if token.expired(datetime.now(UTC)):
        raise Unauthenticated(
            f"the token {token.name} expired at {token.expires:%Y-%m-%d %H:%M:%S} UTC: add another"
        )
    return token


def _credentials(context: Context) -> list[str]:
    metadata = context.invocation_metadata() or ()
    return [str(value) for key, value in metadata if key == "authorization"]


def _certificate(context: Context, granted: Grants) -> tuple[str, Scope]:
    """The first of its names that is granted something, else its first name and no scope."""
    names = _names(context)
    for name in names:
        if name in granted.certificates:
            return f"certificate:{name}", granted.certificates[name].scope
    return (f"certificate:{names[0]}" if names else "", Scope.NONE)


def _names(context: Context) -> list[str]:
    known = context.auth_context()
    values = [*known.get("x509_common_name", ()), *known.get("x509_subject_alternative_name", ())]
    return [value.decode(errors="replace") for value in values]


def _peer(context: Context) -> str:
    return unquote(context.peer())
