# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 (tables: a line a call)
"""Calls that are wrong: the status, the field that is named, and that nothing was changed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
from conftest import Api
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tiara.v1 import backend_pool_pb2 as bp
from tiara.v1 import connection_pb2 as cn
from tiara.v1 import node_pb2 as nd
from tiara.v1 import virtual_service_pb2 as vs

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
EXISTS = grpc.StatusCode.ALREADY_EXISTS
ABORTED = grpc.StatusCode.ABORTED
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

L2 = bp.FORWARDING_MODE_L2_DIRECT_RETURN
VXLAN = bp.FORWARDING_MODE_VXLAN
IPIP = bp.FORWARDING_MODE_IPIP
TCP = vs.PROTOCOL_TCP
B1 = "backendPools/web/backends/b1"
RECORD = bytes.fromhex("c6120007 9c40 0000 00000000 0005 03 00")


def pool(**fields: Any) -> bp.CreateBackendPoolRequest:
    """Creates a pool "new" with these fields."""
    return bp.CreateBackendPoolRequest(
        backend_pool_id="new", backend_pool=bp.BackendPool(**({"forwarding_mode": L2} | fields))
    )


def vxlan(**fields: Any) -> bp.CreateBackendPoolRequest:
    """Likewise, with these VXLAN options."""
    return pool(forwarding_mode=VXLAN, vxlan=bp.VxlanOptions(**fields))


def check(**fields: Any) -> bp.CreateBackendPoolRequest:
    """Likewise, with this health check."""
    return pool(health_check=bp.HealthCheck(**({"tcp": bp.TcpCheck(port=80)} | fields)))


def http(**fields: Any) -> bp.CreateBackendPoolRequest:
    """Likewise, with this HTTP check."""
    return check(http=bp.HttpCheck(**({"port": 80} | fields)), tcp=None)


def statuses(*ranges: tuple[int, int]) -> bp.CreateBackendPoolRequest:
    """Likewise, with these expected statuses."""
    return http(expected_statuses=[bp.StatusRange(first=first, last=last) for first, last in ranges])


def backend(parent: str = "backendPools/web", name: str = "new", **fields: Any) -> bp.CreateBackendRequest:
    """Creates a backend with these fields."""
    return bp.CreateBackendRequest(
        parent=parent, backend_id=name, backend=bp.Backend(**({"address": "198.18.0.99"} | fields))
    )


def service(name: str = "new", **fields: Any) -> vs.CreateVirtualServiceRequest:
    """Creates a service with these fields."""
    whole = {"backend_pool": "backendPools/web", "frontends": [frontend(port=99)]} | fields
    return vs.CreateVirtualServiceRequest(virtual_service_id=name, virtual_service=vs.VirtualService(**whole))


def frontend(**fields: Any) -> vs.Frontend:
    """The frontend of the service that exists, but for these fields."""
    whole: dict[str, Any] = {"address": "198.18.100.1", "protocol": TCP, "port": 80}
    return vs.Frontend(**(whole | fields))


def times(**fields: Duration) -> vs.CreateVirtualServiceRequest:
    """A service with these timeouts."""
    return service(timeouts=vs.Timeouts(**fields))


def connection(**fields: Any) -> cn.GetConnectionRequest:
    """Looks up a connection, but for these fields a possible one."""
    whole: dict[str, Any] = {"protocol": TCP, "client_address": "198.18.0.7", "client_port": 40000}
    return cn.GetConnectionRequest(**(whole | {"address": "198.18.100.1", "port": 80} | fields))


def header(**fields: Any) -> cn.PushConnectionsRequest:
    """A good header, but for these fields."""
    whole: dict[str, Any] = {
        "format": 1,
        "record_bytes": 16,
        "services": [cn.PackedService(virtual_service="virtualServices/web")],
        "backends": [cn.PackedBackend(backend=B1)],
    }
    return cn.PushConnectionsRequest(header=cn.PackedHeader(**(whole | fields)))


def chunk(records: bytes = RECORD, sequence: int = 1) -> cn.PushConnectionsRequest:
    """One chunk."""
    return cn.PushConnectionsRequest(chunk=cn.PackedChunk(sequence=sequence, records=records))


def entry(**fields: Any) -> cn.PushConnectionsRequest:
    """A header whose only service entry has these fields."""
    return header(services=[cn.PackedService(**({"virtual_service": "virtualServices/web"} | fields))])


UNARY: list[tuple[str, str, Any, grpc.StatusCode, str]] = [
    # pools
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(), INVALID, "backend_pool_id"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="Web"), INVALID, "backend_pool_id"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="a" * 64), INVALID, "backend_pool_id"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="x"), INVALID, "backend_pool"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="web", backend_pool=bp.BackendPool(forwarding_mode=L2)), EXISTS, ""),
    ("pools", "CreateBackendPool", pool(forwarding_mode=0), INVALID, "backend_pool.forwarding_mode"),
    ("pools", "CreateBackendPool", pool(forwarding_mode=77), INVALID, "backend_pool.forwarding_mode"),
    ("pools", "CreateBackendPool", pool(policy=77), INVALID, "backend_pool.policy"),
    ("pools", "CreateBackendPool", pool(policy=4), INVALID, "backend_pool.policy"),
    ("pools", "CreateBackendPool", pool(slow_start=bp.SlowStart()), INVALID, "backend_pool.slow_start.duration"),
    ("pools", "CreateBackendPool", pool(slow_start=bp.SlowStart(duration=Duration())), INVALID, "backend_pool.slow_start.duration"),
    ("pools", "CreateBackendPool", pool(slow_start=bp.SlowStart(duration=Duration(seconds=-1))), INVALID, "backend_pool.slow_start.duration"),
    ("pools", "CreateBackendPool", pool(slow_start=bp.SlowStart(duration=Duration(seconds=86_401))), INVALID, "backend_pool.slow_start.duration"),
    ("pools", "CreateBackendPool", pool(selection_rows=100), INVALID, "backend_pool.selection_rows"),
    ("pools", "CreateBackendPool", pool(selection_rows=4294967295), INVALID, "backend_pool.selection_rows"),
    ("pools", "CreateBackendPool", pool(vxlan=bp.VxlanOptions()), INVALID, "backend_pool.vxlan"),
    ("pools", "CreateBackendPool", vxlan(vni=1 << 24), INVALID, "backend_pool.vxlan.vni"),
    ("pools", "CreateBackendPool", vxlan(port=65536), INVALID, "backend_pool.vxlan.port"),
    ("pools", "CreateBackendPool", vxlan(inner_mac="01:00:00:00:00:01"), INVALID, "backend_pool.vxlan.inner_mac"),
    ("pools", "CreateBackendPool", pool(health_check=bp.HealthCheck()), INVALID, "backend_pool.health_check.check"),
    ("pools", "CreateBackendPool", check(tcp=bp.TcpCheck()), INVALID, "backend_pool.health_check.tcp.port"),
    ("pools", "CreateBackendPool", check(tcp=bp.TcpCheck(port=65536)), INVALID, "backend_pool.health_check.tcp.port"),
    ("pools", "CreateBackendPool", check(interval=Duration()), INVALID, "backend_pool.health_check.interval"),
    ("pools", "CreateBackendPool", check(interval=Duration(seconds=-1)), INVALID, "backend_pool.health_check.interval"),
    ("pools", "CreateBackendPool", check(interval=Duration(seconds=301)), INVALID, "backend_pool.health_check.interval"),
    ("pools", "CreateBackendPool", check(interval=Duration(seconds=1 << 62)), INVALID, "backend_pool.health_check.interval"),
    ("pools", "CreateBackendPool", check(timeout=Duration(seconds=1, nanos=-1)), INVALID, "backend_pool.health_check.timeout"),
    ("pools", "CreateBackendPool", check(timeout=Duration(seconds=61)), INVALID, "backend_pool.health_check.timeout"),
    ("pools", "CreateBackendPool", check(rise=101), INVALID, "backend_pool.health_check.rise"),
    ("pools", "CreateBackendPool", check(fall=101), INVALID, "backend_pool.health_check.fall"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="a-"), INVALID, "backend_pool_id"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="1a"), INVALID, "backend_pool_id"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="a\n"), INVALID, "backend_pool_id"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="a\0b"), INVALID, "backend_pool_id"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="pööl"), INVALID, "backend_pool_id"),
    ("pools", "CreateBackendPool", bp.CreateBackendPoolRequest(backend_pool_id="a" * 1_000_000), INVALID, "backend_pool_id"),
    ("pools", "CreateBackendPool", pool(forwarding_mode=4), INVALID, "backend_pool.forwarding_mode"),
    ("pools", "CreateBackendPool", pool(forwarding_mode=-1), INVALID, "backend_pool.forwarding_mode"),
    ("pools", "CreateBackendPool", pool(policy=-5), INVALID, "backend_pool.policy"),
    ("pools", "CreateBackendPool", pool(selection_rows=65536), INVALID, "backend_pool.selection_rows"),
    ("pools", "CreateBackendPool", pool(forwarding_mode=IPIP, vxlan=bp.VxlanOptions(vni=1)), INVALID, "backend_pool.vxlan"),
    ("pools", "CreateBackendPool", vxlan(vni=4294967295), INVALID, "backend_pool.vxlan.vni"),
    ("pools", "CreateBackendPool", vxlan(port=4294967295), INVALID, "backend_pool.vxlan.port"),
    ("pools", "CreateBackendPool", vxlan(inner_mac="02:54:49:41:52"), INVALID, "backend_pool.vxlan.inner_mac"),
    ("pools", "CreateBackendPool", vxlan(inner_mac="02-54-49-41-52-41"), INVALID, "backend_pool.vxlan.inner_mac"),
    ("pools", "CreateBackendPool", vxlan(inner_mac="02:54:49:41:52:4G"), INVALID, "backend_pool.vxlan.inner_mac"),
    ("pools", "CreateBackendPool", vxlan(inner_mac="02:AB:49:41:52:41"), INVALID, "backend_pool.vxlan.inner_mac"),
    ("pools", "CreateBackendPool", vxlan(inner_mac="00:00:00:00:00:00"), INVALID, "backend_pool.vxlan.inner_mac"),
    ("pools", "CreateBackendPool", vxlan(inner_mac="ff:ff:ff:ff:ff:ff"), INVALID, "backend_pool.vxlan.inner_mac"),
    ("pools", "CreateBackendPool", vxlan(inner_mac="02" * 300_000), INVALID, "backend_pool.vxlan.inner_mac"),
    ("pools", "CreateBackendPool", check(interval=Duration(nanos=99_999_999)), INVALID, "backend_pool.health_check.interval"),
    ("pools", "CreateBackendPool", check(interval=Duration(nanos=-1)), INVALID, "backend_pool.health_check.interval"),
    ("pools", "CreateBackendPool", check(timeout=Duration()), INVALID, "backend_pool.health_check.timeout"),
    ("pools", "CreateBackendPool", check(timeout=Duration(nanos=1_000_000_000)), INVALID, "backend_pool.health_check.timeout"),
    ("pools", "CreateBackendPool", check(rise=4294967295), INVALID, "backend_pool.health_check.rise"),
    ("pools", "CreateBackendPool", check(tcp=bp.TcpCheck(port=4294967295)), INVALID, "backend_pool.health_check.tcp.port"),
    ("pools", "CreateBackendPool", http(port=0), INVALID, "backend_pool.health_check.http.port"),
    ("pools", "CreateBackendPool", http(port=65536), INVALID, "backend_pool.health_check.http.port"),
    ("pools", "CreateBackendPool", http(path="up"), INVALID, "backend_pool.health_check.http.path"),
    ("pools", "CreateBackendPool", http(path="/a b"), INVALID, "backend_pool.health_check.http.path"),
    ("pools", "CreateBackendPool", http(path="/a\r\nX: y"), INVALID, "backend_pool.health_check.http.path"),
    ("pools", "CreateBackendPool", http(path="/ä"), INVALID, "backend_pool.health_check.http.path"),
    ("pools", "CreateBackendPool", http(path="/a#b"), INVALID, "backend_pool.health_check.http.path"),
    ("pools", "CreateBackendPool", http(path="/" * 1025), INVALID, "backend_pool.health_check.http.path"),
    ("pools", "CreateBackendPool", http(path="http://x/"), INVALID, "backend_pool.health_check.http.path"),
    ("pools", "CreateBackendPool", http(host="a b"), INVALID, "backend_pool.health_check.http.host"),
    ("pools", "CreateBackendPool", http(host="a\r\nX: y"), INVALID, "backend_pool.health_check.http.host"),
    ("pools", "CreateBackendPool", http(host="a:0"), INVALID, "backend_pool.health_check.http.host"),
    ("pools", "CreateBackendPool", http(host="a:65536"), INVALID, "backend_pool.health_check.http.host"),
    ("pools", "CreateBackendPool", http(host="a/b"), INVALID, "backend_pool.health_check.http.host"),
    ("pools", "CreateBackendPool", http(host="a" * 300), INVALID, "backend_pool.health_check.http.host"),
    ("pools", "CreateBackendPool", http(verify=True), INVALID, "backend_pool.health_check.http.verify"),
    ("pools", "CreateBackendPool", statuses((0, 0)), INVALID, "backend_pool.health_check.http.expected_statuses[0].first"),
    ("pools", "CreateBackendPool", statuses((200, 200), (99, 0)), INVALID, "backend_pool.health_check.http.expected_statuses[1].first"),
    ("pools", "CreateBackendPool", statuses((600, 0)), INVALID, "backend_pool.health_check.http.expected_statuses[0].first"),
    ("pools", "CreateBackendPool", statuses((300, 299)), INVALID, "backend_pool.health_check.http.expected_statuses[0].last"),
    ("pools", "CreateBackendPool", statuses((200, 600)), INVALID, "backend_pool.health_check.http.expected_statuses[0].last"),
    ("pools", "CreateBackendPool", statuses(*[(200, 299)] * 17), INVALID, "backend_pool.health_check.http.expected_statuses"),
    ("pools", "GetBackendPool", bp.GetBackendPoolRequest(), INVALID, "name"),
    ("pools", "GetBackendPool", bp.GetBackendPoolRequest(name="backendPools/"), INVALID, "name"),
    ("pools", "GetBackendPool", bp.GetBackendPoolRequest(name="backendPools/-"), INVALID, "name"),
    ("pools", "GetBackendPool", bp.GetBackendPoolRequest(name="virtualServices/web"), INVALID, "name"),
    ("pools", "GetBackendPool", bp.GetBackendPoolRequest(name="backendPools/../web"), INVALID, "name"),
    ("pools", "ListBackendPools", bp.ListBackendPoolsRequest(page_size=-(1 << 31)), INVALID, "page_size"),
    ("pools", "ListBackendPools", bp.ListBackendPoolsRequest(page_token="A" * 100_000), INVALID, "page_token"),
    ("pools", "DeleteBackendPool", bp.DeleteBackendPoolRequest(), INVALID, "name"),
    ("pools", "DeleteBackendPool", bp.DeleteBackendPoolRequest(name=B1), INVALID, "name"),
    ("pools", "DeleteBackendPool", bp.DeleteBackendPoolRequest(name="backendPools/idle", etag="stale", force=True), ABORTED, ""),
    ("pools", "GetBackendPool", bp.GetBackendPoolRequest(name="web"), INVALID, "name"),
    ("pools", "GetBackendPool", bp.GetBackendPoolRequest(name="backendPools/none"), NOT_FOUND, ""),
    ("pools", "GetBackendPool", bp.GetBackendPoolRequest(name="backendPools/" + "x" * 100_000), INVALID, "name"),
    ("pools", "ListBackendPools", bp.ListBackendPoolsRequest(page_size=-1), INVALID, "page_size"),
    ("pools", "ListBackendPools", bp.ListBackendPoolsRequest(page_token="nonsense"), INVALID, "page_token"),
    ("pools", "ListBackendPools", bp.ListBackendPoolsRequest(page_token="WyJiYWNrZW5kcyB3ZWIiLCAiYSJd"), INVALID, "page_token"),
    ("pools", "DeleteBackendPool", bp.DeleteBackendPoolRequest(name="backendPools/none"), NOT_FOUND, ""),
    ("pools", "DeleteBackendPool", bp.DeleteBackendPoolRequest(name="backendPools/web"), PRECONDITION, ""),
    ("pools", "DeleteBackendPool", bp.DeleteBackendPoolRequest(name="backendPools/web", force=True), PRECONDITION, ""),
    ("pools", "DeleteBackendPool", bp.DeleteBackendPoolRequest(name="backendPools/web", etag="stale"), ABORTED, ""),
    ("pools", "DeleteBackendPool", bp.DeleteBackendPoolRequest(name="backendPools/idle"), PRECONDITION, ""),
    # backends
    ("pools", "CreateBackend", backend(parent=""), INVALID, "parent"),
    ("pools", "CreateBackend", backend(parent="backendPools/-"), INVALID, "parent"),
    ("pools", "CreateBackend", backend(parent="backendPools/none"), NOT_FOUND, ""),
    ("pools", "CreateBackend", backend(name=""), INVALID, "backend_id"),
    ("pools", "CreateBackend", backend(name="b/1"), INVALID, "backend_id"),
    ("pools", "CreateBackend", backend(name="b1"), EXISTS, ""),
    ("pools", "CreateBackend", backend(address=""), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="198.18.0.011"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="fd00::1"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="224.0.0.1"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="9" * 200_000), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="198.18.0.11"), EXISTS, "backend.address"),
    ("pools", "CreateBackend", backend(port=8080), INVALID, "backend.port"),
    ("pools", "CreateBackend", backend(weight=65536), INVALID, "backend.weight"),
    ("pools", "CreateBackend", bp.CreateBackendRequest(parent="backendPools/web", backend_id="new"), INVALID, "backend"),
    ("pools", "CreateBackend", backend(parent="backendPools/web/backends/b1"), INVALID, "parent"),
    ("pools", "CreateBackend", backend(name="-"), INVALID, "backend_id"),
    ("pools", "CreateBackend", backend(name="B1"), INVALID, "backend_id"),
    ("pools", "CreateBackend", backend(address=" 198.18.0.99"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="198.18.0.99/32"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="198.18.0"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="198.18.0.256"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="127.0.0.1"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="0.0.0.0"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="255.255.255.255"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(address="١٩٨.18.0.99"), INVALID, "backend.address"),
    ("pools", "CreateBackend", backend(port=4294967295), INVALID, "backend.port"),
    ("pools", "CreateBackend", backend(weight=4294967295), INVALID, "backend.weight"),
    ("pools", "GetBackend", bp.GetBackendRequest(), INVALID, "name"),
    ("pools", "GetBackend", bp.GetBackendRequest(name="backendPools/-/backends/b1"), INVALID, "name"),
    ("pools", "GetBackend", bp.GetBackendRequest(name="backendPools/none/backends/b1"), NOT_FOUND, ""),
    ("pools", "DeleteBackend", bp.DeleteBackendRequest(), INVALID, "name"),
    ("pools", "DeleteBackend", bp.DeleteBackendRequest(name="backendPools/web/backends/none"), NOT_FOUND, ""),
    ("pools", "DrainBackend", bp.DrainBackendRequest(), INVALID, "name"),
    ("pools", "UndrainBackend", bp.UndrainBackendRequest(name="backendPools/web/backends/none"), NOT_FOUND, ""),
    ("pools", "ListBackends", bp.ListBackendsRequest(parent="backendPools/web", page_token="WyJwb29scyIsICJhIl0="), INVALID, "page_token"),
    ("pools", "GetBackend", bp.GetBackendRequest(name="backendPools/web"), INVALID, "name"),
    ("pools", "GetBackend", bp.GetBackendRequest(name="backendPools/web/backends/none"), NOT_FOUND, ""),
    ("pools", "ListBackends", bp.ListBackendsRequest(), INVALID, "parent"),
    ("pools", "ListBackends", bp.ListBackendsRequest(parent="backendPools/none"), NOT_FOUND, ""),
    ("pools", "ListBackends", bp.ListBackendsRequest(parent="backendPools/-", page_size=-5), INVALID, "page_size"),
    ("pools", "DeleteBackend", bp.DeleteBackendRequest(name=B1, etag="stale"), ABORTED, ""),
    ("pools", "DeleteBackend", bp.DeleteBackendRequest(name=B1 + "/"), INVALID, "name"),
    ("pools", "DrainBackend", bp.DrainBackendRequest(name=B1, deadline=Duration(seconds=-1)), INVALID, "deadline"),
    ("pools", "DrainBackend", bp.DrainBackendRequest(name=B1, deadline=Duration(seconds=1 << 40)), INVALID, "deadline"),
    ("pools", "DrainBackend", bp.DrainBackendRequest(name=B1, deadline=Duration(nanos=1 << 30)), INVALID, "deadline"),
    ("pools", "DrainBackend", bp.DrainBackendRequest(name="backendPools/web/backends/none"), NOT_FOUND, ""),
    ("pools", "UndrainBackend", bp.UndrainBackendRequest(name="b1"), INVALID, "name"),
    # services
    ("services", "CreateVirtualService", service(name="9"), INVALID, "virtual_service_id"),
    ("services", "CreateVirtualService", service(name="web"), EXISTS, ""),
    ("services", "CreateVirtualService", service(backend_pool=""), INVALID, "virtual_service.backend_pool"),
    ("services", "CreateVirtualService", service(backend_pool="web"), INVALID, "virtual_service.backend_pool"),
    ("services", "CreateVirtualService", service(backend_pool="backendPools/none"), NOT_FOUND, "virtual_service.backend_pool"),
    ("services", "CreateVirtualService", service(frontends=[]), INVALID, "virtual_service.frontends"),
    ("services", "CreateVirtualService", service(frontends=[frontend(port=1), frontend(port=0)]), INVALID, "virtual_service.frontends[1].port"),
    ("services", "CreateVirtualService", service(frontends=[frontend(port=65536)]), INVALID, "virtual_service.frontends[0].port"),
    ("services", "CreateVirtualService", service(frontends=[frontend(protocol=0)]), INVALID, "virtual_service.frontends[0].protocol"),
    ("services", "CreateVirtualService", service(frontends=[frontend(protocol=6)]), INVALID, "virtual_service.frontends[0].protocol"),
    ("services", "CreateVirtualService", service(frontends=[frontend(address="vip")]), INVALID, "virtual_service.frontends[0].address"),
    ("services", "CreateVirtualService", service(frontends=[frontend(port=9), frontend(port=9)]), INVALID, "virtual_service.frontends[1]"),
    ("services", "CreateVirtualService", service(frontends=[frontend(port=i) for i in range(1, 300)]), INVALID, "virtual_service.frontends"),
    ("services", "CreateVirtualService", service(frontends=[frontend(port=9), frontend()]), EXISTS, "virtual_service.frontends[1]"),
    ("services", "CreateVirtualService", times(udp=Duration(seconds=0)), INVALID, "virtual_service.timeouts.udp"),
    ("services", "CreateVirtualService", times(tcp_new=Duration(seconds=32769)), INVALID, "virtual_service.timeouts.tcp_new"),
    ("services", "CreateVirtualService", times(tcp_closing=Duration(seconds=1, nanos=5)), INVALID, "virtual_service.timeouts.tcp_closing"),
    ("services", "CreateVirtualService", times(tcp_established=Duration(seconds=-4)), INVALID, "virtual_service.timeouts.tcp_established"),
    ("services", "CreateVirtualService", vs.CreateVirtualServiceRequest(), INVALID, "virtual_service_id"),
    ("services", "CreateVirtualService", vs.CreateVirtualServiceRequest(virtual_service_id="new"), INVALID, "virtual_service"),
    ("services", "CreateVirtualService", service(name="x" * 64), INVALID, "virtual_service_id"),
    ("services", "CreateVirtualService", service(backend_pool=B1), INVALID, "virtual_service.backend_pool"),
    ("services", "CreateVirtualService", service(frontends=[vs.Frontend()]), INVALID, "virtual_service.frontends[0].address"),
    ("services", "CreateVirtualService", service(frontends=[frontend(address="224.0.0.1")]), INVALID, "virtual_service.frontends[0].address"),
    ("services", "CreateVirtualService", service(frontends=[frontend(address="127.0.0.1")]), INVALID, "virtual_service.frontends[0].address"),
    ("services", "CreateVirtualService", service(frontends=[frontend(address="198.18.100.1:80")]), INVALID, "virtual_service.frontends[0].address"),
    ("services", "CreateVirtualService", service(frontends=[frontend(protocol=-1)]), INVALID, "virtual_service.frontends[0].protocol"),
    ("services", "CreateVirtualService", service(frontends=[frontend(port=9)] * 3), INVALID, "virtual_service.frontends[1]"),
    ("services", "CreateVirtualService", service(frontends=[frontend(port=444)]), EXISTS, "virtual_service.frontends[0]"),
    ("services", "CreateVirtualService", times(udp=Duration(seconds=1 << 62)), INVALID, "virtual_service.timeouts.udp"),
    ("services", "CreateVirtualService", times(tcp_new=Duration()), INVALID, "virtual_service.timeouts.tcp_new"),
    ("services", "CreateVirtualService", times(tcp_established=Duration(nanos=5)), INVALID, "virtual_service.timeouts.tcp_established"),
    ("services", "GetVirtualService", vs.GetVirtualServiceRequest(), INVALID, "name"),
    ("services", "GetVirtualService", vs.GetVirtualServiceRequest(name="backendPools/web"), INVALID, "name"),
    ("services", "DeleteVirtualService", vs.DeleteVirtualServiceRequest(), INVALID, "name"),
    ("services", "DeleteVirtualService", vs.DeleteVirtualServiceRequest(name="virtualServices/none"), NOT_FOUND, ""),
    ("services", "ListVirtualServices", vs.ListVirtualServicesRequest(page_size=-1), INVALID, "page_size"),
    ("services", "GetVirtualService", vs.GetVirtualServiceRequest(name="virtualServices/none"), NOT_FOUND, ""),
    ("services", "ListVirtualServices", vs.ListVirtualServicesRequest(page_token="AAAA"), INVALID, "page_token"),
    ("services", "DeleteVirtualService", vs.DeleteVirtualServiceRequest(name="virtualServices/web", etag="x"), ABORTED, ""),
    # connections
    ("connections", "GetConnection", connection(protocol=0), INVALID, "protocol"),
    ("connections", "GetConnection", connection(protocol=17), INVALID, "protocol"),
    ("connections", "GetConnection", connection(client_address="x"), INVALID, "client_address"),
    ("connections", "GetConnection", connection(client_port=0), INVALID, "client_port"),
    ("connections", "GetConnection", connection(address=""), INVALID, "address"),
    ("connections", "GetConnection", connection(port=65536), INVALID, "port"),
    ("connections", "GetConnection", connection(), NOT_FOUND, ""),
    ("connections", "ListConnections", cn.ListConnectionsRequest(page_size=-1), INVALID, "page_size"),
    ("connections", "ListConnections", cn.ListConnectionsRequest(page_token="?"), INVALID, "page_token"),
    ("connections", "ListConnections", cn.ListConnectionsRequest(virtual_service="web"), INVALID, "virtual_service"),
    ("connections", "ListConnections", cn.ListConnectionsRequest(virtual_service="virtualServices/none"), NOT_FOUND, "virtual_service"),
    ("connections", "ListConnections", cn.ListConnectionsRequest(backend="backendPools/web/backends/none"), NOT_FOUND, "backend"),
    ("connections", "GetConnection", cn.GetConnectionRequest(), INVALID, "protocol"),
    ("connections", "GetConnection", connection(client_address="224.0.0.1"), INVALID, "client_address"),
    ("connections", "GetConnection", connection(client_port=65536), INVALID, "client_port"),
    ("connections", "GetConnection", connection(address="198.18.100.99"), NOT_FOUND, ""),
    ("connections", "ListConnections", cn.ListConnectionsRequest(backend="backendPools/web"), INVALID, "backend"),
    ("connections", "ListConnections", cn.ListConnectionsRequest(page_token="WyJwb29scyIsICJhIl0="), INVALID, "page_token"),
    # node
    ("node", "GetNode", nd.GetNodeRequest(name="me"), INVALID, "name"),
    ("node", "GetNode", nd.GetNodeRequest(name="nodes/other"), NOT_FOUND, "name"),
    ("node", "WaitApplied", nd.WaitAppliedRequest(revision=1 << 63), INVALID, "revision"),
    ("node", "WaitApplied", nd.WaitAppliedRequest(timeout=Duration(seconds=301)), INVALID, "timeout"),
    ("node", "WaitApplied", nd.WaitAppliedRequest(timeout=Duration(seconds=-1)), INVALID, "timeout"),
]  # fmt: skip

STREAMS: list[tuple[list[cn.PushConnectionsRequest], grpc.StatusCode, str]] = [
    ([chunk()], INVALID, "header"),
    ([cn.PushConnectionsRequest()], INVALID, "header"),
    ([header(format=0)], UNIMPLEMENTED, ""),
    ([header(format=2)], UNIMPLEMENTED, ""),
    ([cn.PushConnectionsRequest(), header()], INVALID, "header"),
    ([chunk(), header()], INVALID, "header"),
    ([header(format=4294967295)], UNIMPLEMENTED, ""),
    ([header(record_bytes=0)], INVALID, "header.record_bytes"),
    ([header(on_conflict=-1)], INVALID, "header.on_conflict"),
    ([entry(virtual_service="")], INVALID, "header.services[0].virtual_service"),
    ([entry(virtual_service="backendPools/web")], INVALID, "header.services[0].virtual_service"),
    ([entry(uid="x" * 500_000)], INVALID, "header.services[0].uid"),
    ([entry(frontend=frontend(address="x"))], INVALID, "header.services[0].frontend.address"),
    ([entry(frontend=frontend(port=0))], INVALID, "header.services[0].frontend.port"),
    ([header(services=[cn.PackedService(virtual_service="virtualServices/web")] * 65537)], INVALID, "header.services"),
    ([header(backends=[cn.PackedBackend(backend=B1), cn.PackedBackend(backend="backendPools/web")])], INVALID, "header.backends[1].backend"),
    ([header(record_bytes=32)], INVALID, "header.record_bytes"),
    ([header(on_conflict=9)], INVALID, "header.on_conflict"),
    ([entry(virtual_service="web")], INVALID, "header.services[0].virtual_service"),
    ([entry(virtual_service="virtualServices/none")], NOT_FOUND, "header.services[0]"),
    ([entry(uid="0" * 32)], PRECONDITION, ""),
    ([entry(frontend=frontend(port=81))], INVALID, "header.services[0].frontend"),
    ([entry(frontend=frontend(protocol=0))], INVALID, "header.services[0].frontend.protocol"),
    ([entry(virtual_service="virtualServices/two")], INVALID, "header.services[0].frontend"),
    ([header(backends=[cn.PackedBackend()])], INVALID, "header.backends[0].backend"),
    ([header(backends=[cn.PackedBackend(backend="backendPools/web/backends/x")])], NOT_FOUND, "header.backends[0]"),
    ([header(backends=[cn.PackedBackend(backend=B1, uid="0" * 32)])], PRECONDITION, ""),
    ([header(), header()], INVALID, "header"),
    ([header(), cn.PushConnectionsRequest()], INVALID, "chunk"),
    ([header(), chunk(sequence=0)], INVALID, "chunk.sequence"),
    ([header(), chunk(sequence=2)], INVALID, "chunk.sequence"),
    ([header(), chunk(RECORD[:15])], INVALID, "chunk.records"),
    ([header(), chunk(RECORD * 65537)], INVALID, "chunk.records"),
    ([header(), chunk(RECORD + bytes(4) + RECORD[4:])], INVALID, "chunk.records[1].client_addr"),
    ([header(), chunk(RECORD + RECORD[:4] + bytes(2) + RECORD[6:])], INVALID, "chunk.records[1].client_port"),
    ([header(), chunk(RECORD[:6] + b"\x00\x01" + RECORD[8:])], INVALID, "chunk.records[0].service_pos"),
    ([header(), chunk(RECORD[:8] + b"\x00\x00\x00\x01" + RECORD[12:])], INVALID, "chunk.records[0].backend_pos"),
    ([header(), chunk(RECORD[:14] + b"\x05\x00")], INVALID, "chunk.records[0].state"),
    ([header(), chunk(RECORD[:14] + b"\x01\x00")], INVALID, "chunk.records[0].state"),
    ([header(), chunk(RECORD[:15] + b"\x01")], INVALID, "chunk.records[0].flags"),
    ([header(), chunk(RECORD[:15] + b"\x80")], INVALID, "chunk.records[0].flags"),
    ([header(), chunk(b"\xe0" + RECORD[1:])], INVALID, "chunk.records[0].client_addr"),
    ([header(), chunk(b"\xff" * 4 + RECORD[4:])], INVALID, "chunk.records[0].client_addr"),
    ([header(), chunk(RECORD[:6] + b"\xff\xff" + RECORD[8:])], INVALID, "chunk.records[0].service_pos"),
    ([header(), chunk(RECORD[:8] + b"\xff" * 4 + RECORD[12:])], INVALID, "chunk.records[0].backend_pos"),
    ([header(), chunk(RECORD[:12] + b"\xff\xff" + RECORD[14:])], INVALID, "chunk.records[0].idle_s"),
    ([header(), chunk(RECORD[:14] + b"\x00\x00")], INVALID, "chunk.records[0].state"),
    ([header(), chunk(RECORD[:14] + b"\x06\x00")], INVALID, "chunk.records[0].state"),
    ([header(), chunk(RECORD[:14] + b"\xff\x00")], INVALID, "chunk.records[0].state"),
    ([header(), chunk(RECORD * 65535 + bytes(16))], INVALID, "chunk.records[65535].client_addr"),
    ([header(), chunk(bytes(1))], INVALID, "chunk.records"),
    ([header(services=[]), chunk()], INVALID, "chunk.records[0].service_pos"),
    ([header(backends=[]), chunk()], INVALID, "chunk.records[0].backend_pos"),
    ([header(backends=[cn.PackedBackend(backend="backendPools/idle/backends/b1")]), chunk()], INVALID, "chunk.records[0].backend_pos"),
]  # fmt: skip


@pytest.fixture
async def filled(api: Api) -> AsyncIterator[Api]:
    """A pool "web" with b1 and a service, a pool "idle" with one backend, a service of two frontends."""
    for name in ("web", "idle"):
        await api.pools.CreateBackendPool(
            bp.CreateBackendPoolRequest(
                backend_pool_id=name, backend_pool=bp.BackendPool(forwarding_mode=L2, selection_rows=251)
            )
        )
        await api.pools.CreateBackend(backend(f"backendPools/{name}", "b1", address="198.18.0.11"))
    await api.services.CreateVirtualService(service("web", frontends=[frontend()]))
    await api.services.CreateVirtualService(
        service("two", frontends=[frontend(port=443), frontend(port=444)])
    )
    await api.node.WaitApplied(nd.WaitAppliedRequest())
    yield api


async def state(api: Api) -> tuple[int, int, int]:
    """What any change would change."""
    node = await api.node.GetNode(nd.GetNodeRequest())
    statistics = await api.node.GetStatistics(nd.GetStatisticsRequest(count_connections=True))
    return node.stored_revision, node.generation, statistics.connections


def named_fields(error: grpc.aio.AioRpcError) -> list[str]:
    """Fields in the BadRequest of the error's details."""
    status = rpc_status.from_call(error)
    found = []
    for detail in status.details if status else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            found += [violation.field for violation in bad.field_violations]
    return found


def assert_refused(error: grpc.aio.AioRpcError, code: grpc.StatusCode, field: str) -> None:
    """Code, sentence and named field."""
    assert (error.code(), named_fields(error)) == (code, [field] if field else [])
    assert len(error.details() or "") in range(10, 400)
    if field:
        assert (error.details() or "").startswith(field + ": ")
    assert (error.details() or "").count("records[") <= 1
    assert (error.details() or "").count(" was pushed") <= 1


@pytest.mark.parametrize(("stub", "method", "request_", "code", "field"), UNARY)
async def test_unary(
    filled: Api, stub: str, method: str, request_: Any, code: grpc.StatusCode, field: str
) -> None:
    """Refused, with the field, and nothing is changed."""
    before = await state(filled)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(getattr(filled, stub), method)(request_)
    assert_refused(caught.value, code, field)
    assert await state(filled) == before


@pytest.mark.parametrize(("requests", "code", "field"), STREAMS)
async def test_stream(
    filled: Api, requests: Sequence[cn.PushConnectionsRequest], code: grpc.StatusCode, field: str
) -> None:
    """Refused, with the field, and no connection is pushed."""
    before = await state(filled)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in filled.connections.PushConnections(iter(requests)):
            pass
    assert_refused(caught.value, code, field)
    assert await state(filled) == before


def test_there_are_200() -> None:
    """What issue 3 asks for, with no call twice."""
    assert len(UNARY) + len(STREAMS) >= 200
    assert len({(stub, method, request.SerializeToString()) for stub, method, request, *_ in UNARY}) == len(
        UNARY
    )


async def test_message_over_the_limit(filled: Api) -> None:
    """Over 4 MiB nothing is even read; the next call is served."""
    before = await state(filled)
    for call in (
        filled.pools.GetBackendPool(bp.GetBackendPoolRequest(name="x" * (5 << 20))),
        filled.services.CreateVirtualService(service(frontends=[frontend(address="1" * (5 << 20))])),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in filled.connections.PushConnections(iter([header(), chunk(RECORD * (5 << 16))])):
            pass
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await state(filled) == before


@pytest.mark.parametrize(
    "path", ["BackendPoolService/Nothing", "NoService/GetBackendPool", "BackendPoolService/"]
)
async def test_unknown_method(filled: Api, path: str) -> None:
    """UNIMPLEMENTED."""
    call: Any = filled.channel.unary_unary(f"/tiara.v1.{path}")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"")
    assert caught.value.code() is UNIMPLEMENTED


@pytest.mark.parametrize("blob", [b"\xff", b"\x0a\xff\x01", b"\x0a\x02\xff\xfe", b"x" * 1000])
async def test_no_message(filled: Api, blob: bytes) -> None:
    """Bytes that are no message, or text that is no UTF-8, are the caller's fault."""
    call: Any = filled.channel.unary_unary("/tiara.v1.BackendPoolService/GetBackendPool")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(blob)
    assert caught.value.code() is INVALID


async def test_what_was_answered_stays(filled: Api) -> None:
    """A second header ends the stream; chunks before it are in the table, as their answers said."""
    answers = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for answer in filled.connections.PushConnections(iter([header(), chunk(), header()])):
            answers.append(answer.accepted)
    assert_refused(caught.value, INVALID, "header")
    assert (answers, (await state(filled))[2]) == ([1], 1)


async def test_unknown_format_lists_those_known(filled: Api) -> None:
    """A client of a later version learns what it may send."""
    with pytest.raises(grpc.aio.AioRpcError, match="known formats: 1"):
        async for _ in filled.connections.PushConnections(iter([header(format=7)])):
            pass


async def test_holder_is_named(filled: Api) -> None:
    """ALREADY_EXISTS says who has it."""
    with pytest.raises(grpc.aio.AioRpcError, match="belongs to virtualServices/web already"):
        await filled.services.CreateVirtualService(service(frontends=[frontend()]))
    with pytest.raises(grpc.aio.AioRpcError, match="belongs to backendPools/web/backends/b1 already"):
        await filled.pools.CreateBackend(backend(address="198.18.0.11"))


async def test_users_are_named(filled: Api) -> None:
    """A pool in use names the services."""
    with pytest.raises(grpc.aio.AioRpcError, match="virtualServices/two, virtualServices/web"):
        await filled.pools.DeleteBackendPool(bp.DeleteBackendPoolRequest(name="backendPools/web"))


async def test_too_many_backends_for_the_rows(filled: Api) -> None:
    """251 rows give 100 to two backends; a third is refused."""
    await filled.pools.CreateBackend(backend())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await filled.pools.CreateBackend(backend(name="third", address="198.18.0.98"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
