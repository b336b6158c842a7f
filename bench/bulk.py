# SPDX-License-Identifier: Apache-2.0
"""push.grpc: connections through the API of a control plane in a process of its own."""

from __future__ import annotations

import asyncio
import logging
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import structlog
from tiara import client
from tiara.native import segment as native
from tiara.reconciler import Reconciler
from tiara.server import start_api
from tiara.store import SqliteStore
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import backend_pool_pb2_grpc, connection_pb2_grpc, node_pb2_grpc, virtual_service_pb2_grpc
from tiara.v1 import connection_pb2 as cn
from tiara.v1 import node_pb2 as nd
from tiara.v1 import virtual_service_pb2 as vs

POOLS = 2
BACKENDS = 32
CHUNK = 65535
"""Records of a chunk: a client's ports. Below 1 MiB."""

PAGE = 2 << 20


def chunks(connections: int) -> list[bytes]:
    """Distinct connections: each chunk is one client address with all of its ports."""
    template = bytearray()
    for port in range(1, CHUNK + 1):
        pool = port % POOLS
        template += struct.pack("!IHHIHBB", 0, port, pool, pool * BACKENDS + port // 2 % BACKENDS, 0, 3, 0)
    made = []
    for number in range(-(-connections // CHUNK)):
        for at, byte in enumerate(struct.pack("!I", 0x0A000001 + number * 0x9E37 % 0x1000000)):
            template[at::16] = bytes([byte]) * CHUNK
        made.append(bytes(template))
    made[-1] = made[-1][: 16 * (connections - CHUNK * (len(made) - 1))]
    return made


def configure(channel: grpc.Channel) -> cn.PackedHeader:
    """A pool and a service for each position; the header that names them."""
    pools = backend_pool_pb2_grpc.BackendPoolServiceStub(channel)
    services = virtual_service_pb2_grpc.VirtualServiceServiceStub(channel)
    header = cn.PackedHeader(format=1, record_bytes=16)
    for pool in range(POOLS):
        mode = bp.BackendPool(forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN)
        pools.CreateBackendPool(bp.CreateBackendPoolRequest(backend_pool_id=f"p{pool}", backend_pool=mode))
        for number in range(BACKENDS):
            backend = bp.Backend(address=f"198.18.{pool}.{number + 1}")
            request = bp.CreateBackendRequest(parent=f"backendPools/p{pool}", backend_id=f"b{number}")
            request.backend.CopyFrom(backend)
            pools.CreateBackend(request)
            header.backends.add(backend=f"backendPools/p{pool}/backends/b{number}")
        service = vs.VirtualService(
            frontends=[client.parse_frontend(f"tcp:198.18.100.{pool + 1}:80")],
            backend_pool=f"backendPools/p{pool}",
        )
        services.CreateVirtualService(
            vs.CreateVirtualServiceRequest(virtual_service_id=f"s{pool}", virtual_service=service)
        )
        header.services.add(virtual_service=f"virtualServices/s{pool}")
    return header


def push(channel: grpc.Channel, header: cn.PackedHeader, records: list[bytes]) -> tuple[int, float]:
    """How many were accepted, and the seconds it took."""

    def requests() -> Iterator[cn.PushConnectionsRequest]:
        yield cn.PushConnectionsRequest(header=header)
        for sequence, part in enumerate(records, 1):
            yield cn.PushConnectionsRequest(chunk=cn.PackedChunk(sequence=sequence, records=part))

    stub = connection_pb2_grpc.ConnectionServiceStub(channel)
    start = time.monotonic()
    accepted = sum(answer.accepted for answer in stub.PushConnections(requests()))
    return accepted, time.monotonic() - start


def live(channel: grpc.Channel) -> int:
    """Connections in the table."""
    request = nd.GetStatisticsRequest(count_connections=True)
    answer: nd.Statistics = node_pb2_grpc.NodeServiceStub(channel).GetStatistics(request)
    return answer.connections


def measure(segment: Path, connections: int, repeats: int) -> Iterator[dict[str, Any]]:
    """The row push.grpc: each time into a new segment.

    Then every one is found: pushed again, each is in the table with its backend, and none is new.
    """
    records = chunks(connections)
    values = []
    for _ in range(repeats):
        with controlplane(segment, connections) as channel:
            header = configure(channel)
            accepted, seconds = push(channel, header, records)
            again, _ = push(channel, header, records)
            if not accepted == again == live(channel) == connections:
                raise SystemExit(f"bench: push.grpc: {accepted} of {connections} pushed, {again} found")
            values.append(connections / seconds)
    page_bytes = 4096 if str(segment).startswith("/dev/shm") else PAGE
    params = {"connections": connections, "page_bytes": page_bytes}
    yield {"id": "push.grpc", "params": params, "unit": "1/s", "values": values}


@contextmanager
def controlplane(segment: Path, connections: int) -> Iterator[grpc.Channel]:
    """Its channel. It adopts a new segment; no data plane runs."""
    segment.unlink(missing_ok=True)
    native.create(segment, connections=connections * 10 // 9)
    with tempfile.TemporaryDirectory(prefix="tiara-bench-") as folder:
        command = [sys.executable, __file__, str(segment), folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin and process.stdout
            try:
                process.stdout.readline()
                with client.connect(f"unix:{folder}/api.sock") as channel:
                    yield channel
            finally:
                process.stdin.close()
                process.wait()
                segment.unlink()


async def serve(segment: Path, folder: Path) -> None:
    """Until stdin ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    store = await SqliteStore.open(folder / "store.db")
    reconciler = await Reconciler.start(store, where=lambda: segment)
    server = await start_api(reconciler, f"unix:{folder}/api.sock", "bench")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)
    await reconciler.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
