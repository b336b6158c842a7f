# SPDX-License-Identifier: Apache-2.0
"""Updates, plans, applies, history and rollback over a real segment."""

from __future__ import annotations

import asyncio
import gc
import random
import struct
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import grpc
import pytest
from conftest import Api, FakeDataplane
from google.protobuf.field_mask_pb2 import FieldMask
from tiara.reconciler import Reconciler
from tiara.reconciler.wanted import Wanted
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import configuration_pb2 as cf
from tiara.v1 import connection_pb2 as cn
from tiara.v1 import node_pb2 as nd
from tiara.v1 import virtual_service_pb2 as vs

ADD, CHANGE = cf.CHANGE_ACTION_ADD, cf.CHANGE_ACTION_CHANGE
REMOVE, REPLACE = cf.CHANGE_ACTION_REMOVE, cf.CHANGE_ACTION_REPLACE


def frontend(number: int) -> vs.Frontend:
    """One of many VIPs."""
    return vs.Frontend(address=f"198.18.100.{number}", protocol=vs.PROTOCOL_TCP, port=80)


def pool(name: str = "web", **fields: Any) -> bp.BackendPool:
    """A pool, small enough to be filled often."""
    fields.setdefault("selection_rows", 4093)
    return bp.BackendPool(
        name=f"backendPools/{name}", forwarding_mode=bp.FORWARDING_MODE_L2_DIRECT_RETURN, **fields
    )


def backend(number: int, pool: str = "web", address: int = 0, **fields: Any) -> bp.Backend:
    """Backend b{number}."""
    return bp.Backend(
        name=f"backendPools/{pool}/backends/b{number}", address=f"198.18.1.{address or number}", **fields
    )


def service(name: str, *numbers: int, pool: str = "web") -> vs.VirtualService:
    """A service with these VIPs."""
    return vs.VirtualService(
        name=f"virtualServices/{name}",
        frontends=[frontend(number) for number in numbers],
        backend_pool=f"backendPools/{pool}",
    )


def wanted(*values: Any, owner: str = "ops") -> cf.Configuration:
    """What lb.yaml would hold."""
    return cf.Configuration(
        owner=owner,
        backend_pools=[value for value in values if isinstance(value, bp.BackendPool)],
        backends=[value for value in values if isinstance(value, bp.Backend)],
        virtual_services=[value for value in values if isinstance(value, vs.VirtualService)],
    )


WEB = (pool(), backend(1), backend(2), backend(3), service("web", 1, 2))


async def plan(api: Api, *values: Any, owner: str = "ops") -> cf.Plan:
    """What applying these would do."""
    request = cf.PlanConfigurationRequest(configuration=wanted(*values, owner=owner))
    found: cf.Plan = await api.configuration.PlanConfiguration(request)
    return found


async def apply(api: Api, *values: Any, owner: str = "ops", **more: Any) -> cf.ApplyConfigurationResponse:
    """Applies these."""
    request = cf.ApplyConfigurationRequest(configuration=wanted(*values, owner=owner), **more)
    found: cf.ApplyConfigurationResponse = await api.configuration.ApplyConfiguration(request)
    return found


async def export(api: Api) -> cf.Configuration:
    """Everything that is stored."""
    answer = await api.configuration.ExportConfiguration(cf.ExportConfigurationRequest())
    found: cf.Configuration = answer.configuration
    return found


def actions(changes: Iterable[cf.ResourceChange]) -> dict[str, int]:
    """What happens to whom."""
    return {change.name: change.action for change in changes}


async def refused(call: Any, code: grpc.StatusCode, match: str) -> None:
    """The call is refused so, and the store stays as it is."""
    with pytest.raises(grpc.aio.AioRpcError, match=match) as caught:
        await call
    assert caught.value.code() is code


async def push(api: Api, entries: list[tuple[int, vs.VirtualService, int, bp.Backend]]) -> None:
    """Connections of (client's number, service, its frontend's place, backend)."""
    services = list({(s.name, f): s.frontends[f] for _, s, f, _ in entries}.items())
    backends = list({b.name: b for *_, b in entries})
    header = cn.PackedHeader(
        format=1,
        record_bytes=16,
        services=[cn.PackedService(virtual_service=key[0], frontend=f) for key, f in services],
        backends=[cn.PackedBackend(backend=name) for name in backends],
    )
    places = {key: i for i, (key, _) in enumerate(services)}
    records = b"".join(
        struct.pack(">IHHIHBB", 0xC6130000 + n, 4000, places[s.name, f], backends.index(b.name), 0, 3, 0)
        for n, s, f, b in entries
    )
    requests = [
        cn.PushConnectionsRequest(header=header),
        cn.PushConnectionsRequest(chunk=cn.PackedChunk(sequence=1, records=records)),
    ]
    answers = [answer async for answer in api.connections.PushConnections(iter(requests))]
    assert answers[0].accepted == len(entries)


async def listed(api: Api) -> list[cn.Connection]:
    """All connections."""
    found: list[cn.Connection] = []
    token = ""
    while True:
        page = await api.connections.ListConnections(
            cn.ListConnectionsRequest(page_size=1000, page_token=token)
        )
        found += page.connections
        token = page.next_page_token
        if not token:
            return found


async def settle(reconciler: Reconciler) -> None:
    """Until the segment holds what is stored."""
    await reconciler._progress.wait_published(reconciler.configuration.catalogue.revision, 10)


async def test_plan_then_apply(api: Api) -> None:
    """A plan says what comes, apply does it, a second plan has nothing to say."""
    found = await plan(api, *WEB)
    names = [
        "backendPools/web",
        *(f"backendPools/web/backends/b{n}" for n in (1, 2, 3)),
        "virtualServices/web",
    ]
    assert actions(found.changes) == dict.fromkeys(names, ADD)
    assert (found.revision, found.affected_connections, found.counted) == (0, 0, True)
    assert [(rows.backend_pool, rows.moved, rows.rows) for rows in found.pools] == [
        ("backendPools/web", 4093, 4093)
    ]
    assert await export(api) == cf.Configuration(), "a plan changes nothing"
    answer = await apply(api, *WEB, plan_revision=found.revision)
    assert (answer.revision, actions(answer.changes)) == (1, dict.fromkeys(names, ADD))
    stored = await export(api)
    assert {value.owner for value in stored.backends} == {stored.backend_pools[0].owner} == {"ops"}
    assert not (await plan(api, *WEB)).changes
    assert (await apply(api, *WEB)).revision == 1, "nothing differs: nothing is written"


@pytest.mark.parametrize("call", [plan, apply])
async def test_a_large_configuration_stops_no_other_call(
    api: Api, call: Callable[..., Coroutine[Any, Any, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is worked out others are answered, and writes wait for it."""
    begun, go_on = threading.Event(), threading.Event()
    draw = Wanted.draw

    def slow(self: Wanted, *arguments: Any) -> None:
        begun.set()
        assert go_on.wait(20)
        draw(self, *arguments)

    monkeypatch.setattr(Wanted, "draw", slow)
    large = asyncio.create_task(call(api, *WEB))
    assert await asyncio.to_thread(begun.wait, 20)
    await api.node.GetNode(nd.GetNodeRequest(), timeout=10)
    request = bp.CreateBackendPoolRequest(backend_pool_id="late", backend_pool=pool("late"))
    write = api.pools.CreateBackendPool(request)
    await api.node.GetNode(nd.GetNodeRequest(), timeout=10)
    assert not write.done()
    go_on.set()
    await large
    assert (await write).name == "backendPools/late"


async def test_the_collector_leaves_resources_alone(api: Api) -> None:
    """After a large apply the collector has nothing of it to look through."""
    many = [backend(number % 250 + 1, f"p{number // 250}") for number in range(1000)]
    pools = [pool(f"p{number}", selection_rows=0) for number in range(4)]
    before = gc.get_freeze_count()
    await apply(api, *pools, *many)
    assert gc.get_freeze_count() - before >= len(many)


async def test_export_is_what_apply_takes(api: Api) -> None:
    """Without a difference, here and into an empty store."""
    await apply(api, *WEB)
    stored = await export(api)
    request = cf.PlanConfigurationRequest(configuration=stored, whole=True)
    assert not (await api.configuration.PlanConfiguration(request)).changes
    stored.owner = "ops"
    assert not (
        await api.configuration.PlanConfiguration(cf.PlanConfigurationRequest(configuration=stored))
    ).changes


async def test_apply_prunes_its_own(api: Api) -> None:
    """What another owner or a single call made stays; what another declares is refused."""
    await apply(api, *WEB)
    await apply(api, backend(7), service("dev", 9), owner="dev")
    await api.pools.CreateBackend(
        bp.CreateBackendRequest(parent="backendPools/web", backend_id="hand", backend=backend(8))
    )
    found = await plan(api, *WEB[:3], WEB[4])
    assert actions(found.changes) == {"backendPools/web/backends/b3": REMOVE}
    await apply(api, *WEB[:3], WEB[4])
    names = [value.name[-4:] for value in (await export(api)).backends]
    assert names == ["s/b1", "s/b2", "s/b7", "hand"]
    await refused(
        apply(api, *WEB, backend(7)),
        grpc.StatusCode.FAILED_PRECONDITION,
        "b7 is declared by owner 'dev', not 'ops'",
    )


async def test_a_stale_plan_is_refused(api: Api) -> None:
    """Whatever moved the store."""
    found = await plan(api, *WEB)
    await apply(api, pool("other"), owner="dev")
    await refused(apply(api, *WEB, plan_revision=found.revision), grpc.StatusCode.ABORTED, "plan again")
    found = await plan(api, *WEB)
    assert (await apply(api, *WEB, plan_revision=found.revision)).revision == 2


async def test_large_removals_must_be_allowed(api: Api) -> None:
    """A service, or more than half of a pool; half of it may go."""
    await apply(api, *WEB, backend(4))
    found = await plan(api, *WEB[:2], WEB[4])
    assert list(found.removal_reasons) == ["backendPools/web would lose 3 of its 4 backends"]
    await refused(
        apply(api, *WEB[:2], WEB[4]), grpc.StatusCode.FAILED_PRECONDITION, "lose 3 of its 4.*allow_removal"
    )
    await refused(
        apply(api, *WEB[:4], backend(4)),
        grpc.StatusCode.FAILED_PRECONDITION,
        "virtualServices/web would be removed",
    )
    assert (await apply(api, *WEB[:3], WEB[4])).revision == 2
    assert (await apply(api, WEB[0], allow_removal=True)).revision == 3


async def test_overrides_stay_and_are_shown(api: Api) -> None:
    """An apply ends neither a drain nor a disable."""
    await apply(api, *WEB)
    names = [f"backendPools/web/backends/b{n}" for n in (1, 2)]
    await api.pools.DrainBackend(bp.DrainBackendRequest(name=names[0]))
    await api.pools.DisableBackend(bp.DisableBackendRequest(name=names[1]))
    changed = [pool(), backend(1, weight=9), *WEB[2:]]
    found = await plan(api, *changed)
    assert actions(found.changes) == {names[0]: CHANGE}
    assert [(one.backend, one.draining) for one in found.overrides] == [(names[0], True), (names[1], False)]
    await apply(api, *changed)
    stored = {value.name: value for value in (await export(api)).backends}
    assert stored[names[0]].status.draining
    assert stored[names[1]].status.disabled
    undrained = await api.pools.UndrainBackend(bp.UndrainBackendRequest(name=names[1]))
    assert not undrained.status.disabled


async def test_half_a_configuration_is_never_stored(api: Api) -> None:
    """One bad resource refuses the rest, with its place in the list."""
    bad = [*WEB[:4], service("web", 1), service("again", 1)]
    await refused(
        apply(api, *bad),
        grpc.StatusCode.ALREADY_EXISTS,
        r"configuration.virtual_services\[1\].frontends\[0\]",
    )
    await refused(
        apply(api, *WEB, backend(4, weight=70000)),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"configuration.backends\[3\].weight",
    )
    await refused(
        apply(api, *WEB, backend(1)),
        grpc.StatusCode.INVALID_ARGUMENT,
        r"backends\[3\].name: .* is configuration.backends\[0\] already",
    )
    await refused(
        apply(api, *WEB, backend(1, pool="none")), grpc.StatusCode.NOT_FOUND, "backendPools/none does not"
    )
    await refused(apply(api, *WEB, owner=""), grpc.StatusCode.INVALID_ARGUMENT, "configuration.owner")
    assert await export(api) == cf.Configuration()


async def test_another_address_is_another_server(api: Api) -> None:
    """An update refuses it; an apply replaces the backend, whose connections are affected."""
    await apply(api, *WEB)
    await push(api, [(n, WEB[4], 0, WEB[1]) for n in range(5)])
    request = bp.UpdateBackendRequest(backend=backend(1, address=99))
    await refused(api.pools.UpdateBackend(request), grpc.StatusCode.INVALID_ARGUMENT, "backend.address")
    found = await plan(api, pool(), backend(1, address=99), *WEB[2:])
    assert actions(found.changes) == {WEB[1].name: REPLACE}
    assert [(one.path, one.before, one.after) for one in found.changes[0].fields] == [
        ("address", '"198.18.1.1"', '"198.18.1.99"')
    ]
    assert (found.affected_connections, found.changes[0].affected_connections) == (5, 5)


async def test_updates(api: Api) -> None:
    """By mask, by what is set, checked by etag; identity and overrides stay."""
    await apply(api, *WEB)
    before = await api.pools.GetBackend(bp.GetBackendRequest(name=WEB[1].name))
    after = await api.pools.UpdateBackend(bp.UpdateBackendRequest(backend=backend(1, weight=7)))
    assert (after.weight, after.uid, after.owner) == (7, before.uid, "ops")
    assert after.etag != before.etag
    stale = bp.UpdateBackendRequest(backend=backend(1, weight=8, etag=before.etag))
    await refused(api.pools.UpdateBackend(stale), grpc.StatusCode.ABORTED, "etag")
    masked = bp.UpdateBackendPoolRequest(
        backend_pool=pool(selection_rows=251, fail_open=True), update_mask=FieldMask(paths=["fail_open"])
    )
    changed = await api.pools.UpdateBackendPool(masked)
    assert (changed.fail_open, changed.selection_rows) == (True, 4093)
    moved = vs.UpdateVirtualServiceRequest(virtual_service=service("web", 2, 3))
    assert [f.address[-1] for f in (await api.services.UpdateVirtualService(moved)).frontends] == ["2", "3"]
    taken = vs.UpdateVirtualServiceRequest(virtual_service=service("none", 2))
    await refused(api.services.UpdateVirtualService(taken), grpc.StatusCode.NOT_FOUND, "virtualServices/none")


async def test_validate_only(api: Api) -> None:
    """Answers as if, stores nothing, refuses what the write would."""
    request = bp.CreateBackendPoolRequest(backend_pool_id="web", backend_pool=pool(), validate_only=True)
    assert (await api.pools.CreateBackendPool(request)).name == "backendPools/web"
    assert await export(api) == cf.Configuration()
    await apply(api, *WEB)
    await refused(api.pools.CreateBackendPool(request), grpc.StatusCode.ALREADY_EXISTS, "exists already")
    update = bp.UpdateBackendRequest(backend=backend(1, weight=9), validate_only=True)
    assert (await api.pools.UpdateBackend(update)).weight == 9
    assert (await api.pools.GetBackend(bp.GetBackendRequest(name=WEB[1].name))).weight == 1


async def test_a_repeated_request_is_done_once(api: Api) -> None:
    """With the first answer; the same id for another request is refused."""
    request = bp.CreateBackendPoolRequest(backend_pool_id="web", backend_pool=pool(), request_id="abc")
    first = await api.pools.CreateBackendPool(request)
    assert await api.pools.CreateBackendPool(request) == first
    delete = bp.DeleteBackendPoolRequest(name=first.name, request_id="def")
    await api.pools.DeleteBackendPool(delete)
    await api.pools.DeleteBackendPool(delete)
    assert await api.pools.CreateBackendPool(request) == first, "the answer of then, although it is gone"
    await apply(api, *WEB)
    drain = bp.DrainBackendRequest(name=WEB[1].name, request_id="ghi")
    drained = await api.pools.DrainBackend(drain)
    await api.pools.DeleteBackend(bp.DeleteBackendRequest(name=WEB[1].name))
    assert (await api.pools.DrainBackend(drain)).revision == drained.revision
    other = bp.CreateBackendPoolRequest(backend_pool_id="dns", backend_pool=pool(), request_id="abc")
    await refused(
        api.pools.CreateBackendPool(other), grpc.StatusCode.INVALID_ARGUMENT, "request_id: was used"
    )
    other.request_id = "x" * 65
    await refused(api.pools.CreateBackendPool(other), grpc.StatusCode.INVALID_ARGUMENT, "request_id")


async def test_history_says_who_and_what(api: Api) -> None:
    """Newest first, with fields on demand."""
    await apply(api, *WEB, request_id="r1")
    await api.pools.UpdateBackend(bp.UpdateBackendRequest(backend=backend(1, weight=7)))
    page = await api.configuration.ListRevisions(cf.ListRevisionsRequest())
    assert [(one.revision, one.method) for one in page.revisions] == [
        (2, "BackendPoolService/UpdateBackend"),
        (1, "ConfigurationService/ApplyConfiguration"),
    ]
    assert page.revisions[1].request_id == "r1"
    assert page.revisions[0].who
    assert page.revisions[0].time.seconds > 0
    assert not page.revisions[0].changes[0].fields
    found = await api.configuration.GetRevision(cf.GetRevisionRequest(revision=2))
    assert [(one.path, one.before, one.after) for one in found.changes[0].fields] == [("weight", "1", "7")]
    only = await api.configuration.ListRevisions(cf.ListRevisionsRequest(resource="virtualServices/web"))
    assert [one.revision for one in only.revisions] == [1]
    await refused(
        api.configuration.GetRevision(cf.GetRevisionRequest(revision=9)), grpc.StatusCode.NOT_FOUND, "9"
    )


async def test_rollback(api: Api) -> None:
    """To any revision, as a new one; what came back is another resource with the same wishes."""
    await apply(api, *WEB)
    states = [await export(api)]
    await apply(api, pool("dns"), owner="dev")
    states.append(await export(api))
    await api.pools.DrainBackend(bp.DrainBackendRequest(name=WEB[1].name))
    await apply(api, *WEB[:3], service("web", 5))
    for revision in (1, 2):
        source = cf.PlanConfigurationRequest(rollback_revision=revision)
        found = await api.configuration.PlanConfiguration(source)
        assert found.changes
        done = await api.configuration.ApplyConfiguration(
            cf.ApplyConfigurationRequest(
                plan_revision=found.revision, allow_removal=True, rollback_revision=revision
            )
        )
        assert done.revision == found.revision + 1
        assert wishes(await export(api)) == wishes(states[revision - 1])
    drained = await api.pools.GetBackend(bp.GetBackendRequest(name=WEB[1].name))
    assert drained.status.draining, "an operator's drain is no part of a rollback"
    await refused(
        api.configuration.PlanConfiguration(cf.PlanConfigurationRequest(rollback_revision=99)),
        grpc.StatusCode.INVALID_ARGUMENT,
        "newer than the newest",
    )
    everything = cf.ApplyConfigurationRequest(rollback_revision=0, allow_removal=True)
    await api.configuration.ApplyConfiguration(everything)
    assert wishes(await export(api)) == wishes(cf.Configuration())


def wishes(configuration: cf.Configuration) -> cf.Configuration:
    """Without what the server sets."""
    found = cf.Configuration()
    found.CopyFrom(configuration)
    for value in (*found.backend_pools, *found.backends, *found.virtual_services):
        for field in ("uid", "etag", "create_time", "revision"):
            value.ClearField(field)
        if isinstance(value, bp.Backend):
            value.ClearField("status")
    return found


def draw_configuration(rng: random.Random) -> list[Any]:
    """Two pools, up to six backends each, up to four services."""
    values: list[Any] = []
    for name, base in (("web", 1), ("dns", 101)):
        values.append(pool(name, fail_open=rng.random() < 0.5))
        values += [
            backend(n, name, base + n + 20 * (rng.random() < 0.2), weight=rng.choice([0, 1, 5]))
            for n in range(1, 7)
            if rng.random() < 0.7
        ]
    vips = [*range(1, 9)]
    rng.shuffle(vips)
    for name in ("s1", "s2", "s3", "s4"):
        if rng.random() < 0.8:
            chosen = [vips.pop() for _ in range(rng.randint(1, 2))]
            values.append(service(name, *chosen, pool=rng.choice(["web", "dns"])))
    return values


def lost(connection: cn.Connection, values: list[Any], changed: dict[str, int]) -> tuple[bool, bool]:
    """Whether a configuration takes its frontend or its backend away: the plain way."""
    services = {value.name: value for value in values if isinstance(value, vs.VirtualService)}
    held = services.get(connection.virtual_service)
    frontends = {(f.address, f.port) for f in held.frontends} if held else set()
    backends = {value.name for value in values if isinstance(value, bp.Backend)}
    gone = connection.backend not in backends or changed.get(connection.backend) == REPLACE
    return (connection.address, connection.port) not in frontends, gone


@pytest.mark.parametrize("seed", range(12))
async def test_affected_is_what_a_scan_finds_and_what_moves(
    api: Api, reconciler: Reconciler, dataplane: FakeDataplane, seed: int
) -> None:
    """A plan's counts equal a scan of the frozen table; the apply takes exactly those."""
    rng = random.Random(seed)
    first, second = draw_configuration(rng), draw_configuration(rng)
    await apply(api, *first)
    await settle(reconciler)
    services = [value for value in first if isinstance(value, vs.VirtualService)]
    backends = [value for value in first if isinstance(value, bp.Backend)]
    entries = []
    for n in range(300 if services and backends else 0):
        chosen = rng.choice(services)
        same = [b for b in backends if b.name.startswith(chosen.backend_pool + "/")]
        if same:
            entries.append((n, chosen, rng.randrange(len(chosen.frontends)), rng.choice(same)))
    if entries:
        await push(api, entries)
    table = await listed(api)
    assert len(table) == len(entries)
    found = await plan(api, *second)
    changed = actions(found.changes)
    expected: Counter[str] = Counter()
    total = 0
    for connection in table:
        ended, moved = lost(connection, second, changed)
        expected[connection.virtual_service] += ended
        expected[connection.backend] += moved
        total += ended or moved
    assert (found.affected_connections, found.live_connections) == (total, len(entries))
    assert {one.name: one.affected_connections for one in found.changes if one.affected_connections} == {
        name: cnt for name, cnt in expected.items() if cnt
    }
    await apply(api, *second, allow_removal=True, plan_revision=found.revision)
    await settle(reconciler)
    kept = {
        (c.client_address, c.client_port, c.address)
        for c in await listed(api)
        if c.virtual_service and c.backend
    }
    assert len(table) - len(kept) == total
