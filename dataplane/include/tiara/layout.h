/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h: every byte that C, Python and RTL share.
 *
 * Rules (dataplane/layout checks them): fixed-width plain types, explicit padding, no pointers, no
 * bit-fields, no _Atomic (accesses use the __atomic builtins), byte order in the type name,
 * constants as enums. A change here changes the layout id, and two programs with different ids do
 * not attach to one segment. After a change run `script/check generate`.
 *
 * Offsets (`*_off`) count bytes from the start of the segment; 0 means "none".
 */
#ifndef TIARA_LAYOUT_H
#define TIARA_LAYOUT_H

#include <stdint.h>

typedef uint16_t tiara_be16; /* network byte order */
typedef uint32_t tiara_be32;

enum tiara_limit {
	TIARA_LINE_BYTES = 64,
	TIARA_BUCKET_ENTRIES = 4,
	TIARA_WORKER_MAX = 64,
	TIARA_OWNER_CONTROL = 255, /* owner number of the control plane's inserts; workers use theirs */
	TIARA_ROOT_CNT = 16,       /* roots in the ring: generation g is at g % TIARA_ROOT_CNT */
	TIARA_ROOT_WAITING_MAX = 8,      /* roots that may wait for a stopped worker */
	TIARA_SERVICE_LIMIT = 65536,     /* a service index has 16 bits */
	TIARA_BACKEND_LIMIT = 1 << 24,   /* a backend index has 24 bits in a moving entry */
	TIARA_MOVE_STRIPES = 4096,       /* move counters; a key's is chosen by its hash */
	TIARA_MOVE_LOG_KEYS = 8191,      /* keys that an owner moved last, for snapshots */
	TIARA_TIMEOUT_TICKS_MAX = 32768, /* last_seen has 16 bits, half of them tell old from new */
	TIARA_NAME_BYTES = 64,           /* an id of at most 63 characters and a NUL */
	TIARA_UID_BYTES = 16,
	TIARA_VERDICT_CNT = 64,
	TIARA_EVENT_CNT = 32,
	TIARA_STATE_CNT = 8,
	TIARA_SOURCES_MAX = 1024, /* address ranges in a service's list of allowed sources */
	TIARA_HEAP_UNIT_BYTES = 4096,
	TIARA_CARD_CHANNELS = 16, /* command channels of a card; a key's is chosen by its hash */
	TIARA_PACKED_FORMAT = 1,  /* packed connections v1 */
	TIARA_PACKED_CHUNK_BYTES = 1048576,
};

/*
 * What became of a packet. One name from here to the metric's label (lower case, without the
 * prefix). NONE never leaves the packet path.
 */
enum tiara_verdict {
	TIARA_VERDICT_NONE = 0,
	TIARA_VERDICT_FORWARDED = 1,           /* to a backend, its connection is in the table */
	TIARA_VERDICT_FORWARDED_UNTRACKED = 2, /* to a backend by selection alone: no room in the table */
	TIARA_VERDICT_FORWARDED_STRAY = 3, /* to a backend by selection alone: FIN or RST of no connection */
	TIARA_VERDICT_ARP_ANSWERED = 4,
	TIARA_VERDICT_ARP_LEARNED = 5,
	TIARA_VERDICT_ICMP_ANSWERED = 6,
	TIARA_VERDICT_TO_KERNEL = 7,
	TIARA_VERDICT_INJECTED = 8,          /* from the kernel or the resolver, sent out */
	TIARA_VERDICT_FORWARDED_BY_CARD = 9, /* by the card; no worker saw it (its totals, once a second) */
	/* from here on: dropped */
	TIARA_VERDICT_TRUNCATED = 16, /* shorter than its headers say */
	TIARA_VERDICT_NOT_IPV4 = 17,
	TIARA_VERDICT_BAD_HEADER = 18,   /* version, header length, or total length impossible */
	TIARA_VERDICT_BAD_CHECKSUM = 19, /* IPv4 header checksum */
	TIARA_VERDICT_FRAGMENT = 20,
	TIARA_VERDICT_TTL_EXPIRED = 21,
	TIARA_VERDICT_NOT_FOR_US = 22,           /* no VIP and not our own address */
	TIARA_VERDICT_UNSUPPORTED_PROTOCOL = 23, /* a VIP, but neither TCP nor UDP nor ICMP echo */
	TIARA_VERDICT_NO_SERVICE = 24,     /* a VIP, but no service on this protocol and port */
	TIARA_VERDICT_NO_BACKEND = 25,     /* the pool is empty or all of it is dead */
	TIARA_VERDICT_NO_NEIGHBOUR = 26,   /* the next hop's MAC address is not known yet */
	TIARA_VERDICT_TOO_BIG = 27,        /* over the port's MTU after encapsulation */
	TIARA_VERDICT_NO_ROOM = 28,        /* no headroom in the frame for the encapsulation */
	TIARA_VERDICT_NOT_CONFIGURED = 29, /* no generation has been published yet */
	TIARA_VERDICT_MARTIAN = 30,     /* source address multicast, broadcast, loopback or zero */
	TIARA_VERDICT_KERNEL_FULL = 31, /* for the kernel, whose queue was full */
	TIARA_VERDICT_TX_FULL = 32,     /* the port took no more */
	TIARA_VERDICT_VLAN = 33,        /* tagged twice, or with a provider's tag */
	TIARA_VERDICT_SOURCE_DENIED = 34, /* begins a connection, from a source that the service refuses */
	TIARA_VERDICT_RATE_LIMITED = 35, /* begins a connection, over the service's rate of new ones */
	TIARA_VERDICT_BACKEND_FULL = 36, /* every backend tried has as many connections as it may */
	TIARA_VERDICT_CARD_REMOVING = 37, /* needs another backend, and the card still has the old one */
};

/* Things counted beside a verdict; a packet may count several. */
enum tiara_event {
	TIARA_EVENT_NONE = 0,
	TIARA_EVENT_CONNECTION_NEW = 1,
	TIARA_EVENT_CONNECTION_RESELECTED = 2, /* a SYN on a closing entry, or a new backend for an old one */
	TIARA_EVENT_BACKEND_REMOVED = 3, /* a packet whose connection's backend is gone */
	TIARA_EVENT_BACKEND_DOWN = 4,    /* a UDP packet whose backend's health check fails */
	TIARA_EVENT_TABLE_FULL = 5,
	TIARA_EVENT_INSERT_RACE = 6, /* lost an insert to another worker */
	TIARA_EVENT_TOUCH_RACE = 7,
	TIARA_EVENT_SWEPT_EXPIRED = 8,
	TIARA_EVENT_SWEPT_GONE = 9, /* entry of a removed service or backend */
	TIARA_EVENT_SWEPT_TENTATIVE = 10,
	TIARA_EVENT_GENERATION_CHANGE = 11,
	TIARA_EVENT_MOVED = 12,              /* an entry went to its other bucket to make room */
	TIARA_EVENT_RECLAIMED = 13,          /* an unconfirmed connection gave way to another */
	TIARA_EVENT_CONNECTION_SPILLED = 14, /* the backend of its row was full: it got another one */
	TIARA_EVENT_CARD_OFFERED = 15, /* connections offered to the card, for the first time or again */
	TIARA_EVENT_CARD_REMOVED = 16,   /* removals that the card has acknowledged */
	TIARA_EVENT_CARD_EXPIRED = 17,   /* of them: connections that the card had not used */
	TIARA_EVENT_CARD_REPEATED = 18,  /* removals that were asked again */
	TIARA_EVENT_CARD_FULL = 19,      /* offers for which the card has no place */
	TIARA_EVENT_CARD_WISH_LOST = 20, /* no room to pass a wish on; it is made again */
	TIARA_EVENT_CARD_RESET = 21, /* the card was emptied: its connections are the CPU's again */
	TIARA_EVENT_CARD_OVERTAKEN = 22, /* packets handled here that the card's next ones may overtake */
};

/*
 * Entry states. TCP as a balancer sees it: only the client's side. The states from NEW on are live
 * and index tiara_service.timeout_ticks.
 */
enum tiara_state {
	TIARA_STATE_EMPTY = 0,
	TIARA_STATE_TENTATIVE = 1,   /* an insert in flight: invisible to readers */
	TIARA_STATE_NEW = 2,         /* TCP: a SYN was seen */
	TIARA_STATE_ESTABLISHED = 3, /* TCP: data or ACK was seen */
	TIARA_STATE_CLOSING = 4,     /* TCP: FIN or RST was seen; data restores */
	TIARA_STATE_UDP = 5,
	TIARA_STATE_PENDING = 6, /* waits for the control plane's choice (delegated services) */
};

/*
 * MOVING and ARRIVING: two words of one connection for the moments of a move (docs/design/0007).
 * OVERFLOW belongs to the bucket, not to the word that carries it, and survives every change of it.
 */
enum tiara_entry_flag {
	TIARA_ENTRY_PUSHED = 1,      /* put there by the control plane, not by a packet */
	TIARA_ENTRY_UNCONFIRMED = 2, /* one packet made it, no second one has come */
	TIARA_ENTRY_MOVING = 4,      /* leaves this slot; only its mover may change it */
	TIARA_ENTRY_ARRIVING = 8, /* came to this slot; the word that it left may still be there */
	TIARA_ENTRY_OFFLOADED = 16, /* a card may have it: only its channel's worker may end or move it */
	TIARA_ENTRY_ENDING = 32, /* OFFLOADED only: to be ended, by an operator's word */
	TIARA_ENTRY_OVERFLOW = 128, /* slot 3 only: a key whose first bucket this is went to its second */
};

/*
 * One connection: one 16-byte atomic word.
 * Owner: the table. Written by any worker and the control plane by 16-byte CAS only; read by anyone
 * by one 16-byte atomic load. Lives until CASed to zero. Costs 1 MB per million connections and
 * byte (before occupancy).
 * The first half, as a little-endian 64-bit number, is the exact key and the hash's input. In state
 * TENTATIVE the second half is tiara_tentative's.
 */
struct tiara_entry {
	tiara_be32 client_addr;
	tiara_be16 client_port;
	uint16_t service_idx; /* stands for VIP, port and protocol */
	uint32_t backend_idx; /* below 2^24; MOVING, ARRIVING: the mover's number in the top byte */
	uint16_t last_seen;   /* tick, its low 16 bits */
	uint8_t state;        /* enum tiara_state */
	uint8_t flags;        /* enum tiara_entry_flag */
};

/* The same word while an insert or a move to this slot is in flight. */
struct tiara_tentative {
	tiara_be32 client_addr;
	tiara_be16 client_port;
	uint16_t service_idx;
	uint32_t nonce; /* the owner's running number: no word of its repeats */
	uint8_t tick;   /* its low 8 bits: the sweep clears what is over two ticks old */
	uint8_t owner;  /* worker number or TIARA_OWNER_CONTROL */
	uint8_t state;  /* TIARA_STATE_TENTATIVE */
	uint8_t flags;  /* 0, or TIARA_ENTRY_OVERFLOW */
};

/* One cache line, one burst of a card's memory. */
struct tiara_bucket {
	struct tiara_entry entry[4];
};

enum tiara_use {
	TIARA_USE_FREE = 0,   /* zeroed memory is a free slot */
	TIARA_USE_ACTIVE = 1, /* connections stay */
	TIARA_USE_DOWN = 2,   /* backends: health check fails: TCP stays, UDP selects again */
	TIARA_USE_GONE = 3,   /* removed: connections select again; the index is in quarantine */
	TIARA_USE_VIP = 4,    /* tiara_frontend only: marks an address that is a VIP */
};

enum tiara_forward {
	TIARA_FORWARD_NONE = 0,
	TIARA_FORWARD_L2 = 1,    /* direct return: only the MAC addresses change */
	TIARA_FORWARD_VXLAN = 2, /* the client's frame in VXLAN to the backend (RFC 7348) */
	TIARA_FORWARD_IPIP = 3,  /* the client's packet in one more IPv4 header (RFC 2003) */
};

enum tiara_service_flag {
	TIARA_SERVICE_SOURCE_AFFINITY = 1, /* selection looks at the client's address only */
};

/*
 * One frontend of a virtual service: (address, protocol, port). Immutable once its generation is
 * published. Owner: control plane; workers read. One cache line.
 */
struct tiara_service {
	tiara_be32 vip;
	tiara_be16 port;
	uint8_t protocol;    /* IANA number: 6 or 17 */
	uint8_t use;         /* enum tiara_use */
	uint64_t select_off; /* uint32_t[select_cnt] of backend indices, or 0: empty pool */
	uint32_t select_cnt;
	uint32_t flags;            /* enum tiara_service_flag */
	uint16_t timeout_ticks[8]; /* by enum tiara_state */
	uint64_t source_off;       /* struct tiara_source[source_cnt] that may begin connections */
	uint32_t source_cnt;       /* 0: every source may */
	uint32_t new_max_per_s;    /* new connections; 0: no limit */
	uint32_t rate_idx; /* whose bucket they are taken from: one for all frontends of a service */
	uint8_t pad[4];
};

/* Sources from first to last, both included, as numbers. A list is in order, and none touch. */
struct tiara_source {
	uint32_t first;
	uint32_t last;
};

/*
 * A bucket of tokens, one a new connection. Written by any worker by CAS. A cache line, because all
 * workers write it while a service is at its limit.
 */
struct tiara_rate {
	uint64_t full; /* the moment it is full again, in 1/256 cycles of the time-stamp counter */
	uint8_t pad[56];
};

/* A real server as the packet path sees it. Immutable once published. Half a cache line. */
struct tiara_backend {
	tiara_be32 addr;
	tiara_be16 port; /* 0: the frontend's, as direct return needs */
	uint8_t forward; /* enum tiara_forward */
	uint8_t use;     /* enum tiara_use */
	uint32_t vni;
	tiara_be16 tunnel_port;
	uint8_t inner_mac[6];    /* destination of the inner Ethernet header */
	uint32_t connection_max; /* entries of the table; 0: no limit */
	uint8_t ramp_tenths; /* of its weight that counts in its pool's table; 0: it is not there */
	uint8_t pad[7];
};

/* A slot of the exact-match frontend table: open addressing, linear probing, at most half full. */
struct tiara_frontend {
	tiara_be32 vip;
	tiara_be16 port;  /* 0 in a TIARA_USE_VIP slot */
	uint8_t protocol; /* 0 in a TIARA_USE_VIP slot */
	uint8_t use;      /* FREE ends a probe */
	uint16_t service_idx;
	uint8_t pad[6];
};

/* Who an index belongs to. Beside the hot records, never on the packet path. */
struct tiara_service_name {
	char service[64];
	uint8_t uid[16];
	uint64_t use_generation; /* the generation in which `use` last changed */
	uint8_t use;             /* enum tiara_use */
	uint8_t pad[7];
};

struct tiara_backend_name {
	char pool[64];
	char backend[64];
	uint8_t uid[16];
	uint64_t use_generation;
	uint8_t use;
	uint8_t pad[7];
};

/*
 * A generation: the small root of one configuration. What it points to are immutable blocks in the
 * heap, shared between generations. Written by the control plane before it is published, never
 * after.
 */
struct tiara_root {
	uint64_t generation;
	uint64_t revision;         /* the store's revision that this generation applies */
	uint64_t select_secret[2]; /* 127 bits, the same on all nodes of one configuration */
	uint64_t service_off;      /* struct tiara_service[service_cnt] */
	uint64_t backend_off;      /* struct tiara_backend[backend_cnt] */
	uint64_t frontend_off;     /* struct tiara_frontend[frontend_cnt] */
	uint64_t service_name_off; /* struct tiara_service_name[service_cnt] */
	uint64_t backend_name_off; /* struct tiara_backend_name[backend_cnt] */
	uint32_t service_cnt;
	uint32_t backend_cnt;
	uint32_t frontend_cnt;    /* a power of two, or 0 */
	uint32_t limits_known;    /* 0: the next two say nothing */
	uint64_t gone_generation; /* of the newest removal; 0: none; UINT64_MAX: drained by force */
	uint16_t timeout_min_ticks[8]; /* of all active services, by enum tiara_state */
	uint8_t pad[16];
};

enum tiara_neighbour_state {
	TIARA_NEIGHBOUR_FREE = 0,
	TIARA_NEIGHBOUR_WANTED = 1, /* asked for, not answered yet */
	TIARA_NEIGHBOUR_KNOWN = 2,
};

/*
 * A next hop: one 16-byte atomic word, in a table of open addressing, linear probing; slots are
 * never freed while the data plane runs. KNOWN is written by the worker that hears the answer,
 * WANTED by whoever misses it, aged by the resolver.
 */
struct tiara_neighbour {
	tiara_be32 addr;
	uint8_t mac[6];
	uint8_t state;  /* enum tiara_neighbour_state */
	uint8_t probes; /* requests sent since the last answer */
	uint32_t heard; /* tick of the last answer */
};

/*
 * The keys that one owner moved, in a ring: a scan of the table reads it to catch what went from
 * where it has not been to where it was. Written by that owner, before the old word goes.
 */
struct tiara_move_log {
	uint64_t cnt; /* keys written since creation; number n is in key[n % TIARA_MOVE_LOG_KEYS] */
	uint64_t key[8191];
};

/*
 * A worker's line. Written by that worker only.
 * generation: the generation it may be using; 0: offline (asleep, or not running).
 * sweep_slice: see dataplane/table/sweep; UINT64_MAX: not sweeping.
 */
struct tiara_worker_slot {
	uint64_t generation;
	uint64_t sweep_slice;
	uint64_t bursts;      /* non-empty ones */
	uint64_t busy_cycles; /* in non-empty bursts */
	uint64_t idle_cycles;
	uint64_t unconfirmed; /* its balance, as a signed number (path/unconfirmed.c) */
	uint32_t lcore;
	uint32_t queue;
	uint8_t pad[8];
};

/*
 * A worker's counters; followed by tiara_flow_counter[service_max], then [backend_max]. The control
 * plane has such a block too, in which it counts entries only.
 */
struct tiara_worker_counters {
	uint64_t verdict_pkts[64]; /* by enum tiara_verdict */
	uint64_t event_cnt[32];    /* by enum tiara_event */
	uint64_t rx_pkts;
	uint64_t rx_bytes;
	uint64_t tx_pkts;
	uint64_t tx_bytes;
	uint8_t pad[32];
};

struct tiara_flow_counter {
	uint64_t pkts;
	uint64_t bytes;       /* of client frames as received, without encapsulation */
	uint64_t connections; /* new ones */
	/*
	 * What limits count. A service: packets that they refused. A backend: entries of the table, made by
	 * this writer less those ended by it, as a signed number.
	 */
	uint64_t limit_cnt;
};

/* What the data plane tells of itself. Written at its start, before its workers run. */
struct tiara_node {
	tiara_be32 address; /* own address, 0: none */
	tiara_be32 gateway; /* 0: none */
	tiara_be32 netmask;
	uint32_t mtu_bytes;    /* of the port, without the Ethernet header */
	uint8_t port_mac[6];   /* VIPs answer with it; forwarded frames come from it */
	uint8_t kernel_mac[6]; /* the own address's, the exception path's */
	uint32_t worker_cnt;
	uint64_t tsc_hz;
	uint64_t start_cnt;        /* starts of a data plane on this segment */
	uint64_t start_ns;         /* CLOCK_MONOTONIC at entry of main */
	uint64_t first_forward_ns; /* CLOCK_MONOTONIC of the first forwarded packet, 0: none yet */
	char version[64];
	char port_name[64];
};

/*
 * The start of the segment. Sizes are set at creation and never change; the lines below them change
 * and each has one kind of writer.
 */
struct tiara_segment {
	uint8_t magic[8]; /* "TIARASEG" */
	uint64_t layout_id;
	uint64_t total_bytes;
	uint64_t created_ns; /* CLOCK_REALTIME: tells a new segment from an adopted one */
	uint32_t page_bytes; /* 4096, or 2097152 on hugetlbfs */
	uint32_t worker_max;
	uint32_t service_max;
	uint32_t backend_max;
	uint64_t bucket_cnt;    /* a power of two, at least 2 */
	uint32_t neighbour_cnt; /* a power of two */
	uint32_t pad0;
	/* second line */
	uint64_t worker_off; /* struct tiara_worker_slot[worker_max] */
	uint64_t counter_off; /* worker_max + 1 times counter_stride bytes: the control plane's is last */
	uint64_t counter_stride;
	uint64_t root_off; /* struct tiara_root[TIARA_ROOT_CNT] */
	uint64_t neighbour_off;
	uint64_t heap_off;
	uint64_t heap_bytes;
	uint64_t table_off; /* struct tiara_bucket[bucket_cnt] */
	/* third line */
	uint64_t table_secret[2]; /* 127 bits, random at creation, never shown */
	uint64_t move_off; /* uint32_t[TIARA_MOVE_STRIPES]: moves, by stripe of the key's hash */
	uint64_t move_log_off; /* struct tiara_move_log[worker_max + 1]: the control plane's is last */
	uint64_t rate_off;     /* struct tiara_rate[service_max] */
	uint8_t pad1[24];
	/* control plane writes, workers read */
	uint64_t generation; /* the current one; 0: none. The one release store of a publication */
	uint64_t released_generation; /* no entry names what was removed in this one or before */
	uint64_t unconfirmed; /* the control plane's balance, as a worker's (path/unconfirmed.c) */
	uint8_t pad2[40];
	/* workers write */
	uint64_t tick_next_tsc;
	uint32_t tick; /* seconds that workers ran */
	uint32_t recounting; /* a data plane's start counts entries by backend; not 0: it was killed at it */
	uint8_t pad3[48];
	/* workers write */
	uint64_t sweep_claimed; /* slices claimed since creation */
	uint64_t sweep_restarts; /* starts of a data plane, and what a card still has: half swept slices */
	uint8_t pad4[48];
	struct tiara_node node;
};

/*
 * Packed connections v1: what push and snapshots carry. Network byte order, independent of the
 * layout id. Positions count in the dictionaries of the stream's header.
 */
struct tiara_packed_connection {
	tiara_be32 client_addr;
	tiara_be16 client_port;
	tiara_be16 service_pos;
	tiara_be32 backend_pos;
	tiara_be16 idle_s;
	uint8_t state; /* NEW, ESTABLISHED, CLOSING or UDP */
	uint8_t flags; /* 0 in v1 */
};

/* ---- between the CPU and a card (docs/design/0016) ---- */

/* What a command asks or an answer says. */
enum tiara_card_kind {
	TIARA_CARD_KIND_NONE = 0,
	TIARA_CARD_KIND_INSTALL = 1,
	TIARA_CARD_KIND_REMOVE = 2,
	TIARA_CARD_KIND_HARVEST = 3,
	TIARA_CARD_KIND_REMOVED = 17,
	TIARA_CARD_KIND_HARVESTED = 18,
	TIARA_CARD_KIND_HARVEST_END = 19,
};

/* In word 0 of a REMOVED answer's seen[]. */
enum tiara_card_removed {
	TIARA_CARD_REMOVED_FOUND = 1, /* the slot held this key */
	TIARA_CARD_REMOVED_SEEN = 2, /* a packet of it was forwarded since the harvest before the last */
};

/* Why a card hands a packet up. */
enum tiara_card_reason {
	TIARA_CARD_REASON_NONE = 0,
	TIARA_CARD_REASON_MISS = 1,   /* no entry */
	TIARA_CARD_REASON_OPENS = 2,  /* TCP with SYN */
	TIARA_CARD_REASON_CLOSES = 3, /* TCP with FIN or RST */
	TIARA_CARD_REASON_FRAGMENT = 4,
	TIARA_CARD_REASON_OPTIONS = 5, /* an IPv4 header longer than 20 bytes */
	TIARA_CARD_REASON_TTL = 6,     /* 1 or 0 */
	TIARA_CARD_REASON_OTHER = 7,   /* no sound IPv4 packet with TCP or UDP */
	TIARA_CARD_REASON_NO_SERVICE = 8,
	TIARA_CARD_REASON_TOO_BIG = 9,     /* with its tunnel's headers */
	TIARA_CARD_REASON_NO_BACKEND = 10, /* the entry's line of the backend table is empty */
};

/* A connection in a card's table: tiara_entry's key, and what the card needs. 16 bytes. */
struct tiara_card_entry {
	tiara_be32 client_addr;
	tiara_be16 client_port;
	uint16_t service_idx;
	uint32_t backend_line; /* of the card's backend table */
	uint16_t generation;
	uint8_t state; /* TIARA_STATE_ESTABLISHED; 0: empty, the rest means nothing */
	uint8_t flags; /* 0 */
};

/* CPU to card. */
struct tiara_card_command {
	uint8_t kind; /* enum tiara_card_kind */
	uint8_t channel;
	uint16_t epoch;
	uint32_t number;  /* of the channel, from 1: its sequence number */
	uint32_t slot;    /* bucket * 4 + place in it */
	uint32_t harvest; /* HARVEST: its number, from 1 */
	struct tiara_card_entry entry;
};

/* Card to CPU. */
struct tiara_card_answer {
	uint8_t kind;
	uint8_t channel;
	uint16_t epoch;
	uint32_t number; /* the command's */
	uint32_t slot; /* HARVESTED: the first of 128 slots whose bits follow; HARVEST_END: such lines */
	uint32_t harvest;
	uint64_t seen[2]; /* HARVESTED: slot + i is bit i; REMOVED: enum tiara_card_removed */
};

/* A line of the card's service table: exact match. */
struct tiara_card_service {
	tiara_be32 vip;
	tiara_be16 port;
	uint8_t protocol;
	uint8_t valid;
	uint16_t service_idx;
	uint8_t pad[6];
};

/* A line of the card's backend table: all that forwarding needs. A cache line. */
struct tiara_card_backend {
	uint8_t next_hop_mac[6];
	uint8_t port_mac[6];
	tiara_be32 addr;
	tiara_be32 local_addr; /* the outer header's source */
	uint32_t vni;
	tiara_be16 tunnel_port;
	uint8_t inner_mac[6];
	uint16_t mtu_bytes; /* of the way out, from the IPv4 header on */
	uint8_t forward;    /* enum tiara_forward */
	uint8_t valid;
	uint8_t pad[28];
};

/* Beside each packet that the card hands up: tuser of the CPU stream. */
struct tiara_card_meta {
	uint64_t key; /* 0 without a service */
	uint64_t hash;
	uint16_t service_idx;
	uint8_t reason; /* enum tiara_card_reason */
	uint8_t pad[13];
};

#endif
