# SPDX-License-Identifier: Apache-2.0
"""Connections watched over a real table: all that fit, then what is new, different and gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from conftest import Api, FakeDataplane
from google.protobuf.duration_pb2 import Duration
from tiara import client
from tiara.native import convert
from tiara.native.segment import Segment
from tiara.reconciler import Reconciler, connection_watch
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import connection_pb2 as pb
from tiara.v1 import node_pb2
from tiara.v1 import virtual_service_pb2 as vs

WAIT_S = 20
B1, B2 = (client.backend_name("web", name) for name in ("b1", "b2"))
OFTEN = Duration(nanos=100_000_000)

Key = tuple[str, int, str]


class Watching:
    """A watch and the connections that it has told of."""

    def __init__(self, api: Api, **wanted: Any) -> None:
        wanted.setdefault("interval", OFTEN)
        self.call = api.connections.WatchConnections(pb.WatchConnectionsRequest(**wanted))
        self.held: dict[Key, str] = {}
        self.messages: list[int] = []

    async def next_pass(self) -> tuple[set[Key], set[Key], set[Key]]:
        """What it has added, changed and lost."""
        added, changed, gone = set[Key](), set[Key](), set[Key]()
        while True:
            async with asyncio.timeout(WAIT_S):
                response = await self.call.read()
            assert isinstance(response, pb.WatchConnectionsResponse)
            self.messages.append(len(response.added) + len(response.changed) + len(response.gone))
            gone |= {self._lose(one) for one in response.gone}
            changed |= {self._put(one, there=True) for one in response.changed}
            added |= {self._put(one, there=False) for one in response.added}
            if response.complete:
                return added, changed, gone

    def _put(self, one: pb.Connection, there: bool) -> Key:
        assert (key(one) in self.held) is there
        self.held[key(one)] = one.backend
        return key(one)

    def _lose(self, one: pb.Connection) -> Key:
        assert one.virtual_service == client.service_name("web")
        del self.held[key(one)]
        return key(one)

    async def until(self, held: dict[Key, str]) -> None:
        """Some passes later it has just these."""
        for _ in range(20):
            await self.next_pass()
            if self.held == held:
                return
        assert self.held == held


def key(one: pb.Connection) -> Key:
    """Enough where there is one protocol."""
    return one.client_address, one.client_port, one.address


@pytest.fixture
async def filled(api: Api) -> AsyncIterator[Api]:
    """A service "web" with backends b1 and b2."""
    await api.pools.CreateBackendPool(
        bp.CreateBackendPoolRequest(
            backend_pool_id="web",
            backend_pool=bp.BackendPool(
                forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN, selection_rows=1021
            ),
        )
    )
    for number in (1, 2):
        await api.pools.CreateBackend(
            bp.CreateBackendRequest(
                parent=client.pool_name("web"),
                backend_id=f"b{number}",
                backend=bp.Backend(address=f"198.18.0.1{number}"),
            )
        )
    service = vs.VirtualService(
        frontends=[client.parse_frontend("tcp:198.18.100.1:80")], backend_pool=client.pool_name("web")
    )
    await api.services.CreateVirtualService(
        vs.CreateVirtualServiceRequest(virtual_service_id="web", virtual_service=service)
    )
    await api.node.WaitApplied(node_pb2.WaitAppliedRequest())
    yield api


async def push(api: Api, backend: str, ports: range, address: str = "198.18.0.7", idle_s: int = 0) -> None:
    """Connections of one client; those that are there go to this backend."""
    wanted = [
        client.PushedConnection(address, port, client.service_name("web"), backend, idle_s=idle_s)
        for port in ports
    ]
    header, records = client.pack_connections(wanted)
    header.on_conflict = pb.ON_CONFLICT_REPLACE
    requests = [
        pb.PushConnectionsRequest(header=header),
        pb.PushConnectionsRequest(chunk=pb.PackedChunk(sequence=1, records=records)),
    ]
    answers = [answer async for answer in api.connections.PushConnections(iter(requests))]
    assert sum(answer.accepted for answer in answers) == len(ports)


def keys(ports: range, address: str = "198.18.0.7") -> set[Key]:
    """Of connections that were pushed."""
    return {(address, port, "198.18.100.1") for port in ports}


async def test_as_they_come_and_go(filled: Api, dataplane: FakeDataplane) -> None:
    """First all, then new ones, those with another backend, and those that are gone, each once."""
    await push(filled, B1, range(1, 4))
    watching = Watching(filled)
    assert await watching.next_pass() == (keys(range(1, 4)), set(), set())
    assert await watching.next_pass() == (set(), set(), set())
    await push(filled, B1, range(4, 6))
    await push(filled, B2, range(1, 3))
    await watching.until(dict.fromkeys(keys(range(1, 3)), B2) | dict.fromkeys(keys(range(3, 6)), B1))
    dataplane.set_tick(30_000)
    await push(filled, B1, range(9, 10))
    await watching.until(dict.fromkeys(keys(range(9, 10)), B1))
    watching.call.cancel()


@pytest.mark.parametrize(
    ("wanted", "ports"),
    [
        ({"backend": B2}, range(11, 21)),
        ({"client_prefix": "198.18.9.0/24"}, range(21, 31)),
        ({"min_idle": Duration(seconds=50)}, range(31, 41)),
        ({"state": pb.CONNECTION_STATE_CLOSING}, range(0)),
        ({"virtual_service": client.service_name("web"), "backend": B2}, range(11, 21)),
    ],
)
async def test_filters(
    filled: Api,
    dataplane: FakeDataplane,
    wanted: dict[str, Any],
    ports: range,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They run in libtiara: what does not fit never becomes a Python object."""
    dataplane.set_tick(1000)
    await push(filled, B1, range(1, 11))
    await push(filled, B2, range(11, 21))
    await push(filled, B1, range(21, 31), "198.18.9.1")
    await push(filled, B1, range(31, 41), idle_s=60)
    await push(filled, B1, range(1000, 4000))
    made = 0
    really = convert.connection

    def counted(found: Any) -> Any:
        nonlocal made
        made += 1
        return really(found)

    monkeypatch.setattr(convert, "connection", counted)
    watching = Watching(filled, **wanted)
    added, _, _ = await watching.next_pass()
    assert {port for _, port, _ in added} == set(ports)
    assert made == len(ports)
    watching.call.cancel()


async def test_no_longer_fits(filled: Api) -> None:
    """A connection that goes to another backend is gone for who watches the old one, new for the other."""
    await push(filled, B1, range(1, 3))
    old, new = Watching(filled, backend=B1), Watching(filled, backend=B2)
    assert await old.next_pass() == (keys(range(1, 3)), set(), set())
    assert await new.next_pass() == (set(), set(), set())
    await push(filled, B2, range(1, 2))
    await old.until(dict.fromkeys(keys(range(2, 3)), B1))
    await new.until(dict.fromkeys(keys(range(1, 2)), B2))
    old.call.cancel()
    new.call.cancel()


async def test_follows_the_table(filled: Api, dataplane: FakeDataplane) -> None:
    """After random changes the watch has what a list has."""
    dice = random.Random(11)
    watching = Watching(filled)
    await watching.next_pass()
    for round_ in range(6):
        first = dice.randrange(1, 400)
        await push(filled, dice.choice((B1, B2)), range(first, first + dice.randrange(1, 200)))
        dataplane.set_tick(700 * round_)
        if dice.random() < 0.5:
            await watching.next_pass()
    await watching.until(await listed(filled))
    watching.call.cancel()


async def listed(api: Api) -> dict[Key, str]:
    """All connections, by pages."""
    request, found = pb.ListConnectionsRequest(page_size=1000), dict[Key, str]()
    while True:
        page = await api.connections.ListConnections(request)
        found |= {key(one): one.backend for one in page.connections}
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return found


async def test_messages_are_bounded(filled: Api) -> None:
    """A large pass comes in several messages; only the last one ends it."""
    await push(filled, B1, range(1, 2501))
    watching = Watching(filled)
    added, _, _ = await watching.next_pass()
    assert len(added) == 2500
    assert watching.messages == [1000, 1000, 500]
    watching.call.cancel()


async def test_too_many_fit(filled: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with the remedy, at the start and later; a narrower filter is fine meanwhile."""
    monkeypatch.setattr(connection_watch, "CONNECTIONS_MAX", 20)
    await push(filled, B1, range(1, 21))
    await push(filled, B2, range(21, 31))
    assert "narrow the filter" in await refusal(Watching(filled), grpc.StatusCode.RESOURCE_EXHAUSTED)
    narrow = Watching(filled, backend=B1)
    assert len((await narrow.next_pass())[0]) == 20
    await push(filled, B1, range(40, 41))
    assert "narrow the filter" in await refusal(narrow, grpc.StatusCode.RESOURCE_EXHAUSTED)


async def refusal(watching: Watching, code: grpc.StatusCode) -> str:
    """How the watch ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        for _ in range(50):
            await watching.next_pass()
    assert caught.value.code() is code
    return str(caught.value.details())


async def test_missed_by_a_pass_is_not_gone(filled: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that moved behind the scan is looked up before it is said to be gone."""
    await push(filled, B1, range(1, 9))
    watching = Watching(filled, backend=B1)
    await watching.next_pass()
    really = Segment.connections_list

    def blind(self: Segment, *arguments: Any) -> Any:
        page, cursor = really(self, *arguments)
        return page[1:], cursor

    with monkeypatch.context() as moved:
        moved.setattr(Segment, "connections_list", blind)
        for _ in range(3):
            assert await watching.next_pass() == (set(), set(), set())
        await push(filled, B2, range(1, 9))
        await watching.until({})
    watching.call.cancel()


async def test_so_many_watches(filled: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused; one that ended makes room."""
    monkeypatch.setattr(connection_watch, "WATCHES_MAX", 1)
    first = Watching(filled)
    await first.next_pass()
    assert "end one" in await refusal(Watching(filled), grpc.StatusCode.RESOURCE_EXHAUSTED)
    first.call.cancel()
    for _ in range(100):
        try:
            await (again := Watching(filled)).next_pass()
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.05)
        else:
            again.call.cancel()
            return
    raise AssertionError("it is still refused")


async def test_the_end_of_the_control_plane(filled: Api, reconciler: Reconciler) -> None:
    """A watch that rests ends at once."""
    watching = Watching(filled, interval=Duration(seconds=300))
    await watching.next_pass()
    reconciler.end_watches()
    assert "stops" in await refusal(watching, grpc.StatusCode.UNAVAILABLE)


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        ({"interval": Duration(nanos=1)}, grpc.StatusCode.INVALID_ARGUMENT, "interval: "),
        ({"interval": Duration(seconds=301)}, grpc.StatusCode.INVALID_ARGUMENT, "interval: "),
        ({"client_prefix": "198.18.0.1/8"}, grpc.StatusCode.INVALID_ARGUMENT, "client_prefix: "),
        ({"state": 77}, grpc.StatusCode.INVALID_ARGUMENT, "state: "),
        ({"virtual_service": "virtualServices/none"}, grpc.StatusCode.NOT_FOUND, "virtual_service: "),
    ],
)
async def test_refused(filled: Api, wanted: dict[str, Any], code: grpc.StatusCode, said: str) -> None:
    """By field."""
    assert (await refusal(Watching(filled, **wanted), code)).startswith(said)
