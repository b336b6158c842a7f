# SPDX-License-Identifier: Apache-2.0
"""BackendPoolService."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from google.protobuf.empty_pb2 import Empty

from tiara.api.calls import call_of
from tiara.api.convert import backend_in, backend_out, duration_ms, pool_in, pool_out
from tiara.api.fields import under
from tiara.api.masks import merged
from tiara.api.pages import Token, after, page_size
from tiara.domain.call import Call
from tiara.domain.model import Backend, BackendStatus, Pool
from tiara.domain.names import parse_backend_name, parse_pool_name
from tiara.reconciler import Reconciler
from tiara.v1 import backend_pool_pb2 as pb
from tiara.v1 import backend_pool_pb2_grpc


class BackendPoolServicer(backend_pool_pb2_grpc.BackendPoolServiceServicer):
    """See proto/tiara/v1/backend_pool.proto."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._configuration = reconciler.configuration

    async def CreateBackendPool(
        self, request: pb.CreateBackendPoolRequest, context: object
    ) -> pb.BackendPool:
        """Creates a pool."""
        with under("backend_pool"):
            pool = pool_in(request.backend_pool_id, request.backend_pool)
            pool.validate()
        return pool_out(await self._configuration.create_pool(pool, _call("CreateBackendPool", request)))

    async def GetBackendPool(self, request: pb.GetBackendPoolRequest, context: object) -> pb.BackendPool:
        """Gets a pool."""
        return pool_out(self._configuration.pool(parse_pool_name("name", request.name)))

    async def ListBackendPools(
        self, request: pb.ListBackendPoolsRequest, context: object
    ) -> pb.ListBackendPoolsResponse:
        """Lists pools."""
        size = page_size(request.page_size)
        pools = self._configuration.list_pools(after("pools", request.page_token), size)
        token = Token("pools", pools[-1].name).text() if len(pools) == size else ""
        return pb.ListBackendPoolsResponse(
            backend_pools=[pool_out(pool) for pool in pools], next_page_token=token
        )

    async def UpdateBackendPool(
        self, request: pb.UpdateBackendPoolRequest, context: object
    ) -> pb.BackendPool:
        """Changes a pool."""
        given = request.backend_pool
        pool = parse_pool_name("backend_pool.name", given.name)

        def change(old: Pool) -> Pool:
            with under("backend_pool"):
                return pool_in(pool, merged(pool_out(old), given, request.update_mask))

        call = _call("UpdateBackendPool", request)
        return pool_out(await self._configuration.update_pool(pool, given.etag, change, call))

    async def DeleteBackendPool(self, request: pb.DeleteBackendPoolRequest, context: object) -> Empty:
        """Deletes a pool that no service uses."""
        pool = parse_pool_name("name", request.name)
        call = _call("DeleteBackendPool", request)
        await self._configuration.delete_pool(pool, request.etag, request.force, call)
        return Empty()

    async def CreateBackend(self, request: pb.CreateBackendRequest, context: object) -> pb.Backend:
        """Creates a backend."""
        pool = parse_pool_name("parent", request.parent)
        backend = backend_in(pool, request.backend_id, request.backend)
        with under("backend"):
            backend.validate()
        return self._out(await self._configuration.create_backend(backend, _call("CreateBackend", request)))

    async def GetBackend(self, request: pb.GetBackendRequest, context: object) -> pb.Backend:
        """Gets a backend."""
        return self._out(self._configuration.backend(*parse_backend_name("name", request.name)))

    async def ListBackends(self, request: pb.ListBackendsRequest, context: object) -> pb.ListBackendsResponse:
        """Lists a pool's backends, or those of all pools."""
        everywhere = request.parent == "backendPools/-"
        pool = "" if everywhere else parse_pool_name("parent", request.parent)
        size, kind = page_size(request.page_size), f"backends {pool}"
        backends = self._configuration.list_backends(pool, after(kind, request.page_token), size)
        token = Token(kind, backends[-1].name).text() if len(backends) == size else ""
        return pb.ListBackendsResponse(
            backends=[self._out(backend) for backend in backends], next_page_token=token
        )

    async def UpdateBackend(self, request: pb.UpdateBackendRequest, context: object) -> pb.Backend:
        """Changes a backend."""
        given = request.backend
        pool, backend = parse_backend_name("backend.name", given.name)

        def change(old: Backend) -> Backend:
            stored = backend_out(old, BackendStatus())
            new = backend_in(pool, backend, merged(stored, given, request.update_mask))
            return replace(new, drain=old.drain, disabled=old.disabled)

        call = _call("UpdateBackend", request)
        return self._out(await self._configuration.update_backend(pool, backend, given.etag, change, call))

    async def DeleteBackend(self, request: pb.DeleteBackendRequest, context: object) -> Empty:
        """Deletes a backend: its connections select again."""
        pool, backend = parse_backend_name("name", request.name)
        call = _call("DeleteBackend", request)
        await self._configuration.delete_backend(pool, backend, request.etag, call)
        return Empty()

    async def DrainBackend(self, request: pb.DrainBackendRequest, context: object) -> pb.Backend:
        """Drains a backend."""
        pool, backend = parse_backend_name("name", request.name)
        after_ms = duration_ms("deadline", request.deadline) if request.HasField("deadline") else None
        call = _call("DrainBackend", request)
        return self._out(await self._configuration.drain_backend(pool, backend, after_ms, call))

    async def UndrainBackend(self, request: pb.UndrainBackendRequest, context: object) -> pb.Backend:
        """Ends a drain and a disable."""
        pool, backend = parse_backend_name("name", request.name)
        call = _call("UndrainBackend", request)
        return self._out(await self._configuration.undrain_backend(pool, backend, call))

    async def DisableBackend(self, request: pb.DisableBackendRequest, context: object) -> pb.Backend:
        """Disables a backend."""
        pool, backend = parse_backend_name("name", request.name)
        call = _call("DisableBackend", request)
        return self._out(await self._configuration.disable_backend(pool, backend, call))

    def _out(self, backend: Backend) -> pb.Backend:
        return backend_out(backend, self._reconciler.status(backend))


def _call(method: str, request: Any) -> Call:
    return call_of(f"BackendPoolService/{method}", request)
