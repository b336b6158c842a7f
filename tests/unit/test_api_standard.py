# SPDX-License-Identifier: Apache-2.0
"""grpc.health.v1 and reflection, over the listener that serves the rest."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import Api
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tiara.domain.errors import Exhausted, StoreError
from tiara.reconciler import Reconciler, Standing
from tiara.v1 import backend_pool_pb2 as bp

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
WITHOUT_STORE = {"tiara.v1.ConnectionService", "tiara.v1.NodeService"}


async def services(channel: grpc.aio.Channel) -> list[str]:
    """By reflection."""
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = await asked(channel, ask)
    return [service.name for service in answer.list_services_response.service]


async def asked(
    channel: grpc.aio.Channel, *requests: reflection_pb2.ServerReflectionRequest
) -> list[reflection_pb2.ServerReflectionResponse]:
    """An answer each."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return [answer async for answer in stub.ServerReflectionInfo(iter(requests), timeout=5)]


async def standing_of(channel: grpc.aio.Channel, names: Sequence[str]) -> dict[str, int]:
    """What Check says of each."""
    stub = health_pb2_grpc.HealthStub(channel)
    return {name: (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status for name in names}


async def is_implemented(channel: grpc.aio.Channel, service: str, method: str) -> bool:
    """Whether a call without a message gets any answer but UNIMPLEMENTED."""
    call: Any = channel.unary_unary(f"/{service}/{method}")
    try:
        await call(b"\xff", timeout=5)
    except grpc.aio.AioRpcError as error:
        return error.code() is not grpc.StatusCode.UNIMPLEMENTED
    return True


@pytest.fixture
async def ours(api: Api) -> list[str]:
    """The names of tiara.v1's services that are served."""
    return [name for name in await services(api.channel) if name.startswith("tiara.v1.")]


async def test_each_service_is_listed(api: Api, ours: list[str]) -> None:
    """Reflection names what is served, health and itself; health knows each."""
    assert set(await services(api.channel)) - set(ours) == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    served = {
        service.full_name
        for file in _files()
        for service in file.services_by_name.values()
        if await is_implemented(api.channel, service.full_name, service.methods[0].name)
    }
    assert set(ours) == served
    assert set((await standing_of(api.channel, ["", *ours])).values()) == {SERVING}


def _files() -> Iterator[Any]:
    folder = Path(bp.__file__).parent
    for path in sorted(folder.glob("*_pb2.py")):
        yield __import__(f"tiara.v1.{path.stem}", fromlist=["DESCRIPTOR"]).DESCRIPTOR


async def test_reflection_has_the_files(api: Api) -> None:
    """A client without our proto files gets them, with the bounds."""
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="tiara.v1.BackendPool")
    (answer,) = await asked(api.channel, request)
    files = b"".join(answer.file_descriptor_response.file_descriptor_proto)
    assert b"selection_rows" in files
    (answer,) = await asked(
        api.channel, reflection_pb2.ServerReflectionRequest(file_by_filename="tiara/v1/bounds.proto")
    )
    assert b"required" in answer.file_descriptor_response.file_descriptor_proto[0]


async def test_unknown_service(api: Api) -> None:
    """NOT_FOUND, as the protocol of health checks says; a watch says so and waits."""
    watch = health_pb2_grpc.HealthStub(api.channel).Watch(
        health_pb2.HealthCheckRequest(service="tiara.v1.NoService"), timeout=10
    )
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await standing_of(api.channel, ["tiara.v1.NoService"])
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_without_a_store(api: Api, ours: list[str], reconciler: Reconciler) -> None:
    """What needs the store is NOT_SERVING while it takes no writes, and reads go on."""
    create = bp.CreateBackendPoolRequest(
        backend_pool_id="web",
        backend_pool=bp.BackendPool(forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN),
    )
    store: Any = reconciler.configuration._store
    commit, probe = store.commit, store.probe
    store.commit = store.probe = reconciler.standing._probe = _fails
    with pytest.raises(grpc.aio.AioRpcError):
        await api.pools.CreateBackendPool(create)
    found = await standing_of(api.channel, ["", *ours])
    assert {name for name, status in found.items() if status == SERVING} == WITHOUT_STORE
    await api.pools.ListBackendPools(bp.ListBackendPoolsRequest())
    store.commit, store.probe = commit, probe
    await api.pools.CreateBackendPool(create)
    assert set((await standing_of(api.channel, ["", *ours])).values()) == {SERVING}


async def _fails(*arguments: object) -> None:
    raise StoreError("the store cannot be used")


@pytest.mark.parametrize("error", [StoreError("broken"), Exhausted("full")])
async def test_a_store_that_recovers_is_found(error: Exception) -> None:
    """It is tried until a write goes through, and each change is told."""
    tries = 0

    async def probe() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise error

    standing = Standing(probe, probe_s=0.001)
    fails = standing.changed
    for _ in range(2):
        with pytest.raises(type(error)), standing.commit():
            raise error
    assert (fails.is_set(), standing.changed.is_set(), standing.storing) == (True, False, False)
    async with asyncio.timeout(10):
        await standing.changed.wait()
    assert (standing.storing, tries) == (True, 3)
    await standing.close()


async def test_drained_tells_watchers(api: Api, reconciler: Reconciler) -> None:
    """Who watches is told at once, and for good."""
    stub = health_pb2_grpc.HealthStub(api.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="tiara.v1.NodeService"), timeout=10)
    assert (await watch.read()).status == SERVING
    reconciler.standing.drain()
    assert (await standing_of(api.channel, [""])) == {"": NOT_SERVING}
    assert (await watch.read()).status == NOT_SERVING
    with reconciler.standing.commit():
        pass
    assert (await standing_of(api.channel, [""])) == {"": NOT_SERVING}
    watch.cancel()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The control plane as a process, ready."""
    arguments = [f"--listen=unix:{tmp_path}/api.sock", f"--store={tmp_path}/store.db"]
    command = [sys.executable, "-m", "tiara.server", f"--instance=unit-{uuid.uuid4().hex[:12]}", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


async def test_sigterm_drains(program: subprocess.Popen[str], tmp_path: Path) -> None:
    """Asked to stop, it says NOT_SERVING before it goes."""
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/api.sock") as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=10)
        said: AsyncIterator[Any] = aiter(watch)
        assert (await anext(said)).status == SERVING
        os.kill(program.pid, signal.SIGTERM)
        assert (await anext(said)).status == NOT_SERVING
    assert await asyncio.to_thread(program.wait, 20) == 0
