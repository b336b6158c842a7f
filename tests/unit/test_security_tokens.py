# SPDX-License-Identifier: Apache-2.0
"""Tokens: kept as hashes, made and removed by `tiara-controlplane token`, in a file that is the owner's."""

from __future__ import annotations

import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from security_world import grant_token
from tiara.domain.caller import Scope
from tiara.security.grants import Grants, make_token
from tiara.security.grants_file import GrantsError, path_of, read
from tiara.server import main

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def run(folder: Path, line: str) -> Result:
    """`tiara-controlplane` with a store in this folder; none runs."""
    return CliRunner().invoke(
        main, [f"--store={folder}/store.db", *line.split()], prog_name="tiara-controlplane"
    )


def test_token_is_printed_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    """Only its text on stdout; no part of its secret in the file, whose mode is 0600."""
    done = run(tmp_path, "token add ci --scope operate")
    text = done.stdout.strip()
    path = path_of(tmp_path / "store.db")
    kept = path.read_text()

    assert (done.exit_code, text.startswith("tiara_ci_"), len(text)) == (0, True, len("tiara_ci_") + 43)
    assert text.rpartition("_")[2] not in kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = read(path).token(text)
    assert found is not None
    assert (found.name, found.scope, found.expires) == ("ci", Scope.OPERATE, None)


def test_two_tokens_of_one_secret_have_other_hashes() -> None:
    """Each has a salt: the file does not say which are equal."""
    made = [make_token("ci", Scope.READ, NOW, None)[0] for _ in range(2)]
    assert made[0].salt != made[1].salt
    assert made[0].digest != made[1].digest
    assert len({token.salt for token in made} | {token.digest for token in made}) == 4


@given(st.text(max_size=60))
def test_nothing_else_is_the_token(text: str) -> None:
    """Neither random text nor the token's own with something changed."""
    made, real = make_token("ci", Scope.READ, NOW, None)
    grants = Grants({"ci": made})
    assert grants.token(real) == made
    assert grants.token(text) is None
    assert grants.token(f"tiara_ci_{text}") is None
    assert grants.token(real + text) == (made if text == "" else None)


def test_list_and_remove(tmp_path: Path) -> None:
    """By name; what is left stays as it was."""
    run(tmp_path, "token add web-ci --scope read --expires 30d")
    run(tmp_path, "token add ops --scope admin")
    grant_token(path_of(tmp_path / "store.db"), "old", Scope.READ, timedelta(seconds=-1))
    listed = run(tmp_path, "token list").stdout.splitlines()
    assert [line.split()[:3] for line in listed] == [
        ["old", "read", "expired"],
        ["ops", "admin", "for"],
        ["web-ci", "read", "until"],
    ]
    assert run(tmp_path, "token remove ops").exit_code == 0
    assert [*read(path_of(tmp_path / "store.db")).tokens] == ["web-ci", "old"]


def test_certificates_by_name(tmp_path: Path) -> None:
    """Added again: the new scope."""
    run(tmp_path, "certificate add ops@example --scope read")
    run(tmp_path, "certificate add ops@example --scope admin")
    assert run(tmp_path, "certificate list").stdout.split() == ["ops@example", "admin"]
    assert run(tmp_path, "certificate remove ops@example").exit_code == 0
    assert run(tmp_path, "certificate list").stdout == ""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("token add ci --scope read", "there is a token ci already: remove it first"),
        ("token add Not/One --scope read", "'Not/One' must be 1 to 63 of a-z, 0-9 and '-'"),
        ("token remove other", "there is no token other; tiara-controlplane token list names"),
        ("certificate remove other", "there is no certificate other; tiara-controlplane certificate list"),
    ],
)
def test_mistakes_are_sentences(tmp_path: Path, line: str, sentence: str) -> None:
    """And change nothing."""
    run(tmp_path, "token add ci --scope read")
    before = path_of(tmp_path / "store.db").read_bytes()
    done = run(tmp_path, line)
    assert (done.exit_code, sentence in done.stderr) == (1, True)
    assert path_of(tmp_path / "store.db").read_bytes() == before


@pytest.mark.parametrize("field", ["version", "tokens", "scope", "salt", "hash", "expires", "name"])
def test_damaged_file_is_no_grant(tmp_path: Path, field: str) -> None:
    """It is refused whole, with its path; nothing writes over it."""
    run(tmp_path, "token add ci --scope read")
    path = path_of(tmp_path / "store.db")
    body = json.loads(path.read_text())
    (body if field in body else body["tokens"][0])[field] = "!"
    path.write_text(json.dumps(body))
    with pytest.raises(GrantsError, match=r"access\.json is damaged"):
        read(path)
    assert "is damaged" in run(tmp_path, "token add more --scope read").stderr
    assert json.loads(path.read_text()) == body


def test_file_that_others_may_write(tmp_path: Path) -> None:
    """It grants nothing: whoever writes it is an admin."""
    run(tmp_path, "token add ci --scope read")
    path_of(tmp_path / "store.db").chmod(0o620)
    with pytest.raises(GrantsError, match="can be written by others than its owner: chmod 600"):
        read(path_of(tmp_path / "store.db"))


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    """One writes after the other."""
    path = path_of(tmp_path / "store.db")
    threads = [threading.Thread(target=grant_token, args=(path, f"t{i}", Scope.READ)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read(path).tokens) == [f"t{i}" for i in range(8)]
