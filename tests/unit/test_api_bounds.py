# SPDX-License-Identifier: Apache-2.0
"""Every bound that the proto declares: just beyond it is refused by that field's path, just within is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from api_shapes import Site, base, inside, methods, new, outside, put, sites
from google.protobuf.descriptor import Descriptor
from tiara.api.bounds import MESSAGE_MAX_BYTES, REQUEST_MAX_BYTES, check_request
from tiara.domain.errors import Exhausted, InvalidField
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import bounds_pb2 as pb
from tiara.v1 import configuration_pb2 as cf
from tiara.v1 import connection_pb2 as cn

REQUESTS: dict[str, Descriptor] = {method.input_type.name: method.input_type for method in methods()}


def refusal(message: Any) -> str:
    """The path of the field that is refused; empty: none is."""
    try:
        check_request(message, 0)
    except InvalidField as error:
        assert len(str(error)) < 400
        return error.field
    return ""


def with_value(kind: Descriptor, site: Site, value: Any) -> Any:
    """The smallest request of this kind, with this value there."""
    message = base(kind)
    put(site.owner(message), site.field, value)
    return message


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_just_within(name: str) -> None:
    """Each bound itself is no reason to refuse."""
    kind = REQUESTS[name]
    assert refusal(base(kind)) == ""
    for site in sites(kind):
        for value in inside(site.field):
            assert refusal(with_value(kind, site, value)) == "", (site.path, str(value)[:200])


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_just_beyond(name: str) -> None:
    """Refused, and the path is that of the field."""
    kind = REQUESTS[name]
    for site in sites(kind):
        for path, value in outside(site):
            assert refusal(with_value(kind, site, value)) == path, str(value)[:200]


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_required(name: str) -> None:
    """Without a required field, or with none of a required choice, it is refused."""
    kind = REQUESTS[name]
    for site in sites(kind):
        if site.bounds.required and not site.partial:
            message = base(kind)
            site.owner(message).ClearField(site.field.name)
            assert refusal(message) == site.path
    for oneof in kind.oneofs:
        if oneof.GetOptions().Extensions[pb.one_required]:
            assert refusal(new(kind)) in (oneof.name, *(field.name for field in kind.fields))


def test_most_fields_have_bounds() -> None:
    """What is counted here was tried above."""
    counted = list(_tried())
    assert len(counted) > 500
    assert len({path for path, _ in counted}) > 150


def _tried() -> Iterator[tuple[str, Any]]:
    for name, kind in REQUESTS.items():
        for site in sites(kind):
            yield from ((f"{name}.{path}", value) for path, value in outside(site))


def test_one_of_a_choice() -> None:
    """The choice is named, with what there is."""
    message = bp.CreateBackendPoolRequest(backend_pool_id="a", backend_pool=bp.BackendPool())
    message.backend_pool.forwarding_mode = bp.FORWARDING_MODE_IPIP
    message.backend_pool.health_check.SetInParent()
    with pytest.raises(InvalidField, match=r"backend_pool.health_check.check: one must be set: tcp or http"):
        check_request(message, 0)


def test_an_update_requires_nothing_of_the_resource() -> None:
    """Below it only what is set is checked; in a list each item is whole."""
    update = bp.UpdateBackendPoolRequest(backend_pool=bp.BackendPool(fail_open=True))
    assert refusal(update) == ""
    update.backend_pool.health_check.http.expected_statuses.add()
    assert refusal(update) == "backend_pool.health_check.http.expected_statuses[0].first"
    assert refusal(bp.UpdateBackendPoolRequest()) == "backend_pool"


def test_enums_say_what_there_is() -> None:
    """Without the prefix that all values have."""
    message = base(bp.CreateBackendPoolRequest.DESCRIPTOR)
    for number, end in ((0, "; it is not set"), (9, ", not 9")):
        message.backend_pool.forwarding_mode = number
        with pytest.raises(InvalidField, match=f"must be L2_DIRECT_RETURN, VXLAN or IPIP{end}"):
            check_request(message, 0)


def test_sizes() -> None:
    """4 MiB, but for what carries a whole configuration; never more than the server takes."""
    large = base(cf.ApplyConfigurationRequest.DESCRIPTOR)
    check_request(large, MESSAGE_MAX_BYTES)
    with pytest.raises(Exhausted):
        check_request(large, MESSAGE_MAX_BYTES + 1)
    small = base(bp.GetBackendRequest.DESCRIPTOR)
    check_request(small, REQUEST_MAX_BYTES)
    with pytest.raises(Exhausted, match="4194305 bytes, more than 4194304"):
        check_request(small, REQUEST_MAX_BYTES + 1)


def test_records_are_left_to_the_push() -> None:
    """They are checked by libtiara; this walk does not touch them."""
    chunk = cn.PushConnectionsRequest(chunk=cn.PackedChunk(records=b"x" * (2 << 20)))
    assert refusal(chunk) == ""
