# SPDX-License-Identifier: Apache-2.0
"""Thousands of calls from the API's own descriptors: each ends as it may, refused ones change nothing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
import trustme
from api_cases import ANY, MAKERS, Case, cases, sites_of
from api_shapes import methods
from conftest import Api
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from security_world import Authority, free_port, grant_token, serving
from tiara.api.bounds import MESSAGE_MAX_BYTES
from tiara.domain.caller import Scope
from tiara.health import Monitor
from tiara.reconciler import Reconciler
from tiara.security.grants_file import GrantsFile
from tiara.security.listener import Ways
from tiara.store import SqliteStore
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import configuration_pb2 as cf
from tiara.v1 import node_pb2 as nd
from tiara.v1 import virtual_service_pb2 as vs

CALLS = 5200
SEED = 20260705
DEADLINE_S = 20.0
PATIENCE_S = 0.05
"""For what may wait by itself: it ends with DEADLINE_EXCEEDED then."""

OK = grpc.StatusCode.OK
EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED
TRACE = re.compile(r'Traceback|File "')
LEAKS = re.compile(r'Traceback|File "|\.py\b|site-packages|sqlite|/tmp/|object at 0x|<class ', re.IGNORECASE)


@dataclass(frozen=True)
class Caller:
    """How a call reaches the server."""

    channel: grpc.aio.Channel
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Answer:
    """How a call ended."""

    code: grpc.StatusCode
    text: str
    fields: tuple[str, ...] = ()


@pytest.fixture
async def callers(
    api: Api, reconciler: Reconciler, authority: Authority, tmp_path: Path
) -> AsyncIterator[dict[str, Caller]]:
    """By the names that cases use: who may do all, who may read, and who has no business here."""
    grants, address, socket = (
        tmp_path / "access.json",
        f"127.0.0.1:{free_port()}",
        f"unix:{tmp_path}/two.sock",
    )
    grant_token(grants, "admin", Scope.ADMIN)
    ways = Ways((socket, address), tls=authority.files(), granted=GrantsFile(grants).current)
    trusting = grpc.ssl_channel_credentials(authority.pem)
    distrustful = grpc.ssl_channel_credentials(trustme.CA().cert_pem.bytes())
    async with (
        serving(reconciler, ways),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/two-read.sock") as reader,
        grpc.aio.secure_channel(address, trusting) as stranger,
        grpc.aio.secure_channel(address, distrustful) as distrusting,
        grpc.aio.insecure_channel(address) as plain,
    ):
        yield {
            "socket": Caller(api.channel),
            "reader": Caller(reader),
            "stranger": Caller(stranger),
            "forged": Caller(stranger, (("authorization", "Bearer tiara_admin_wrong"),)),
            "distrustful": Caller(distrusting),
            "plain": Caller(plain),
        }


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backends at random addresses are not probed."""
    monkeypatch.setattr(Monitor, "add", lambda *arguments: None)


async def populate(api: Api) -> None:
    """What cases take to exist, whatever was deleted or changed."""
    pools, backends = [], []
    for pool in ("web", "idle"):
        name = f"backendPools/{pool}"
        pools.append(bp.BackendPool(name=name, forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN))
        for number in (1, 2):
            address = f"198.18.0.{number}"
            backends.append(bp.Backend(name=f"{name}/backends/b{number}", address=address))
    services = [
        vs.VirtualService(
            name=f"virtualServices/{name}",
            backend_pool="backendPools/web",
            frontends=[vs.Frontend(address=f"198.18.100.{i}", protocol=vs.PROTOCOL_TCP, port=80)],
        )
        for i, name in enumerate(("web", "two"), 1)
    ]
    wanted = cf.Configuration(backend_pools=pools, backends=backends, virtual_services=services)
    await api.configuration.ApplyConfiguration(
        cf.ApplyConfigurationRequest(configuration=wanted, whole=True, allow_removal=True)
    )


def exported(reconciler: Reconciler) -> tuple[int, list[Any]]:
    """Desired state: the revision, and every resource as it is stored."""
    catalogue = reconciler.configuration.catalogue
    return catalogue.revision, sorted(catalogue.all(), key=lambda value: value.name)


async def connections(api: Api) -> int:
    """How many are in the table."""
    request = nd.GetStatisticsRequest(count_connections=True)
    return (await api.node.GetStatistics(request)).connections


async def answer(caller: Caller, case: Case) -> Answer:
    """Makes the call."""
    patience = PATIENCE_S if case.allowed == ANY and _may_wait(case.method) else DEADLINE_S
    service, method = case.method.containing_service.full_name, case.method.name
    arguments: Any = {"timeout": patience, "metadata": caller.metadata}
    stub: Any = caller.channel.stream_stream(f"/{service}/{method}")
    call = stub(iter(case.requests), **arguments)
    said: list[bytes] = []
    try:
        async for response in call:
            said.append(response)
    except grpc.aio.AioRpcError as error:
        return Answer(error.code(), error.details() or "", _fields(error))
    return Answer(OK, b"".join(said).decode(errors="replace"))


def _may_wait(method: MethodDescriptor) -> bool:
    return method.server_streaming or method.name.startswith("Wait")


def _fields(error: grpc.aio.AioRpcError) -> tuple[str, ...]:
    """Those that the details name."""
    status = rpc_status.from_call(error)
    found: list[str] = []
    for detail in status.details if status else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            found += [violation.field for violation in bad.field_violations]
    return tuple(found)


def allowed(case: Case) -> frozenset[grpc.StatusCode]:
    """With what the method may answer by its nature."""
    if case.allowed != ANY:
        return case.allowed
    names = {site.path.rpartition(".")[2] for site in sites_of(case.method.input_type)}
    formats = {grpc.StatusCode.UNIMPLEMENTED} if "format" in names else set()
    return ANY | formats | ({EXCEEDED} if _may_wait(case.method) else set())


def assert_answered(case: Case, found: Answer) -> None:
    """As the case allows, with the field it expects, and nothing of the server's inside."""
    assert found.code in allowed(case), f"{case}: {found}"
    assert not (TRACE if found.code is OK else LEAKS).search(found.text), f"{case}: {found}"
    if case.field:
        assert found.fields == (case.field,), f"{case}: {found}"
    if found.code is not OK:
        assert len(found.text) < 1500, f"{case}: {len(found.text)}"


async def test_fuzz(
    quiet: None, api: Api, callers: dict[str, Caller], reconciler: Reconciler, store: SqliteStore
) -> None:
    """Right status; after a refusal the state is as before; what was accepted is in the store."""
    seen: Counter[tuple[str, str, bool]] = Counter()
    await populate(api)
    held = await connections(api)
    for number, case in enumerate(cases(Random(SEED), CALLS, methods())):
        if case.kind == "stale" or number % 50 == 0:
            await populate(api)
        before = exported(reconciler)
        found = await answer(callers[case.caller], case)
        assert_answered(case, found)
        seen[case.kind, case.method.full_name, found.code is OK] += 1
        if found.code not in (OK, EXCEEDED):
            assert exported(reconciler) == before, f"{case}: {found}"
        if number % 500 == 0:
            await assert_stored(reconciler, store)
    assert await connections(api) == held
    assert_not_vacuous(seen)


async def assert_stored(reconciler: Reconciler, store: SqliteStore) -> None:
    """The store holds what memory does."""
    snapshot = await store.load()
    values: list[Any] = [*snapshot.pools, *snapshot.backends, *snapshot.services]
    assert (snapshot.revision, sorted(values, key=lambda value: value.name)) == exported(reconciler)


def assert_not_vacuous(seen: Counter[tuple[str, str, bool]]) -> None:
    """Every kind and every method came, and not all was refused."""
    kinds, called, accepted = Counter[str](), Counter[str](), Counter[bool]()
    for (kind, method, good), count in seen.items():
        kinds[kind] += count
        called[method] += count
        accepted[good] += count
    assert seen.total() >= 5000
    assert kinds.keys() == MAKERS.keys()
    assert called.keys() == {method.full_name for method in methods()}
    assert min(called.values()) >= 20
    assert accepted[True] > 300
    assert accepted[False] > 3000


@pytest.mark.parametrize("size", [MESSAGE_MAX_BYTES + 1, MESSAGE_MAX_BYTES * 2])
async def test_more_than_the_server_takes(api: Api, size: int) -> None:
    """Refused for every method before it is read."""
    for method in methods():
        call: Any = api.channel.stream_stream(f"/{method.containing_service.full_name}/{method.name}")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _drained(call(iter([bytes(size)])))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def _drained(call: Any) -> Sequence[bytes]:
    return [response async for response in call]
