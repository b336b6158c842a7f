# SPDX-License-Identifier: Apache-2.0
"""Which fields an update takes."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from tiara.api.masks import merged
from tiara.domain.errors import InvalidField
from tiara.v1 import backend_pool_pb2 as pb
from tiara.v1 import virtual_service_pb2 as vs

STORED = pb.BackendPool(
    name="backendPools/web",
    uid="u",
    selection_rows=251,
    fail_open=True,
    health_check=pb.HealthCheck(tcp=pb.TcpCheck(port=80), rise=5),
)


def take(given: pb.BackendPool, *paths: str) -> pb.BackendPool:
    """``given`` over STORED."""
    return merged(STORED, given, FieldMask(paths=paths))


def test_no_mask_takes_what_is_set() -> None:
    """Server-set fields are ignored."""
    found = take(pb.BackendPool(name="x", uid="y", selection_rows=509))
    assert (found.name, found.uid, found.selection_rows, found.fail_open) == (
        "backendPools/web",
        "u",
        509,
        True,
    )


def test_star_takes_everything() -> None:
    """What is not set is cleared."""
    found = take(pb.BackendPool(selection_rows=509), "*")
    assert (found.selection_rows, found.fail_open, found.HasField("health_check")) == (509, False, False)
    assert (found.name, found.uid) == ("backendPools/web", "u")


def test_a_path_takes_that_field_even_unset() -> None:
    """Neighbours stay."""
    found = take(pb.BackendPool(), "fail_open")
    assert (found.fail_open, found.selection_rows) == (False, 251)
    assert not take(pb.BackendPool(), "health_check").HasField("health_check")


def test_a_path_inside() -> None:
    """Of a message that is set already, or not yet."""
    given = pb.BackendPool(health_check=pb.HealthCheck(interval=Duration(seconds=7)))
    found = take(given, "health_check.interval").health_check
    assert (found.interval.seconds, found.rise, found.tcp.port) == (7, 5, 80)
    other = pb.BackendPool(health_check=pb.HealthCheck(http=pb.HttpCheck(port=8080)))
    assert take(other, "health_check.http").health_check.http.port == 8080
    assert take(other, "health_check.http").health_check.rise == 5


def test_repeated_fields_are_replaced() -> None:
    """Not appended to."""
    stored = vs.VirtualService(frontends=[vs.Frontend(port=1), vs.Frontend(port=2)])
    given = vs.VirtualService(frontends=[vs.Frontend(port=3)])
    for paths in ([], ["frontends"], ["*"]):
        assert [one.port for one in merged(stored, given, FieldMask(paths=paths)).frontends] == [3]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing", "there is no field 'nothing'"),
        ("health_check.nothing", "there is no field 'nothing'"),
        ("fail_open.x", "'fail_open' has no fields"),
        ("uid", "set by the server"),
        ("status.health", "set by the server"),
        ("", "there is no field ''"),
    ],
)
def test_unknown_paths(path: str, message: str) -> None:
    """The mask is named."""
    with pytest.raises(InvalidField, match=message) as caught:
        take(pb.BackendPool(), path)
    assert caught.value.field == "update_mask"
