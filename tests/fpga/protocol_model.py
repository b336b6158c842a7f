# SPDX-License-Identifier: Apache-2.0
"""The card protocol of docs/design/0016 as a transition system, and a breadth-first checker.

One 5-tuple, used by one connection after another, each with a backend of its own (the selection table
changes between them). Two workers decide about it. Every message that was ever sent may arrive at any
time, any number of times, or never: loss, duplication and reordering in one. Time is left out but for
what protocol rules may see of it.

``Rules`` are the protocol; each can be switched off, and ``check`` then finds the shortest run that
breaks a property.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

CONNECTIONS = 2
SEQUENCE_MAX = 3
"""Commands in a run: with 3 there are 50,000 states (seconds), with 4 half a million."""

PACKETS_MAX = 2
"""Packets that the card forwards in one run: enough for a delta to be added twice, or lost."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What docs/design/0016 demands, by its numbers."""

    one_channel: bool = True  # R1: all commands of a key in the channel of its hash
    newest_only: bool = True  # R2: the card drops what is older than the newest applied
    silent_drop: bool = True  # R3: what it dropped it does not acknowledge
    fresh_sequence: bool = True  # R4: a repeated removal takes a new sequence number
    wait_for_ack: bool = True  # R5: the key is not used again before its removal's acknowledgement
    remember: bool = True  # R6: the CPU keeps what it has installed
    syn_goes_up: bool = True  # R7: a SYN is the CPU's, entry or not
    epoch: bool = True  # R8: commands carry the card's epoch; others are dropped
    closed_keeps_count: bool = True  # R9: a removed entry keeps its counters until it is overwritten
    totals: bool = True  # R10: counters travel as totals of a generation, not as deltas
    durable_sequence: bool = True  # R11: sequence numbers outlive the CPU's process
    look_at_ack: bool = True  # R12: packets that a report or an acknowledgement brings end an expiry
    full_timeouts: bool = True  # R13: what a lost card had begins its timeout anew


class Message(NamedTuple):
    """Down: install, remove, harvest, other (of another key). Up: ack, report, reset."""

    kind: str
    channel: int
    epoch: int
    sequence: int
    generation: int
    backend: int = 0
    total: int = 0


class Card(NamedTuple):
    """``generation`` 0: no entry. ``newest``: by channel."""

    epoch: int = 1
    newest: tuple[int, int] = (0, 0)
    generation: int = 0
    backend: int = 0
    open: bool = False
    total: int = 0


class Record(NamedTuple):
    """The CPU's entry. ``tier``: "cpu", "offered" (the card may have it), "removing".

    ``removal`` is the number of the first removal, ``known`` the card's packets that were added. ``due``:
    the deadline has passed, as far as the CPU knows.
    """

    generation: int
    backend: int
    closing: bool = False
    tier: str = "cpu"
    removal: int = 0
    known: int = 0
    due: bool = False
    expiring: bool = False


class State(NamedTuple):
    """One moment."""

    connection: int = 0
    """The client's newest connection; 0: none yet."""
    alive: bool = False
    wants: bool = False
    """Its SYN has not been accepted yet."""
    idle: bool = False
    """No packet of it came for a whole timeout."""
    record: Record | None = None
    sequence: tuple[int, int] = (0, 0)
    epoch: int = 1
    """The card's epoch as the CPU knows it."""
    card: Card = Card()
    sent: frozenset[Message] = frozenset()
    forwarded: int = 0
    """Packets that the card forwarded."""
    added: int = 0
    """Packets of the card that were added to the totals."""
    resets: int = 0
    restarts: int = 0


class Broken(Exception):
    """A property does not hold in the state that an action leads to."""


Step = tuple[str, State]


def steps(s: State, rules: Rules) -> Iterator[Step]:
    """Every action that is possible, with what it leads to; raises ``Broken`` where one must not be."""
    yield from _client(s, rules)
    yield from _decide(s, rules)
    yield from _deliver(s, rules)
    yield from _mishaps(s, rules)


# ---- the client's packets


def _client(s: State, rules: Rules) -> Iterator[Step]:
    if not s.alive and not s.wants and s.connection < CONNECTIONS:
        yield "client opens", _syn(s._replace(connection=s.connection + 1, wants=True), rules)
    elif s.wants:
        yield "SYN again", _syn(s, rules)
    if s.alive and not (s.card.open and s.forwarded == PACKETS_MAX):
        yield "DATA", _data(s)
    if s.alive:
        yield "FIN", _fin(s)


def _syn(s: State, rules: Rules) -> State:
    if not rules.syn_goes_up and s.card.open:
        return _by_card(s._replace(wants=False, alive=True))
    record = s.record
    if record and record.tier != "cpu" and rules.wait_for_ack:
        return s if record.tier == "removing" else _remove(s, 0, rules)
    fresh = Record(s.connection, s.connection)
    return s._replace(record=fresh, wants=False, alive=True)


def _data(s: State) -> State:
    s = s._replace(idle=False)
    if s.card.open:
        return _by_card(s)
    if s.record is None or s.record.backend != s.connection:
        raise Broken("a packet was sent to another backend by the CPU")
    return s._replace(record=s.record._replace(due=False, expiring=False))


def _by_card(s: State) -> State:
    if s.card.backend != s.connection:
        raise Broken("a packet was sent to another backend by the card")
    return s._replace(forwarded=s.forwarded + 1, card=s.card._replace(total=s.card.total + 1))


def _fin(s: State) -> State:
    record = s.record and s.record._replace(closing=True)
    return s._replace(alive=False, record=record)


# ---- what workers decide


def _decide(s: State, rules: Rules) -> Iterator[Step]:
    record = s.record
    if record is None:
        return
    for worker in (0, 1):
        if max(s.sequence) == SEQUENCE_MAX:
            break
        if record.tier in ("cpu", "offered") and not record.closing:
            yield f"worker {worker} offers", _offer(s, worker, rules)
        if record.tier == "offered":
            yield f"worker {worker} removes", _remove(s, worker, rules)
            yield f"worker {worker} harvests", _post(s, worker, "harvest", rules)
        if record.tier != "cpu":
            yield "a command of another key", _post(s, worker, "other", rules)
        if record.tier == "removing":
            yield f"worker {worker} removes again", _remove_again(s, worker, rules)
    if record.closing and record.tier == "cpu":
        yield "forget the connection", s._replace(record=None)
    yield from _age(s, record, rules)
    if not rules.remember and record.tier == "offered":
        yield "forget what was installed", s._replace(record=None)


def _age(s: State, record: Record, rules: Rules) -> Iterator[Step]:
    if s.alive and not record.due:
        yield "a timeout passes", s._replace(idle=True, record=record._replace(due=True))
    if record.due and record.tier == "cpu":
        yield "expire", _expire(s)
    if record.due and record.tier == "offered":
        yield "begin to expire", _remove(s, 0, rules, expiring=True)


def _expire(s: State) -> State:
    if s.alive and not s.idle:
        raise Broken("a connection in use was forgotten")
    return s._replace(record=None, alive=False)


def _post(s: State, worker: int, kind: str, rules: Rules, again: int = 0) -> State:
    assert s.record
    channel = 0 if rules.one_channel else worker
    number = again or s.sequence[channel] + 1
    numbers = list(s.sequence)
    numbers[channel] = max(number, numbers[channel])
    generation = 0 if kind == "other" else s.record.generation
    message = Message(kind, channel, s.epoch, number, generation, s.record.backend)
    return s._replace(sequence=(numbers[0], numbers[1]), sent=s.sent | {message})


def _offer(s: State, worker: int, rules: Rules) -> State:
    assert s.record
    posted = _post(s, worker, "install", rules)
    return posted._replace(record=s.record._replace(tier="offered"))


def _remove(s: State, worker: int, rules: Rules, expiring: bool = False) -> State:
    if max(s.sequence) == SEQUENCE_MAX:
        return s
    posted = _post(s, worker, "remove", rules)
    assert s.record
    channel = 0 if rules.one_channel else worker
    record = s.record._replace(tier="removing", removal=posted.sequence[channel], expiring=expiring)
    return posted._replace(record=record)


def _remove_again(s: State, worker: int, rules: Rules) -> State:
    assert s.record
    return _post(s, worker, "remove", rules, 0 if rules.fresh_sequence else s.record.removal)


# ---- messages that arrive


def _deliver(s: State, rules: Rules) -> Iterator[Step]:
    for message in sorted(s.sent):
        if message.kind in ("install", "remove", "harvest", "other"):
            after = _at_card(s, message, rules)
        else:
            after = _at_cpu(s, message, rules)
        if after != s:
            yield f"{message.kind} {message.sequence} of connection {message.generation} arrives", after


def _at_card(s: State, m: Message, rules: Rules) -> State:
    card = s.card
    if rules.epoch and m.epoch != card.epoch:
        return s
    if rules.newest_only and m.sequence <= card.newest[m.channel]:
        if rules.silent_drop or m.kind != "remove":
            return s
        return _ack(s, m, card)
    newest = list(card.newest)
    newest[m.channel] = max(newest[m.channel], m.sequence)
    card = card._replace(newest=(newest[0], newest[1]))
    if m.kind == "other":
        return s._replace(card=card)
    if m.kind == "install":
        return s._replace(card=_installed(card, m))
    if m.kind == "harvest":
        return _report(s._replace(card=card), m, rules)
    after = _ack(s, m, card)
    closed = card._replace(open=False) if rules.closed_keeps_count else Card(card.epoch, card.newest)
    return after._replace(card=closed)


def _installed(card: Card, m: Message) -> Card:
    if card.generation == m.generation:
        return card._replace(backend=m.backend, open=True)
    return card._replace(generation=m.generation, backend=m.backend, open=True, total=0)


def _ack(s: State, m: Message, card: Card) -> State:
    count = card.total if card.generation == m.generation else 0
    up = Message("ack", m.channel, card.epoch, m.sequence, m.generation, 0, count)
    return s._replace(sent=s.sent | {up}, card=card)


def _report(s: State, m: Message, rules: Rules) -> State:
    card = s.card
    if card.generation != m.generation:
        return s
    up = Message("report", m.channel, card.epoch, m.sequence, m.generation, 0, card.total)
    kept = card if rules.totals else card._replace(total=0)
    return s._replace(sent=s.sent | {up}, card=kept)


def _at_cpu(s: State, m: Message, rules: Rules) -> State:
    if m.kind == "reset":
        return _learn_reset(s, m, rules)
    record = s.record
    if record is None or (rules.epoch and m.epoch != s.epoch) or m.generation != record.generation:
        return s
    if m.kind == "report":
        return _count(s, record, m, rules)
    if record.tier != "removing" or m.sequence < record.removal:
        return s
    used = m.total > record.known
    counted = _count(s, record, m, rules)
    assert counted.record
    if counted.added != s.forwarded and s.resets == 0:
        raise Broken("the removal is acknowledged, and a packet of the card is not in the totals")
    record = counted.record._replace(tier="cpu", removal=0, expiring=False)
    after = counted._replace(record=record)
    if not counted.record.expiring or (used and rules.look_at_ack):
        return after
    return _expire(after)


def _count(s: State, record: Record, m: Message, rules: Rules) -> State:
    if not rules.totals:
        return s._replace(added=s.added + m.total)
    if m.total <= record.known:
        return s
    counted = record._replace(known=m.total, due=False, expiring=record.expiring and not rules.look_at_ack)
    return s._replace(added=s.added + m.total - record.known, record=counted)


def _learn_reset(s: State, m: Message, rules: Rules) -> State:
    if m.epoch <= s.epoch:
        return s
    record = s.record and s.record._replace(tier="cpu", removal=0, known=0, expiring=False)
    if record and record.due and rules.full_timeouts and s.record and s.record.tier != "cpu":
        record = record._replace(due=False)
    return s._replace(epoch=m.epoch, record=record)


# ---- what goes wrong


def _mishaps(s: State, rules: Rules) -> Iterator[Step]:
    if s.resets == 0:
        card = Card(s.card.epoch + 1)
        up = Message("reset", 0, card.epoch, 0, 0)
        yield "the card resets", s._replace(card=card, sent=s.sent | {up}, resets=1)
    if s.restarts == 0:
        sequence = s.sequence if rules.durable_sequence else (0, 0)
        yield "the CPU restarts", s._replace(restarts=1, sequence=sequence)


# ---- properties of every state


def verify(s: State, rules: Rules) -> None:
    """Raises ``Broken``."""
    if s.added > s.forwarded:
        raise Broken("a packet of the card is in the totals twice")
    if not rules.fresh_sequence and _stuck(s):
        raise Broken("a removal can never be acknowledged any more")
    settled = s.record is None or s.record.tier == "cpu"
    if settled and s.card.open and s.epoch == s.card.epoch:
        raise Broken("the card has an entry that its CPU believes gone")


def _stuck(s: State) -> bool:
    """Its only removal was overtaken. A repeated one with a number of its own could still arrive."""
    record = s.record
    if record is None or record.tier != "removing" or s.epoch != s.card.epoch:
        return False
    newest = s.card.newest[0]
    sent = [m for m in s.sent if m.generation == record.generation and m.epoch == s.epoch]
    coming = any(m.kind == "remove" and m.sequence > newest for m in sent)
    answered = any(m.kind == "ack" and m.sequence >= record.removal for m in sent)
    return not coming and not answered


@dataclass(frozen=True, slots=True)
class Finding:
    """What breaks, and the shortest way there."""

    problem: str
    run: tuple[str, ...]


def check(rules: Rules, limit: int = 3_000_000) -> tuple[int, Finding | None]:
    """How many states there are, and the first property that breaks."""
    start = State()
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
                last = getattr(broken, "state", None) or state
                return len(seen), Finding(str(broken), _run(seen, last))
        frontier = following
    return len(seen), None


def _verified(state: State, rules: Rules) -> None:
    try:
        verify(state, rules)
    except Broken as broken:
        broken.state = state  # type: ignore[attr-defined]
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
