# SPDX-License-Identifier: Apache-2.0
"""ConfigurationService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc

from tiara.api.calls import call_of
from tiara.api.convert import backend_in, pool_in, service_in, timestamp
from tiara.api.difference import change_out, resource_out
from tiara.api.fields import under
from tiara.api.history import before, list_events
from tiara.api.pages import Token, page_size
from tiara.api.watch import watch
from tiara.domain.checks import check_id
from tiara.domain.errors import InvalidField
from tiara.domain.history import Entry
from tiara.domain.model import Backend, Drain, Pool, Resource, VirtualService
from tiara.domain.names import (
    backend_name,
    parse_backend_name,
    parse_pool_name,
    parse_service_name,
    pool_name,
)
from tiara.domain.plan import PlanView
from tiara.reconciler import Reconciler
from tiara.reconciler.wanted import Wanted
from tiara.v1 import backend_pool_pb2, configuration_pb2_grpc
from tiara.v1 import configuration_pb2 as pb


class ConfigurationServicer(configuration_pb2_grpc.ConfigurationServiceServicer):
    """See proto/tiara/v1/configuration.proto."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._configuration = reconciler.configuration

    async def PlanConfiguration(self, request: pb.PlanConfigurationRequest, context: object) -> pb.Plan:
        """What applying would do."""
        _, wanted = await self._wanted(request)
        return await asyncio.to_thread(_plan_out, await self._reconciler.plan(wanted))

    async def ApplyConfiguration(
        self, request: pb.ApplyConfigurationRequest, context: object
    ) -> pb.ApplyConfigurationResponse:
        """Applies a configuration, or goes back to a revision."""
        call = call_of("ConfigurationService/ApplyConfiguration", request)
        seen, wanted = await self._wanted(request)
        at = request.plan_revision if request.HasField("plan_revision") else seen
        written = await self._configuration.apply(wanted, at, request.allow_removal, call)
        changes = await asyncio.to_thread(lambda: [change_out(one) for one in written.differences])
        return pb.ApplyConfigurationResponse(revision=written.revision, changes=changes)

    async def ExportConfiguration(
        self, request: pb.ExportConfigurationRequest, context: object
    ) -> pb.ExportConfigurationResponse:
        """Desired state."""
        catalogue = self._configuration.catalogue
        revision, values = catalogue.revision, list(catalogue.all())
        configuration = await asyncio.to_thread(_exported, request.owner, values)
        return pb.ExportConfigurationResponse(configuration=configuration, revision=revision)

    async def GetRevision(self, request: pb.GetRevisionRequest, context: object) -> pb.Revision:
        """One past write with its differences."""
        return _revision_out(await self._configuration.entry(request.revision), fields=True)

    async def ListRevisions(
        self, request: pb.ListRevisionsRequest, context: object
    ) -> pb.ListRevisionsResponse:
        """Past writes."""
        size, kind = page_size(request.page_size), f"revisions {request.resource}"
        entries = await self._configuration.entries(before(kind, request.page_token), size, request.resource)
        token = Token(kind, str(entries[-1].revision)).text() if len(entries) == size else ""
        return pb.ListRevisionsResponse(
            revisions=[_revision_out(entry, fields=False) for entry in entries], next_page_token=token
        )

    async def ListEvents(self, request: pb.ListEventsRequest, context: object) -> pb.ListEventsResponse:
        """What happened by itself."""
        return await list_events(self._reconciler, request)

    async def Watch(
        self, request: pb.WatchRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchResponse]:
        """Desired state, and every change of it from then on."""
        async with aclosing(watch(self._reconciler, request, context)) as responses:
            async for response in responses:
                yield response

    async def _wanted(
        self, request: pb.PlanConfigurationRequest | pb.ApplyConfigurationRequest
    ) -> tuple[int | None, Wanted]:
        """What is to be, and the revision it was worked out from (None: any)."""
        if request.HasField("configuration"):
            return None, await asyncio.to_thread(wanted_in, request.configuration, request.whole)
        now, state = await self._configuration.state_at(request.rollback_revision)
        return now, Wanted("", tuple((value, value.name) for value in state), whole=True)


def _exported(owner: str, values: list[Resource]) -> pb.Configuration:
    configuration = pb.Configuration(owner=owner)
    for value in sorted(values, key=lambda value: value.name):
        if owner in ("", value.owner):
            _list_of(configuration, value).append(resource_out(value))
    return configuration


def wanted_in(message: pb.Configuration, whole: bool) -> Wanted:
    """A configuration, each resource checked for itself."""
    owner = "" if whole else check_id("configuration.owner", message.owner)
    values = tuple(_values(message))
    seen: dict[str, str] = {}
    for value, field in values:
        if value.name in seen:
            raise InvalidField(f"{field}.name", f"{value.name} is {seen[value.name]} already")
        seen[value.name] = field
    return Wanted(owner, values, whole, overrides=whole)


def _values(message: pb.Configuration) -> Iterator[tuple[Resource, str]]:
    for i, pool in enumerate(message.backend_pools):
        field = f"configuration.backend_pools[{i}]"
        with under(field):
            yield replace(pool_in(parse_pool_name("name", pool.name), pool), owner=pool.owner), field
    for i, backend in enumerate(message.backends):
        field = f"configuration.backends[{i}]"
        with under(field):
            yield _backend_in(backend), field
    for i, service in enumerate(message.virtual_services):
        field = f"configuration.virtual_services[{i}]"
        with under(field):
            found = service_in(parse_service_name("name", service.name), service)
            yield replace(found, owner=service.owner), field


def _backend_in(message: backend_pool_pb2.Backend) -> Backend:
    found = backend_in(*parse_backend_name("name", message.name), message)
    status, drain = message.status, None
    if status.draining:
        deadline = status.drain_deadline.ToMilliseconds() if status.HasField("drain_deadline") else None
        drain = Drain(deadline)
    return replace(found, owner=message.owner, drain=drain, disabled=status.disabled)


def _list_of(configuration: pb.Configuration, value: Resource) -> Any:
    match value:
        case Pool():
            return configuration.backend_pools
        case Backend():
            return configuration.backends
        case VirtualService():
            return configuration.virtual_services


def _revision_out(entry: Entry, *, fields: bool) -> pb.Revision:
    record = entry.record
    return pb.Revision(
        revision=entry.revision,
        time=timestamp(record.at_ms),
        who=record.who,
        peer=record.peer,
        method=record.method,
        request_id=record.request_id,
        changes=[change_out(one, fields=fields) for one in entry.differences],
    )


def _plan_out(plan: PlanView) -> pb.Plan:
    return pb.Plan(
        revision=plan.revision,
        changes=[change_out(one, plan.affected.get(one.name, 0)) for one in plan.differences],
        pools=[
            pb.PoolRows(backend_pool=pool_name(rows.pool), moved=rows.moved, rows=rows.rows)
            for rows in plan.pools
        ],
        affected_connections=plan.affected_cnt,
        live_connections=plan.live_cnt,
        overrides=[
            pb.Override(backend=backend_name(one.pool, one.id), draining=one.drain is not None)
            for one in plan.overridden
        ],
        removal_reasons=plan.removal_reasons,
        counted=plan.counted,
    )
