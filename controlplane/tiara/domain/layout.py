# SPDX-License-Identifier: Apache-2.0
# Generated from dataplane/include/tiara/layout.h by `script/check generate`. Do not edit.
"""Constants of the shared layout and of libtiara's calls: enums, struct sizes and member offsets."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from types import MappingProxyType
from typing import Final, NamedTuple

LAYOUT_ID: Final = 0xBBAE043571B61174
"""What a segment, libtiara and tiara-dataplane must agree on."""


class _Labelled(IntEnum):
    @property
    def label(self) -> str:
        """The lower-case name, as metrics and tables show it."""
        return self.name.lower()


class Member(NamedTuple):
    """A struct's member: offset and element size in bytes, array length (0: no array), C type."""

    offset: int
    element_bytes: int
    length: int
    type: str


class Limit:
    """enum tiara_limit of layout.h."""

    LINE_BYTES: Final = 64
    BUCKET_ENTRIES: Final = 4
    WORKER_MAX: Final = 64
    OWNER_CONTROL: Final = 255
    ROOT_CNT: Final = 16
    ROOT_WAITING_MAX: Final = 8
    SERVICE_LIMIT: Final = 65536
    BACKEND_LIMIT: Final = 16777216
    MOVE_STRIPES: Final = 4096
    MOVE_LOG_KEYS: Final = 8191
    TIMEOUT_TICKS_MAX: Final = 32768
    NAME_BYTES: Final = 64
    UID_BYTES: Final = 16
    VERDICT_CNT: Final = 64
    EVENT_CNT: Final = 32
    STATE_CNT: Final = 8
    SOURCES_MAX: Final = 1024
    HEAP_UNIT_BYTES: Final = 4096
    CARD_CHANNELS: Final = 16
    PACKED_FORMAT: Final = 1
    PACKED_CHUNK_BYTES: Final = 1048576


class Verdict(_Labelled):
    """enum tiara_verdict of layout.h."""

    NONE = 0
    FORWARDED = 1
    FORWARDED_UNTRACKED = 2
    FORWARDED_STRAY = 3
    ARP_ANSWERED = 4
    ARP_LEARNED = 5
    ICMP_ANSWERED = 6
    TO_KERNEL = 7
    INJECTED = 8
    FORWARDED_BY_CARD = 9
    TRUNCATED = 16
    NOT_IPV4 = 17
    BAD_HEADER = 18
    BAD_CHECKSUM = 19
    FRAGMENT = 20
    TTL_EXPIRED = 21
    NOT_FOR_US = 22
    UNSUPPORTED_PROTOCOL = 23
    NO_SERVICE = 24
    NO_BACKEND = 25
    NO_NEIGHBOUR = 26
    TOO_BIG = 27
    NO_ROOM = 28
    NOT_CONFIGURED = 29
    MARTIAN = 30
    KERNEL_FULL = 31
    TX_FULL = 32
    VLAN = 33
    SOURCE_DENIED = 34
    RATE_LIMITED = 35
    BACKEND_FULL = 36
    CARD_REMOVING = 37


class Event(_Labelled):
    """enum tiara_event of layout.h."""

    NONE = 0
    CONNECTION_NEW = 1
    CONNECTION_RESELECTED = 2
    BACKEND_REMOVED = 3
    BACKEND_DOWN = 4
    TABLE_FULL = 5
    INSERT_RACE = 6
    TOUCH_RACE = 7
    SWEPT_EXPIRED = 8
    SWEPT_GONE = 9
    SWEPT_TENTATIVE = 10
    GENERATION_CHANGE = 11
    MOVED = 12
    RECLAIMED = 13
    CONNECTION_SPILLED = 14
    CARD_OFFERED = 15
    CARD_REMOVED = 16
    CARD_EXPIRED = 17
    CARD_REPEATED = 18
    CARD_FULL = 19
    CARD_WISH_LOST = 20
    CARD_RESET = 21
    CARD_OVERTAKEN = 22


class State(_Labelled):
    """enum tiara_state of layout.h."""

    EMPTY = 0
    TENTATIVE = 1
    NEW = 2
    ESTABLISHED = 3
    CLOSING = 4
    UDP = 5
    PENDING = 6


class EntryFlag(IntFlag):
    """enum tiara_entry_flag of layout.h."""

    PUSHED = 1
    UNCONFIRMED = 2
    MOVING = 4
    ARRIVING = 8
    OFFLOADED = 16
    ENDING = 32
    OVERFLOW = 128


class Use(_Labelled):
    """enum tiara_use of layout.h."""

    FREE = 0
    ACTIVE = 1
    DOWN = 2
    GONE = 3
    VIP = 4


class Forward(_Labelled):
    """enum tiara_forward of layout.h."""

    NONE = 0
    L2 = 1
    VXLAN = 2
    IPIP = 3


class ServiceFlag(IntFlag):
    """enum tiara_service_flag of layout.h."""

    SOURCE_AFFINITY = 1


class NeighbourState(_Labelled):
    """enum tiara_neighbour_state of layout.h."""

    FREE = 0
    WANTED = 1
    KNOWN = 2


class CardKind(_Labelled):
    """enum tiara_card_kind of layout.h."""

    NONE = 0
    INSTALL = 1
    REMOVE = 2
    HARVEST = 3
    REMOVED = 17
    HARVESTED = 18
    HARVEST_END = 19


class CardRemoved(_Labelled):
    """enum tiara_card_removed of layout.h."""

    FOUND = 1
    SEEN = 2


class CardReason(_Labelled):
    """enum tiara_card_reason of layout.h."""

    NONE = 0
    MISS = 1
    OPENS = 2
    CLOSES = 3
    FRAGMENT = 4
    OPTIONS = 5
    TTL = 6
    OTHER = 7
    NO_SERVICE = 8
    TOO_BIG = 9
    NO_BACKEND = 10


class Status(_Labelled):
    """enum tiara_status of libtiara's calls."""

    OK = 0
    INVALID = 1
    NOT_FOUND = 2
    EXISTS = 3
    BUSY = 4
    LAYOUT = 5
    NO_SPACE = 6
    EXHAUSTED = 7
    FULL = 8
    IO = 9
    CONFLICT = 10
    UNCHANGED = 11


class Role(_Labelled):
    """enum tiara_role of libtiara's calls."""

    READER = 0
    DATAPLANE = 1
    CONTROLPLANE = 2


class OnConflict(_Labelled):
    """enum tiara_on_conflict of libtiara's calls."""

    CONFLICT_KEEP = 0
    CONFLICT_REPLACE = 1


class ExplainWay(_Labelled):
    """enum tiara_explain_way of libtiara's calls."""

    DROPPED = 0
    SENT = 1
    KERNEL = 2


SIZES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "tiara_entry": 16,
        "tiara_tentative": 16,
        "tiara_bucket": 64,
        "tiara_service": 64,
        "tiara_source": 8,
        "tiara_rate": 64,
        "tiara_backend": 32,
        "tiara_frontend": 16,
        "tiara_service_name": 96,
        "tiara_backend_name": 160,
        "tiara_root": 128,
        "tiara_neighbour": 16,
        "tiara_move_log": 65536,
        "tiara_worker_slot": 64,
        "tiara_worker_counters": 832,
        "tiara_flow_counter": 32,
        "tiara_node": 192,
        "tiara_segment": 576,
        "tiara_packed_connection": 16,
        "tiara_card_entry": 16,
        "tiara_card_command": 32,
        "tiara_card_answer": 32,
        "tiara_card_service": 16,
        "tiara_card_backend": 64,
        "tiara_card_meta": 32,
    }
)
"""Bytes of each struct by its C tag."""

MEMBERS: Final[Mapping[str, Mapping[str, Member]]] = MappingProxyType(
    {
        "tiara_entry": {
            "client_addr": Member(0, 4, 0, "tiara_be32"),
            "client_port": Member(4, 2, 0, "tiara_be16"),
            "service_idx": Member(6, 2, 0, "uint16_t"),
            "backend_idx": Member(8, 4, 0, "uint32_t"),
            "last_seen": Member(12, 2, 0, "uint16_t"),
            "state": Member(14, 1, 0, "uint8_t"),
            "flags": Member(15, 1, 0, "uint8_t"),
        },
        "tiara_tentative": {
            "client_addr": Member(0, 4, 0, "tiara_be32"),
            "client_port": Member(4, 2, 0, "tiara_be16"),
            "service_idx": Member(6, 2, 0, "uint16_t"),
            "nonce": Member(8, 4, 0, "uint32_t"),
            "tick": Member(12, 1, 0, "uint8_t"),
            "owner": Member(13, 1, 0, "uint8_t"),
            "state": Member(14, 1, 0, "uint8_t"),
            "flags": Member(15, 1, 0, "uint8_t"),
        },
        "tiara_bucket": {
            "entry": Member(0, 16, 4, "struct tiara_entry"),
        },
        "tiara_service": {
            "vip": Member(0, 4, 0, "tiara_be32"),
            "port": Member(4, 2, 0, "tiara_be16"),
            "protocol": Member(6, 1, 0, "uint8_t"),
            "use": Member(7, 1, 0, "uint8_t"),
            "select_off": Member(8, 8, 0, "uint64_t"),
            "select_cnt": Member(16, 4, 0, "uint32_t"),
            "flags": Member(20, 4, 0, "uint32_t"),
            "timeout_ticks": Member(24, 2, 8, "uint16_t"),
            "source_off": Member(40, 8, 0, "uint64_t"),
            "source_cnt": Member(48, 4, 0, "uint32_t"),
            "new_max_per_s": Member(52, 4, 0, "uint32_t"),
            "rate_idx": Member(56, 4, 0, "uint32_t"),
            "pad": Member(60, 1, 4, "uint8_t"),
        },
        "tiara_source": {
            "first": Member(0, 4, 0, "uint32_t"),
            "last": Member(4, 4, 0, "uint32_t"),
        },
        "tiara_rate": {
            "full": Member(0, 8, 0, "uint64_t"),
            "pad": Member(8, 1, 56, "uint8_t"),
        },
        "tiara_backend": {
            "addr": Member(0, 4, 0, "tiara_be32"),
            "port": Member(4, 2, 0, "tiara_be16"),
            "forward": Member(6, 1, 0, "uint8_t"),
            "use": Member(7, 1, 0, "uint8_t"),
            "vni": Member(8, 4, 0, "uint32_t"),
            "tunnel_port": Member(12, 2, 0, "tiara_be16"),
            "inner_mac": Member(14, 1, 6, "uint8_t"),
            "connection_max": Member(20, 4, 0, "uint32_t"),
            "ramp_tenths": Member(24, 1, 0, "uint8_t"),
            "pad": Member(25, 1, 7, "uint8_t"),
        },
        "tiara_frontend": {
            "vip": Member(0, 4, 0, "tiara_be32"),
            "port": Member(4, 2, 0, "tiara_be16"),
            "protocol": Member(6, 1, 0, "uint8_t"),
            "use": Member(7, 1, 0, "uint8_t"),
            "service_idx": Member(8, 2, 0, "uint16_t"),
            "pad": Member(10, 1, 6, "uint8_t"),
        },
        "tiara_service_name": {
            "service": Member(0, 1, 64, "char"),
            "uid": Member(64, 1, 16, "uint8_t"),
            "use_generation": Member(80, 8, 0, "uint64_t"),
            "use": Member(88, 1, 0, "uint8_t"),
            "pad": Member(89, 1, 7, "uint8_t"),
        },
        "tiara_backend_name": {
            "pool": Member(0, 1, 64, "char"),
            "backend": Member(64, 1, 64, "char"),
            "uid": Member(128, 1, 16, "uint8_t"),
            "use_generation": Member(144, 8, 0, "uint64_t"),
            "use": Member(152, 1, 0, "uint8_t"),
            "pad": Member(153, 1, 7, "uint8_t"),
        },
        "tiara_root": {
            "generation": Member(0, 8, 0, "uint64_t"),
            "revision": Member(8, 8, 0, "uint64_t"),
            "select_secret": Member(16, 8, 2, "uint64_t"),
            "service_off": Member(32, 8, 0, "uint64_t"),
            "backend_off": Member(40, 8, 0, "uint64_t"),
            "frontend_off": Member(48, 8, 0, "uint64_t"),
            "service_name_off": Member(56, 8, 0, "uint64_t"),
            "backend_name_off": Member(64, 8, 0, "uint64_t"),
            "service_cnt": Member(72, 4, 0, "uint32_t"),
            "backend_cnt": Member(76, 4, 0, "uint32_t"),
            "frontend_cnt": Member(80, 4, 0, "uint32_t"),
            "limits_known": Member(84, 4, 0, "uint32_t"),
            "gone_generation": Member(88, 8, 0, "uint64_t"),
            "timeout_min_ticks": Member(96, 2, 8, "uint16_t"),
            "pad": Member(112, 1, 16, "uint8_t"),
        },
        "tiara_neighbour": {
            "addr": Member(0, 4, 0, "tiara_be32"),
            "mac": Member(4, 1, 6, "uint8_t"),
            "state": Member(10, 1, 0, "uint8_t"),
            "probes": Member(11, 1, 0, "uint8_t"),
            "heard": Member(12, 4, 0, "uint32_t"),
        },
        "tiara_move_log": {
            "cnt": Member(0, 8, 0, "uint64_t"),
            "key": Member(8, 8, 8191, "uint64_t"),
        },
        "tiara_worker_slot": {
            "generation": Member(0, 8, 0, "uint64_t"),
            "sweep_slice": Member(8, 8, 0, "uint64_t"),
            "bursts": Member(16, 8, 0, "uint64_t"),
            "busy_cycles": Member(24, 8, 0, "uint64_t"),
            "idle_cycles": Member(32, 8, 0, "uint64_t"),
            "unconfirmed": Member(40, 8, 0, "uint64_t"),
            "lcore": Member(48, 4, 0, "uint32_t"),
            "queue": Member(52, 4, 0, "uint32_t"),
            "pad": Member(56, 1, 8, "uint8_t"),
        },
        "tiara_worker_counters": {
            "verdict_pkts": Member(0, 8, 64, "uint64_t"),
            "event_cnt": Member(512, 8, 32, "uint64_t"),
            "rx_pkts": Member(768, 8, 0, "uint64_t"),
            "rx_bytes": Member(776, 8, 0, "uint64_t"),
            "tx_pkts": Member(784, 8, 0, "uint64_t"),
            "tx_bytes": Member(792, 8, 0, "uint64_t"),
            "pad": Member(800, 1, 32, "uint8_t"),
        },
        "tiara_flow_counter": {
            "pkts": Member(0, 8, 0, "uint64_t"),
            "bytes": Member(8, 8, 0, "uint64_t"),
            "connections": Member(16, 8, 0, "uint64_t"),
            "limit_cnt": Member(24, 8, 0, "uint64_t"),
        },
        "tiara_node": {
            "address": Member(0, 4, 0, "tiara_be32"),
            "gateway": Member(4, 4, 0, "tiara_be32"),
            "netmask": Member(8, 4, 0, "tiara_be32"),
            "mtu_bytes": Member(12, 4, 0, "uint32_t"),
            "port_mac": Member(16, 1, 6, "uint8_t"),
            "kernel_mac": Member(22, 1, 6, "uint8_t"),
            "worker_cnt": Member(28, 4, 0, "uint32_t"),
            "tsc_hz": Member(32, 8, 0, "uint64_t"),
            "start_cnt": Member(40, 8, 0, "uint64_t"),
            "start_ns": Member(48, 8, 0, "uint64_t"),
            "first_forward_ns": Member(56, 8, 0, "uint64_t"),
            "version": Member(64, 1, 64, "char"),
            "port_name": Member(128, 1, 64, "char"),
        },
        "tiara_segment": {
            "magic": Member(0, 1, 8, "uint8_t"),
            "layout_id": Member(8, 8, 0, "uint64_t"),
            "total_bytes": Member(16, 8, 0, "uint64_t"),
            "created_ns": Member(24, 8, 0, "uint64_t"),
            "page_bytes": Member(32, 4, 0, "uint32_t"),
            "worker_max": Member(36, 4, 0, "uint32_t"),
            "service_max": Member(40, 4, 0, "uint32_t"),
            "backend_max": Member(44, 4, 0, "uint32_t"),
            "bucket_cnt": Member(48, 8, 0, "uint64_t"),
            "neighbour_cnt": Member(56, 4, 0, "uint32_t"),
            "pad0": Member(60, 4, 0, "uint32_t"),
            "worker_off": Member(64, 8, 0, "uint64_t"),
            "counter_off": Member(72, 8, 0, "uint64_t"),
            "counter_stride": Member(80, 8, 0, "uint64_t"),
            "root_off": Member(88, 8, 0, "uint64_t"),
            "neighbour_off": Member(96, 8, 0, "uint64_t"),
            "heap_off": Member(104, 8, 0, "uint64_t"),
            "heap_bytes": Member(112, 8, 0, "uint64_t"),
            "table_off": Member(120, 8, 0, "uint64_t"),
            "table_secret": Member(128, 8, 2, "uint64_t"),
            "move_off": Member(144, 8, 0, "uint64_t"),
            "move_log_off": Member(152, 8, 0, "uint64_t"),
            "rate_off": Member(160, 8, 0, "uint64_t"),
            "pad1": Member(168, 1, 24, "uint8_t"),
            "generation": Member(192, 8, 0, "uint64_t"),
            "released_generation": Member(200, 8, 0, "uint64_t"),
            "unconfirmed": Member(208, 8, 0, "uint64_t"),
            "pad2": Member(216, 1, 40, "uint8_t"),
            "tick_next_tsc": Member(256, 8, 0, "uint64_t"),
            "tick": Member(264, 4, 0, "uint32_t"),
            "recounting": Member(268, 4, 0, "uint32_t"),
            "pad3": Member(272, 1, 48, "uint8_t"),
            "sweep_claimed": Member(320, 8, 0, "uint64_t"),
            "sweep_restarts": Member(328, 8, 0, "uint64_t"),
            "pad4": Member(336, 1, 48, "uint8_t"),
            "node": Member(384, 192, 0, "struct tiara_node"),
        },
        "tiara_packed_connection": {
            "client_addr": Member(0, 4, 0, "tiara_be32"),
            "client_port": Member(4, 2, 0, "tiara_be16"),
            "service_pos": Member(6, 2, 0, "tiara_be16"),
            "backend_pos": Member(8, 4, 0, "tiara_be32"),
            "idle_s": Member(12, 2, 0, "tiara_be16"),
            "state": Member(14, 1, 0, "uint8_t"),
            "flags": Member(15, 1, 0, "uint8_t"),
        },
        "tiara_card_entry": {
            "client_addr": Member(0, 4, 0, "tiara_be32"),
            "client_port": Member(4, 2, 0, "tiara_be16"),
            "service_idx": Member(6, 2, 0, "uint16_t"),
            "backend_line": Member(8, 4, 0, "uint32_t"),
            "generation": Member(12, 2, 0, "uint16_t"),
            "state": Member(14, 1, 0, "uint8_t"),
            "flags": Member(15, 1, 0, "uint8_t"),
        },
        "tiara_card_command": {
            "kind": Member(0, 1, 0, "uint8_t"),
            "channel": Member(1, 1, 0, "uint8_t"),
            "epoch": Member(2, 2, 0, "uint16_t"),
            "number": Member(4, 4, 0, "uint32_t"),
            "slot": Member(8, 4, 0, "uint32_t"),
            "harvest": Member(12, 4, 0, "uint32_t"),
            "entry": Member(16, 16, 0, "struct tiara_card_entry"),
        },
        "tiara_card_answer": {
            "kind": Member(0, 1, 0, "uint8_t"),
            "channel": Member(1, 1, 0, "uint8_t"),
            "epoch": Member(2, 2, 0, "uint16_t"),
            "number": Member(4, 4, 0, "uint32_t"),
            "slot": Member(8, 4, 0, "uint32_t"),
            "harvest": Member(12, 4, 0, "uint32_t"),
            "seen": Member(16, 8, 2, "uint64_t"),
        },
        "tiara_card_service": {
            "vip": Member(0, 4, 0, "tiara_be32"),
            "port": Member(4, 2, 0, "tiara_be16"),
            "protocol": Member(6, 1, 0, "uint8_t"),
            "valid": Member(7, 1, 0, "uint8_t"),
            "service_idx": Member(8, 2, 0, "uint16_t"),
            "pad": Member(10, 1, 6, "uint8_t"),
        },
        "tiara_card_backend": {
            "next_hop_mac": Member(0, 1, 6, "uint8_t"),
            "port_mac": Member(6, 1, 6, "uint8_t"),
            "addr": Member(12, 4, 0, "tiara_be32"),
            "local_addr": Member(16, 4, 0, "tiara_be32"),
            "vni": Member(20, 4, 0, "uint32_t"),
            "tunnel_port": Member(24, 2, 0, "tiara_be16"),
            "inner_mac": Member(26, 1, 6, "uint8_t"),
            "mtu_bytes": Member(32, 2, 0, "uint16_t"),
            "forward": Member(34, 1, 0, "uint8_t"),
            "valid": Member(35, 1, 0, "uint8_t"),
            "pad": Member(36, 1, 28, "uint8_t"),
        },
        "tiara_card_meta": {
            "key": Member(0, 8, 0, "uint64_t"),
            "hash": Member(8, 8, 0, "uint64_t"),
            "service_idx": Member(16, 2, 0, "uint16_t"),
            "reason": Member(18, 1, 0, "uint8_t"),
            "pad": Member(19, 1, 13, "uint8_t"),
        },
    }
)
"""Members of each struct by its C tag, in order."""

PACKED_CONNECTION_FORMAT: Final = "!IHHIHBB"
"""struct.Struct format of a packed connection:
client_addr, client_port, service_pos, backend_pos, idle_s, state, flags."""
