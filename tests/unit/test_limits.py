# SPDX-License-Identifier: Apache-2.0
"""Limits from the API to the segment and back: sources, new connections a second, connections a backend."""

from __future__ import annotations

import ipaddress
import json
import sqlite3
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from cli_fake import serving
from click.testing import CliRunner
from conftest import Api, FakeDataplane
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given, settings
from hypothesis import strategies as st
from tiara.cli.main import cli
from tiara.domain.dataplane import ServiceSpec
from tiara.domain.layout import MEMBERS, SIZES, Role, Status
from tiara.domain.model import Backend, Forwarding, Frontend, Pool, Protocol, VirtualService
from tiara.native import NativeError, Segment
from tiara.native import segment as native
from tiara.planner import plan_service, source_ranges
from tiara.reconciler import Reconciler
from tiara.store import SqliteStore
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import node_pb2 as nd
from tiara.v1 import virtual_service_pb2 as vs

SERVICES = 1024
"""Of the fake data plane's segment: its backends' counters come after so many."""
PREFIXES = ["198.18.64.0/24", "10.0.0.0/8", "198.18.65.0/24"]
RANGES = ((0x0A000000, 0x0AFFFFFF), (0xC6124000, 0xC61241FF))

addresses = st.integers(0, 0xFFFFFFFF) | st.integers(0xC6124000, 0xC61240FF)
prefixes = st.builds(
    lambda address, length: str(ipaddress.IPv4Network((address, length), strict=False)),
    addresses,
    st.integers(0, 32),
)


def longest(given_prefixes: list[str], address: int) -> int:
    """The longest prefix that holds the address, by a plain scan; -1: none does."""
    networks = [ipaddress.IPv4Network(prefix) for prefix in given_prefixes]
    return max((n.prefixlen for n in networks if ipaddress.IPv4Address(address) in n), default=-1)


@given(st.lists(prefixes, min_size=1, max_size=30), st.lists(addresses, max_size=20))
@settings(max_examples=300, deadline=None)
def test_ranges_allow_what_a_longest_prefix_does(wanted: list[str], asked: list[int]) -> None:
    """The planner's ranges, searched in C, say what a plain longest-prefix scan says, at every edge."""
    edges = [number + d for pair in source_ranges(wanted) for number in pair for d in (-1, 0, 1)]
    for address in [*asked, *edges]:
        if 0 <= address <= 0xFFFFFFFF:
            text = str(ipaddress.IPv4Address(address))
            assert native.source_allowed(source_ranges(wanted), text) == (longest(wanted, address) >= 0)


@given(st.lists(prefixes, max_size=30))
@settings(max_examples=100, deadline=None)
def test_ranges_are_in_order_and_none_touch(wanted: list[str]) -> None:
    """As libtiara wants them; the order of prefixes does not matter."""
    ranges = source_ranges(wanted)
    assert all(first <= last for first, last in ranges)
    assert all(a[1] + 1 < b[0] for a, b in pairwise(ranges))
    assert ranges == source_ranges(reversed(wanted))


def test_no_list_allows_everybody() -> None:
    """A list without ranges refuses nobody; one with the whole range neither."""
    assert native.source_allowed((), "203.0.113.9")
    assert native.source_allowed(source_ranges(["0.0.0.0/0"]), "203.0.113.9")


def service(*frontends: int, **fields: Any) -> VirtualService:
    """A service of TCP ports."""
    made = tuple(Frontend("198.18.100.1", Protocol.TCP, port) for port in frontends)
    return VirtualService("web", "03" * 16, made, "web", **fields)


def test_every_frontend_has_the_limits() -> None:
    """A list is one value for all frontends, so that they can share a block."""
    specs = plan_service(service(80, 443, allow_sources=tuple(PREFIXES), max_new_connections_per_second=7))
    assert [(spec.sources, spec.new_max_per_s) for spec in specs] == [(RANGES, 7)] * 2


SPEC = ServiceSpec("web", "03" * 16, "198.18.100.1", Protocol.TCP, 80, 60, 1800, 61, 120, True, RANGES, 500)


def test_records_come_back_with_their_limits(segment_path: Path) -> None:
    """What is put is read; a list that libtiara would not search right is refused and named."""
    native.create(segment_path)
    segment = Segment.attach(segment_path, Role.CONTROLPLANE)
    with segment.change() as change:
        change.put_service(SPEC, 0, 0, change.sources(RANGES, 0))
        change.commit(1)
    (slot,) = segment.services()
    assert slot.spec == SPEC
    with segment.change() as change:
        assert change.sources(RANGES, slot.source_off) == slot.source_off
        with pytest.raises(NativeError) as caught:
            change.sources(RANGES[::-1], 0)
    assert (caught.value.status, caught.value.field) == (Status.INVALID, "source[1]")


async def make(api: Api, **fields: Any) -> vs.VirtualService:
    """Pool web with b1, which takes 9 connections, and service web of two frontends."""
    await api.pools.CreateBackendPool(
        bp.CreateBackendPoolRequest(
            backend_pool_id="web",
            backend_pool=bp.BackendPool(
                forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN, selection_rows=251
            ),
        )
    )
    await api.pools.CreateBackend(
        bp.CreateBackendRequest(
            parent="backendPools/web",
            backend_id="b1",
            backend=bp.Backend(address="198.18.0.11", max_connections=9),
        )
    )
    frontends = [
        vs.Frontend(address="198.18.100.1", protocol=vs.PROTOCOL_TCP, port=port) for port in (80, 443)
    ]
    wanted = vs.VirtualService(frontends=frontends, backend_pool="backendPools/web", **fields)
    made: vs.VirtualService = await api.services.CreateVirtualService(
        vs.CreateVirtualServiceRequest(virtual_service_id="web", virtual_service=wanted)
    )
    return made


async def test_from_the_api_to_the_segment(api: Api, segment_path: Path) -> None:
    """Limits come back as they were given, and are in the records; a service's lists are one block."""
    made = await make(api, allow_sources=PREFIXES, max_new_connections_per_second=500)
    assert (list(made.allow_sources), made.max_new_connections_per_second) == (PREFIXES, 500)
    b1 = await api.pools.GetBackend(bp.GetBackendRequest(name="backendPools/web/backends/b1"))
    assert b1.max_connections == 9
    await api.node.WaitApplied(nd.WaitAppliedRequest())
    reader = Segment.attach(segment_path)
    slots = list(reader.services())
    assert [(slot.spec.sources, slot.spec.new_max_per_s) for slot in slots] == [(RANGES, 500)] * 2
    assert len({slot.source_off for slot in slots}) == 1
    assert [slot.spec.connection_max for slot in reader.backends()] == [9]
    reader.detach()


@pytest.mark.parametrize(
    ("prefixes_given", "field"),
    [
        (["198.18.64.7"], "virtual_service.allow_sources[0]"),
        (["10.0.0.0/8", "198.18.64.7/24"], "virtual_service.allow_sources[1]"),
        (["198.18.64.0/255.255.255.0"], "virtual_service.allow_sources[0]"),
        (["fd00::/8"], "virtual_service.allow_sources[0]"),
        ([""], "virtual_service.allow_sources[0]"),
        (["10.0.0.0/33"], "virtual_service.allow_sources[0]"),
        (["10.0.0.0/8", "11.0.0.0/8", "10.0.0.0/8"], "virtual_service.allow_sources[2]"),
        ([f"10.{i >> 8}.{i & 255}.0/24" for i in range(1025)], "virtual_service.allow_sources"),
    ],
)
async def test_lists_that_are_refused(api: Api, prefixes_given: list[str], field: str) -> None:
    """The error names the prefix; nothing is stored."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await make(api, allow_sources=prefixes_given)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in (caught.value.details() or "")
    assert not (await api.services.ListVirtualServices(vs.ListVirtualServicesRequest())).virtual_services


async def test_restart_rewrites_no_limit(
    store: SqliteStore, dataplane: FakeDataplane, segment_path: Path
) -> None:
    """A control plane that adopts limits that it once wrote makes no generation; a change of one does."""
    wanted = service(80, allow_sources=tuple(PREFIXES), max_new_connections_per_second=7)
    first = await Reconciler.start(store, where=lambda: segment_path)
    await fill(first, wanted)
    _, before = await first.wait_applied(0, 10)
    await first.close()
    second = await Reconciler.start(store, where=lambda: segment_path)
    assert (await second.wait_applied(0, 10))[1] == before
    await second.close()


async def fill(reconciler: Reconciler, wanted: VirtualService) -> None:
    """Pool web of one backend that takes 9, and the service."""
    configuration = reconciler.configuration
    await configuration.create_pool(Pool("web", "", Forwarding.L2, selection_rows=251))
    await configuration.create_backend(Backend("web", "b1", "", "198.18.0.11", max_connections=9))
    await configuration.create_service(wanted)


async def test_a_store_of_before_limits_is_read(tmp_path: Path) -> None:
    """Records without such members mean no limit."""
    path = tmp_path / "store.db"
    await (await SqliteStore.open(path)).close()
    backend = {"pool": "web", "id": "b1", "uid": "x", "address": "198.18.0.11", "port": 0, "weight": 1,
               "drain": None, "create_ms": 0}  # fmt: skip
    with sqlite3.connect(path) as db:
        db.execute(
            "INSERT INTO resource VALUES ('backendPools/web/backends/b1', 1, ?)", (json.dumps(backend),)
        )
    store = await SqliteStore.open(path)
    (found,) = (await store.load()).backends
    assert found.max_connections == 0
    await store.close()


def test_etags_cover_limits() -> None:
    """A changed limit makes an etag stale."""
    plain = service(80)
    assert service(80, allow_sources=("10.0.0.0/8",)).etag != plain.etag
    assert service(80, max_new_connections_per_second=1).etag != plain.etag
    backend = Backend("web", "b1", "", "198.18.0.11")
    assert Backend("web", "b1", "", "198.18.0.11", max_connections=1).etag != backend.etag


def test_command_line(tmp_path: Path) -> None:
    """Options reach the API; get and the wide lists show them."""
    with serving(tmp_path / "api.sock") as world:

        def run(line: str) -> str:
            done = CliRunner().invoke(cli, ["--server", f"unix:{tmp_path}/api.sock", *line.split()])
            assert done.exit_code == 0, done.output
            return done.stdout

        run("pool create web --mode l2")
        run("backend create web/b1 --address 198.18.0.11 --max-connections 20000")
        run(
            "service create web --frontend tcp:198.18.100.1:80 --pool web --max-new-per-second 200"
            " --allow-source 10.0.0.0/8 --allow-source 198.18.64.0/24"
        )
        assert list(world.services["virtualServices/web"].allow_sources) == ["10.0.0.0/8", "198.18.64.0/24"]
        assert "Max live  20000" in run("backend get web/b1")
        shown = [" ".join(line.split()) for line in run("service get web").splitlines()]
        assert shown[3:6] == ["Sources 10.0.0.0/8", "198.18.64.0/24", "New per second 200"]
        wide = run("service list -o wide")
        assert "10.0.0.0/8 +1    200" in wide
        assert "20000" in wide
        assert "20000" in run("backend list -o wide")
        run("service create open --frontend tcp:198.18.100.2:80 --pool web --allow-source all")
        assert not world.services["virtualServices/open"].allow_sources
        line = world.statistics.services.add(
            virtual_service="virtualServices/web", frontend="tcp 198.18.100.1:80"
        )
        assert "Refused" not in run("stats")
        line.refused_packets = 12345
        assert "Refused" in run("stats")
        assert "12,345" in run("stats")


async def test_changed_by_mask(api: Api) -> None:
    """Each limit is set and cleared by its own path; the others stay."""
    await make(api, allow_sources=PREFIXES, max_new_connections_per_second=500)

    async def update(*paths: str, **fields: Any) -> vs.VirtualService:
        changed: vs.VirtualService = await api.services.UpdateVirtualService(
            vs.UpdateVirtualServiceRequest(
                virtual_service=vs.VirtualService(name="virtualServices/web", **fields),
                update_mask=FieldMask(paths=paths),
            )
        )
        return changed

    found = await update("allow_sources", allow_sources=["10.0.0.0/8"])
    assert (list(found.allow_sources), found.max_new_connections_per_second) == (["10.0.0.0/8"], 500)
    found = await update("max_new_connections_per_second")
    assert (list(found.allow_sources), found.max_new_connections_per_second) == (["10.0.0.0/8"], 0)
    found = await update("allow_sources")
    assert list(found.allow_sources) == []
    backend = await api.pools.UpdateBackend(
        bp.UpdateBackendRequest(
            backend=bp.Backend(name="backendPools/web/backends/b1"),
            update_mask=FieldMask(paths=["max_connections"]),
        )
    )
    assert (backend.max_connections, backend.address) == (0, "198.18.0.11")


async def test_statistics_name_what_was_refused(api: Api, dataplane: FakeDataplane) -> None:
    """By frontend and by backend, from the counters of workers; a sum below zero is none."""
    await make(api, max_new_connections_per_second=1)
    await api.node.WaitApplied(nd.WaitAppliedRequest())
    put_limit_cnt(dataplane, 0, 41)
    put_limit_cnt(dataplane, SERVICES, 12)
    found = await api.node.GetStatistics(nd.GetStatisticsRequest())
    assert {line.frontend: line.refused_packets for line in found.services} == {
        "tcp 198.18.100.1:80": 41,
        "tcp 198.18.100.1:443": 0,
    }
    assert [line.tracked_connections for line in found.backends] == [12]
    put_limit_cnt(dataplane, SERVICES, (1 << 64) - 1)
    found = await api.node.GetStatistics(nd.GetStatisticsRequest())
    assert [line.tracked_connections for line in found.backends] == [0]


def put_limit_cnt(dataplane: FakeDataplane, idx: int, value: int) -> None:
    """Worker 0's line of a service, or (from SERVICES on) of a backend."""
    at = dataplane._read("counter_off") + SIZES["tiara_worker_counters"] + SIZES["tiara_flow_counter"] * idx
    struct.pack_into("<Q", dataplane._map, at + MEMBERS["tiara_flow_counter"]["limit_cnt"].offset, value)
