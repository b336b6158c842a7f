# SPDX-License-Identifier: Apache-2.0
"""The typed wrapper over libtiara, on a real segment."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiara.domain.dataplane import BackendSpec, ServiceSpec
from tiara.domain.layout import LAYOUT_ID, Forward, OnConflict, Role, State, Status, Use
from tiara.domain.model import Protocol
from tiara.native import NativeError, Segment, layout_id, maglev_fill
from tiara.native import segment as native
from tiara.native.scan import Filter, rows_differ
from tiara.native.values import Flow
from tiara.planner.maglev import fill_plain
from tiara.planner.rows import differ_plain

B1 = BackendSpec("web", "b1", "01" * 16, "198.18.0.11", Use.ACTIVE, Forward.L2)
B2 = BackendSpec("web", "b2", "02" * 16, "198.18.0.12", Use.DOWN, Forward.VXLAN, 7, 4790, "02:00:00:00:00:01")
SERVICE = ServiceSpec("web", "03" * 16, "198.18.100.1", Protocol.TCP, 80, 60, 1800, 61, 120)
SECRET = bytes(range(16))
RECORD = bytes.fromhex("c6120007 9c40 0000 00000000 0005 03 00")


@pytest.fixture
def segment(segment_path: Path) -> Segment:
    """An empty one, as the control plane has it."""
    native.create(segment_path)
    return Segment.attach(segment_path, Role.CONTROLPLANE)


def configure(segment: Segment, revision: int = 1) -> int:
    """Puts the two backends and the service; the generation, 0 when nothing changed."""
    with segment.change() as change:
        change.secret(SECRET)
        idx = [change.put_backend(B1), change.put_backend(B2)]
        table_off = change.table(array("I", [0, 1, 0]).tobytes(), idx, 0)
        change.put_service(SERVICE, table_off, 3)
        return change.commit(revision)


def test_layout_id_is_the_generated_one() -> None:
    """The extension was compiled from the layout that the Python constants describe."""
    assert layout_id() == LAYOUT_ID


@given(
    st.lists(
        st.tuples(st.integers(0, 1020), st.integers(1, 1020), st.integers(0, 65535)), min_size=1, max_size=9
    )
)
@settings(max_examples=150, deadline=None)
def test_fill_equals_its_plain_twin(walks: list[tuple[int, int, int]]) -> None:
    """C and Python fill the same rows, whatever the weights."""
    offsets, skips, weights = (list(column) for column in zip(*walks, strict=True))
    if not any(weights):
        weights[0] = 1
    assert maglev_fill(offsets, skips, weights, 1021) == fill_plain(offsets, skips, weights, 1021)


def test_records_come_back_as_written(segment: Segment) -> None:
    """What is put is read, field by field, with its index and table."""
    assert configure(segment) == 1
    assert [slot.spec for slot in segment.backends()] == [B1, B2]
    (slot,) = segment.services()
    assert (slot.spec, slot.table_cnt) == (SERVICE, 3)
    assert array("I", segment.service_rows(slot.idx)).tolist() == [0, 1, 0]
    assert segment.describe().revision == 1


def test_putting_what_is_equal_makes_no_generation(segment: Segment) -> None:
    """A restart that writes everything again changes nothing."""
    configure(segment)
    with segment.change() as change:
        change.secret(SECRET)
        for spec in (B1, B2):
            change.put_backend(spec)
        assert change.commit(9) == 0
    assert segment.describe().generation == 1


def test_aborted_change_leaves_no_trace(segment: Segment) -> None:
    """An error in the middle keeps the old generation."""
    configure(segment)
    with pytest.raises(ZeroDivisionError), segment.change() as change:
        change.put_backend(replace(B1, address="198.18.0.99"))
        raise ZeroDivisionError
    assert next(iter(segment.backends())).spec == B1
    assert segment.describe().generation == 1
    configure(segment)


def test_second_control_plane_is_refused(segment: Segment, segment_path: Path) -> None:
    """BUSY while the first lives; free again when it detaches."""
    with pytest.raises(NativeError) as caught:
        Segment.attach(segment_path, Role.CONTROLPLANE)
    assert caught.value.status is Status.BUSY
    segment.detach()
    Segment.attach(segment_path, Role.CONTROLPLANE).detach()


def test_missing_segment(segment_path: Path) -> None:
    """NOT_FOUND, with the path in the message."""
    with pytest.raises(NativeError) as caught:
        Segment.attach(segment_path)
    assert caught.value.status is Status.NOT_FOUND
    assert str(segment_path) in str(caught.value)


def test_push_find_list_count(segment: Segment) -> None:
    """A pushed connection is found, listed and counted under its names' indices."""
    configure(segment)
    assert segment.push(RECORD, [0], [0], OnConflict.CONFLICT_KEEP) == bytes([Status.OK])
    found = segment.find(Protocol.TCP, "198.18.0.7", 40000, "198.18.100.1", 80)
    assert found is not None
    assert (found.backend_idx, found.state, found.pushed, found.idle_ticks) == (0, State.ESTABLISHED, True, 5)
    assert segment.find(Protocol.TCP, "198.18.0.8", 40000, "198.18.100.1", 80) is None
    listed, cursor = segment.connections_list(0, 10)
    while cursor != native.END:
        more, cursor = segment.connections_list(cursor, 10)
        listed += more
    assert listed == [found]
    usage = segment.connections_count()
    assert (usage.live, usage.per_service[0], usage.per_backend[0]) == (1, 1, 1)


def test_flows_at_once(segment: Segment) -> None:
    """All counters of services and backends in one call are those of one call each."""
    configure(segment)
    flows = segment.flows()
    assert [len(flows.services), len(flows.backends)] == [4 * 1024, 4 * 1024]
    for at, (services, backends) in enumerate([(7, 1), (8, 2), (9, 3)]):
        flows.services[4 * 5 + at], flows.backends[4 * 6 + at] = services, backends
    assert (flows.service(5), flows.backend(6)) == (Flow(7, 8, 9), Flow(1, 2, 3))
    assert (flows.service(0), flows.backend(1023)) == (segment.service_flow(0), segment.backend_flow(1023))


def test_bad_record_is_named_and_nothing_is_pushed(segment: Segment) -> None:
    """INVALID with the record's number; the good one before it is not inserted either."""
    configure(segment)
    bad = RECORD[:14] + b"\x09\x00"
    with pytest.raises(NativeError) as caught:
        segment.push(RECORD + bad, [0], [0], OnConflict.CONFLICT_KEEP)
    assert caught.value.status is Status.INVALID
    assert caught.value.field == "records[1].state"
    assert segment.connections_count().live == 0


def test_conflict_is_kept_or_replaced(segment: Segment) -> None:
    """The same key with another backend: by policy."""
    configure(segment)
    segment.push(RECORD, [0], [0], OnConflict.CONFLICT_KEEP)
    assert segment.push(RECORD, [0], [1], OnConflict.CONFLICT_KEEP) == bytes([Status.CONFLICT])
    assert segment.push(RECORD, [0], [1], OnConflict.CONFLICT_REPLACE) == bytes([Status.OK])
    found = segment.find(Protocol.TCP, "198.18.0.7", 40000, "198.18.100.1", 80)
    assert found is not None
    assert found.backend_idx == 1


def test_what_a_removal_would_end_and_move(segment: Segment) -> None:
    """Each connection once: under its service where that goes, else under its backend."""
    configure(segment)
    second = bytes([198, 18, 0, 9]) + RECORD[4:]
    segment.push(RECORD + second, [0], [0], OnConflict.CONFLICT_KEEP)
    segment.push(bytes([198, 18, 0, 8]) + RECORD[4:], [0], [1], OnConflict.CONFLICT_KEEP)
    for services, backends, ended, moved in (
        ((), (), 0, 0),
        ((), (0,), 0, 2),
        ((), (0, 1), 0, 3),
        ((0,), (0,), 3, 0),
        ((5,), (7,), 0, 0),
    ):
        found = segment.connections_affected(services, backends)
        assert (found.live, found.ended, found.moved, found.total) == (3, ended, moved, ended + moved)
        assert sum(found.per_service) == sum(found.per_backend) == found.total
    assert list(segment.connections_affected((), (0,)).per_backend[:2]) == [2, 0]


def test_rows_that_name_another_backend() -> None:
    """Positions mean what their own index array says."""
    before, after = array("I", [0, 1, 0, 1]), array("I", [1, 0, 0, 1])
    same, turned = array("I", [7, 8]), array("I", [8, 7])
    assert rows_differ(before.tobytes(), same, before.tobytes(), same) == 0
    assert rows_differ(before.tobytes(), same, before.tobytes(), turned) == 4
    assert rows_differ(before.tobytes(), same, after.tobytes(), same) == 2
    assert rows_differ(before.tobytes(), same, after.tobytes(), turned) == 2
    with pytest.raises(NativeError, match="4 and 3 rows"):
        rows_differ(before.tobytes(), same, after[:3].tobytes(), same)
    with pytest.raises(NativeError, match=r"after.rows\[2\]"):
        rows_differ(before.tobytes(), same, array("I", [0, 0, 2, 0]).tobytes(), same)
    assert rows_differ(b"", array("I"), b"", array("I")) == 0


@given(st.data())
def test_rows_differ_as_the_plain_twin_says(data: st.DataObject) -> None:
    """Any two tables of one size."""
    count = data.draw(st.integers(1, 40))
    tables = []
    for _ in range(2):
        numbers = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=10))
        rows = data.draw(st.lists(st.integers(0, len(numbers) - 1), min_size=count, max_size=count))
        tables += [array("I", rows).tobytes(), numbers]
    assert rows_differ(*tables) == differ_plain(*tables)  # type: ignore[arg-type]


def test_flush_by_parts(segment: Segment) -> None:
    """A flush goes on until it is done, and counts."""
    configure(segment)
    segment.push(RECORD, [0], [0], OnConflict.CONFLICT_KEEP)
    flush = segment.flush()
    while not flush.step(Filter(services=frozenset([0]), idle_min=5)):
        pass
    assert (flush.removed, flush.complete) == (1, True)
    assert segment.connections_count().live == 0


def test_removed_names_leave(segment: Segment) -> None:
    """A removed service and backend are gone from the records, and their indices in quarantine."""
    configure(segment)
    with segment.change() as change:
        change.remove_service(SERVICE.key)
        change.remove_backend(B1.key)
        change.commit(2)
    assert [slot.spec for slot in segment.backends()] == [B2]
    assert list(segment.services()) == []
    info = segment.collect()
    assert (info.quarantined_services, info.quarantined_backends) == (1, 1)
