# SPDX-License-Identifier: Apache-2.0
"""What each method of the API needs. A method that is not here needs admin."""

from __future__ import annotations

from google.protobuf.message import Message

from tiara.domain.caller import Caller, Scope
from tiara.domain.errors import PermissionDenied, Unauthenticated

SCOPES: dict[str, Scope] = {
    "/grpc.health.v1.Health/Check": Scope.NONE,
    "/grpc.health.v1.Health/Watch": Scope.NONE,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Scope.READ,
    "/tiara.v1.BackendPoolService/CreateBackend": Scope.ADMIN,
    "/tiara.v1.BackendPoolService/CreateBackendPool": Scope.ADMIN,
    "/tiara.v1.BackendPoolService/DeleteBackend": Scope.ADMIN,
    "/tiara.v1.BackendPoolService/DeleteBackendPool": Scope.ADMIN,
    "/tiara.v1.BackendPoolService/DisableBackend": Scope.OPERATE,
    "/tiara.v1.BackendPoolService/DrainBackend": Scope.OPERATE,
    "/tiara.v1.BackendPoolService/GetBackend": Scope.READ,
    "/tiara.v1.BackendPoolService/GetBackendPool": Scope.READ,
    "/tiara.v1.BackendPoolService/ListBackendPools": Scope.READ,
    "/tiara.v1.BackendPoolService/ListBackends": Scope.READ,
    "/tiara.v1.BackendPoolService/UndrainBackend": Scope.OPERATE,
    "/tiara.v1.BackendPoolService/UpdateBackend": Scope.ADMIN,
    "/tiara.v1.BackendPoolService/UpdateBackendPool": Scope.ADMIN,
    "/tiara.v1.ConfigurationService/ApplyConfiguration": Scope.ADMIN,
    "/tiara.v1.ConfigurationService/ExportConfiguration": Scope.READ,
    "/tiara.v1.ConfigurationService/GetRevision": Scope.READ,
    "/tiara.v1.ConfigurationService/ListEvents": Scope.READ,
    "/tiara.v1.ConfigurationService/ListRevisions": Scope.READ,
    "/tiara.v1.ConfigurationService/PlanConfiguration": Scope.READ,
    "/tiara.v1.ConfigurationService/Watch": Scope.READ,
    "/tiara.v1.ConnectionService/DumpConnections": Scope.READ,
    "/tiara.v1.ConnectionService/FlushConnections": Scope.OPERATE,
    "/tiara.v1.ConnectionService/GetConnection": Scope.READ,
    "/tiara.v1.ConnectionService/ListConnections": Scope.READ,
    "/tiara.v1.ConnectionService/PushConnections": Scope.OPERATE,
    "/tiara.v1.ConnectionService/WatchConnections": Scope.READ,
    "/tiara.v1.NodeService/GetNode": Scope.READ,
    "/tiara.v1.NodeService/GetStatistics": Scope.READ,
    "/tiara.v1.NodeService/WaitApplied": Scope.READ,
    # Hash and row are not for everyone on the machine: who has some can compute more.
    "/tiara.v1.PacketService/ExplainPacket": Scope.OPERATE,
    "/tiara.v1.VirtualServiceService/CreateVirtualService": Scope.ADMIN,
    "/tiara.v1.VirtualServiceService/DeleteVirtualService": Scope.ADMIN,
    "/tiara.v1.VirtualServiceService/GetVirtualService": Scope.READ,
    "/tiara.v1.VirtualServiceService/ListVirtualServices": Scope.READ,
    "/tiara.v1.VirtualServiceService/UpdateVirtualService": Scope.ADMIN,
}


def needed_scope(method: str, request: Message | None = None) -> Scope:
    """For a method as "/package.Service/Method"; ``validate_only`` changes nothing, so it reads."""
    scope = SCOPES.get(method, Scope.ADMIN)
    return min(scope, Scope.READ) if getattr(request, "validate_only", False) else scope


def require(caller: Caller, method: str, request: Message | None = None) -> None:
    """``Unauthenticated`` where nobody said who they are, ``PermissionDenied`` where that is not enough."""
    needed = needed_scope(method, request)
    if caller.scope >= needed:
        return
    if not caller.who:
        raise Unauthenticated(
            f"this call needs the scope {needed.text}, and nothing says who makes it: send a token as the "
            "metadata `authorization: Bearer TOKEN` (tiara --token-file FILE), or give a client certificate "
            "if the server asks for one"
        )
    raise PermissionDenied(
        needed.text,
        f"{method.rpartition('/')[2]} needs the scope {needed.text}; {caller.who} has {caller.scope.text}",
    )
