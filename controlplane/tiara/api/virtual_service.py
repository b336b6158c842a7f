# SPDX-License-Identifier: Apache-2.0
"""VirtualServiceService."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from tiara.api.calls import call_of
from tiara.api.convert import service_in, service_out
from tiara.api.fields import under
from tiara.api.masks import merged
from tiara.api.pages import Token, after, page_size
from tiara.domain.model import VirtualService
from tiara.domain.names import parse_service_name
from tiara.reconciler import Reconciler
from tiara.v1 import virtual_service_pb2 as pb
from tiara.v1 import virtual_service_pb2_grpc

_SERVICE = "VirtualServiceService"


class VirtualServiceServicer(virtual_service_pb2_grpc.VirtualServiceServiceServicer):
    """See proto/tiara/v1/virtual_service.proto."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._configuration = reconciler.configuration

    async def CreateVirtualService(
        self, request: pb.CreateVirtualServiceRequest, context: object
    ) -> pb.VirtualService:
        """Creates a service."""
        with under("virtual_service"):
            service = service_in(request.virtual_service_id, request.virtual_service)
            service.validate()
        call = call_of(f"{_SERVICE}/CreateVirtualService", request)
        return service_out(await self._configuration.create_service(service, call))

    async def GetVirtualService(
        self, request: pb.GetVirtualServiceRequest, context: object
    ) -> pb.VirtualService:
        """Gets a service."""
        return service_out(self._configuration.service(parse_service_name("name", request.name)))

    async def ListVirtualServices(
        self, request: pb.ListVirtualServicesRequest, context: object
    ) -> pb.ListVirtualServicesResponse:
        """Lists services."""
        size = page_size(request.page_size)
        services = self._configuration.list_services(after("services", request.page_token), size)
        token = Token("services", services[-1].name).text() if len(services) == size else ""
        return pb.ListVirtualServicesResponse(
            virtual_services=[service_out(service) for service in services], next_page_token=token
        )

    async def UpdateVirtualService(
        self, request: pb.UpdateVirtualServiceRequest, context: object
    ) -> pb.VirtualService:
        """Changes a service."""
        given = request.virtual_service
        service = parse_service_name("virtual_service.name", given.name)

        def change(old: VirtualService) -> VirtualService:
            with under("virtual_service"):
                return service_in(service, merged(service_out(old), given, request.update_mask))

        call = call_of(f"{_SERVICE}/UpdateVirtualService", request)
        return service_out(await self._configuration.update_service(service, given.etag, change, call))

    async def DeleteVirtualService(self, request: pb.DeleteVirtualServiceRequest, context: object) -> Empty:
        """Deletes a service: its packets end in the verdict no_service."""
        service = parse_service_name("name", request.name)
        call = call_of(f"{_SERVICE}/DeleteVirtualService", request)
        await self._configuration.delete_service(service, request.etag, call)
        return Empty()
