# SPDX-License-Identifier: Apache-2.0
"""The file that grants live in: beside the store, written whole, read again when it changes."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from tiara.domain.caller import Scope
from tiara.security.grants import HASH_BYTES, SALT_BYTES, Certificate, Grants, Token, check_name

FILE_MODE = 0o600
_VERSION = 1
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class GrantsError(Exception):
    """The file cannot be used, as a sentence with the remedy."""


def path_of(store: Path) -> Path:
    """Where the grants of the control plane with this store are."""
    return store.with_name("access.json")


class GrantsFile:
    """What the server asks at each call. A broken file changes nothing, and is said once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = _stamp(path)
        self._grants = read(path)

    def current(self) -> Grants:
        """As the file says now, or as it said last when it could be read."""
        stamp = _stamp(self.path)
        if stamp != self._stamp:
            self._stamp = stamp
            self._read_again()
        return self._grants

    def _read_again(self) -> None:
        log = structlog.get_logger("security")
        try:
            self._grants = read(self.path)
        except GrantsError as error:
            log.error("access unchanged", reason=str(error))
            return
        log.info("access read", tokens=len(self._grants.tokens), certificates=len(self._grants.certificates))


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        had = path.stat()
    except OSError:
        return ()
    return (had.st_ino, had.st_mtime_ns, had.st_size, had.st_mode)


def read(path: Path) -> Grants:
    """All grants; none where there is no file. ``GrantsError``: it is damaged, or others may write it."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except FileNotFoundError:
        return Grants()
    except OSError as error:
        raise GrantsError(f"{path} cannot be read: {error.strerror}") from error
    if mode & _WRITABLE_BY_OTHERS:
        raise GrantsError(f"{path} can be written by others than its owner: chmod {FILE_MODE:o} {path}")
    try:
        return _parsed(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GrantsError(
            f"{path} is damaged ({error!r}): mend it, or move it away to grant nothing"
        ) from error


def edit(path: Path, change: Callable[[Grants], Grants]) -> None:
    """Reads, changes and writes it; one process at a time. ``GrantsError`` as of ``read``."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _locked(path.parent):
            _write(path, change(read(path)))
    except OSError as error:
        raise GrantsError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, grants: Grants) -> None:
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "w") as file:
        json.dump(_written(grants), file, indent=2)
        file.write("\n")
        file.flush()
        if os.geteuid() == 0:  # the server, which may be another user, owns the folder
            owner = path.parent.stat()
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
        os.fsync(file.fileno())
    new.replace(path)


def _parsed(body: dict[str, Any]) -> Grants:
    if body["version"] != _VERSION:
        raise ValueError(f"version {body['version']!r} is not known")
    tokens = [_token_in(item) for item in body["tokens"]]
    certificates = [Certificate(str(item["name"]), _scope(item["scope"])) for item in body["certificates"]]
    return Grants({t.name: t for t in tokens}, {c.name: c for c in certificates})


def _token_in(item: dict[str, Any]) -> Token:
    return Token(
        check_name(item["name"]),
        _scope(item["scope"]),
        _bytes(item["salt"], SALT_BYTES),
        _bytes(item["hash"], HASH_BYTES),
        _time(item["created"]),
        _time(item["expires"]) if item["expires"] else None,
    )


def _bytes(text: str, count: int) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != count:
        raise ValueError(f"{text!r} is not {count} bytes")
    return value


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _scope(text: str) -> Scope:
    return Scope[text.upper()]


def _written(grants: Grants) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "tokens": [_token_out(token) for token in grants.tokens.values()],
        "certificates": [{"name": c.name, "scope": c.scope.text} for c in grants.certificates.values()],
    }


def _token_out(token: Token) -> dict[str, Any]:
    return {
        "name": token.name,
        "scope": token.scope.text,
        "salt": token.salt.hex(),
        "hash": token.digest.hex(),
        "created": token.created.isoformat(),
        "expires": token.expires.isoformat() if token.expires else None,
    }
