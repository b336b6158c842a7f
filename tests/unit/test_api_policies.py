# SPDX-License-Identifier: Apache-2.0
"""Policies changed while a segment is in use: what plans say of it, and what stays."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from conftest import Api
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from test_api_configuration import WEB, apply, backend, listed, plan, pool, push, service, settle
from tiara.native import Segment
from tiara.reconciler import Reconciler
from tiara.v1 import backend_pool_pb2 as bp

POLICIES = [number for number in bp.SelectionPolicy.values() if number]
RAMP = bp.SlowStart(duration=Duration(seconds=3600))


def rows(path: Path) -> list[str]:
    """The backend of each row of the first service's table."""
    segment = Segment.attach(path)
    try:
        names = {slot.idx: slot.spec.uid for slot in segment.backends()}
        first = next(segment.services())
        return [names[idx] for idx in array("I", segment.service_rows(first.idx))]
    finally:
        segment.detach()


@pytest.mark.parametrize("policy", POLICIES[1:])
async def test_a_live_change_of_policy(
    api: Api, reconciler: Reconciler, segment_path: Path, policy: bp.SelectionPolicy.ValueType
) -> None:
    """By update, there and back: rows move, as planned; 300 connections and their backends stay."""
    await apply(api, *WEB)
    await settle(reconciler)
    before = rows(segment_path)
    await push(api, [(n, service("web", 1, 2), n % 2, backend(1 + n % 3)) for n in range(300)])
    held = await listed(api)
    found = await plan(api, pool(policy=policy, source_affinity=True), *WEB[1:])
    changed = bp.UpdateBackendPoolRequest(
        backend_pool=pool(policy=policy, source_affinity=True),
        update_mask=FieldMask(paths=["policy", "source_affinity"]),
    )
    answer = await api.pools.UpdateBackendPool(changed)
    await settle(reconciler)
    assert (answer.policy, answer.source_affinity) == (policy, True)
    moved = sum(old != new for old, new in zip(before, rows(segment_path), strict=True))
    assert moved > 1000
    assert [(one.moved, one.rows) for one in found.pools] == [(moved, 4093)]
    assert (found.affected_connections, found.live_connections) == (0, 300)
    assert await listed(api) == held
    back = bp.UpdateBackendPoolRequest(backend_pool=pool(), update_mask=FieldMask(paths=["policy"]))
    await api.pools.UpdateBackendPool(back)
    await settle(reconciler)
    assert rows(segment_path) == before
    assert await listed(api) == held


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_plan_knows_the_slow_start(
    api: Api, reconciler: Reconciler, segment_path: Path, policy: bp.SelectionPolicy.ValueType
) -> None:
    """A new backend, and one at another address, begin at a tenth: the rows of that are what moves."""
    whole = [pool(policy=policy), *WEB[1:]]
    await apply(api, *whole)
    await settle(reconciler)
    before = rows(segment_path)
    ramped = [
        pool(policy=policy, slow_start=RAMP),
        backend(1),
        backend(2, address=12),
        backend(3),
        backend(4),
    ]
    found = await plan(api, *ramped, service("web", 1, 2))
    await apply(api, *ramped, service("web", 1, 2))
    await settle(reconciler)
    after = rows(segment_path)
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    assert [(one.moved, one.rows) for one in found.pools] == [(moved, 4093)]
    shown = await api.pools.ListBackends(bp.ListBackendsRequest(parent="backendPools/web"))
    assert [one.status.ramp_percent for one in shown.backends] == [0, 10, 0, 10]
    for one in shown.backends:
        share = 10 / 22 if one.status.ramp_percent == 0 else 1 / 22
        assert after.count(one.uid) / 4093 == pytest.approx(share, abs=0.03)
