# SPDX-License-Identifier: Apache-2.0
"""``tiara-controlplane token`` and ``certificate``: who may call. A server that runs sees it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click

from tiara.cli.values import DURATION
from tiara.domain.caller import Scope
from tiara.security.grants import Certificate, Grants, Token, make_token
from tiara.security.grants_file import GrantsError, edit, read

Kept = TypeVar("Kept")

_scope_option = click.option(
    "--scope",
    required=True,
    type=click.Choice([Scope.READ.text, Scope.OPERATE.text, Scope.ADMIN.text]),
    help="What it may do; operate includes read (drains, pushes), admin includes all.",
)


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except (GrantsError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _change(path: Path, change: Callable[[Grants], Grants]) -> None:
    with _sentences():
        edit(path, change)


@click.group()
def token() -> None:
    """Tokens, for callers over TLS."""


@token.command("add")
@click.argument("name")
@_scope_option
@click.option("--expires", type=DURATION, help="How long it is valid, as 30d.  [for ever]")
@click.pass_obj
def token_add(path: Path, name: str, scope: str, expires: timedelta | None) -> None:
    """Make a token and print it: it is kept as a hash only, so this is the only time."""
    now = datetime.now(UTC).replace(microsecond=0)
    with _sentences():
        made, text = make_token(name, Scope[scope.upper()], now, now + expires if expires else None)
    _change(path, lambda grants: _with_token(grants, made))
    click.echo(f"token {name}, scope {scope}, {_until(made)}; keep it, it is not shown again:", err=True)
    click.echo(text)


def _with_token(grants: Grants, made: Token) -> Grants:
    if made.name in grants.tokens:
        raise ValueError(f"there is a token {made.name} already: remove it first, or choose another name")
    return replace(grants, tokens={**grants.tokens, made.name: made})


@token.command("list")
@click.pass_obj
def token_list(path: Path) -> None:
    """Name, scope, and how long each is valid."""
    with _sentences():
        tokens = read(path).tokens.values()
    for one in sorted(tokens, key=lambda one: one.name):
        over = "expired" if one.expired(datetime.now(UTC)) else _until(one)
        click.echo(f"{one.name:<24} {one.scope.text:<8} {over}")


def _until(one: Token) -> str:
    return f"until {one.expires:%Y-%m-%d %H:%M:%S} UTC" if one.expires else "for ever"


@token.command("remove")
@click.argument("name")
@click.pass_obj
def token_remove(path: Path, name: str) -> None:
    """No new call is let in with it; a stream that runs ends with its connection."""
    _change(path, lambda grants: replace(grants, tokens=_without(grants.tokens, name, "token")))
    click.echo(f"token {name} removed")


@click.group()
def certificate() -> None:
    """What client certificates may do, by their names (mutual TLS)."""


@certificate.command("add")
@click.argument("name")
@_scope_option
@click.pass_obj
def certificate_add(path: Path, name: str, scope: str) -> None:
    """NAME is the common name or an alternative name of the certificate."""
    made = Certificate(name, Scope[scope.upper()])
    _change(path, lambda grants: replace(grants, certificates={**grants.certificates, name: made}))
    click.echo(f"certificate {name}, scope {scope}")


@certificate.command("list")
@click.pass_obj
def certificate_list(path: Path) -> None:
    """Name and scope."""
    with _sentences():
        certificates = read(path).certificates.values()
    for one in sorted(certificates, key=lambda one: one.name):
        click.echo(f"{one.name:<40} {one.scope.text}")


@certificate.command("remove")
@click.argument("name")
@click.pass_obj
def certificate_remove(path: Path, name: str) -> None:
    """It may do nothing any more."""
    _change(
        path, lambda grants: replace(grants, certificates=_without(grants.certificates, name, "certificate"))
    )
    click.echo(f"certificate {name} removed")


def _without(granted: Mapping[str, Kept], name: str, kind: str) -> dict[str, Kept]:
    if name not in granted:
        raise ValueError(f"there is no {kind} {name}; tiara-controlplane {kind} list names those there are")
    return {key: value for key, value in granted.items() if key != name}
