# SPDX-License-Identifier: Apache-2.0
"""Resource names, as "backendPools/{pool}/backends/{backend}" and "virtualServices/{service}"."""

from __future__ import annotations

from tiara.domain.checks import check_id, shown
from tiara.domain.errors import InvalidField


def pool_name(pool: str) -> str:
    """The pool's resource name."""
    return f"backendPools/{pool}"


def backend_name(pool: str, backend: str) -> str:
    """The backend's resource name."""
    return f"backendPools/{pool}/backends/{backend}"


def service_name(service: str) -> str:
    """The virtual service's resource name."""
    return f"virtualServices/{service}"


def parse_pool_name(field: str, name: str) -> str:
    """The pool's id."""
    match _split(field, name):
        case ["backendPools", pool]:
            return check_id(field, pool)
    raise InvalidField(field, f"{shown(name)} is not 'backendPools/{{pool}}'")


def parse_backend_name(field: str, name: str) -> tuple[str, str]:
    """The pool's and the backend's id."""
    match _split(field, name):
        case ["backendPools", pool, "backends", backend]:
            return check_id(field, pool), check_id(field, backend)
    raise InvalidField(field, f"{shown(name)} is not 'backendPools/{{pool}}/backends/{{backend}}'")


def parse_service_name(field: str, name: str) -> str:
    """The service's id."""
    match _split(field, name):
        case ["virtualServices", service]:
            return check_id(field, service)
    raise InvalidField(field, f"{shown(name)} is not 'virtualServices/{{service}}'")


def _split(field: str, name: str) -> list[str]:
    if not name:
        raise InvalidField(field, "must be set")
    return name.split("/")


def read_socket(path: str) -> str:
    """The read-only socket beside an admin socket: /run/api.sock has /run/api-read.sock."""
    folder, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    return f"{folder}{slash}{stem}-read.{suffix}" if dot and stem else f"{folder}{slash}{name}-read"
