# SPDX-License-Identifier: Apache-2.0
"""tiara_command, tiara_seen and tiara_totals do what docs/design/0016 says, and answer as their twin."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import protocol_model
import pytest
from back_card import (
    BUCKETS,
    FOUND,
    HARVEST,
    HARVEST_END,
    HARVESTED,
    INSTALL,
    MISS,
    NONE,
    REMOVE,
    REMOVED,
    SEEN,
    SLOTS,
    Answer,
    Back,
    Command,
    Lookup,
    Request,
    Setup,
    Twin,
)

Start = Callable[..., Back]
SLOW = Setup(latency_max=50, refresh_period=120, refresh_cycles=30, ready_pct=50, valid_pct=60)
KEY, OTHER = 0x0001_0002_0300_0004, 0x0001_0002_0300_0005


def at(slot: int, key: int = KEY, name: int = 1) -> Request:
    """A lookup that finds the key in this slot, if it is there."""
    return Request(name, key, slot // 4, (slot // 4 + 1) % BUCKETS)


def _drawn(draw: random.Random, twin: Twin) -> Command:
    """Any command, often one that makes sense."""
    channel = draw.choice([0, 0, 0, 1, 7, 15, 16, 255])
    number = max(0, twin.newest.get(channel, 0) + draw.choice([1, 1, 1, 1, 2, 1000, 0, -1, -7]))
    slot = draw.choice([*twin.table, *[draw.randrange(SLOTS)] * 40, SLOTS, 1 << 31])
    held = twin.table.get(slot, (KEY, 0))[0]
    return Command(
        draw.choice([INSTALL] * 8 + [REMOVE] * 8 + [HARVEST, 0, 4, 17, 255]),
        number & 0xFFFFFFFF,
        slot,
        draw.choice([held, held, held ^ 1 << draw.randrange(64), draw.getrandbits(64)]),
        draw.getrandbits(32),
        channel,
        draw.choice([twin.epoch] * 20 + [twin.epoch ^ 1, 0]),
        max(0, twin.harvest + draw.choice([1, 1, 0, 2, -1])),
        draw.choice([3] * 9 + [0]),
    )


@pytest.mark.parametrize("seed", range(4))
def test_random_commands(back: Start, seed: int) -> None:
    """Any commands, with lookups between them: the answers, the drops and the table are the twin's."""
    draw, twin = random.Random(seed), Twin()
    one = back(seed, SLOW if seed % 2 else Setup())
    kinds = set()
    for _ in range(120):
        commands, expected, drops = [], [], 0
        for _ in range(draw.randrange(1, 12)):
            commands.append(_drawn(draw, twin))
            drops += not twin.applies(commands[-1])
            expected += twin.command(commands[-1])
            if commands[-1].kind == HARVEST:
                break  # what comes behind it may overtake its lines
        events = one.run(commands)
        assert (events.said, events.dropped) == (expected, drops)
        kinds |= {(answer.kind, answer.seen if answer.kind == REMOVED else 0) for answer in expected}
        requests = [at(slot, key, slot) for slot, (key, _) in [*twin.table.items()][:: draw.randrange(2, 9)]]
        assert one.run(requests).found == [(r.name, twin.lookup(r)) for r in requests]
    assert kinds == {(REMOVED, n) for n in (FOUND, SEEN, FOUND | SEEN)} | {(HARVESTED, 0), (HARVEST_END, 0)}


def test_older_is_dropped(back: Start) -> None:
    """R2: a late install does not revive what was removed; another channel has its own numbers."""
    one = back()
    install, remove = Command(INSTALL, 5, 9, KEY, 3), Command(REMOVE, 6, 9, KEY)
    assert one.run([remove, install]).dropped == 1
    assert one.run([at(9)]).found == [(1, Lookup(False, MISS))]
    assert one.run([remove, replace(remove, number=5), replace(install, number=0)]).dropped == 3
    assert one.run([replace(install, channel=1, number=1)]).dropped == 0
    assert one.run([at(9)]).found == [(1, Lookup(True, NONE, 9, 3))]


def test_numbers_wrap(back: Start) -> None:
    """R2: newer is what is ahead by less than 2^31, past the largest number too."""
    one = back()
    numbers = [0x7FFFFFFF, 0xFFFFFFFE, 1, 0xFFFFFFFE, 0x80000001, 2]
    installs = [Command(INSTALL, number, 9, KEY, line) for line, number in enumerate(numbers)]
    assert one.run(installs).dropped == 2
    assert one.run([at(9)]).found == [(1, Lookup(True, NONE, 9, 5))]


def test_dropped_is_not_answered(back: Start) -> None:
    """R3."""
    one = back()
    events = one.run([Command(INSTALL, 5, 9, KEY, 3), Command(REMOVE, 5, 9, KEY), Command(HARVEST, 4)])
    assert (events.said, events.dropped) == ([], 2)


def test_repeated_removal(back: Start) -> None:
    """R4, R9: repeated with a number of its own it is answered again, and says that its bit was set."""
    one = back()
    commands = [Command(INSTALL, 1, 9, KEY, 3), Command(REMOVE, 2, 9, KEY), Command(REMOVE, 3, 9, KEY)]
    first, second = one.run(commands).said
    assert first == Answer(REMOVED, 0, 1, 2, 9, 0, FOUND)
    assert second == Answer(REMOVED, 0, 1, 3, 9, 0, SEEN)


def test_removal_of_another_key(back: Start) -> None:
    """A slot that holds another key keeps it, whichever bit differs, and so does the slot beside it."""
    one = back()
    one.run([Command(INSTALL, 1, 8, KEY, 3), Command(INSTALL, 2, 9, OTHER, 4)])
    removals = [Command(REMOVE, 10 + i, 8, KEY ^ 1 << i) for i in range(64)]
    assert {answer.seen for answer in one.run(removals).said} == {SEEN}
    assert one.run([Command(REMOVE, 99, 8, KEY)]).said == [Answer(REMOVED, 0, 1, 99, 8, 0, FOUND)]
    assert one.run([at(8), at(9, OTHER, 2)]).found == [
        (1, Lookup(False, MISS)),
        (2, Lookup(True, NONE, 9, 4)),
    ]


def test_epochs(back: Start) -> None:
    """R8: a reset empties the card and forgets all numbers; what is from before it is dropped."""
    one = back()
    one.run([Command(INSTALL, 500, 9, KEY, 3), Command(HARVEST, 501, harvest=1)])
    one.do(["reset 2", "idle"])
    assert one.run([Command(INSTALL, 501, 9, KEY, 3), Command(REMOVE, 502, 9, KEY)]).dropped == 2
    assert one.run([at(9)]).found == [(1, Lookup(False, MISS))]
    new = [Command(REMOVE, 1, 9, KEY, epoch=2), Command(HARVEST, 2, epoch=2, harvest=1)]
    assert one.run(new).said == [Answer(REMOVED, 0, 2, 1, 9, 0, SEEN), Answer(HARVEST_END, 0, 2, 2, 0, 1, 0)]


def test_memory_errors(back: Start) -> None:
    """What the memory did not do is not answered, and removes and installs nothing else."""
    one = back(3)
    one.run([Command(INSTALL, 1, 9, OTHER, 3)])
    commands = [Command(REMOVE, 2 + i, 8, KEY) for i in range(200)]
    answers = one.run(commands, Setup(error_pct=40).words(), "idle").said
    assert 60 < len(answers) < 180
    assert one.run([at(9, OTHER)], Setup().words(), "idle").found == [(1, Lookup(True, NONE, 9, 3))]


def test_clearing_is_repeated(back: Start) -> None:
    """A burst of zeros that fails is written again: nothing of before the reset comes back."""
    one = back(4)
    installs = [Command(INSTALL, 1 + slot, slot, KEY + slot, slot) for slot in range(SLOTS)]
    one.run(installs)
    one.do([Setup(error_pct=70).words(), "reset 2", "idle", Setup().words()])
    requests = [at(slot, KEY + slot, slot) for slot in range(SLOTS)]
    assert one.run(requests).found == [(slot, Lookup(False, MISS)) for slot in range(SLOTS)]


@pytest.mark.parametrize("seed", range(3))
def test_the_protocol_model_s_card(back: Start, seed: int) -> None:
    """Messages of protocol_model, any order and any number of times: the card's state is the model's."""
    draw, one = random.Random(seed), back(seed, SLOW)
    rules = protocol_model.Rules()
    state = protocol_model.State(protocol_model.SCOPES["key"])
    answered = 0
    for step in range(150):
        if draw.random() < 0.03:
            state = state._replace(card=protocol_model.Card(state.card.epoch + 1))
            one.do([f"reset {state.card.epoch}", "idle"])
        message = _message(draw, state.card, step // 2 + 3)
        after = protocol_model._at_card(state, message, rules)
        events = one.run([_of_model(message), at(20)], "idle")
        found = one.run([at(20)]).found[0][1]
        applied = after.card.newest != state.card.newest
        assert events.dropped == (not applied)
        assert (found.hit, found.line if found.hit else 0) == (after.card.key == "a", after.card.backend)
        acknowledged = message.kind == "remove" and applied
        assert [answer.kind for answer in events.said if answer.kind == REMOVED] == [REMOVED] * acknowledged
        answered += acknowledged
        state = after
    assert answered > 3


def _message(draw: random.Random, card: protocol_model.Card, below: int) -> protocol_model.Message:
    kind = draw.choice(["install", "remove", "harvest", "other"])
    return protocol_model.Message(
        kind,
        draw.randrange(2),
        draw.choice([card.epoch] * 9 + [card.epoch + 1]),
        draw.randrange(1, below),
        "a" if kind in ("install", "remove") else "",
        draw.randrange(1, 4) if kind == "install" else 0,
        card.harvest + draw.randrange(2) if kind == "harvest" else 0,
    )


def _of_model(m: protocol_model.Message) -> Command:
    kind = {"install": INSTALL, "remove": REMOVE, "harvest": HARVEST, "other": INSTALL}[m.kind]
    key, slot = (OTHER, 21) if m.kind == "other" else (KEY, 20)
    return Command(kind, m.number, slot, key, m.backend, m.channel, m.epoch, m.value)


# ---- banks


def _bits(answers: list[Answer]) -> set[int]:
    """The slots that a report names."""
    assert answers[-1].kind == HARVEST_END
    assert all(answer.kind == HARVESTED for answer in answers[:-1])
    return {a.slot + i for a in answers[:-1] for i in range(128) if a.seen >> i & 1}


def test_harvest(back: Start) -> None:
    """A harvest reports what was used since the one before, each slot once; repeated it says the same."""
    one = back()
    one.run([Command(INSTALL, 1 + slot, slot, KEY + slot, slot) for slot in range(SLOTS)])
    used = [{0, 127, 128, 255}, {5, 6}, set(), {255}]
    for number, slots in enumerate(used, 1):
        one.run([at(slot, KEY + slot) for slot in slots])
        said = [one.run([Command(HARVEST, 1000 + 3 * number + i, harvest=number)]).said for i in (0, 1)]
        assert [_bits(answers) for answers in said] == [slots, slots]
        again = one.run([Command(HARVEST, 1002 + 3 * number, harvest=n) for n in (number + 2, number - 1)])
        assert (again.said, again.dropped) == ([], 2)


def test_a_removal_looks_into_both_banks(back: Start) -> None:
    """R12: it says so if a packet used it since the harvest before the last."""
    one = back()
    one.run([Command(INSTALL, 1 + slot, slot, KEY + slot, slot) for slot in range(4)])
    one.run([at(0, KEY), at(1, KEY + 1)])
    one.run([Command(HARVEST, 10, harvest=1), Command(HARVEST, 11, harvest=1)])
    one.run([at(2, KEY + 2)])
    removals = [Command(REMOVE, 20 + slot, slot, KEY + slot) for slot in (0, 2, 3)]
    seen = [answer.seen for answer in one.run(removals).said]
    assert seen == [FOUND | SEEN, FOUND | SEEN, FOUND]
    one.run([Command(HARVEST, 30, harvest=2)])
    assert [answer.seen for answer in one.run([Command(REMOVE, 31, 1, KEY + 1)]).said] == [FOUND]


@pytest.mark.parametrize("seed", range(2))
def test_no_use_is_lost(back: Start, seed: int) -> None:
    """Packets beside harvests: what was used is in one of two reports, and what was not is in none."""
    draw, one = random.Random(seed), back(seed, Setup(latency_max=30))
    one.run([Command(INSTALL, 1 + slot, slot, KEY + slot, slot) for slot in range(SLOTS)])
    number = 1000
    for first in range(1, 60, 3):
        used = draw.sample(range(SLOTS), 12) * 5
        harvests = [Command(HARVEST, number + i, harvest=first + i) for i in range(2)]
        said = one.run([*(at(slot, KEY + slot) for slot in used), *harvests]).said
        middle = next(i for i, answer in enumerate(said) if answer.kind == HARVEST_END) + 1
        # What came behind the second swap is in the third report.
        third = one.run([Command(HARVEST, number + 2, harvest=first + 2)]).said
        reports = [_bits(said[:middle]), _bits(said[middle:]), _bits(third)]
        assert set().union(*reports) == set(used)
        number += 3


def test_removals_beside_a_report(back: Start) -> None:
    """A report waits for nobody and nobody for it; its lines keep their order."""
    one = back(5, SLOW)
    one.run([Command(INSTALL, 1 + slot, slot, KEY + slot, slot) for slot in range(SLOTS)])
    one.run([at(slot, KEY + slot) for slot in range(SLOTS)])
    removals = [Command(REMOVE, 1001 + slot, slot, KEY + slot) for slot in range(8)]
    said = one.run([Command(HARVEST, 1000, harvest=1), *removals]).said
    assert _bits([answer for answer in said if answer.kind != REMOVED]) == set(range(SLOTS))
    assert [answer.number for answer in said if answer.kind == REMOVED] == [r.number for r in removals]
    assert {answer.seen for answer in said if answer.kind == REMOVED} == {FOUND | SEEN}


# ---- totals


def test_totals(back: Start) -> None:
    """Each packet once, also one behind the other on one line; a reset empties them."""
    draw, one = random.Random(1), back(1, Setup(latency_min=1, latency_max=1, reorder=0))
    one.run([Command(INSTALL, 1 + slot, slot, KEY + slot, slot % 5) for slot in range(SLOTS)])
    slots = [draw.choice([0, 5, 10, draw.randrange(SLOTS)]) for _ in range(2000)]
    requests = [at(slot, KEY + slot, draw.randrange(65536)) for slot in slots]
    one.run(requests)
    for line in range(5):
        names = [r.name for r, slot in zip(requests, slots, strict=True) if slot % 5 == line]
        assert one.do([f"total {line}"]).totals == [(len(names), sum(names))]
    assert one.do(["total 5", "reset 2", "idle", "total 0"]).totals == [(0, 0), (0, 0)]
