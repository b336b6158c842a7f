# SPDX-License-Identifier: Apache-2.0
"""A write is checked as a whole, over what is there, and leaves the catalogue alone."""

from __future__ import annotations

from collections.abc import ItemsView, ValuesView
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiara.domain.errors import (
    AlreadyExists,
    Exhausted,
    FailedPrecondition,
    InvalidField,
    NotFound,
    TiaraError,
)
from tiara.domain.model import Backend, Drain, Forwarding, Frontend, Pool, Protocol, Resource, VirtualService
from tiara.planner import Seen
from tiara.planner.removal import removal_reasons
from tiara.reconciler.catalogue import Catalogue
from tiara.reconciler.draft import Draft, Room
from tiara.reconciler.plans import propose
from tiara.reconciler.wanted import Wanted
from tiara.store import Snapshot

POOL = Pool("web", "p" * 32, Forwarding.L2)


def frontend(number: int) -> Frontend:
    """One of many VIPs."""
    return Frontend(f"198.18.100.{number}", Protocol.TCP, 80)


def backend(number: int, pool: str = "web", address: int = 0) -> Backend:
    """Backend b{number}; its address follows its number unless given."""
    return Backend(pool, f"b{number}", f"{number:032x}", f"198.18.0.{address or number + 1}")


def service(name: str, *numbers: int, pool: str = "web") -> VirtualService:
    """A service with these VIPs."""
    return VirtualService(name, name.ljust(32, "0"), tuple(map(frontend, numbers)), pool)


def catalogue(*values: Resource) -> Catalogue:
    """Holds these and a pool."""
    made = Catalogue(Snapshot(7, (POOL,)))
    for value in values:
        made.put(value)
    return made


def check(draft: Draft) -> None:
    """Without limits of a segment."""
    draft.check(Room())


def test_frontends_change_hands_in_one_write() -> None:
    """In either order; the catalogue knows the new holder afterwards."""
    for order in ((0, 1), (1, 0)):
        held = catalogue(service("one", 1, 2), service("two", 3))
        draft = Draft(held)
        values = [service("one", 3), service("two", 1, 2)]
        for i in order:
            draft.put(values[i], f"services[{i}]")
        check(draft)
        for i in order:
            held.put(values[i])
        assert [held.frontend_holder(frontend(n)) for n in (1, 2, 3)] == ["two", "two", "one"]


def test_a_taken_frontend_names_field_and_holder() -> None:
    """Of the catalogue or of the same write."""
    draft = Draft(catalogue(service("one", 1)))
    draft.put(service("two", 2, 1), "virtual_service")
    with pytest.raises(AlreadyExists, match=r"frontends\[1\].*virtualServices/one") as caught:
        check(draft)
    assert caught.value.field == "virtual_service.frontends[1]"
    draft = Draft(catalogue())
    draft.put(service("one", 1), "s[0]")
    with pytest.raises(AlreadyExists, match=r"s\[1\].frontends\[0\]"):
        draft.put(service("two", 1), "s[1]")


def test_addresses_change_hands_in_one_write() -> None:
    """As frontends do."""
    draft = Draft(catalogue(backend(1), backend(2)))
    draft.put(backend(1, address=3), "a")
    draft.put(backend(2, address=2), "b")
    check(draft)
    draft = Draft(catalogue(backend(1), backend(2)))
    draft.put(backend(3, address=2), "backend")
    with pytest.raises(AlreadyExists, match=r"backend\.address: 198\.18\.0\.2 belongs to .*/b1 already"):
        check(draft)


def test_a_service_needs_its_pool() -> None:
    """That is there or comes with the same write, and does not go with it."""
    draft = Draft(catalogue())
    draft.put(service("one", 1, pool="new"), "virtual_service")
    with pytest.raises(NotFound) as caught:
        check(draft)
    assert caught.value.field == "virtual_service.backend_pool"
    draft.put(replace(POOL, id="new"), "pool")
    check(draft)
    draft = Draft(catalogue(service("one", 1)))
    draft.remove(POOL)
    with pytest.raises(FailedPrecondition, match="used by virtualServices/one"):
        check(draft)
    draft.remove(service("one", 1))
    check(draft)


def test_a_pool_goes_with_its_backends_only() -> None:
    """Those that stay are named."""
    draft = Draft(catalogue(backend(1), backend(2)))
    draft.remove(POOL)
    draft.remove(backend(1))
    with pytest.raises(FailedPrecondition, match=r"has backendPools/web/backends/b2; delete"):
        check(draft)
    draft.remove(backend(2))
    check(draft)
    draft.put(backend(3), "backend")
    with pytest.raises(NotFound):
        check(draft)


def test_rooms() -> None:
    """Of the pool's rows and of the segment; what goes makes room."""
    small = replace(POOL, selection_rows=251)
    draft = Draft(catalogue(backend(1), backend(2)))
    draft.put(small, "backend_pool")
    check(draft)
    draft.put(backend(3), "backend")
    with pytest.raises(Exhausted, match="no room for more than 2 backends"):
        check(draft)
    draft.remove(backend(1))
    check(draft)
    with pytest.raises(Exhausted, match="room for 1 backends"):
        draft.check(Room(backends=1))
    draft = Draft(catalogue(service("one", 1, 2)))
    draft.put(service("two", 3), "virtual_service")
    with pytest.raises(Exhausted, match="room for 2 frontends"):
        draft.check(Room(frontends=2))
    draft.put(service("one", 1), "virtual_service")
    draft.check(Room(frontends=2))


class Passes(dict[str, Resource | None]):
    """Counts how often all of it is gone through."""

    cnt = 0

    def values(self) -> ValuesView[Resource | None]:  # type: ignore[override]
        """One pass."""
        self.cnt += 1
        return super().values()

    def items(self) -> ItemsView[str, Resource | None]:  # type: ignore[override]
        """Likewise."""
        self.cnt += 1
        return super().items()


def passes_of(pools: int) -> int:
    """Over a draft of so many pools with a service each, for all that a plan asks of it."""
    draft = Draft(Catalogue(Snapshot(7)))
    draft._after = passes = Passes()
    for number in range(pools):
        draft.put(replace(POOL, id=f"p{number}"), "pool")
        draft.put(backend(1, f"p{number}"), "backend")
        draft.put(service(f"s{number}", number, pool=f"p{number}"), "service")
    check(draft)
    propose(draft, [], lambda _: Seen())
    return passes.cnt


def test_a_large_draft_is_gone_through_no_more_often() -> None:
    """However many pools: 1000 pools of 100 backends are checked in seconds, not in minutes."""
    assert passes_of(100) == passes_of(2)


def test_a_bad_value_is_refused_at_its_place() -> None:
    """With the path in the request."""
    with pytest.raises(InvalidField, match=r"backends\[4\].weight"):
        Draft(catalogue()).put(replace(backend(1), weight=-1), "backends[4]")


def test_owner_prunes_its_own_only() -> None:
    """What others made stays, what is another's is refused, what is nobody's is taken."""
    held = catalogue(
        replace(backend(1), owner="ops"), replace(backend(2), owner="dev"), backend(3), backend(4)
    )
    draft = Draft(held)
    Wanted("ops", ((backend(3), "b[0]"),)).draw(draft, 5, lambda: "u" * 32)
    assert [(one.name[-2:], one.after is None) for one in draft.differences()] == [
        ("b1", True),
        ("b3", False),
    ]
    assert draft.find("backendPools/web/backends/b3") == replace(backend(3), owner="ops")
    with pytest.raises(FailedPrecondition, match="declared by owner 'dev', not 'ops'"):
        Wanted("ops", ((backend(2), "b[0]"),)).draw(Draft(held), 5, lambda: "u" * 32)


def test_overrides_stay() -> None:
    """A drain and a disable survive an apply, even of another address; a restore sets them."""
    drained = replace(backend(1), drain=Drain(9), disabled=True, owner="ops")
    draft = Draft(catalogue(drained))
    wanted = replace(backend(1, address=77), weight=5)
    Wanted("ops", ((wanted, "b[0]"),)).draw(draft, 5, lambda: "u" * 32)
    after = draft.find(drained.name)
    assert isinstance(after, Backend)
    assert (after.drain, after.disabled, after.weight) == (Drain(9), True, 5)
    assert (after.uid, after.create_ms) == ("u" * 32, 5), "another address is another server"
    draft = Draft(catalogue(drained))
    Wanted("", ((POOL, "p"), (backend(1), "b")), whole=True, overrides=True).draw(draft, 5, lambda: "u" * 32)
    assert draft.find(drained.name) == backend(1)


def test_removal_reasons() -> None:
    """Whole services, and more than half of a pool; a replaced backend is lost too."""
    held = catalogue(service("one", 1), *(backend(n) for n in range(1, 5)))
    draft = Draft(held)
    draft.remove(backend(1))
    draft.put(replace(backend(2, address=99), uid="x" * 32), "b")
    assert removal_reasons(draft.differences(), lambda _: 4) == []
    draft.remove(backend(3))
    draft.remove(service("one", 1))
    assert removal_reasons(draft.differences(), lambda _: 4) == [
        "virtualServices/one would be removed",
        "backendPools/web would lose 3 of its 4 backends",
    ]


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "remove"]), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    max_size=6,
)


@given(STEPS, st.booleans())
def test_a_draft_that_passes_fits(steps: list[tuple[str, int, int, int]], services: bool) -> None:
    """Whatever passes leaves no address and no frontend with two holders, and a refusal has a reason."""
    held = catalogue(*(service(f"s{n}", n) if services else backend(n) for n in (1, 2, 3)))
    before = list(held.all())
    draft = Draft(held)
    try:
        for kind, n, a, b in steps:
            value: Resource = service(f"s{n}", *{a, b}) if services else backend(n, address=a)
            if kind == "put":
                draft.put(value, "field")
            elif draft.find(value.name):
                draft.remove(value)
        check(draft)
    except TiaraError as error:
        assert str(error)
        assert list(held.all()) == before
        return
    names = {value.name for value in before} | {one.name for one in draft.differences()}
    after = [value for value in map(draft.find, names) if value]
    taken = [f for v in after if isinstance(v, VirtualService) for f in v.frontends]
    taken_addresses = [v.address for v in after if isinstance(v, Backend)]
    assert len(taken) == len(set(taken))
    assert len(taken_addresses) == len(set(taken_addresses))
