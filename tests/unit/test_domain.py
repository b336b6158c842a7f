# SPDX-License-Identifier: Apache-2.0
"""Rules of single values and of resources; every error names its field."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiara.domain.checks import check_id, check_ipv4, check_mac
from tiara.domain.errors import InvalidField
from tiara.domain.model import (
    Backend,
    Drain,
    Forwarding,
    Frontend,
    HealthCheck,
    Policy,
    Pool,
    Protocol,
    SlowStart,
    Timeouts,
    VirtualService,
    Vxlan,
)
from tiara.domain.names import parse_backend_name, parse_pool_name, parse_service_name

POOL = Pool("web", "0" * 32, Forwarding.L2)
BACKEND = Backend("web", "b1", "0" * 32, "198.18.0.11")
FRONTEND = Frontend("198.18.100.1", Protocol.TCP, 80)
SERVICE = VirtualService("web", "0" * 32, (FRONTEND,), "web")


@pytest.mark.parametrize("text", ["a", "web", "a-1", "a" * 63, "x9"])
def test_good_ids(text: str) -> None:
    """Letters, digits and dashes, a letter first."""
    assert check_id("f", text) == text


@pytest.mark.parametrize("text", ["", "1a", "-a", "a-", "A", "a" * 64, "a_b", "a b", "ä", "a\n", "web/b1"])
def test_bad_ids(text: str) -> None:
    """Anything else is refused, naming the field."""
    with pytest.raises(InvalidField) as caught:
        check_id("backend_id", text)
    assert caught.value.field == "backend_id"


@pytest.mark.parametrize(
    "text",
    ["", "1.2.3", "01.2.3.4", "1.2.3.4 ", "::1", "1.2.3.256", "127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1",
     "255.255.255.255", "240.0.0.1", "1.2.3.4/32"],
)  # fmt: skip
def test_bad_addresses(text: str) -> None:
    """Only canonical unicast addresses of hosts."""
    with pytest.raises(InvalidField, match=r"^address: "):
        check_ipv4("address", text)


@pytest.mark.parametrize("text", ["", "02:00:00:00:00", "02:00:00:00:00:0G", "02-00-00-00-00-01",
                                  "03:00:00:00:00:01", "00:00:00:00:00:00", "02:AA:00:00:00:01"])  # fmt: skip
def test_bad_macs(text: str) -> None:
    """Only canonical unicast MAC addresses."""
    with pytest.raises(InvalidField):
        check_mac("inner_mac", text)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (replace(POOL, id="Web"), "id"),
        (replace(POOL, selection_rows=100), "selection_rows"),
        (replace(POOL, vxlan=Vxlan()), "vxlan"),
        (replace(POOL, forwarding=Forwarding.VXLAN, vxlan=Vxlan(vni=1 << 24)), "vxlan.vni"),
        (replace(POOL, forwarding=Forwarding.VXLAN, vxlan=Vxlan(port=65536)), "vxlan.port"),
        (replace(POOL, forwarding=Forwarding.VXLAN, vxlan=Vxlan(inner_mac="x")), "vxlan.inner_mac"),
        (replace(POOL, health_check=HealthCheck(0)), "health_check.tcp.port"),
        (replace(POOL, health_check=HealthCheck(80, interval_ms=99)), "health_check.interval"),
        (replace(POOL, health_check=HealthCheck(80, timeout_ms=60_001)), "health_check.timeout"),
        (replace(POOL, health_check=HealthCheck(80, rise=101)), "health_check.rise"),
        (replace(POOL, health_check=HealthCheck(80, fall=0)), "health_check.fall"),
        (replace(POOL, slow_start=SlowStart(999)), "slow_start.duration"),
        (replace(POOL, slow_start=SlowStart(86_400_001)), "slow_start.duration"),
        (replace(BACKEND, address="198.18.0.011"), "address"),
        (replace(BACKEND, port=80), "port"),
        (replace(BACKEND, weight=65536), "weight"),
        (replace(SERVICE, frontends=()), "frontends"),
        (replace(SERVICE, frontends=(FRONTEND, FRONTEND)), "frontends[1]"),
        (replace(SERVICE, frontends=(FRONTEND, replace(FRONTEND, port=0))), "frontends[1].port"),
        (
            replace(SERVICE, frontends=tuple(replace(FRONTEND, port=i) for i in range(1, 258))),
            "frontends",
        ),
        (replace(SERVICE, timeouts=Timeouts(udp=32769)), "timeouts.udp"),
        (replace(SERVICE, timeouts=Timeouts(tcp_new=0)), "timeouts.tcp_new"),
    ],
)
def test_bad_resources(value: Pool | Backend | VirtualService, field: str) -> None:
    """Each rule names the path inside the resource."""
    with pytest.raises(InvalidField) as caught:
        value.validate()
    assert caught.value.field == field


@pytest.mark.parametrize("value", [POOL, BACKEND, SERVICE])
def test_good_resources(value: Pool | Backend | VirtualService) -> None:
    """Defaults are within the rules."""
    value.validate()


def test_etag_covers_desired_fields_only() -> None:
    """A drain, a revision or a time does not make an etag stale; a weight or a new uid does."""
    assert replace(BACKEND, drain=Drain(5), revision=9, create_ms=7).etag == BACKEND.etag
    assert replace(BACKEND, weight=2).etag != BACKEND.etag
    assert replace(BACKEND, uid="1" * 32).etag != BACKEND.etag
    assert replace(POOL, fail_open=True).etag != POOL.etag
    for changed in (
        {"policy": Policy.RENDEZVOUS},
        {"source_affinity": True},
        {"slow_start": SlowStart(1000)},
    ):
        assert replace(POOL, **changed).etag != POOL.etag
    assert replace(SERVICE, timeouts=Timeouts(udp=5)).etag != SERVICE.etag


def test_drain_passes_at_its_deadline() -> None:
    """Never without a deadline; from the deadline on otherwise."""
    assert not Drain(None).passed(1 << 60)
    assert not Drain(1000).passed(999)
    assert Drain(1000).passed(1000)


def test_names() -> None:
    """Names are taken apart into ids."""
    assert parse_pool_name("name", "backendPools/web") == "web"
    assert parse_backend_name("name", "backendPools/web/backends/b1") == ("web", "b1")
    assert parse_service_name("name", "virtualServices/web") == "web"


@pytest.mark.parametrize(
    "name", ["", "web", "backendPools", "backendPools/", "backendPools/Web", "backendPools/a/b"]
)
def test_bad_names(name: str) -> None:
    """Anything else is refused."""
    with pytest.raises(InvalidField, match=r"^name: "):
        parse_pool_name("name", name)
