# SPDX-License-Identifier: Apache-2.0
"""Where containers cannot run, one sentence says so."""

from __future__ import annotations

import os
import shutil

import engine
import pytest
from engine import EngineError, OwnEngine


def _say(_: str) -> None: ...


def test_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon and no dockerd: the sentence names the command that installs it."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(
        EngineError, match=r"^no docker daemon .* dockerd is not here; script/setup --containers"
    ):
        OwnEngine(_say)


def test_says_that_it_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon and not root."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EngineError, match="needs root"):
        OwnEngine(_say)


def test_failed_command_shows_its_output() -> None:
    """The error has the command, its exit status and the end of what it said."""
    with pytest.raises(EngineError, match=r"(?s)^sh -c .*: exit 3\n.*no such thing"):
        engine.run("sh", "-c", "echo no such thing >&2; exit 3")
