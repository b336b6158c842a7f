# SPDX-License-Identifier: Apache-2.0
"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's word on one thing; what is not well has a remedy."""

    check: str
    status: Status
    what: str
    remedy: str = ""


def ok(check: str, what: str) -> Finding:
    """As it should be."""
    return Finding(check, Status.OK, what)


def warning(check: str, what: str, remedy: str) -> Finding:
    """It works, but worse than it could, or not for long."""
    return Finding(check, Status.WARNING, what, remedy)


def wrong(check: str, what: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(check, Status.WRONG, what, remedy)


def skipped(check: str, why: str) -> Finding:
    """It could not be looked at."""
    return Finding(check, Status.SKIPPED, why)
