# SPDX-License-Identifier: Apache-2.0
"""Who makes the call that is being answered, and how much they may do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum


class Scope(IntEnum):
    """How much a caller may do; each scope includes those before it."""

    NONE = 0
    """What anyone may ask who reaches the listener: whether it serves."""
    READ = 1
    """Get, list, watch, explain, plan: nothing is changed."""
    OPERATE = 2
    """Drain, undrain, disable, flush, push connections: what runs is steered."""
    ADMIN = 3
    """Everything: resources, history, access."""

    @property
    def text(self) -> str:
        """As people write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """``who``: as "token:ci"; "" where nobody said. ``peer``: where from, as "ipv4:198.18.0.7:40000"."""

    who: str
    peer: str
    scope: Scope


_LOCAL = Caller("local", "", Scope.ADMIN)
_caller: ContextVar[Caller] = ContextVar("caller", default=_LOCAL)


def current_caller() -> Caller:
    """The caller of this task's call; outside calls the process itself."""
    return _caller.get()


def set_caller(caller: Caller) -> None:
    """For the rest of this task and the tasks that it starts: each call has a task of its own."""
    _caller.set(caller)


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """This caller inside the block."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)
