# SPDX-License-Identifier: Apache-2.0
"""ExplainPacket, FlushConnections and the filters of ListConnections, over a real segment."""

from __future__ import annotations

import ipaddress
import itertools
import mmap
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import Api, FakeDataplane
from google.protobuf.duration_pb2 import Duration
from tiara.domain.layout import MEMBERS, SIZES, EntryFlag
from tiara.reconciler import Reconciler
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import connection_pb2 as cn
from tiara.v1 import node_pb2 as nd
from tiara.v1 import packet_pb2 as pk
from tiara.v1 import virtual_service_pb2 as vs

PORT_MAC, KERNEL_MAC = "02:54:49:41:00:01", "02:54:49:41:00:02"
OWN, B1, B2 = "198.18.0.2", "198.18.0.11", "198.18.0.12"
NEXT_HOP_MAC = "02:00:00:00:00:0b"
WEB = vs.Frontend(address="198.18.100.1", protocol=vs.PROTOCOL_TCP, port=80)
TLS = vs.Frontend(address="198.18.100.1", protocol=vs.PROTOCOL_TCP, port=443)
DNS = vs.Frontend(address="198.18.100.2", protocol=vs.PROTOCOL_UDP, port=53)


class Memory:
    """The segment's bytes, and what the data plane writes of itself and of its next hops."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.bytes = mmap.mmap(file.fileno(), 0)

    def _at(self, struct_name: str, member: str) -> int:
        return MEMBERS[struct_name][member].offset

    def node(self) -> None:
        """An own address, a network and a MAC address."""
        node = self._at("tiara_segment", "node")
        for member, value in (("address", OWN), ("netmask", "255.255.255.0")):
            at = node + self._at("tiara_node", member)
            self.bytes[at : at + 4] = ipaddress.IPv4Address(value).packed
        struct.pack_into("<I", self.bytes, node + self._at("tiara_node", "mtu_bytes"), 1500)
        for member, mac in (("port_mac", PORT_MAC), ("kernel_mac", KERNEL_MAC)):
            at = node + self._at("tiara_node", member)
            self.bytes[at : at + 6] = bytes.fromhex(mac.replace(":", ""))

    def neighbour(self, address: str, mac: str) -> None:
        """Known, as if it had answered."""
        (off,) = struct.unpack_from("<Q", self.bytes, self._at("tiara_segment", "neighbour_off"))
        (count,) = struct.unpack_from("<I", self.bytes, self._at("tiara_segment", "neighbour_cnt"))
        packed = ipaddress.IPv4Address(address).packed
        home = int.from_bytes(packed, "little") * 0x9E3779B1 & 0xFFFFFFFF
        at = off + ((home ^ home >> 16) & count - 1) * SIZES["tiara_neighbour"]
        self.bytes[at : at + 16] = packed + bytes.fromhex(mac.replace(":", "")) + b"\x02\0" + bytes(4)

    def offload(self, client_address: str, client_port: int) -> None:
        """The client's connection is in a card, perhaps."""
        start = ipaddress.IPv4Address(client_address).packed + client_port.to_bytes(2, "big")
        entry = SIZES["tiara_entry"]
        (at,) = (at for at in range(0, len(self.bytes), entry) if self.bytes[at : at + 6] == start)
        self.bytes[at + self._at("tiara_entry", "flags")] |= EntryFlag.OFFLOADED

    def table(self) -> bytes:
        """All of it."""
        return bytes(self.bytes)


@pytest.fixture
def memory(segment_path: Path, dataplane: FakeDataplane) -> Iterator[Memory]:
    """With a node that has an address."""
    memory = Memory(segment_path)
    memory.node()
    yield memory


async def configure(api: Api, mode: int = bp.FORWARDING_MODE_L2_DIRECT_RETURN) -> None:
    """Pool web with b1 and b2; service web with two frontends, dns with one."""
    pool = bp.BackendPool(forwarding_mode=mode)  # type: ignore[arg-type]
    await api.pools.CreateBackendPool(bp.CreateBackendPoolRequest(backend_pool_id="web", backend_pool=pool))
    for name, address in (("b1", B1), ("b2", B2)):
        await api.pools.CreateBackend(
            bp.CreateBackendRequest(
                parent="backendPools/web", backend_id=name, backend=bp.Backend(address=address)
            )
        )
    for name, frontends in (("web", [WEB, TLS]), ("dns", [DNS])):
        service = vs.VirtualService(frontends=frontends, backend_pool="backendPools/web")
        await api.services.CreateVirtualService(
            vs.CreateVirtualServiceRequest(virtual_service_id=name, virtual_service=service)
        )
    await api.node.WaitApplied(nd.WaitAppliedRequest())


def flow(**changes: Any) -> pk.ExplainPacketRequest:
    """A packet of client 198.18.0.7:40000 to web."""
    made = pk.PacketFlow(
        protocol=vs.PROTOCOL_TCP,
        client_address="198.18.0.7",
        client_port=40000,
        address="198.18.100.1",
        port=80,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return pk.ExplainPacketRequest(flow=made)


async def explained(api: Api, request: pk.ExplainPacketRequest) -> pk.ExplainPacketResponse:
    """The answer."""
    answer: pk.ExplainPacketResponse = await api.packets.ExplainPacket(request)
    return answer


async def test_new_connection(api: Api, memory: Memory) -> None:
    """Service, hash, row, backend, headers and the frame; and nothing of the segment has changed."""
    await configure(api)
    for address in (B1, B2):
        memory.neighbour(address, NEXT_HOP_MAC)
    before = memory.table()
    answer = await explained(api, flow(tcp_flags=2))
    assert memory.table() == before
    assert (answer.verdict, answer.way, answer.tier) == ("forwarded", pk.PACKET_WAY_SENT, "cpu")
    assert (answer.virtual_service, list(answer.events)) == ("virtualServices/web", ["connection_new"])
    assert answer.flow == flow(tcp_flags=2).flow
    assert answer.selection.backend == answer.backend
    assert 0 <= answer.selection.row < answer.selection.rows == 65537
    assert len(answer.selection.hash) == 16 and len(answer.selection.buckets) == 2
    assert (answer.fresh, answer.state) == (True, cn.CONNECTION_STATE_NEW)
    assert not answer.HasField("connection")
    assert (answer.outer.source_mac, answer.outer.destination_mac) == (PORT_MAC, NEXT_HOP_MAC)
    assert answer.frame[:12].hex(":") == f"{NEXT_HOP_MAC}:{PORT_MAC}"
    assert answer.dataplane_live and answer.generation > 0


async def test_known_connection(api: Api, memory: Memory) -> None:
    """Where it was pushed to, whatever its row says; a FIN closes it, but only in the answer."""
    await configure(api)
    row = (await explained(api, flow())).selection.backend
    other = "backendPools/web/backends/b2" if row.endswith("b1") else "backendPools/web/backends/b1"
    await push(api, ["198.18.0.7"], backend=other)
    for _ in range(2):
        answer = await explained(api, flow(tcp_flags=17))
        assert (answer.backend, answer.selection.backend) == (other, row)
        assert (answer.connection.backend, answer.connection.pushed) == (other, True)
        assert answer.connection.state == cn.CONNECTION_STATE_ESTABLISHED
        assert (answer.state, answer.fresh) == (cn.CONNECTION_STATE_CLOSING, False)
        assert answer.verdict == "no_neighbour"  # nobody answered for it yet


@pytest.mark.parametrize("mode", [bp.FORWARDING_MODE_VXLAN, bp.FORWARDING_MODE_IPIP])
async def test_tunnels(api: Api, memory: Memory, mode: int) -> None:
    """What stands in the frame is what the answer says, and the client's packet follows."""
    await configure(api, mode)
    for address in (B1, B2):
        memory.neighbour(address, NEXT_HOP_MAC)
    answer = await explained(api, flow(payload_bytes=3))
    address = {"b1": B1, "b2": B2}[answer.backend[-2:]]
    assert (answer.outer.source_address, answer.outer.destination_address) == (OWN, address)
    inner = ipaddress.IPv4Address("198.18.0.7").packed + ipaddress.IPv4Address("198.18.100.1").packed
    if mode == bp.FORWARDING_MODE_VXLAN:
        assert answer.outer.destination_port == 4789 and answer.outer.source_port >= 49152
        assert answer.frame[14 + 20 + 8 + 8 + 14 + 12 :].startswith(inner)
        assert answer.forwarding == "vxlan"
    else:
        assert (answer.outer.destination_port, answer.outer.vni) == (0, 0)
        assert answer.frame[14 + 20 + 12 :].startswith(inner)
        assert answer.forwarding == "ipip"


async def test_frames(api: Api, memory: Memory) -> None:
    """What a port could get, sound or not, is explained; only what no frame is is refused."""
    await configure(api)
    sound = (await explained(api, flow())).verdict
    assert sound == "no_neighbour"
    to_us = bytes.fromhex(PORT_MAC.replace(":", ""))
    for frame, verdict in (
        (b"\0", "truncated"),
        (bytes(60), "not_ipv4"),
        (bytes(12) + b"\x08\x00" + bytes(46), "not_for_us"),
        (to_us + bytes(6) + b"\x08\x00" + bytes(40), "bad_header"),
        (to_us + bytes(6) + b"\x81\x00\0\x05\x81\x00" + bytes(40), "vlan"),
    ):
        answer = await explained(api, pk.ExplainPacketRequest(frame=frame))
        assert (answer.verdict, answer.way, answer.frame) == (verdict, pk.PACKET_WAY_DROPPED, b"")
        assert answer.meaning and not answer.HasField("flow")
    answer = await explained(
        api, pk.ExplainPacketRequest(frame=bytes.fromhex(KERNEL_MAC.replace(":", "")) + bytes(50))
    )
    assert (answer.verdict, answer.way, len(answer.frame)) == ("to_kernel", pk.PACKET_WAY_KERNEL, 56)
    made = random.Random(1)
    for _ in range(300):
        frame = to_us * made.randrange(2) + made.randbytes(made.randrange(1, 120))
        assert (await explained(api, pk.ExplainPacketRequest(frame=frame))).verdict


async def test_before_any_service(api: Api, memory: Memory) -> None:
    """No address is a VIP then."""
    answer = await explained(api, flow())
    assert (answer.verdict, answer.virtual_service) == ("not_for_us", "")
    assert answer.HasField("flow") and not answer.HasField("selection")


async def test_without_a_data_plane(api: Api, memory: Memory, dataplane: FakeDataplane) -> None:
    """It is told of what the data plane left, and that none runs."""
    await configure(api)
    dataplane.stop()
    answer = await explained(api, flow(port=81))
    assert (answer.verdict, answer.dataplane_live) == ("no_service", False)


INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND

REFUSED: list[tuple[Any, grpc.StatusCode, str]] = [
    (pk.ExplainPacketRequest(), INVALID, "packet"),
    (pk.ExplainPacketRequest(frame=b""), INVALID, "frame"),
    (pk.ExplainPacketRequest(frame=bytes(16385)), INVALID, "frame"),
    (flow(protocol=0), INVALID, "flow.protocol"),
    (flow(client_address="127.0.0.1"), INVALID, "flow.client_address"),
    (flow(client_port=65536), INVALID, "flow.client_port"),
    (flow(address="x"), INVALID, "flow.address"),
    (flow(port=0), INVALID, "flow.port"),
    (flow(tcp_flags=256), INVALID, "flow.tcp_flags"),
    (flow(protocol=vs.PROTOCOL_UDP, tcp_flags=2), INVALID, "flow.tcp_flags"),
    (flow(payload_bytes=9001), INVALID, "flow.payload_bytes"),
    (cn.FlushConnectionsRequest(), INVALID, "all"),
    (cn.FlushConnectionsRequest(all=True, client_prefix="10.0.0.0/8"), INVALID, "all"),
    (cn.FlushConnectionsRequest(client_prefix="10.0.0.1/8"), INVALID, "client_prefix"),
    (cn.FlushConnectionsRequest(client_prefix="::/0"), INVALID, "client_prefix"),
    (cn.FlushConnectionsRequest(state=9), INVALID, "state"),  # type: ignore[arg-type]
    (cn.FlushConnectionsRequest(min_idle=Duration(seconds=-1)), INVALID, "min_idle"),
    (cn.FlushConnectionsRequest(virtual_service="web"), INVALID, "virtual_service"),
    (cn.FlushConnectionsRequest(virtual_service="virtualServices/none"), NOT_FOUND, "virtual_service"),
    (cn.FlushConnectionsRequest(backend="backendPools/web/backends/none"), NOT_FOUND, "backend"),
    (cn.ListConnectionsRequest(client_prefix="x"), INVALID, "client_prefix"),
    (cn.ListConnectionsRequest(state=-1), INVALID, "state"),  # type: ignore[arg-type]
]


async def test_refused(api: Api, memory: Memory) -> None:
    """By the field that is wrong; nothing is flushed."""
    await configure(api)
    await push(api, ["198.18.0.7"])
    methods: dict[type, Any] = {
        pk.ExplainPacketRequest: api.packets.ExplainPacket,
        cn.FlushConnectionsRequest: api.connections.FlushConnections,
        cn.ListConnectionsRequest: api.connections.ListConnections,
    }
    for request, code, field in REFUSED:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await methods[type(request)](request)
        assert (caught.value.code(), (caught.value.details() or "").startswith(f"{field}:")) == (
            code,
            True,
        ), (
            request,
            caught.value.details(),
        )
    assert len(await listed(api)) == 1


# Filters


async def push(
    api: Api,
    clients: list[str],
    frontend: vs.Frontend = WEB,
    backend: str = "backendPools/web/backends/b1",
    state: int = 3,
    idle: int = 0,
) -> None:
    """A connection from port 40000 of each client."""
    service = "virtualServices/dns" if frontend is DNS else "virtualServices/web"
    header = cn.PackedHeader(
        format=1,
        record_bytes=16,
        services=[cn.PackedService(virtual_service=service, frontend=frontend)],
        backends=[cn.PackedBackend(backend=backend)],
    )
    records = b"".join(
        ipaddress.IPv4Address(client).packed + struct.pack("!HHIHBB", 40000, 0, 0, idle, state, 0)
        for client in clients
    )
    requests = [
        cn.PushConnectionsRequest(header=header),
        cn.PushConnectionsRequest(chunk=cn.PackedChunk(sequence=1, records=records)),
    ]
    answers = [answer async for answer in api.connections.PushConnections(iter(requests))]
    assert answers[0].accepted == len(clients)


async def listed(api: Api, page_size: int = 7, **wanted: Any) -> list[cn.Connection]:
    """All pages."""
    request = cn.ListConnectionsRequest(page_size=page_size, **wanted)
    found: list[cn.Connection] = []
    while True:
        page = await api.connections.ListConnections(request)
        found += page.connections
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


@pytest.fixture
async def crowd(api: Api, memory: Memory) -> list[cn.Connection]:
    """Connections of every kind: by frontend, backend, state, idle time and client."""
    await configure(api)
    numbers = itertools.count()
    for frontend, backend, idle in itertools.product((WEB, TLS, DNS), ("b1", "b2"), (0, 25)):
        for state in (5,) if frontend is DNS else (2, 3, 4):
            clients = [f"10.{n % 3}.{n % 5}.{n % 250 + 1}" for n in itertools.islice(numbers, 9)]
            await push(api, clients, frontend, f"backendPools/web/backends/{backend}", state, idle)
    return await listed(api)


WANTED: list[dict[str, Any]] = [
    {},
    {"virtual_service": "virtualServices/web"},
    {"backend": "backendPools/web/backends/b2"},
    {"client_prefix": "10.1.0.0/16"},
    {"client_prefix": "10.1.3.0/24", "virtual_service": "virtualServices/web"},
    {"state": cn.CONNECTION_STATE_CLOSING},
    {"min_idle": Duration(seconds=24, nanos=1)},
    {
        "virtual_service": "virtualServices/dns",
        "backend": "backendPools/web/backends/b1",
        "min_idle": Duration(seconds=9),
    },
    {"virtual_service": "virtualServices/dns", "state": cn.CONNECTION_STATE_NEW},
]


def fits(found: cn.Connection, wanted: dict[str, Any]) -> bool:
    """The filters in plain Python."""
    prefix = ipaddress.IPv4Network(wanted.get("client_prefix", "0.0.0.0/0"))
    return (
        found.virtual_service == wanted.get("virtual_service", found.virtual_service)
        and found.backend == wanted.get("backend", found.backend)
        and found.state == wanted.get("state", found.state)
        and ipaddress.IPv4Address(found.client_address) in prefix
        and found.idle.ToTimedelta() >= wanted.get("min_idle", Duration()).ToTimedelta()
    )


def keys(found: list[cn.Connection]) -> list[tuple[str, int, str, int]]:
    """To compare without an order."""
    return sorted((one.client_address, one.client_port, one.address, one.port) for one in found)


async def test_offloaded(api: Api, memory: Memory) -> None:
    """A connection in the card, and the packets of it that the card forwards, are said to be its."""
    await configure(api)
    for address in (B1, B2):
        memory.neighbour(address, NEXT_HOP_MAC)
    await push(api, ["198.18.0.7"], state=2)
    assert (await explained(api, flow(tcp_flags=0x10))).tier == "cpu"
    memory.offload("198.18.0.7", 40000)
    assert [(await explained(api, flow(tcp_flags=flags))).tier for flags in (0x10, 0x11, 0x04)] == [
        "card",
        "cpu",
        "cpu",
    ]
    (connection,) = await listed(api)
    assert connection.offloaded
    statistics = await api.node.GetStatistics(nd.GetStatisticsRequest(count_connections=True))
    assert statistics.offloaded_connections == 1


@pytest.mark.parametrize("wanted", WANTED)
async def test_list_filters(api: Api, crowd: list[cn.Connection], wanted: dict[str, Any]) -> None:
    """Each filter, and several together, as a plain comparison says."""
    expected = [one for one in crowd if fits(one, wanted)]
    assert keys(await listed(api, **wanted)) == keys(expected)
    assert len(crowd) == 252 and (expected or len(wanted) > 1)


@pytest.mark.parametrize("wanted", WANTED)
async def test_flush(api: Api, crowd: list[cn.Connection], wanted: dict[str, Any]) -> None:
    """What a list with these filters shows is gone, nothing else, and the count is right."""
    expected = [one for one in crowd if not fits(one, wanted)]
    answer = await api.connections.FlushConnections(cn.FlushConnectionsRequest(**wanted, all=not wanted))
    assert (answer.removed, answer.complete) == (len(crowd) - len(expected), True)
    assert keys(await listed(api)) == keys(expected)


async def test_page_tokens_are_of_one_filter(api: Api, crowd: list[cn.Connection]) -> None:
    """A token of one filter is none of another's."""
    page = await api.connections.ListConnections(cn.ListConnectionsRequest(page_size=1))
    request = cn.ListConnectionsRequest(page_token=page.next_page_token, client_prefix="10.0.0.0/8")
    with pytest.raises(grpc.aio.AioRpcError, match="page_token"):
        await api.connections.ListConnections(request)


async def test_flush_of_what_was_not_applied(api: Api, memory: Memory, reconciler: Reconciler) -> None:
    """A service that the segment does not have yet has no connections."""
    await configure(api)
    await push(api, ["198.18.0.7"])
    reconciler._actuator.held.services.clear()
    answer = await api.connections.FlushConnections(
        cn.FlushConnectionsRequest(virtual_service="virtualServices/dns")
    )
    assert (answer.removed, answer.complete) == (0, True)
