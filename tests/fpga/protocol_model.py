# SPDX-License-Identifier: Apache-2.0
"""The card protocol of docs/design/0016 as a transition system, and a breadth-first checker.

One slot of the card and two keys that want it. Four scopes, each checked whole: "key" (A, and connections
that follow each other), "slot" (both keys), "ages" (A's deadlines and harvests), "counts" (the totals).
Key A is used by one connection after another, each with a
backend of its own (the selection table changes between them); key B by one that never ends. Each key has a
channel. Two workers decide about A; a wish that is handed from one to the other is late by any time, and
so it is here: whatever may be decided may be decided at any moment. Every message that was ever sent may
arrive at any time, any number of times, or never: loss, duplication and reordering in one. Time is left
out but for what the rules may see of it.

Two demands of the page are no ``Rules``: that an expiry waits for a harvest keeps what is used in the card
(without it nothing breaks, but every connection would come down once a timeout), and that a slot waits
for the answer as its key does keeps the mirror at one word a slot.

``Rules`` are the protocol; each can be switched off, and ``check`` then finds the shortest run that
breaks a property:

- a packet of a connection reaches that connection's backend;
- no entry is in the card that its CPU believes gone;
- a connection in use is not forgotten;
- every packet is added to the totals at most once;
- a removal can be answered, as long as messages do arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

HARVESTS_MAX = 2


@dataclass(frozen=True, slots=True)
class Scope:
    """What can happen in a run, and how often."""

    connections: int
    """Of key A. Backends 1 and 2 are theirs, backend 9 is B's."""
    numbers: tuple[int, int]
    """Commands, by channel."""
    ages: bool = False
    """Its connection never ends by itself, and is removed by an expiry only."""
    counts: bool = False
    both_keys: bool = False
    packets: int = 1
    """That the card forwards."""


SCOPES = {
    "slot": Scope(connections=1, numbers=(2, 2), both_keys=True),
    "counts": Scope(connections=1, numbers=(2, 2), counts=True, packets=2),
    "key": Scope(connections=2, numbers=(3, 2)),
    "ages": Scope(connections=1, numbers=(4, 4), ages=True),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """What docs/design/0016 demands, by its numbers."""

    one_channel: bool = True  # R1: all commands of a key in the channel of its hash
    newest_only: bool = True  # R2: the card drops what is not newer than the newest applied
    silent_drop: bool = True  # R3: what it dropped it does not answer
    fresh_number: bool = True  # R4: a command that is repeated takes a new number
    key_waits: bool = True  # R5: the key is not used again before its removal's answer
    remember: bool = True  # R6: the CPU keeps what it has installed
    syn_goes_up: bool = True  # R7: a SYN is the CPU's, entry or not
    epoch: bool = True  # R8: commands and answers carry the card's epoch; others are dropped
    nothing_is_used: bool = True  # R9: a removal that found nothing counts as "its bit was set"
    totals: bool = True  # R10: counters travel as totals, not as deltas
    reset_at_start: bool = True  # R11: a data plane empties the card at its start
    answer_bit: bool = True  # R12: a bit in the removal's answer ends an expiry
    full_timeouts: bool = True  # R13: what the card had begins its timeout anew after a reset
    numbered_harvest: bool = True  # a harvest asked again reports the same bank again


class Message(NamedTuple):
    """Down: install, remove, harvest, other (of another key). Up: removed, harvested, total, reset."""

    kind: str
    channel: int
    epoch: int
    number: int
    key: str = ""
    backend: int = 0
    value: int = 0
    """Harvest: its number. Removed: 1 found, 2 bit set. Total: packets."""
    bit: bool = False


class Card(NamedTuple):
    """``key`` "": the slot is empty. ``bits``: of the slot, in the bank of now and in the reported one."""

    epoch: int = 1
    newest: tuple[int, int] = (0, 0)
    key: str = ""
    backend: int = 0
    bits: tuple[bool, bool] = (False, False)
    harvest: int = 0
    total: int = 0


class Record(NamedTuple):
    """The CPU's entry. ``tier``: "cpu", "offered" (the card may have it), "removing".

    ``removal`` is the number of the first removal. ``due``: the deadline has passed, as far as the CPU
    knows; ``quiet``: a harvest begun after it found no bit.
    """

    backend: int
    closing: bool = False
    tier: str = "cpu"
    removal: int = 0
    due: bool = False
    quiet: bool = False
    expiring: bool = False


class State(NamedTuple):
    """One moment."""

    scope: Scope
    connection: int = 0
    """The client's newest connection of key A; 0: none yet."""
    alive: bool = False
    wants: bool = False
    """Its SYN has not been accepted yet."""
    idle: bool = False
    """No packet of it came for a whole timeout."""
    a: Record | None = None
    b: Record | None = None
    numbers: tuple[int, int] = (0, 0)
    harvest: int = 0
    """The number of the CPU's newest harvest; begun: it was not answered."""
    begun: bool = False
    after_deadline: bool = False
    """That harvest was begun after A's deadline."""
    epoch: int = 1
    """The card's epoch as the CPU knows it."""
    card: Card = Card()
    sent: frozenset[Message] = frozenset()
    forwarded: int = 0
    """Packets that the card forwarded."""
    known: int = 0
    """The card's total that was read last."""
    added: int = 0
    """Packets of the card that were added to the CPU's totals."""
    mishap: bool = False
    """The card was reset, or the CPU killed; one of them in a run."""


class Broken(Exception):
    """A property does not hold: in the state that an action leads to, or for what the action does."""

    state: State | None = None
    action: str = ""


Step = tuple[str, State]


def _step(action: str, after: Callable[..., State], *arguments: Any) -> Step:
    """An action that may break a property by itself."""
    try:
        return action, after(*arguments)
    except Broken as broken:
        broken.action = action
        raise


def steps(s: State, rules: Rules) -> Iterator[Step]:
    """Every action that is possible, with what it leads to; raises ``Broken`` where one must not be."""
    yield from _client(s, rules)
    yield from _decide(s, rules)
    yield from _age(s, rules)
    yield from _deliver(s, rules)
    yield from _mishaps(s, rules)


# ---- the client's packets


def _client(s: State, rules: Rules) -> Iterator[Step]:
    if not s.alive and not s.wants and s.connection < s.scope.connections:
        yield _step("client opens", _syn, s._replace(connection=s.connection + 1, wants=True), rules)
    elif s.wants:
        yield _step("SYN again", _syn, s, rules)
    if s.alive and not (s.card.key == "a" and s.forwarded == s.scope.packets):
        yield _step("DATA", _data, s)
    if s.alive and not s.scope.ages:
        yield "FIN", _fin(s)
    if s.card.key == "b" and s.forwarded < s.scope.packets:
        yield _step("DATA of B", _by_card, s, 9)


def _syn(s: State, rules: Rules) -> State:
    if not rules.syn_goes_up and s.card.key == "a":
        return _by_card(s._replace(wants=False, alive=True), s.connection)
    record = s.a
    if record and record.tier != "cpu" and rules.key_waits:
        return s if record.tier == "removing" else _remove(s, "a", 0, rules)
    return s._replace(a=Record(s.connection), wants=False, alive=True)


def _data(s: State) -> State:
    s = s._replace(idle=False)
    if s.card.key == "a":
        return _by_card(s, s.connection)
    if s.a is None or s.a.backend != s.connection:
        raise Broken("a packet was sent to another backend by the CPU")
    return s._replace(a=s.a._replace(due=False, quiet=False, expiring=False))


def _by_card(s: State, backend: int) -> State:
    if s.card.backend != backend:
        raise Broken("a packet was sent to another backend by the card")
    card = s.card
    if s.scope.counts:
        card = card._replace(total=card.total + 1)
    if s.scope.ages:
        card = card._replace(bits=(True, card.bits[1]))
    return s._replace(forwarded=s.forwarded + 1, card=card)


def _fin(s: State) -> State:
    return s._replace(alive=False, a=s.a and s.a._replace(closing=True))


# ---- what workers decide


def _decide(s: State, rules: Rules) -> Iterator[Step]:
    for key, record in (("a", s.a), ("b", s.b)):
        if record is None:
            continue
        for worker in (0, 1) if key == "a" and not s.scope.ages else (1,):
            if record.tier == "cpu" and not record.closing and _slot_is_free(s, key):
                yield f"worker {worker} offers {key}", _offer(s, key, worker, rules)
            if record.tier == "offered" and not s.scope.ages:
                yield f"worker {worker} removes {key}", _remove(s, key, worker, rules)
            if record.tier == "offered" and key == "a" and not s.scope.ages:
                yield f"worker {worker} offers a again", _offer(s, key, worker, rules)
            if record.tier == "removing":
                yield f"worker {worker} removes {key} again", _remove_again(s, key, worker, rules)
    if s.a and s.a.tier != "cpu" and not s.scope.ages:
        yield "a command of another key", _post(s, "other", "", 0, 0, rules)
    if s.a and s.a.closing and s.a.tier == "cpu":
        yield "forget the connection", s._replace(a=None)
    if s.a and s.a.tier == "offered" and not rules.remember:
        yield "forget what was installed", s._replace(a=None)
    if s.scope.counts and s.forwarded:
        yield "the totals are read", _read_totals(s, rules)


def _slot_is_free(s: State, key: str) -> bool:
    """As the CPU's mirror says."""
    other = s.b if key == "a" else s.a
    return other is None or other.tier == "cpu"


def _post(
    s: State, kind: str, key: str, worker: int, backend: int, rules: Rules, again: int = 0, value: int = 0
) -> State:
    channel = (1 if key == "b" else 0) if rules.one_channel else worker
    number = again or s.numbers[channel] + 1
    if number > s.scope.numbers[channel]:
        return s
    numbers = list(s.numbers)
    numbers[channel] = max(number, numbers[channel])
    message = Message(kind, channel, s.epoch, number, key, backend, value)
    return s._replace(numbers=(numbers[0], numbers[1]), sent=s.sent | {message})


def _with(s: State, key: str, record: Record | None) -> State:
    return s._replace(a=record) if key == "a" else s._replace(b=record)


def _of(s: State, key: str) -> Record:
    record = s.a if key == "a" else s.b
    assert record
    return record


def _offer(s: State, key: str, worker: int, rules: Rules) -> State:
    record = _of(s, key)
    posted = _post(s, "install", key, worker, record.backend, rules)
    return s if posted is s else _with(posted, key, record._replace(tier="offered"))


def _remove(s: State, key: str, worker: int, rules: Rules, expiring: bool = False) -> State:
    posted = _post(s, "remove", key, worker, 0, rules)
    if posted is s:
        return s
    channel = (1 if key == "b" else 0) if rules.one_channel else worker
    record = _of(s, key)._replace(tier="removing", removal=posted.numbers[channel], expiring=expiring)
    return _with(posted, key, record)


def _remove_again(s: State, key: str, worker: int, rules: Rules) -> State:
    return _post(s, "remove", key, worker, 0, rules, 0 if rules.fresh_number else _of(s, key).removal)


def _read_totals(s: State, rules: Rules) -> State:
    card = s.card
    up = Message("total", 0, card.epoch, 0, "", 0, card.total)
    return s._replace(sent=s.sent | {up}, card=card if rules.totals else card._replace(total=0))


# ---- ageing


def _age(s: State, rules: Rules) -> Iterator[Step]:
    record = s.a
    if record is None or not s.scope.ages:
        return
    if s.alive and not record.due:
        yield "a timeout passes", s._replace(idle=True, a=record._replace(due=True))
    if record.due and record.tier == "cpu":
        yield _step("expire", _expire, s)
    if record.tier == "offered":
        yield "harvest", _harvest(s, record, rules)
    if record.due and record.tier == "offered" and record.quiet:
        yield "begin to expire", _remove(s, "a", 0, rules, expiring=True)


def _harvest(s: State, record: Record, rules: Rules) -> State:
    """A new one, when the last was answered; else that one again."""
    if s.begun:
        return _post(s, "harvest", "", 0, 0, rules, value=s.harvest)
    if s.harvest == HARVESTS_MAX:
        return s
    posted = _post(s, "harvest", "", 0, 0, rules, value=s.harvest + 1)
    if posted is s:
        return s
    return posted._replace(harvest=s.harvest + 1, begun=True, after_deadline=record.due)


def _expire(s: State) -> State:
    if s.alive and not s.idle:
        raise Broken("a connection in use was forgotten")
    return s._replace(a=None, alive=False)


# ---- messages that arrive


def _deliver(s: State, rules: Rules) -> Iterator[Step]:
    for message in sorted(s.sent):
        arrives = _at_card if message.kind in ("install", "remove", "harvest", "other") else _at_cpu
        step = _step(f"{message.kind} {message.key} {message.number} arrives", arrives, s, message, rules)
        if step[1] != s:
            yield step


def _at_card(s: State, m: Message, rules: Rules) -> State:
    card = s.card
    if rules.epoch and m.epoch != card.epoch:
        return s
    if rules.newest_only and m.number <= card.newest[m.channel]:
        if rules.silent_drop or m.kind != "remove":
            return s
        return _answer(s, m, card, True, False)
    newest = list(card.newest)
    newest[m.channel] = max(newest[m.channel], m.number)
    card = card._replace(newest=(newest[0], newest[1]))
    if m.kind == "install":
        return s._replace(card=card._replace(key=m.key, backend=m.backend))
    if m.kind == "harvest":
        return _harvested(s, m, card, rules)
    if m.kind == "remove":
        found = card.key == m.key
        emptied = card._replace(key="", backend=0) if found else card
        return _answer(s, m, emptied, found, found and any(card.bits))
    return s._replace(card=card)


def _answer(s: State, m: Message, card: Card, found: bool, bit: bool) -> State:
    up = Message("removed", m.channel, card.epoch, m.number, m.key, 0, int(found), bit)
    return s._replace(sent=s.sent | {up}, card=card)


def _harvested(s: State, m: Message, card: Card, rules: Rules) -> State:
    if m.value == card.harvest + 1 or not rules.numbered_harvest:
        card = card._replace(harvest=m.value, bits=(False, card.bits[0]))
    if m.value != card.harvest:
        return s._replace(card=card)
    up = Message("harvested", m.channel, card.epoch, m.number, "", 0, m.value, card.bits[1])
    return s._replace(sent=s.sent | {up}, card=card)


def _at_cpu(s: State, m: Message, rules: Rules) -> State:
    if m.kind == "reset":
        return s if m.epoch <= s.epoch else _learn_reset(s, m.epoch, rules)
    if rules.epoch and m.epoch != s.epoch:
        return s
    if m.kind == "total":
        return _count(s, m.value, rules)
    if m.kind == "harvested":
        return _learn_harvest(s, m)
    record = s.a if m.key == "a" else s.b
    if record is None or record.tier != "removing" or m.number < record.removal:
        return s
    used = m.bit or (rules.nothing_is_used and not m.value)
    if record.expiring and not (used and rules.answer_bit):
        return _expire(s)
    return _with(s, m.key, record._replace(tier="cpu", removal=0, expiring=False, due=False, quiet=False))


def _count(s: State, total: int, rules: Rules) -> State:
    if not rules.totals:
        return s._replace(added=s.added + total)
    if total <= s.known:
        return s
    return s._replace(added=s.added + total - s.known, known=total)


def _learn_harvest(s: State, m: Message) -> State:
    if not s.begun or m.value != s.harvest:
        return s
    record = s.a
    if record and record.tier == "offered":
        if m.bit:
            record = record._replace(due=False, quiet=False)
        elif s.after_deadline and record.due:
            record = record._replace(quiet=True)
    return s._replace(a=record, begun=False, after_deadline=False)


def _learn_reset(s: State, epoch: int, rules: Rules) -> State:
    def back(record: Record | None) -> Record | None:
        if record is None or record.tier == "cpu":
            return record
        due = record.due and not rules.full_timeouts
        return record._replace(tier="cpu", removal=0, due=due, quiet=False, expiring=False)

    return s._replace(
        epoch=epoch, a=back(s.a), b=back(s.b), known=0, harvest=0, begun=False, after_deadline=False
    )


# ---- what goes wrong


def _mishaps(s: State, rules: Rules) -> Iterator[Step]:
    if s.mishap:
        return
    card = Card(s.card.epoch + 1)
    up = Message("reset", 0, card.epoch, 0)
    yield "the card resets", s._replace(card=card, sent=s.sent | {up}, mishap=True)
    yield "the CPU restarts", _restart(s._replace(mishap=True), rules)


def _restart(s: State, rules: Rules) -> State:
    """Another process: numbers, mirror and harvests are its own; entries and totals are in the segment."""
    epoch = s.card.epoch
    if rules.reset_at_start:
        epoch += 1
        s = s._replace(card=Card(epoch))
    s = _learn_reset(s, epoch, rules)
    return s._replace(numbers=(0, 0))


# ---- properties of every state


def verify(s: State, rules: Rules) -> None:
    """Raises ``Broken``."""
    if s.added > s.forwarded:
        raise Broken("a packet of the card is in the totals twice")
    if not rules.fresh_number and _stuck(s):
        raise Broken("a removal can never be answered any more")
    if s.epoch != s.card.epoch or not s.card.key:
        return
    record = s.a if s.card.key == "a" else s.b
    if record is None or record.tier == "cpu":
        raise Broken("the card has an entry that its CPU believes gone")


def _stuck(s: State) -> bool:
    """Its only removal was overtaken. A repeated one with a number of its own could still arrive."""
    record = s.a
    if record is None or record.tier != "removing" or s.epoch != s.card.epoch:
        return False
    sent = [m for m in s.sent if m.key == "a" and m.epoch == s.epoch]
    coming = any(m.kind == "remove" and m.number > s.card.newest[m.channel] for m in sent)
    answered = any(m.kind == "removed" and m.number >= record.removal for m in sent)
    return not coming and not answered


@dataclass(frozen=True, slots=True)
class Finding:
    """What breaks, the shortest way there, and all messages that were sent on it."""

    problem: str
    run: tuple[str, ...]
    sent: frozenset[Message]


def check(rules: Rules) -> tuple[int, Finding | None]:
    """How many states there are in all scopes, and the first property that breaks."""
    states = 0
    for scope in SCOPES.values():
        found, finding = _check(State(scope, b=Record(9) if scope.both_keys else None), rules)
        states += found
        if finding:
            return states, finding
    return states, None


def _check(start: State, rules: Rules, limit: int = 1_000_000) -> tuple[int, Finding | None]:
    seen: dict[State, tuple[State, str] | None] = {start: None}
    frontier = [start]
    while frontier:
        following: list[State] = []
        for state in frontier:
            try:
                for action, after in steps(state, rules):
                    if after in seen:
                        continue
                    seen[after] = (state, action)
                    if len(seen) > limit:
                        raise OverflowError(f"more than {limit} states")
                    following.append(after)
                    _verified(after, rules)
            except Broken as broken:
                last = broken.state or state
                run = _run(seen, last) + (broken.action,) * bool(broken.action)
                return len(seen), Finding(str(broken), run, last.sent)
        frontier = following
    return len(seen), None


def _verified(state: State, rules: Rules) -> None:
    try:
        verify(state, rules)
    except Broken as broken:
        broken.state = state
        raise


def _run(seen: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    actions: list[str] = []
    while (origin := seen[state]) is not None:
        state, action = origin
        actions.append(action)
    return tuple(reversed(actions))


def without(name: str) -> Rules:
    """The protocol less one rule."""
    return replace(Rules(), **{name: False})


RULES = tuple(field.name for field in fields(Rules))
