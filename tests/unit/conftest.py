# SPDX-License-Identifier: Apache-2.0
"""A real segment without a data plane's process, a store, a reconciler, and the API on a socket."""

from __future__ import annotations

import mmap
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme
from security_world import Authority
from tiara.domain.layout import MEMBERS, SIZES, Role
from tiara.native import segment as native
from tiara.reconciler import Reconciler
from tiara.server import start_api
from tiara.store import SqliteStore
from tiara.v1 import (
    backend_pool_pb2_grpc,
    configuration_pb2_grpc,
    connection_pb2_grpc,
    node_pb2_grpc,
    packet_pb2_grpc,
    virtual_service_pb2_grpc,
)


class FakeDataplane:
    """Holds the data plane's role on a segment, and writes what its only worker would report."""

    def __init__(self, path: Path) -> None:
        self._segment = native.Segment.attach(path, Role.DATAPLANE)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.start_workers(1)

    def start_workers(self, count: int) -> None:
        """So many run; 0: it is still starting."""
        node = MEMBERS["tiara_segment"]["node"].offset
        struct.pack_into("<I", self._map, node + MEMBERS["tiara_node"]["worker_cnt"].offset, count)

    def report(self, generation: int) -> None:
        """Worker 0 uses this generation; 0: it sleeps."""
        member = MEMBERS["tiara_worker_slot"]["generation"]
        struct.pack_into("<Q", self._map, self._read("worker_off") + member.offset, generation)

    def set_tick(self, tick: int) -> None:
        """Time, in seconds."""
        struct.pack_into("<I", self._map, MEMBERS["tiara_segment"]["tick"].offset, tick)

    def stop(self) -> None:
        """Gives the role back, as a process that dies does."""
        self._segment.detach()

    def _read(self, member: str) -> int:
        value: int = struct.unpack_from("<Q", self._map, MEMBERS["tiara_segment"][member].offset)[0]
        assert SIZES["tiara_segment"] <= value < len(self._map)
        return value


@pytest.fixture
def segment_path() -> Iterator[Path]:
    """Where a test's segment is or will be."""
    with tempfile.TemporaryDirectory(prefix="tiara-test-", dir="/dev/shm") as folder:
        yield Path(folder) / "test.segment"


@pytest.fixture
def dataplane(segment_path: Path) -> Iterator[FakeDataplane]:
    """A segment whose data plane is live."""
    native.create(segment_path)
    fake = FakeDataplane(segment_path)
    yield fake
    fake.stop()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Makes certificates into a folder of the test's."""
    folder = tmp_path / "tls"
    folder.mkdir()
    return Authority(trustme.CA(), folder)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An empty store."""
    opened = await SqliteStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


@pytest.fixture
async def reconciler(
    store: SqliteStore, dataplane: FakeDataplane, segment_path: Path
) -> AsyncIterator[Reconciler]:
    """A control plane without its API, beside a live data plane."""
    started = await Reconciler.start(store, where=lambda: segment_path)
    yield started
    await started.close()


@dataclass
class Api:
    """Stubs of one channel."""

    channel: grpc.aio.Channel

    def __post_init__(self) -> None:
        self.pools = backend_pool_pb2_grpc.BackendPoolServiceStub(self.channel)
        self.services = virtual_service_pb2_grpc.VirtualServiceServiceStub(self.channel)
        self.connections = connection_pb2_grpc.ConnectionServiceStub(self.channel)
        self.configuration = configuration_pb2_grpc.ConfigurationServiceStub(self.channel)
        self.node = node_pb2_grpc.NodeServiceStub(self.channel)
        self.packets = packet_pb2_grpc.PacketServiceStub(self.channel)


@pytest.fixture
async def api(reconciler: Reconciler, tmp_path: Path) -> AsyncIterator[Api]:
    """The API on a unix socket, as clients meet it."""
    target = f"unix:{tmp_path}/api.sock"
    server = await start_api(reconciler, target, "test")
    async with grpc.aio.insecure_channel(target) as channel:
        yield Api(channel)
    await server.stop(0)
