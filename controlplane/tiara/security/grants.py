# SPDX-License-Identifier: Apache-2.0
"""What is granted: tokens by their hashes, client certificates by their names."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from hmac import compare_digest
from types import MappingProxyType

from tiara.domain.caller import Scope

SCHEME = "tiara"
SALT_BYTES = 16
HASH_BYTES = 32
_SECRET_BYTES = 32
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def check_name(name: str) -> str:
    """The name of a token. ``ValueError``: it cannot be one."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} must be 1 to 63 of a-z, 0-9 and '-', begin with a letter, not end with '-'"
        )
    return name


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token: it cannot be had back from this."""

    name: str
    scope: Scope
    salt: bytes
    digest: bytes
    created: datetime
    expires: datetime | None = None

    def is_of(self, secret: str) -> bool:
        """Whether this is its secret; the time it takes tells nothing of how near it is."""
        return compare_digest(self.digest, _digest(secret, self.salt))

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires


@dataclass(frozen=True, slots=True)
class Certificate:
    """A client certificate, by its common name or an alternative name."""

    name: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class Grants:
    """All of them, by name."""

    tokens: Mapping[str, Token] = field(default_factory=lambda: MappingProxyType({}))
    certificates: Mapping[str, Certificate] = field(default_factory=lambda: MappingProxyType({}))

    def token(self, text: str) -> Token | None:
        """The token whose text this is, expired or not."""
        scheme, _, rest = text.partition("_")
        name, _, secret = rest.partition("_")
        found = self.tokens.get(name) if scheme == SCHEME else None
        return found if found and found.is_of(secret) else None


def make_token(name: str, scope: Scope, now: datetime, expires: datetime | None) -> tuple[Token, str]:
    """A new token: what is kept of it, and its text, which exists nowhere else."""
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).decode().rstrip("=")
    salt = secrets.token_bytes(SALT_BYTES)
    return Token(
        check_name(name), scope, salt, _digest(secret, salt), now, expires
    ), f"{SCHEME}_{name}_{secret}"


def _digest(secret: str, salt: bytes) -> bytes:
    """Fast on purpose: 256 random bits cannot be guessed, and each call pays for it."""
    return blake2b(secret.encode(), digest_size=HASH_BYTES, salt=salt, person=b"tiara token").digest()
