# SPDX-License-Identifier: Apache-2.0
"""The whole card: registers as described, resets and epochs, commands and their answers, totals, memory."""

from __future__ import annotations

import random
from typing import Any

import front_model
import pytest
from card_registers import COUNTERS, FIELDS, REGISTERS
from card_sim import CALM, ROUGH, Answer, Card, Left, Memory, Refused, mac_octets, octets
from path_model import TABLE_SECRET
from path_packets import build
from test_hash import buckets, entry_key, tiara_hash
from tiara.domain.layout import LAYOUT_ID, CardKind, CardReason, CardRemoved, State

FOUND, SEEN = CardRemoved.FOUND, CardRemoved.SEEN
WEB = ("198.18.0.100", 80, 6)
WEB_INDEX, LINE = 5, 9
ROWS = [(r, place) for r in REGISTERS["register"] for place in range(r.get("count", 1))]


def at(row: tuple[dict[str, Any], int]) -> int:
    return int(row[0]["offset"]) + 4 * row[1]


def started(memory: Memory = CALM) -> Card:
    """A card with one service and one backend."""
    card = Card(memory)
    card.configure(TABLE_SECRET, "198.18.0.2", "port", "kernel")
    card.reset()
    set_up(card)
    return card


def set_up(card: Card) -> None:
    lines = front_model.place_services({WEB: WEB_INDEX}, card.read("SERVICE_LINES"))
    card.service(next(iter(lines)), WEB, WEB_INDEX)
    card.backend(LINE, next_hop_mac=mac_octets("b1"), port_mac=mac_octets("port"), addr=octets("198.18.0.11"),
                 mtu_bytes=1500, forward=1, valid=1)  # fmt: skip


def frame(client: int, data: str = "x", flags: str = "A") -> bytes:
    """Of client's connection to WEB."""
    return build(f"eth gw>port / ip 198.18.64.7>198.18.0.100 ttl=63 / tcp {client}>80 {flags} data={data}")


def key(client: int) -> int:
    return entry_key(("198.18.64.7", client, WEB_INDEX))


def slot_of(client: int, place: int = 0, second: bool = False) -> int:
    return buckets(tiara_hash(key(client), TABLE_SECRET), 1024)[second] * 4 + place


def install(card: Card, client: int, **more: Any) -> None:
    said = {"slot": slot_of(client), "key": key(client), "backend_line": LINE, "state": State.ESTABLISHED}
    card.command(CardKind.INSTALL, **{**said, **more})
    card.run()


def remove(card: Card, client: int, **more: Any) -> list[Answer]:
    card.command(CardKind.REMOVE, **{"slot": slot_of(client), "key": key(client), **more})
    card.run()
    return card.answers()


def harvest(card: Card, number: int) -> list[Answer]:
    card.command(CardKind.HARVEST, harvest=number)
    card.run()
    return card.answers()


def one(card: Card, sent: bytes) -> Left:
    (left,) = card.receive([sent])
    return left


# ---- registers


@pytest.mark.parametrize("row", ROWS, ids=[f"{r['name']}-{place}" for r, place in ROWS])
def test_register_is_as_described(row: tuple[dict[str, Any], int]) -> None:
    """Access and value after rst_ni are those of registers.toml."""
    card, (register, _) = Card(), row
    if "reset" in register:
        assert card.read_at(at(row)) == register["reset"]
    if register["access"] == "ro":
        before = card.read_at(at(row))
        with pytest.raises(Refused):
            card.write_at(at(row), ~before & 0xFFFFFFFF)
        assert card.read_at(at(row)) == before
    if register["access"] == "rw":
        ignored = 0xFFFF0000 if register["name"].endswith("_MAC") and row[1] else 0
        card.write_at(at(row), 0xA5A5C3C3)
        assert card.read_at(at(row)) == 0xA5A5C3C3 & ~ignored
        with pytest.raises(Refused):
            card.write_at(at(row), 0, strobes=7)
        assert card.read_at(at(row)) == 0xA5A5C3C3 & ~ignored
    if register["access"] == "wo":
        assert card.read_at(at(row)) == 0


def test_nothing_else_is_there() -> None:
    """Every other word of the address space refuses reads and writes, and no write changes what is there."""
    card = Card()
    there = {at(row) for row in ROWS}
    before = [card.read_at(offset) for offset in sorted(there)]
    for offset in {*range(0, 4096, 4), 1, 2, 0x103} - there:
        with pytest.raises(Refused):
            card.read_at(offset)
        with pytest.raises(Refused):
            card.write_at(offset, 0xFFFFFFFF)
    assert [card.read_at(offset) for offset in sorted(there)] == before


def test_layout_id() -> None:
    """The register holds the id of the layout that the RTL was made with."""
    card = Card()
    assert card.read("LAYOUT_ID") | card.read("LAYOUT_ID", 1) << 32 == LAYOUT_ID


def test_lines_are_bounded_and_wait_for_the_card() -> None:
    """A line is written only where there is one, and not before the card is ready."""
    card = Card()
    with pytest.raises(Refused):
        card.write("BACKEND_WRITE", 0)
    card.reset()
    for name, lines in (("SERVICE_WRITE", "SERVICE_LINES"), ("BACKEND_WRITE", "BACKEND_LINES")):
        card.write(name, card.read(lines) - 1)
        with pytest.raises(Refused):
            card.write(name, card.read(lines))
    with pytest.raises(Refused):
        card.write("COUNTER_READ", len(COUNTERS))
    with pytest.raises(Refused):
        card.totals(card.read("BACKEND_LINES"), True)


def test_a_service_without_totals_is_refused() -> None:
    """An index of SERVICE_LINES or more would count into another's totals: its line stays as it was."""
    card = started()
    lines = card.read("SERVICE_LINES")
    (line,) = front_model.place_services({WEB: WEB_INDEX}, lines)
    card.service(line, WEB, lines - 1)
    for index in (lines, lines + WEB_INDEX, 0xFFFF):
        with pytest.raises(Refused):
            card.service(line, WEB, index)
    assert one(card, frame(40000)).service_idx == lines - 1
    card.service(line, None)
    assert one(card, frame(40000)).reason is CardReason.NO_SERVICE


# ---- resets and epochs


def test_takes_nothing_before_its_first_reset() -> None:
    """After rst_ni memory holds anything: no packet and no command goes in, the epoch is 0."""
    card = Card()
    card.send([frame(40000)])
    card.command(CardKind.REMOVE, slot=0, key=1)
    card.step(5000)
    assert (card.left(), card.answers(), card.read("EPOCH"), card.read("STATUS")) == ([], [], 0, 0)
    card.reset()
    assert card.epoch == 1
    card.run()
    assert [left.way for left in card.left()] == ["cpu"]
    assert card.answers() == [], "a command of epoch 0 is of none"


def test_a_reset_empties_the_card() -> None:
    """Connections, lines and totals are gone, the epoch is another, and what came in before leaves first."""
    card = started(ROUGH)
    install(card, 40000)
    assert one(card, frame(40000)).way == "sent"
    card.send([frame(40000, data=f"{i}*d") for i in (1400, 200, 64, 1)])
    card.step(6)  # in the midst of a packet
    card.reset()
    card.run()
    assert sum(left.way == "sent" for left in card.left()) >= 1
    assert card.epoch == 2
    assert one(card, frame(40000)).reason is CardReason.NO_SERVICE
    set_up(card)
    assert one(card, frame(40000)).reason is CardReason.MISS
    assert card.totals(WEB_INDEX, False) == (0, 0)
    assert card.peek(slot_of(40000)) == bytes(16)
    assert card.counter("RESETS") == 2


def test_power_cycle_in_mid_packet() -> None:
    """rst_ni at any moment: the card comes up as new, whatever memory and streams were doing."""
    for cycles in range(1, 60, 7):
        card = started(ROUGH)
        install(card, 40000)
        card.send([frame(40000, data="1200*d") for _ in range(5)])
        card.command(CardKind.REMOVE, slot=slot_of(40000), key=key(40000))
        card.step(cycles)
        card.power_cycle()
        card.configure(TABLE_SECRET, "198.18.0.2", "port", "kernel")
        card.reset()
        set_up(card)
        assert (card.left(), card.answers()) == ([], [])
        assert one(card, frame(40000)).reason is CardReason.MISS
        install(card, 40000)
        assert one(card, frame(40000)).way == "sent"
        card.close()


def test_packets_go_up_while_memory_is_emptied() -> None:
    """A reset does not stop traffic for as long as memory takes: the CPU gets it."""
    card = started(Memory(latency_cycles=400))
    card.write("CONTROL", FIELDS["CONTROL.RESET"])
    card.step(1500)
    assert card.read("STATUS") == FIELDS["STATUS.BUSY"]
    card.send([frame(40000)])
    card.step(200)
    assert [left.way for left in card.left()] == ["cpu"]
    assert card.read("STATUS") == FIELDS["STATUS.BUSY"]


# ---- commands


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("place", range(4))
def test_install_and_remove(place: int, second: bool) -> None:
    """In each place of both buckets: forwarded from the install to the removal's answer, then not."""
    card = started()
    slot = slot_of(40001, place, second)
    assert one(card, frame(40001)).reason is CardReason.MISS
    install(card, 40001, slot=slot)
    sent = one(card, frame(40001))
    assert (sent.way, sent.frame[:12]) == ("sent", mac_octets("b1") + mac_octets("port"))
    assert one(card, frame(40002)).reason is CardReason.MISS
    (answer,) = remove(card, 40001, slot=slot)
    assert answer == Answer(CardKind.REMOVED, 0, 1, 2, slot, 0, (FOUND | SEEN, 0))
    assert one(card, frame(40001)).reason is CardReason.MISS


def test_a_removal_tells_whether_the_entry_was_used() -> None:
    """Not used: found only. Not there, or another key's: seen, for who knows (R9); that entry stays."""
    card = started()
    install(card, 40001)
    assert remove(card, 40002, slot=slot_of(40001))[0].seen[0] == SEEN
    assert remove(card, 40001)[0].seen[0] == FOUND
    assert remove(card, 40001)[0].seen[0] == SEEN
    install(card, 40001)
    one(card, frame(40001))
    assert remove(card, 40001)[0].seen[0] == FOUND | SEEN


def test_a_removal_waits_for_lookups() -> None:
    """Packets that found the entry before it was removed have set its bit when the removal is answered."""
    for seed in range(20):
        card = started(Memory(seed=seed, jitter_cycles=60, reorder_pct=50))
        install(card, 40001)
        card.send([*(frame(40002) for _ in range(4)), frame(40001)])
        card.step(30 + seed)
        (answer,) = remove(card, 40001)
        ways = [one.way for one in card.left()][-1]
        assert answer.seen[0] == (FOUND | SEEN if ways == "sent" else FOUND), seed
        card.close()


def test_only_newer_commands_count() -> None:
    """R2, R3, R8: old numbers of a channel and other epochs do nothing and are not answered."""
    card = started()
    install(card, 40001)
    for old in ({"number": 1}, {"number": 0}, {"epoch": 0}, {"epoch": 2}, {"channel": 16}):
        card.command(CardKind.REMOVE, slot=slot_of(40001), key=key(40001), **{"number": 9, **old})
    card.run()
    assert card.answers() == []
    assert one(card, frame(40001)).way == "sent"
    assert card.counter("COMMANDS_DROPPED") == 5
    assert len(remove(card, 40001, channel=1)) == 1, "each channel has numbers of its own"


def test_harvest_reports_what_was_used_once() -> None:
    """A harvest reports the slots used since the last one; repeated it reports the same; a gap nothing."""
    card = started()
    clients = range(40000, 40040)
    for client in clients:
        install(card, client, slot=slot_of(client, client % 4))
    used = {slot_of(client, client % 4) for client in clients if one(card, frame(client)).way == "sent"}
    assert len(used) > 20
    lines = harvest(card, 1)
    assert reported(lines) == used
    one(card, frame(40000))
    assert reported(harvest(card, 1)) == used
    assert harvest(card, 3) == []
    assert reported(harvest(card, 2)) <= {slot_of(40000)}
    assert reported(harvest(card, 3)) == set()


def reported(answers: list[Answer]) -> set[int]:
    assert answers[-1].kind is CardKind.HARVEST_END
    assert all(a.kind is CardKind.HARVESTED and any(a.seen) for a in answers[:-1])
    bits = [(a.slot, a.seen[0] | a.seen[1] << 64) for a in answers[:-1]]
    return {slot + i for slot, word in bits for i in range(128) if word >> i & 1}


# ---- packets


@pytest.mark.parametrize("memory", [CALM, ROUGH, Memory(seed=3, jitter_cycles=300, reorder_pct=90)])
def test_order_within_a_connection(memory: Memory) -> None:
    """However memory answers: each stream leaves in the order in which it came, none lost, none twice."""
    card, draw = started(memory), random.Random(5)
    for client in range(40000, 40008):
        if client % 2:
            install(card, client)
    frames = [frame(40000 + draw.randrange(8), data=f"{n:03}") for n in range(400)]
    left = card.receive(frames)
    up = [one.frame for one in left if one.way == "cpu"]
    sent = [one.frame[12:] for one in left if one.way == "sent"]
    assert up == [f for f in frames if f[35] % 2 == 0]
    assert sent == [f[12:] for f in frames if f[35] % 2]


def test_order_over_both_streams() -> None:
    """While the CPU takes every beat at once, frames leave as they came, whichever way they take."""
    card, draw = (
        started(Memory(seed=2, latency_cycles=20, jitter_cycles=40, reorder_pct=50)),
        random.Random(6),
    )
    install(card, 40001)
    frames = [frame(40001 + n % 2, data=f"{draw.choice([1, 7, 64, 900])}*d") for n in range(300)]
    assert [one.frame[12:] for one in card.receive(frames)] == [f[12:] for f in frames]


DEAF = Memory(latency_cycles=10, cpu_stall_pct=100)
CPU_BEATS, MAX_BEATS = 1024, 152
"""tiara_card's CpuBeats, and the longest frame."""


def test_a_cpu_that_takes_nothing_stops_nothing() -> None:
    """Packets are forwarded and removals answered meanwhile; what has no room is dropped and counted."""
    card = started(DEAF)
    install(card, 40001)
    frames = [frame(40001 + n % 2, data=f"{n:04}") for n in range(4 * CPU_BEATS)]
    card.send(frames)
    card.step(16 * CPU_BEATS)
    assert [one.frame[12:] for one in card.left()] == [f[12:] for f in frames[::2]]
    dropped = card.counter("CPU_DROPPED")
    kept = CPU_BEATS - MAX_BEATS + 2  # one stands at the output
    assert dropped == 2 * CPU_BEATS - kept
    card.command(CardKind.REMOVE, slot=slot_of(40001), key=key(40001))
    card.step(500)
    assert len(card.answers()) == 1
    card.behave(CALM)
    card.run()
    assert [one.frame for one in card.left()] == frames[1::2][:kept], "the oldest stay, in their order"
    assert one(card, frame(40003)).way == "cpu"
    assert (card.counter("CPU_PKTS"), card.counter("CPU_DROPPED")) == (kept + 1, dropped)


@pytest.mark.parametrize("stall", [90, 97])
def test_a_slow_cpu_gets_whole_packets(stall: int) -> None:
    """Of frames of all lengths some are dropped, as many as are counted; the rest is whole and in order."""
    card, draw = started(Memory(seed=3, latency_cycles=10, cpu_stall_pct=stall)), random.Random(stall)
    frames = [frame(40002, data=f"{draw.choice([1, 60, 70, 700, 1400])}*{n % 10}") for n in range(1000)]
    left = [one.frame for one in card.receive(frames)]
    rest = iter(frames)
    assert all(one in rest for one in left)
    assert card.counter("CPU_DROPPED") == len(frames) - len(left) > 100
    assert len(left) > 100


def test_an_empty_backend_line_hands_up() -> None:
    """An entry whose line of the backend table is empty forwards nothing, and is not seen."""
    card = started()
    install(card, 40001, backend_line=LINE + 1)
    assert one(card, frame(40001)).reason is CardReason.NO_BACKEND
    assert remove(card, 40001)[0].seen[0] == FOUND


@pytest.mark.parametrize("memory", [CALM, ROUGH])
def test_totals_and_counters(memory: Memory) -> None:
    """Packets and bytes by service and by backend line, and the card's own counters, add up."""
    card = started(memory)
    install(card, 40001)
    frames = [frame(40001, data=f"{n}*d") for n in (1, 10, 100, 1000)]
    short = build("eth gw>port / ip 198.18.64.7>198.18.0.100 ttl=63 / tcp 40001>80 A / pad 6")
    card.receive([*frames, short, frame(40003)])
    expected = 5, sum(map(len, frames)) + len(short) - 6
    assert card.totals(WEB_INDEX, False) == expected
    assert card.totals(LINE, True) == expected
    assert card.totals(LINE + 1, True) == (0, 0)
    counted = {name: card.counter(name) for name in COUNTERS}
    assert counted == {
        "RX_PKTS": 6, "TX_PKTS": 5, "CPU_PKTS": 1, "BAD_PKTS": 0, "COMMANDS": 1, "COMMANDS_DROPPED": 0,
        "ANSWERS": 0, "RESETS": 1, "MEMORY_ERRORS": 0, "CPU_DROPPED": 0,
        "RX_BYTES": expected[1] + 6 + len(frame(40003)), "TX_BYTES": expected[1],
        "CPU_BYTES": len(frame(40003)),
    }  # fmt: skip


def test_same_seed_same_cycles() -> None:
    """A configuration and the same calls give the same run to the cycle; another seed another one."""

    def run(seed: int) -> list[int]:
        card = started(Memory(**{**vars(ROUGH), "seed": seed}))
        install(card, 40001)
        return [one.cycle for one in card.receive([frame(40001 + n % 2) for n in range(50)])]

    assert run(4) == run(4)
    assert run(4) != run(5)


def test_memory_is_as_bad_as_it_is_told_to_be() -> None:
    """The harness reorders, keeps many reads waiting and refreshes: what is tested against is there."""
    card = started(Memory(seed=2, latency_cycles=60, jitter_cycles=60, reorder_pct=50))
    card.receive([frame(40000 + n) for n in range(300)])
    stats = card.memory()
    assert stats.reordered > 50
    assert stats.waiting_max >= 8
