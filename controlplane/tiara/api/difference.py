# SPDX-License-Identifier: Apache-2.0
"""What changed in a resource, as paths with JSON before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tiara.api.convert import backend_out, pool_out, service_out
from tiara.domain.history import Difference
from tiara.domain.model import Backend, BackendStatus, Pool, Resource
from tiara.planner.removal import is_replaced
from tiara.v1 import configuration_pb2 as pb

_NOT_DESIRED = frozenset({"name", "uid", "etag", "create_time", "revision"})


def change_out(difference: Difference, affected: int = 0, *, fields: bool = True) -> pb.ResourceChange:
    """One resource's change; without ``fields`` only what happened to it."""
    before, after = _flat(difference.before), _flat(difference.after)
    paths = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    changes = [
        pb.FieldChange(path=path, before=before.get(path, ""), after=after.get(path, "")) for path in paths
    ]
    return pb.ResourceChange(
        action=_action(difference),
        name=difference.name,
        fields=changes if fields else [],
        affected_connections=affected,
    )


def resource_out(value: Resource) -> Message:
    """The resource's message; of what is observed only drains and disables, which are wishes too."""
    match value:
        case Pool():
            return pool_out(value)
        case Backend():
            drain = value.drain
            status = BackendStatus(
                draining=drain is not None,
                drain_deadline_ms=drain.deadline_ms if drain else None,
                disabled=value.disabled,
            )
            return backend_out(value, status)
    return service_out(value)


def _action(difference: Difference) -> pb.ChangeAction.ValueType:
    if difference.before is None:
        return pb.CHANGE_ACTION_ADD
    if difference.after is None:
        return pb.CHANGE_ACTION_REMOVE
    return pb.CHANGE_ACTION_REPLACE if is_replaced(difference) else pb.CHANGE_ACTION_CHANGE


def _flat(value: Resource | None) -> dict[str, str]:
    if value is None:
        return {}
    fields = MessageToDict(resource_out(value), preserving_proto_field_name=True)
    found: dict[str, str] = {}
    # A status without an override has nothing to say.
    desired = {name: field for name, field in fields.items() if name not in _NOT_DESIRED and field != {}}
    _walk("", desired, found)
    return found


def _walk(prefix: str, fields: Mapping[str, Any], found: dict[str, str]) -> None:
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            _walk(f"{prefix}{name}.", value, found)
        else:
            found[prefix + name] = json.dumps(value)
