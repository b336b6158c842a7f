# SPDX-License-Identifier: Apache-2.0
"""Between messages and domain values. Everything from outside is checked here or in ``validate``."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tiara.domain.errors import InvalidField
from tiara.domain.layout import State
from tiara.domain.model import (
    Backend,
    BackendStatus,
    Forwarding,
    Frontend,
    Health,
    HealthCheck,
    HttpCheck,
    Policy,
    Pool,
    Protocol,
    SlowStart,
    Timeouts,
    VirtualService,
    Vxlan,
)
from tiara.domain.names import backend_name, parse_pool_name, pool_name, service_name
from tiara.domain.observed import ConnectionView
from tiara.v1 import backend_pool_pb2, connection_pb2, virtual_service_pb2

_FORWARDING = {
    backend_pool_pb2.FORWARDING_MODE_L2_DIRECT_RETURN: Forwarding.L2,
    backend_pool_pb2.FORWARDING_MODE_VXLAN: Forwarding.VXLAN,
    backend_pool_pb2.FORWARDING_MODE_IPIP: Forwarding.IPIP,
}
_POLICY = {
    backend_pool_pb2.SELECTION_POLICY_UNSPECIFIED: Policy.MAGLEV,
    backend_pool_pb2.SELECTION_POLICY_MAGLEV: Policy.MAGLEV,
    backend_pool_pb2.SELECTION_POLICY_WEIGHTED_ROUND_ROBIN: Policy.WEIGHTED_ROUND_ROBIN,
    backend_pool_pb2.SELECTION_POLICY_RENDEZVOUS: Policy.RENDEZVOUS,
}
_PROTOCOL = {
    virtual_service_pb2.PROTOCOL_TCP: Protocol.TCP,
    virtual_service_pb2.PROTOCOL_UDP: Protocol.UDP,
}
_FORWARDING_OUT = {value: key for key, value in _FORWARDING.items()}
_POLICY_OUT = {value: key for key, value in _POLICY.items()}
_PROTOCOL_OUT = {value: key for key, value in _PROTOCOL.items()}
_HEALTH_OUT = {
    Health.UNKNOWN: backend_pool_pb2.HEALTH_STATE_UNSPECIFIED,
    Health.UP: backend_pool_pb2.HEALTH_STATE_UP,
    Health.DOWN: backend_pool_pb2.HEALTH_STATE_DOWN,
}
_STATE_OUT = {
    State.NEW: connection_pb2.CONNECTION_STATE_NEW,
    State.ESTABLISHED: connection_pb2.CONNECTION_STATE_ESTABLISHED,
    State.CLOSING: connection_pb2.CONNECTION_STATE_CLOSING,
    State.UDP: connection_pb2.CONNECTION_STATE_UDP,
}
_DAY_MS = 86_400_000


def duration_ms(field: str, value: Duration) -> int:
    """Milliseconds, rounded down. Refuses what is negative, no duration, or over 3650 days."""
    if not -999_999_999 <= value.nanos <= 999_999_999 or value.seconds * value.nanos < 0:
        raise InvalidField(field, "is no duration: nanos must be under 1 s and have the sign of seconds")
    if value.seconds < 0 or value.nanos < 0 or value.seconds * 1000 > 3650 * _DAY_MS:
        raise InvalidField(field, f"{value.seconds} s is not in 0 s to 3650 days")
    return value.seconds * 1000 + value.nanos // 1_000_000


def pool_in(pool_id: str, message: backend_pool_pb2.BackendPool) -> Pool:
    """A pool as a client wishes it; uid and times are still to be set."""
    forwarding = _FORWARDING.get(message.forwarding_mode)
    if forwarding is None:
        raise _unknown("forwarding_mode", message.forwarding_mode, "L2_DIRECT_RETURN, VXLAN or IPIP")
    policy = _POLICY.get(message.policy)
    if policy is None:
        raise _unknown("policy", message.policy, "MAGLEV, WEIGHTED_ROUND_ROBIN or RENDEZVOUS")
    vxlan = _vxlan_in(message.vxlan) if message.HasField("vxlan") else None
    check = _health_check_in(message.health_check) if message.HasField("health_check") else None
    return Pool(
        pool_id,
        "",
        forwarding,
        vxlan,
        policy,
        message.selection_rows,
        check,
        message.fail_open,
        source_affinity=message.source_affinity,
        slow_start=_slow_start_in(message.slow_start) if message.HasField("slow_start") else None,
    )


def pool_out(pool: Pool) -> backend_pool_pb2.BackendPool:
    """A stored pool."""
    message = backend_pool_pb2.BackendPool(
        name=pool.name,
        uid=pool.uid,
        forwarding_mode=_FORWARDING_OUT[pool.forwarding],
        policy=_POLICY_OUT[pool.policy],
        selection_rows=pool.selection_rows,
        fail_open=pool.fail_open,
        owner=pool.owner,
        etag=pool.etag,
        create_time=timestamp(pool.create_ms),
        revision=pool.revision,
        source_affinity=pool.source_affinity,
    )
    if pool.slow_start:
        message.slow_start.duration.CopyFrom(_duration(pool.slow_start.duration_ms))
    if pool.vxlan:
        message.vxlan.CopyFrom(
            backend_pool_pb2.VxlanOptions(
                vni=pool.vxlan.vni, port=pool.vxlan.port, inner_mac=pool.vxlan.inner_mac
            )
        )
    if pool.health_check:
        message.health_check.CopyFrom(_health_check_out(pool.health_check))
    return message


def backend_in(pool: str, backend_id: str, message: backend_pool_pb2.Backend) -> Backend:
    """A backend as a client wishes it."""
    weight = message.weight if message.HasField("weight") else 1
    return Backend(
        pool,
        backend_id,
        "",
        message.address,
        message.port,
        weight,
        max_connections=message.max_connections,
    )


def backend_out(backend: Backend, status: BackendStatus) -> backend_pool_pb2.Backend:
    """A stored backend and what is seen of it."""
    seen = backend_pool_pb2.BackendStatus(
        health=_HEALTH_OUT[status.health],
        draining=status.draining,
        drained=status.drained,
        reason=status.reason,
        disabled=status.disabled,
        ramp_percent=status.ramp_percent,
    )
    if status.drain_deadline_ms is not None:
        seen.drain_deadline.CopyFrom(timestamp(status.drain_deadline_ms))
    return backend_pool_pb2.Backend(
        name=backend.name,
        uid=backend.uid,
        address=backend.address,
        port=backend.port,
        weight=backend.weight,
        owner=backend.owner,
        etag=backend.etag,
        create_time=timestamp(backend.create_ms),
        revision=backend.revision,
        status=seen,
        max_connections=backend.max_connections,
    )


def service_in(service_id: str, message: virtual_service_pb2.VirtualService) -> VirtualService:
    """A service as a client wishes it."""
    frontends = tuple(
        frontend_in(f"frontends[{i}]", frontend) for i, frontend in enumerate(message.frontends)
    )
    pool = parse_pool_name("backend_pool", message.backend_pool)
    return VirtualService(
        service_id,
        "",
        frontends,
        pool,
        _timeouts_in(message.timeouts),
        allow_sources=tuple(message.allow_sources),
        max_new_connections_per_second=message.max_new_connections_per_second,
    )


def service_out(service: VirtualService) -> virtual_service_pb2.VirtualService:
    """A stored service."""
    times = service.timeouts
    return virtual_service_pb2.VirtualService(
        name=service.name,
        uid=service.uid,
        frontends=[frontend_out(frontend) for frontend in service.frontends],
        backend_pool=pool_name(service.pool),
        timeouts=virtual_service_pb2.Timeouts(
            tcp_new=Duration(seconds=times.tcp_new),
            tcp_established=Duration(seconds=times.tcp_established),
            tcp_closing=Duration(seconds=times.tcp_closing),
            udp=Duration(seconds=times.udp),
        ),
        owner=service.owner,
        etag=service.etag,
        create_time=timestamp(service.create_ms),
        revision=service.revision,
        allow_sources=service.allow_sources,
        max_new_connections_per_second=service.max_new_connections_per_second,
    )


def frontend_in(field: str, message: virtual_service_pb2.Frontend) -> Frontend:
    """A frontend as a client wishes it."""
    return Frontend(message.address, protocol_in(f"{field}.protocol", message.protocol), message.port)


def frontend_out(frontend: Frontend) -> virtual_service_pb2.Frontend:
    """The inverse of ``frontend_in``."""
    return virtual_service_pb2.Frontend(
        address=frontend.address, protocol=_PROTOCOL_OUT[frontend.protocol], port=frontend.port
    )


def protocol_in(field: str, value: int) -> Protocol:
    """TCP or UDP."""
    for number, protocol in _PROTOCOL.items():
        if number == value:
            return protocol
    raise _unknown(field, value, "TCP or UDP")


def protocol_out(number: int) -> virtual_service_pb2.Protocol.ValueType:
    """Of an IANA number; unspecified: neither TCP nor UDP."""
    for protocol, value in _PROTOCOL_OUT.items():
        if protocol == number:
            return value
    return virtual_service_pb2.PROTOCOL_UNSPECIFIED


def state_out(state: State | None) -> connection_pb2.ConnectionState.ValueType:
    """Unspecified: no connection, or a state that clients never see."""
    if state is None:
        return connection_pb2.CONNECTION_STATE_UNSPECIFIED
    return _STATE_OUT.get(state, connection_pb2.CONNECTION_STATE_UNSPECIFIED)


def connection_out(view: ConnectionView) -> connection_pb2.Connection:
    """An entry of the connection table."""
    return connection_pb2.Connection(
        protocol=_PROTOCOL_OUT[view.protocol],
        client_address=view.client_address,
        client_port=view.client_port,
        address=view.address,
        port=view.port,
        virtual_service=service_name(view.service) if view.service else "",
        backend=backend_name(view.pool, view.backend) if view.backend else "",
        state=state_out(view.state),
        idle=Duration(seconds=view.idle),
        expires=Duration(seconds=view.expires),
        pushed=view.pushed,
        offloaded=view.offloaded,
        forwarding=view.forwarding,
    )


def timestamp(unix_ms: int) -> Timestamp:
    """From Unix time in milliseconds."""
    return Timestamp(seconds=unix_ms // 1000, nanos=unix_ms % 1000 * 1_000_000)


def _vxlan_in(message: backend_pool_pb2.VxlanOptions) -> Vxlan:
    standard = Vxlan()
    return Vxlan(
        message.vni or standard.vni,
        message.port or standard.port,
        message.inner_mac or standard.inner_mac,
    )


def _slow_start_in(message: backend_pool_pb2.SlowStart) -> SlowStart:
    if not message.HasField("duration"):
        raise InvalidField("slow_start.duration", "must be set")
    return SlowStart(duration_ms("slow_start.duration", message.duration))


def _health_check_in(message: backend_pool_pb2.HealthCheck) -> HealthCheck:
    kind = message.WhichOneof("check")
    if kind is None:
        raise InvalidField("health_check.check", "one must be set: tcp or http")
    http = _http_in(message.http) if kind == "http" else None
    port = message.http.port if kind == "http" else message.tcp.port
    standard = HealthCheck(port)
    interval, timeout = standard.interval_ms, standard.timeout_ms
    if message.HasField("interval"):
        interval = duration_ms("health_check.interval", message.interval)
    if message.HasField("timeout"):
        timeout = duration_ms("health_check.timeout", message.timeout)
    return HealthCheck(
        port, interval, timeout, message.rise or standard.rise, message.fall or standard.fall, http
    )


def _http_in(message: backend_pool_pb2.HttpCheck) -> HttpCheck:
    standard = HttpCheck()
    return HttpCheck(
        message.path or standard.path,
        message.host,
        tuple((to.first, to.last or to.first) for to in message.expected_statuses) or standard.statuses,
        message.tls,
        message.verify,
    )


def _health_check_out(check: HealthCheck) -> backend_pool_pb2.HealthCheck:
    message = backend_pool_pb2.HealthCheck(
        interval=_duration(check.interval_ms),
        timeout=_duration(check.timeout_ms),
        rise=check.rise,
        fall=check.fall,
    )
    if check.http:
        message.http.CopyFrom(_http_out(check.port, check.http))
    else:
        message.tcp.port = check.port
    return message


def _http_out(port: int, http: HttpCheck) -> backend_pool_pb2.HttpCheck:
    return backend_pool_pb2.HttpCheck(
        port=port,
        path=http.path,
        host=http.host,
        expected_statuses=[
            backend_pool_pb2.StatusRange(first=first, last=last) for first, last in http.statuses
        ],
        tls=http.tls,
        verify=http.verify,
    )


def _timeouts_in(message: virtual_service_pb2.Timeouts) -> Timeouts:
    return Timeouts(**{field.name: value.seconds for field, value in message.ListFields()})


def _duration(milliseconds: int) -> Duration:
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def _unknown(field: str, value: int, known: str) -> InvalidField:
    return InvalidField(field, f"must be {known}" + (f", not {value}" if value else "; it is not set"))
