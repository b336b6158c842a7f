# SPDX-License-Identifier: Apache-2.0
"""A configuration as somebody declares it, and how it is drawn over the one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tiara.domain.errors import FailedPrecondition
from tiara.domain.model import Backend, Resource
from tiara.reconciler.catalogue import Catalogue
from tiara.reconciler.draft import Draft


@dataclass(frozen=True, slots=True)
class Wanted:
    """Resources, each with its place in the request for errors.

    ``whole``: it is all there is to be, whoever made it, and each resource says its own owner; else
    ``owner`` declares them, and what the same owner declared before goes. ``overrides``: drains and
    disables are taken from it too, else they stay as they are.
    """

    owner: str
    values: tuple[tuple[Resource, str], ...]
    whole: bool = False
    overrides: bool = False

    def draw(self, draft: Draft, now_ms: int, new_uid: Callable[[], str]) -> None:
        """Puts and removes what differs."""
        names = {value.name for value, _ in self.values}
        for old in self._mine(draft.catalogue):
            if old.name not in names:
                draft.remove(old)
        for value, field in self.values:
            before = draft.catalogue.find(value.name)
            after = replace(value, **self._kept(before, value))
            if _is_another(before, after):
                after = replace(after, uid=new_uid(), create_ms=now_ms)
            if after != before:
                draft.put(after, field)

    def _mine(self, catalogue: Catalogue) -> Iterator[Resource]:
        return (value for value in catalogue.all() if self.whole or value.owner == self.owner)

    def _kept(self, before: Resource | None, value: Resource) -> dict[str, Any]:
        """The fields that are not taken from the declared value, in one go: there may be 100,000."""
        kept: dict[str, Any] = {"owner": value.owner if self.whole else self.owner, "revision": 0}
        if before:
            self._check_owner(before)
            kept |= {"uid": before.uid, "create_ms": before.create_ms, "revision": before.revision}
        if isinstance(value, Backend) and not self.overrides:
            known = before if isinstance(before, Backend) else None
            kept |= {"drain": known.drain if known else None, "disabled": bool(known and known.disabled)}
        return kept

    def _check_owner(self, old: Resource) -> None:
        if not self.whole and old.owner not in ("", self.owner):
            raise FailedPrecondition(
                old.name,
                f"{old.name} is declared by owner {old.owner!r}, not {self.owner!r}: remove it there first, "
                "or leave it out here; nothing was changed",
            )


def _is_another(before: Resource | None, after: Resource) -> bool:
    """A new name, or a backend at another address: connections must not follow it there."""
    if isinstance(before, Backend) and isinstance(after, Backend):
        return before.address != after.address
    return before is None
