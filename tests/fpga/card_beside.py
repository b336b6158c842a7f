# SPDX-License-Identifier: Apache-2.0
"""The C packet path, the Python model and the Verilated card, given the same packets.

C and the model see every frame and must agree on it: verdict, way, bytes, events. The model's table says
what the card holds. What the card forwards is what C forwarded, byte for byte; what it hands up goes up
unchanged, for the reason that a few lines of Python (below, and front_model) give.
"""

from __future__ import annotations

import ipaddress
import random
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import front_model
from card_sim import Card
from card_sim import Left as FromCard
from card_tables import CardTables, Key, Offloaded
from path_model import PathModel
from path_packets import mac
from path_records import Burst, Config, Entry, Flow, Left
from path_runner import PROTOCOLS, PathProgram
from test_differential import view
from tiara.domain.layout import CardReason, Event, Status, Verdict

NOT_THE_CARDS = {Verdict.TX_FULL, Verdict.NO_ROOM}
"""Ends for want of room in the CPU's port or buffers; a card has neither."""
RACES = {Event.INSERT_RACE, Event.TOUCH_RACE}
"""Packets of one connection in one burst; the model takes one packet at a time."""
OF_ITS_ENTRY = {CardReason.NONE, CardReason.MISS, CardReason.NO_BACKEND, CardReason.TOO_BIG}
"""What becomes of a frame that the card looks up."""


@dataclass
class Waiting:
    """A frame on its way to the card, and what C did with it."""

    frame: bytes
    reason: CardReason
    """That the card goes by; NONE: it forwards the frame."""
    key: Key | None
    by_c: Left
    entry: Offloaded | None = None
    backend: str | None = None
    """That the CPU offers for the connection after this frame."""
    may_miss: bool = False
    """Its entry comes or goes beside it: it goes up or not."""


@dataclass
class Seen:
    """What became of frames, for tests that want to know that something was tested."""

    ways: Counter[str] = field(default_factory=Counter)
    reasons: Counter[CardReason] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    """Of frames that the card forwarded, and of commands beside them."""
    bytes_by_service: Counter[str] = field(default_factory=Counter)
    pkts_by_service: Counter[str] = field(default_factory=Counter)


class Beside:
    """See PathUnderTest."""

    def __init__(self, c: PathProgram, card: Card, seed: int = 1) -> None:
        self.c, self.card, self.model = c, card, PathModel()
        self.random = random.Random(seed)
        self.tables = CardTables(card, self.model, self.random)
        self.seen = Seen()

    def new(self, setup: Config) -> None:
        """See PathUnderTest."""
        self.c.new(setup)
        self.model.new(setup)
        self.swept_gone = self.c.swept_gone
        node = setup["node"]
        self.world = front_model.World(mac(node["port_mac"]), mac(node["kernel_mac"]), node["address"])
        self.waiting: list[Waiting] = []
        self.tables.new(node)
        self.seen.bytes_by_service.clear()
        self.seen.pkts_by_service.clear()

    def publish(self, config: Config) -> None:
        """See PathUnderTest."""
        self.c.publish(config)
        self.model.publish(config)
        self.tables.publish(config)

    def push(self, client: tuple[str, int], service: str, entry: Entry) -> Status:
        """See PathUnderTest."""
        status = self.c.push(client, service, entry)
        assert self.model.push(client, service, entry) == status
        self.tables.sync(self.tables.keys())
        return status

    def find(self, client: tuple[str, int], service: str) -> Entry | None:
        """See PathUnderTest."""
        found = self.c.find(client, service)
        assert self.model.find(client, service) == found
        return found

    def neighbour(self, address: str) -> tuple[str, str]:
        """See PathUnderTest."""
        said = self.c.neighbour(address)
        assert self.model.neighbour(address) == said
        return said

    def counters(self, service: str, backend: str) -> tuple[Flow, Flow]:
        """See PathUnderTest."""
        counted = self.c.counters(service, backend)
        assert self.model.counters(service, backend) == counted
        return counted

    def room(self, headroom: int, tx: int, kernel: int) -> None:
        """See PathUnderTest."""
        self.c.room(headroom, tx, kernel)
        self.model.room(headroom, tx, kernel)

    def wait(self, ticks: int) -> None:
        """See PathUnderTest."""
        self.c.wait(ticks)
        self.model.wait(ticks)
        self.follow_sweep()
        self.tables.sync(self.tables.keys())

    def inject(self, frame: bytes) -> Burst:
        """See PathUnderTest. What the kernel sends passes no card."""
        burst = self.c.inject(frame)
        assert view(self.model.inject(frame)) == view(burst)
        return burst

    def receive(self, frames: list[bytes]) -> Burst:
        """See PathUnderTest. One burst for C; in the card all are in flight together."""
        burst = self.c.receive(frames)
        self.compare(frames, burst)
        self.waiting = [
            self.expect(frame, *self.read(frame), left)
            for frame, left in zip(frames, burst.left, strict=True)
        ]
        self.flush(0)
        return burst

    def receive_each(self, frames: list[bytes], most: int, busy: float) -> Iterator[Left]:
        """One after the other for C; in the card at most so many are in flight together.

        busy: how often a command goes beside them that may, from 0 to 1.
        """
        for frame, burst in zip(frames, self.c.receive_each(frames), strict=True):
            reason, key = self.read(frame)
            if key and self.tables.is_stale(key):
                self.flush(busy)
            self.compare([frame], burst)
            one = self.expect(frame, reason, key, burst.left[0])
            one.backend = self.tables.wanted(key) if key else None
            self.waiting.append(one)
            if len(self.waiting) >= most or self.model.neighbours != self.tables.neighbours:
                self.flush(busy)
            yield burst.left[0]
        self.flush(busy)

    def compare(self, frames: list[bytes], by_c: Burst) -> None:
        """C and the model agree."""
        events = Counter({event: n for event, n in by_c.events.items() if event not in RACES})
        agreed = view(Burst(by_c.left, events)) == view(self.model.receive(frames))
        assert agreed, [frame.hex() for frame in frames]
        self.follow_sweep()

    def follow_sweep(self) -> None:
        """When C's sweep came to connections of gone backends, the model forgets them too."""
        if self.c.swept_gone != self.swept_gone:
            self.swept_gone = self.c.swept_gone
            self.model.sweep_gone()

    # ---- the card in Python

    def read(self, frame: bytes) -> tuple[CardReason, Key | None]:
        """Why a frame goes up before its connection is looked up (NONE: it is looked up), and its key."""
        reason = CardReason(front_model.parse(self.world, frame))
        if reason not in (CardReason.NONE, CardReason.OPENS, CardReason.CLOSES):
            return reason, None
        ip = frame[front_model.l3_off(frame) :]
        name = self.service_of(str(ipaddress.IPv4Address(ip[16:20])), front_model.big(ip, 22), ip[9])
        if name is None:
            return CardReason.NO_SERVICE if reason is CardReason.NONE else reason, None
        return reason, (str(ipaddress.IPv4Address(ip[12:16])), front_model.big(ip, 20), name)

    def service_of(self, vip: str, port: int, protocol: int) -> str | None:
        """The active service of a frontend."""
        for name, service in self.tables.config["services"].items():
            wanted = service["vip"], service["port"], PROTOCOLS[service["protocol"]]
            if service["use"] == "active" and wanted == (vip, port, protocol):
                return str(name)
        return None

    def expect(self, frame: bytes, reason: CardReason, key: Key | None, by_c: Left) -> Waiting:
        """What the card does with a frame by the tables that it has now."""
        one = Waiting(frame, reason, key, by_c)
        if key and reason is CardReason.NONE:
            self.look_up(one)
        return one

    def look_up(self, one: Waiting) -> None:
        """By the entry that the card has, or none."""
        one.entry = self.tables.held.get(one.key) if one.key else None
        if one.entry is None:
            one.reason = CardReason.MISS
            return
        line, ip = self.tables.line_of(one.entry.backend), one.frame[front_model.l3_off(one.frame) :]
        more = {1: 0, 2: 50, 3: 20}[line["forward"]]
        fits = front_model.big(ip, 2) + more <= line["mtu_bytes"]
        one.reason = CardReason.NONE if fits else CardReason.TOO_BIG
        if not line["valid"]:
            one.reason = CardReason.NO_BACKEND

    # ---- the card itself

    def flush(self, busy: float) -> None:
        """The card gets the frames that wait, and commands beside them."""
        waiting, self.waiting = self.waiting, []
        if not waiting:
            return
        self.card.send(one.frame for one in waiting)
        self.card.step(self.random.randrange(40) if busy else 0)
        numbers = self.command_beside(waiting, busy)
        self.card.run()
        for one, got in self.matched(waiting, self.card.left()):
            self.check(one, got)
        self.tables.end_removals(numbers)
        self.tables.sync({one.key for one in waiting if one.key})

    def command_beside(self, waiting: list[Waiting], busy: float) -> dict[tuple[int, int], int]:
        """Commands for connections of these frames, where it is the same to a packet whether it is before
        or after its command; the removals among them."""
        groups: dict[Key, list[Waiting]] = {}
        for one in waiting:
            if one.key and one.reason in OF_ITS_ENTRY:
                groups.setdefault(one.key, []).append(one)
        numbers: dict[tuple[int, int], int] = {}
        for key, ones in groups.items():
            backend = self.tables.wanted(key)
            held = self.tables.held.get(key)
            same = backend is not None and all(one.backend == backend for one in ones)
            if not same or (held and held.backend != backend) or self.random.random() >= busy:
                continue
            if held:
                numbers |= [self.tables.begin_removal(key)]
            else:
                self.tables.install(key, str(backend))
                for one in ones:
                    self.look_up(one)
            for one in ones:
                one.may_miss = True
        return numbers

    @staticmethod
    def matched(waiting: list[Waiting], got: list[FromCard]) -> Iterator[tuple[Waiting, FromCard]]:
        """Which is which: each of the two streams keeps its order."""
        sent = deque(one for one in got if one.way == "sent")
        up = deque(one for one in got if one.way == "cpu")
        for one in waiting:
            missed = one.may_miss and up and (up[0].frame, up[0].reason) == (one.frame, CardReason.MISS)
            queue = up if missed or one.reason is not CardReason.NONE else sent
            assert queue, f"{one.frame.hex()} did not leave as it should: {one.reason.label}"
            yield one, queue.popleft()
        assert not sent
        assert not up

    def check(self, one: Waiting, got: FromCard) -> None:
        """What the card did with a frame is what it should."""
        said = f"{one.frame.hex()}: {got.way} {got.reason.label}, not {one.reason.label}"
        reason = CardReason.MISS if one.may_miss and got.reason is CardReason.MISS else one.reason
        assert got.reason is reason, said
        self.seen.ways[got.way] += 1
        self.seen.reasons[reason] += 1
        if one.may_miss:
            self.seen.kinds[f"beside its command: {reason.label}"] += 1
        if reason is CardReason.NONE:
            self.check_sent(one, got)
            return
        assert got.frame == one.frame, said
        beside = (0, 0, 0)
        if one.key:
            beside = (*self.tables.hash(one.key), self.tables.order["services"].index(one.key[2]))
        assert (got.key, got.hash, got.service_idx) == beside, said

    def check_sent(self, one: Waiting, got: FromCard) -> None:
        """A frame that the card forwarded is C's."""
        assert one.key
        assert one.entry
        if one.by_c.verdict not in NOT_THE_CARDS:
            assert one.by_c.verdict is Verdict.FORWARDED, one.frame.hex()
            assert (got.way, got.frame) == (one.by_c.way, one.by_c.frame), one.frame.hex()
        size, off = client_bytes(one.frame), front_model.l3_off(one.frame)
        self.seen.pkts_by_service[one.key[2]] += 1
        self.seen.bytes_by_service[one.key[2]] += size
        forward = self.tables.config["backends"][one.entry.backend]["forward"]
        self.seen.kinds.update([forward, f"bucket {one.entry.bucket + 1}"])
        self.seen.kinds.update(["tagged"] * (off > 14) + ["padded"] * (len(one.frame) > size))


def client_bytes(frame: bytes) -> int:
    """Of a frame without its padding."""
    off = front_model.l3_off(frame)
    return off + front_model.big(frame, off + 2)
