# SPDX-License-Identifier: Apache-2.0
"""Resources as JSON: what every store writes. Unknown members are refused, missing ones have defaults."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from tiara.domain.errors import InvalidField, StoreError
from tiara.domain.model import (
    Backend,
    Drain,
    Forwarding,
    Frontend,
    HealthCheck,
    HttpCheck,
    Policy,
    Pool,
    Protocol,
    Resource,
    SlowStart,
    Timeouts,
    VirtualService,
    Vxlan,
)


def encode(value: Resource) -> str:
    """The resource without its revision, which the store keeps beside it."""
    fields = asdict(value)
    del fields["revision"]
    return json.dumps(fields, separators=(",", ":"), sort_keys=True)


def decode(name: str, text: str, revision: int) -> Resource:
    """The resource called ``name``."""
    try:
        fields = json.loads(text) | {"revision": revision}
        value = _decode(name, fields)
        value.validate()
    except (ValueError, TypeError, KeyError, AttributeError, InvalidField) as error:
        raise StoreError(f"the store's record of {name} cannot be read: {error}") from error
    if value.name != name:
        raise StoreError(f"the store's record of {name} is one of {value.name}")
    return value


def _decode(name: str, fields: dict[str, Any]) -> Resource:
    if name.startswith("virtualServices/"):
        return _service(fields)
    return _backend(fields) if "/backends/" in name else _pool(fields)


def _pool(fields: dict[str, Any]) -> Pool:
    fields["forwarding"] = Forwarding(fields["forwarding"])
    fields["policy"] = Policy(fields["policy"])
    fields["vxlan"] = fields["vxlan"] and Vxlan(**fields["vxlan"])
    fields["health_check"] = fields["health_check"] and _health_check(fields["health_check"])
    fields["slow_start"] = (ramp := fields.get("slow_start")) and SlowStart(**ramp)
    return Pool(**fields)


def _health_check(fields: dict[str, Any]) -> HealthCheck:
    http = fields.get("http")
    if http:
        statuses = tuple((first, last) for first, last in http["statuses"])
        fields["http"] = HttpCheck(**(http | {"statuses": statuses}))
    return HealthCheck(**fields)


def _backend(fields: dict[str, Any]) -> Backend:
    fields["drain"] = fields["drain"] and Drain(**fields["drain"])
    return Backend(**fields)


def _service(fields: dict[str, Any]) -> VirtualService:
    fields["frontends"] = tuple(
        Frontend(**(frontend | {"protocol": Protocol(frontend["protocol"])}))
        for frontend in fields["frontends"]
    )
    fields["timeouts"] = Timeouts(**fields["timeouts"])
    fields["allow_sources"] = tuple(fields.get("allow_sources", ()))
    return VirtualService(**fields)
