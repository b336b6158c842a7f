# SPDX-License-Identifier: Apache-2.0
"""A card with two pipes: both forward by one table, and one sequence of commands holds for both."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from card_sim import CALM, ROUGH, Answer, Card, Left, Memory
from path_model import TABLE_SECRET
from test_card import FOUND, LINE, SEEN, WEB_INDEX, frame, key, reported, set_up
from test_hash import buckets, tiara_hash
from tiara.domain.layout import CardKind, CardReason, State

PIPES, BUCKETS = 2, 64
CLIENTS = range(40000, 40024)


def places() -> dict[int, int]:
    """A slot of its own for each client, in either bucket."""
    taken: dict[int, int] = {}
    for client in CLIENTS:
        own = buckets(tiara_hash(key(client), TABLE_SECRET), BUCKETS)
        slots = [4 * own[(client + i) % 2] + (client + i) // 2 % 4 for i in range(8)]
        taken[client] = next(slot for slot in slots if slot not in taken.values())
    return taken


SLOTS = places()


def started(memory: Memory = CALM) -> Card:
    """With one service and one backend."""
    card = Card(memory, "tiara_sim_pipes")
    card.configure(TABLE_SECRET, "198.18.0.2", "port", "kernel")
    card.reset()
    set_up(card)
    return card


def install(card: Card, *clients: int) -> None:
    for client in clients:
        card.command(CardKind.INSTALL, slot=SLOTS[client], key=key(client), backend_line=LINE,
                     state=State.ESTABLISHED)  # fmt: skip


def remove(card: Card, client: int) -> None:
    card.command(CardKind.REMOVE, slot=SLOTS[client], key=key(client))


@dataclass
class Run:
    """Traffic through both pipes, cycle by cycle, and what came of it."""

    card: Card
    sent: list[tuple[int, int, bytes]] = field(default_factory=list)  # client, pipe, frame
    left: list[Left] = field(default_factory=list)
    answers: list[tuple[int, Answer]] = field(default_factory=list)  # with the cycle that each came in

    def send(self, client: int, pipe: int) -> None:
        self.sent.append((client, pipe, frame(client, data=f"{len(self.sent):06}")))
        self.card.send([self.sent[-1][2]], pipe)

    def step(self, cycles: int) -> None:
        for _ in range(cycles):
            self.card.step(1)
            self.answers += [(self.card.cycle - 1, answer) for answer in self.card.answers()]
        self.left += self.card.left()

    def until_idle(self, answers: int) -> None:
        """All that were sent have left, and so many answers have come."""
        for _ in range(400):
            self.step(50)
            if len(self.left) == len(self.sent) and self.count() == answers:
                break
        self.card.run()
        assert (len(self.left), self.count()) == (len(self.sent), answers)

    def count(self) -> int:
        return sum(answer.kind is not CardKind.HARVESTED for _, answer in self.answers)

    def ways(self) -> dict[tuple[int, int], list[Left]]:
        """What left, by client and pipe, each in order; each frame once, by the pipe that it came by."""
        expected = {sent[12:]: (client, pipe) for client, pipe, sent in self.sent}
        ways: dict[tuple[int, int], list[Left]] = {}
        for one in self.left:
            client, pipe = expected.pop(one.frame[12:])
            assert (pipe, one.reason) == (one.pipe, CardReason.NONE if one.way == "sent" else CardReason.MISS)
            ways.setdefault((client, pipe), []).append(one)
        for pipe in range(PIPES):
            came = [sent[12:] for _, own, sent in self.sent if own == pipe]
            for way in ("sent", "cpu"):
                went = [one.frame[12:] for one in self.left if (one.pipe, one.way) == (pipe, way)]
                assert went == [f for f in came if f in set(went)]
        return ways


def traffic(run: Run, draw: random.Random, changed: list[int], held: set[int], harvest: int) -> None:
    """Frames on both pipes, while connections come and go and a harvest begins, each at some moment."""
    todo = [*changed, 0]
    while todo or len(run.sent) < 250:
        if todo and draw.random() < 0.08:
            client = todo.pop(draw.randrange(len(todo)))
            if not client:
                run.card.command(CardKind.HARVEST, harvest=harvest)
            elif client in held:
                remove(run.card, client)
            else:
                install(run.card, client)
        for pipe in range(PIPES):
            run.send(draw.choice(changed if draw.random() < 0.7 else CLIENTS), pipe)
        run.step(draw.randrange(4))
    run.until_idle(len(held.intersection(changed)) + 1)


def check_removals(run: Run, removed: set[int], recent: set[int]) -> set[int]:
    """One answer for each client: behind it nothing is forwarded, and it knows of every use. Slots used."""
    last: dict[int, int] = {}  # by slot: the cycle in which it last forwarded
    for (client, _), went in run.ways().items():
        for one in went:
            if one.way == "sent":
                last[SLOTS[client]] = max(one.cycle, last.get(SLOTS[client], 0))
    answers = [(cycle, answer) for cycle, answer in run.answers if answer.kind is CardKind.REMOVED]
    assert sorted(answer.slot for _, answer in answers) == sorted(SLOTS[client] for client in removed)
    for cycle, answer in answers:
        assert last.get(answer.slot, 0) <= cycle, "forwarded behind the removal's answer"
        if answer.slot in last:
            assert answer.seen[0] == FOUND | SEEN
        elif answer.slot not in recent:
            assert answer.seen[0] == FOUND
    return set(last)


@pytest.mark.parametrize("seed", range(3))
def test_traffic_beside_commands(seed: int) -> None:
    """Every packet goes as the table says; no use is lost; behind a removal's answer no pipe forwards."""
    draw = random.Random(seed)
    card = started([CALM, ROUGH, Memory(seed=3, jitter_cycles=200, reorder_pct=90)][seed])
    held: set[int] = set()
    uses: list[set[int]] = [set(), set()]  # slots, a round
    reports: list[set[int]] = [set()]
    total, sent_bytes = Counter[tuple[str, int]](), 0
    for number in range(1, 7):
        run, changed = Run(card), draw.sample(CLIENTS, 10)
        traffic(run, draw, changed, held, number)
        for (client, _), went in run.ways().items():
            if client not in changed:
                assert {one.way for one in went} == {"sent" if client in held else "cpu"}
        uses.append(check_removals(run, held.intersection(changed), uses[-1] | uses[-2]))
        reports.append(reported([a for _, a in run.answers if a.kind is not CardKind.REMOVED]))
        assert reports[-1] <= uses[-2] | uses[-1], "reported but not used"
        assert uses[-2] <= reports[-2] | reports[-1], "a use is lost"
        held ^= set(changed)
        total.update((one.way, one.pipe) for one in run.left)
        sent_bytes += sum(len(one.frame) for one in run.left if one.way == "sent")
    assert len(total) == 4 and min(total.values()) > 100
    sent = total["sent", 0] + total["sent", 1]
    assert card.totals(WEB_INDEX, False) == card.totals(LINE, True) == (sent, sent_bytes)
    counted = {name: card.counter(name) for name in ("TX_PKTS", "TX_BYTES", "CPU_PKTS", "RX_PKTS")}
    assert counted == {
        "TX_PKTS": sent, "TX_BYTES": sent_bytes, "CPU_PKTS": total.total() - sent, "RX_PKTS": total.total(),
    }  # fmt: skip


@pytest.mark.parametrize("stall", [0, 85])
@pytest.mark.parametrize("pipe", range(PIPES))
def test_a_removal_waits_for_each_pipe(pipe: int, stall: int) -> None:
    """What found the entry has left to its last beat, with its bit set, when the removal is answered."""
    ways, last = set(), frame(40001)
    for seed in range(40):
        card = started(Memory(seed=seed, jitter_cycles=60, reorder_pct=50))
        install(card, 40001)
        card.run()
        card.behave(Memory(jitter_cycles=60, reorder_pct=50, stall_pct=stall))
        card.send([*(frame(40002) for _ in range(4)), last], pipe)
        card.step(30 + seed)
        remove(card, 40001)
        while not (answers := card.answers()):
            card.step(1)
        gone = {one.way for one in card.left() if one.frame[12:] == last[12:]}
        assert answers[0].seen[0] == (FOUND | SEEN if "sent" in gone else FOUND), seed
        card.run()
        late = {one.way for one in card.left() if one.frame[12:] == last[12:]}
        assert "sent" not in late, "forwarded behind the removal's answer"
        ways |= gone | late
        card.close()
    assert ways == {"sent", "cpu"}


def test_full_pipes_lose_no_use() -> None:
    """More packets than uses can be told of in a cycle: the pipes wait, a removal and totals do not."""
    card = started(Memory())
    install(card, *CLIENTS)
    card.run()
    frames = [frame(client) for client in CLIENTS] * 60
    for pipe in range(PIPES):
        card.send(frames, pipe)
    began = card.cycle
    card.step(200)
    remove(card, CLIENTS[0])
    while not card.answers():
        card.step(1)
    before = card.totals(WEB_INDEX, False)[0]
    assert 0 < before < len(frames), "while both are full"
    card.run()
    assert card.cycle - began > card.counter("TX_PKTS"), "one a cycle"
    assert card.totals(WEB_INDEX, False)[0] == card.counter("TX_PKTS")
    card.command(CardKind.HARVEST, harvest=1)
    card.run()
    assert reported(card.answers()) == set(SLOTS.values())


@pytest.mark.parametrize("busy", [(0,), (1,), (0, 1)])
def test_a_reset_empties_both_pipes(busy: tuple[int, ...]) -> None:
    """What either has taken in leaves first; then both have empty tables, and both can be set up again."""
    card = started(ROUGH)
    install(card, 40001)
    card.run()
    for pipe in busy:
        card.send([frame(40001, data=f"{n}*d") for n in (1400, 200, 64, 1)], pipe)
    card.step(50)  # in the midst of packets
    card.reset()
    card.run()
    ways = Counter((one.pipe, one.way) for one in card.left())
    assert ways.total() == 4 * len(busy)
    assert all(ways[pipe, "sent"] for pipe in busy)
    assert card.epoch == 2
    assert [one.reason for one in through_each(card)] == [CardReason.NO_SERVICE] * PIPES
    set_up(card)
    assert [one.reason for one in through_each(card)] == [CardReason.MISS] * PIPES
    install(card, 40001)
    card.run()
    assert [one.way for one in through_each(card)] == ["sent"] * PIPES
    assert card.totals(WEB_INDEX, False)[0] == PIPES


def through_each(card: Card) -> list[Left]:
    """What becomes of a frame that comes by each pipe in turn."""
    out: list[Left] = []
    for pipe in range(PIPES):
        card.send([frame(40001)], pipe)
        card.run()
        out += card.left()
    assert [one.pipe for one in out] == list(range(PIPES))
    return out
