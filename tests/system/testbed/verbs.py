# SPDX-License-Identifier: Apache-2.0
"""What an operator does to backends and configurations, by the API; each call waits for no packet."""

from __future__ import annotations

from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from tiara import client
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import configuration_pb2 as cf
from tiara.v1 import configuration_pb2_grpc, virtual_service_pb2

from testbed.balancer import CALL_S, Balancer


class Operator:
    """Verbs of one balancer. Use `balancer.wait_applied()` where packets must see the result."""

    def __init__(self, balancer: Balancer) -> None:
        self.balancer = balancer

    def set_weight(self, pool: str, backend: str, weight: int) -> None:
        """0: no new connections."""
        wanted = bp.Backend(name=client.backend_name(pool, backend), weight=weight)
        request = bp.UpdateBackendRequest(backend=wanted, update_mask=FieldMask(paths=["weight"]))
        self.balancer.pools.UpdateBackend(request, timeout=CALL_S)

    def set_fail_open(self, pool: str, fail_open: bool) -> None:
        """Whether a pool that is all down is used anyway."""
        wanted = bp.BackendPool(name=client.pool_name(pool), fail_open=fail_open)
        request = bp.UpdateBackendPoolRequest(backend_pool=wanted, update_mask=FieldMask(paths=["fail_open"]))
        self.balancer.pools.UpdateBackendPool(request, timeout=CALL_S)

    def drain(self, pool: str, backend: str, after_ms: int | None = None) -> None:
        """None: for ever; 0: by force."""
        request = bp.DrainBackendRequest(name=client.backend_name(pool, backend))
        if after_ms is not None:
            request.deadline.FromMilliseconds(after_ms)
        self.balancer.pools.DrainBackend(request, timeout=CALL_S)

    def disable(self, pool: str, backend: str) -> None:
        """As if it were down."""
        request = bp.DisableBackendRequest(name=client.backend_name(pool, backend))
        self.balancer.pools.DisableBackend(request, timeout=CALL_S)

    def delete_backend(self, pool: str, backend: str) -> None:
        """Its connections select again."""
        request = bp.DeleteBackendRequest(name=client.backend_name(pool, backend))
        self.balancer.pools.DeleteBackend(request, timeout=CALL_S)

    def plan(self, configuration: cf.Configuration, whole: bool = False) -> cf.Plan:
        """What applying would do."""
        stub = configuration_pb2_grpc.ConfigurationServiceStub(self.balancer.channel)
        request = cf.PlanConfigurationRequest(configuration=configuration, whole=whole)
        answer: cf.Plan = stub.PlanConfiguration(request, timeout=CALL_S)
        return answer

    def apply(self, configuration: cf.Configuration, **more: Any) -> int:
        """Applies it with whatever it removes; the revision."""
        return self._apply(configuration=configuration, **more)

    def roll_back(self, revision: int) -> int:
        """Everything as it was; the new revision."""
        return self._apply(rollback_revision=revision)

    def _apply(self, **fields: Any) -> int:
        stub = configuration_pb2_grpc.ConfigurationServiceStub(self.balancer.channel)
        request = cf.ApplyConfigurationRequest(allow_removal=True, **fields)
        answer: cf.ApplyConfigurationResponse = stub.ApplyConfiguration(request, timeout=CALL_S)
        return answer.revision

    def export(self) -> cf.ExportConfigurationResponse:
        """Everything that is stored."""
        stub = configuration_pb2_grpc.ConfigurationServiceStub(self.balancer.channel)
        answer: cf.ExportConfigurationResponse = stub.ExportConfiguration(
            cf.ExportConfigurationRequest(), timeout=CALL_S
        )
        return answer


def pool_of(pool: str, rows: int = 1021) -> bp.BackendPool:
    """A pool of l2 mode for a configuration."""
    mode = bp.FORWARDING_MODE_L2_DIRECT_RETURN
    return bp.BackendPool(name=client.pool_name(pool), forwarding_mode=mode, selection_rows=rows)


def backend_of(pool: str, backend: str, address: str, weight: int = 1) -> bp.Backend:
    """A backend for a configuration."""
    return bp.Backend(name=client.backend_name(pool, backend), address=address, weight=weight)


def service_of(service: str, pool: str, *frontends: str) -> virtual_service_pb2.VirtualService:
    """A service of frontends as "tcp:198.18.100.1:80" for a configuration."""
    return virtual_service_pb2.VirtualService(
        name=client.service_name(service),
        frontends=[client.parse_frontend(frontend) for frontend in frontends],
        backend_pool=client.pool_name(pool),
    )
