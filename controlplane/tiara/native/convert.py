# SPDX-License-Identifier: Apache-2.0
"""Between C structs and frozen values. Takes and returns cffi's ``CData``, typed ``Any``."""

from __future__ import annotations

import socket
from typing import Any

from tiara.domain.dataplane import BackendSpec, ServiceSpec, SourceRanges
from tiara.domain.layout import EntryFlag, Event, Forward, ServiceFlag, State, Status, Use, Verdict
from tiara.domain.model import Protocol
from tiara.native._libtiara import ffi
from tiara.native.errors import NativeError
from tiara.native.values import BackendSlot, Counters, Flow, NativeConnection, SegmentInfo, ServiceSlot


def text(chars: Any) -> str:
    """A NUL-terminated char array."""
    return bytes(ffi.string(chars)).decode("utf-8", "replace")


def address_in(address: str) -> int:
    """Text to the number whose bytes in memory are in network order."""
    return int.from_bytes(socket.inet_aton(address), "little")


def address_out(number: int) -> str:
    """The inverse of ``address_in``."""
    return socket.inet_ntoa(int(number).to_bytes(4, "little"))


def raised(status: int, error: Any) -> NativeError:
    """The exception for a status that is not OK."""
    return NativeError(Status(status), text(error.field), text(error.message))


def fill_backend(spec: Any, value: BackendSpec) -> None:
    """Writes a zeroed ``struct tiara_backend_spec``."""
    spec.pool = value.pool.encode()
    spec.backend = value.backend.encode()
    spec.uid = bytes.fromhex(value.uid)
    record = spec.record
    record.addr = address_in(value.address)
    record.forward = value.forward
    record.use = value.use
    record.vni = value.vni
    record.tunnel_port = socket.htons(value.tunnel_port)
    record.inner_mac = bytes.fromhex(value.inner_mac.replace(":", ""))
    record.ramp_tenths = value.ramp_tenths
    record.connection_max = value.connection_max


def fill_service(spec: Any, value: ServiceSpec, table_off: int, table_cnt: int, source_off: int) -> None:
    """Writes a zeroed ``struct tiara_service_spec``."""
    spec.service = value.service.encode()
    spec.uid = bytes.fromhex(value.uid)
    spec.table_off = table_off
    spec.table_cnt = table_cnt
    spec.source_off = source_off
    spec.source_cnt = len(value.sources)
    record = spec.record
    record.vip = address_in(value.vip)
    record.port = socket.htons(value.port)
    record.protocol = value.protocol
    record.use = Use.ACTIVE
    record.flags = ServiceFlag.SOURCE_AFFINITY if value.source_affinity else 0
    record.timeout_ticks[State.NEW] = value.tcp_new
    record.timeout_ticks[State.ESTABLISHED] = value.tcp_established
    record.timeout_ticks[State.CLOSING] = value.tcp_closing
    record.timeout_ticks[State.UDP] = value.udp
    record.new_max_per_s = value.new_max_per_s


def backend_slot(idx: int, spec: Any) -> BackendSlot:
    """From ``struct tiara_backend_spec``."""
    record = spec.record
    value = BackendSpec(
        text(spec.pool),
        text(spec.backend),
        bytes(spec.uid).hex(),
        address_out(record.addr),
        Use(record.use),
        Forward(record.forward),
        record.vni,
        socket.ntohs(record.tunnel_port),
        bytes(record.inner_mac).hex(":"),
        record.ramp_tenths,
        record.connection_max,
    )
    return BackendSlot(idx, value)


def service_slot(idx: int, spec: Any, sources: SourceRanges = ()) -> ServiceSlot:
    """From ``struct tiara_service_spec``; ``sources`` are beside it."""
    record = spec.record
    ticks = record.timeout_ticks
    value = ServiceSpec(
        text(spec.service),
        bytes(spec.uid).hex(),
        address_out(record.vip),
        Protocol(record.protocol),
        socket.ntohs(record.port),
        ticks[State.NEW],
        ticks[State.ESTABLISHED],
        ticks[State.CLOSING],
        ticks[State.UDP],
        bool(record.flags & ServiceFlag.SOURCE_AFFINITY),
        sources,
        record.new_max_per_s,
    )
    return ServiceSlot(idx, value, spec.table_off, spec.table_cnt, spec.source_off)


def connection(found: Any) -> NativeConnection:
    """From ``struct tiara_connection``."""
    return NativeConnection(
        Protocol(found.protocol),
        address_out(found.client_addr),
        socket.ntohs(found.client_port),
        address_out(found.vip),
        socket.ntohs(found.port),
        State(found.state),
        bool(found.flags & EntryFlag.PUSHED),
        bool(found.flags & EntryFlag.OFFLOADED),
        found.service_idx,
        found.backend_idx,
        found.idle_ticks,
        found.expires_ticks,
    )


def counters(total: Any) -> Counters:
    """From ``struct tiara_worker_counters``."""
    return Counters(
        {verdict.label: total.verdict_pkts[verdict] for verdict in Verdict if verdict},
        {event.label: total.event_cnt[event] for event in Event if event},
        total.rx_pkts,
        total.rx_bytes,
        total.tx_pkts,
        total.tx_bytes,
    )


def flow(total: Any) -> Flow:
    """From ``struct tiara_flow_counter``."""
    return Flow(total.pkts, total.bytes, total.connections, total.limit_cnt)


def segment_info(info: Any) -> SegmentInfo:
    """From ``struct tiara_segment_info``."""
    node = info.node
    return SegmentInfo(
        layout_id=info.layout_id,
        total_bytes=info.total_bytes,
        created_ns=info.created_ns,
        page_bytes=info.page_bytes,
        worker_max=info.worker_max,
        service_max=info.service_max,
        backend_max=info.backend_max,
        connections=info.connections,
        heap_bytes=info.heap_bytes,
        heap_used_bytes=info.heap_used_bytes,
        generation=info.generation,
        revision=info.revision,
        tick=info.tick,
        dataplane_live=info.dataplane_live,
        worker_online=info.worker_online,
        worker_cnt=node.worker_cnt,
        address=address_out(node.address) if node.address else "",
        port_mac=bytes(node.port_mac).hex(":"),
        tsc_hz=node.tsc_hz,
        start_cnt=node.start_cnt,
        start_ns=node.start_ns,
        first_forward_ns=node.first_forward_ns,
        version=text(node.version),
    )
