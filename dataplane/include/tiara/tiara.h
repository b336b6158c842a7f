/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tiara.h: libtiara's only public header. What the control plane (by cffi) and tools call. Nothing
 * here runs on a worker core, nothing prints, exits or aborts. One thread at a time per handle.
 *
 * Plain C declarations without conditionals between the two CFFI marks: the layout generator hands them to cffi.
 */
#ifndef TIARA_TIARA_H
#define TIARA_TIARA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tiara/layout.h"
#include "tiara/status.h"

/* CFFI-BEGIN */

enum tiara_role {
	TIARA_ROLE_READER = 0, /* any number; changes nothing */
	TIARA_ROLE_DATAPLANE = 1,
	TIARA_ROLE_CONTROLPLANE = 2,
};

/* ---- segment ---- */

struct tiara_segment_config {
	uint64_t connections; /* room asked for; rounded up to a power of two of buckets */
	uint32_t worker_max;
	uint32_t service_max;
	uint32_t backend_max;
	uint64_t heap_bytes; /* service, backend and selection tables */
};

struct tiara_segment_info {
	uint64_t layout_id;
	uint64_t total_bytes;
	uint64_t created_ns;
	uint32_t page_bytes;
	uint32_t worker_max;
	uint32_t service_max;
	uint32_t backend_max;
	uint64_t connections; /* capacity */
	uint64_t heap_bytes;
	uint64_t heap_used_bytes; /* 0 unless the handle has the control plane's role */
	uint64_t generation;
	uint64_t revision;
	uint32_t tick;
	bool dataplane_live; /* its OFD lock is held now */
	bool controlplane_live;
	uint32_t worker_online; /* workers that report a generation */
	uint64_t sweep_passes;  /* whole passes claimed since creation */
	struct tiara_node node;
};

struct tiara_handle;

uint64_t tiara_layout_id(void);

/* Where the segment of an instance is, or would be created: on hugetlbfs where it fits, else /dev/shm. */
enum tiara_status tiara_segment_locate(const char *instance, char *path, size_t path_bytes,
				       struct tiara_error *error);
/* Creates the file complete or not at all; EXISTS if there is one. */
enum tiara_status tiara_segment_create(const char *path, const struct tiara_segment_config *config,
				       struct tiara_error *error);
/* Maps it and takes the role. BUSY: the role has a live owner. LAYOUT: both ids are in the message. */
enum tiara_status tiara_segment_attach(const char *path, enum tiara_role role,
				       struct tiara_handle **handle, struct tiara_error *error);
/*
 * What a data plane does at its start: attaches to the instance's segment where there is one, else
 * creates it (on hugetlbfs; where that has no room, on /dev/shm) and attaches. instance may be a path
 * (it holds a '/'): then there and nowhere else. path (may be NULL): where it is.
 */
enum tiara_status tiara_segment_open_or_create(const char *instance,
					       const struct tiara_segment_config *config,
					       enum tiara_role role, struct tiara_handle **handle,
					       bool *created, char *path, size_t path_bytes,
					       struct tiara_error *error);
void tiara_segment_detach(struct tiara_handle *handle);
enum tiara_status tiara_segment_describe(struct tiara_handle *handle,
					 struct tiara_segment_info *info,
					 struct tiara_error *error);

/* ---- one configuration change: a generation built beside the current one ---- */

struct tiara_backend_spec {
	char pool[64];
	char backend[64];
	uint8_t uid[16];
	struct tiara_backend
		record; /* use: ACTIVE, DOWN or GONE (drained by force, but not deleted) */
};

struct tiara_service_spec {
	char service[64];
	uint8_t uid[16];
	/* select_*, source_* are filled from what follows; rate_idx is libtiara's */
	struct tiara_service record;
	uint64_t table_off; /* from tiara_change_table, or 0: no backend */
	uint32_t table_cnt;
	uint32_t source_cnt;
	uint64_t source_off; /* from tiara_change_sources, or 0: every source */
};

struct tiara_change;

/*
 * Starts from a copy of the current root. One change at a time. The names of what is put and
 * removed are (pool, backend, uid) and (service, uid, vip, port, protocol).
 * Nothing a reader sees changes before commit; abort and a killed process leave no trace.
 */
enum tiara_status tiara_change_begin(struct tiara_handle *handle, struct tiara_change **change,
				     struct tiara_error *error);
/* New or changed: its index. A new one takes a free index, never one in quarantine: EXHAUSTED. */
enum tiara_status tiara_change_backend_put(struct tiara_change *change,
					   const struct tiara_backend_spec *spec, uint32_t *idx,
					   struct tiara_error *error);
enum tiara_status tiara_change_backend_remove(struct tiara_change *change, const char *pool,
					      const char *backend, const uint8_t uid[16],
					      struct tiara_error *error);
/*
 * A selection table: rows[i] is a position in idx[]. reuse_off (0: none) is a block of the current
 * generation that is taken as it is when it holds the same rows.
 */
enum tiara_status tiara_change_table(struct tiara_change *change, const uint32_t *rows,
				     uint32_t row_cnt, const uint32_t *idx, uint32_t idx_cnt,
				     uint64_t reuse_off, uint64_t *table_off,
				     struct tiara_error *error);
/*
 * A list of sources that may begin connections: in order, none touching another, at most
 * TIARA_SOURCES_MAX. reuse_off as above.
 */
enum tiara_status tiara_change_sources(struct tiara_change *change,
				       const struct tiara_source *source, uint32_t cnt,
				       uint64_t reuse_off, uint64_t *source_off,
				       struct tiara_error *error);
enum tiara_status tiara_change_service_put(struct tiara_change *change,
					   const struct tiara_service_spec *spec, uint32_t *idx,
					   struct tiara_error *error);
enum tiara_status tiara_change_service_remove(struct tiara_change *change, const char *service,
					      const uint8_t uid[16], tiara_be32 vip,
					      tiara_be16 port, uint8_t protocol,
					      struct tiara_error *error);
/* The selection secret of all nodes of one configuration; 127 bits. */
enum tiara_status tiara_change_secret(struct tiara_change *change, const uint64_t secret[2],
				      struct tiara_error *error);
/*
 * Publishes with one release store and frees the change. UNCHANGED: nothing differed, no generation
 * was made. EXHAUSTED: TIARA_ROOT_WAITING_MAX roots wait for the worker the message names; the
 * change is freed, the current generation goes on serving.
 */
enum tiara_status tiara_change_commit(struct tiara_change *change, uint64_t revision,
				      uint64_t *generation, struct tiara_error *error);
void tiara_change_abort(struct tiara_change *change);

/* Frees roots that no worker uses and ends quarantines; call it a few times a second. */
struct tiara_collect_info {
	uint64_t generation;
	uint64_t applied_generation; /* every online worker uses this one or a later one */
	uint32_t roots_waiting;
	uint32_t quarantined_services;
	uint32_t quarantined_backends;
	int32_t slowest_worker; /* -1: none holds anything back */
};
enum tiara_status tiara_generation_collect(struct tiara_handle *handle,
					   struct tiara_collect_info *info,
					   struct tiara_error *error);
/* Only for the test that proves it needed: indices are reused at once. */
void tiara_quarantine_disable_for_test(struct tiara_handle *handle);

/* What the current generation holds, by index; NOT_FOUND past the end. use FREE: an unused index. */
enum tiara_status tiara_service_read(struct tiara_handle *handle, uint32_t idx,
				     struct tiara_service_spec *spec, struct tiara_error *error);
enum tiara_status tiara_backend_read(struct tiara_handle *handle, uint32_t idx,
				     struct tiara_backend_spec *spec, struct tiara_error *error);
/* Copies rows (backend indices) of a service's selection table; cnt in: room, out: rows. */
enum tiara_status tiara_service_rows(struct tiara_handle *handle, uint32_t idx, uint32_t *rows,
				     uint32_t *cnt, struct tiara_error *error);
/* The same of its list of sources; cnt 0: every source. */
enum tiara_status tiara_service_sources(struct tiara_handle *handle, uint32_t idx,
					struct tiara_source *source, uint32_t *cnt,
					struct tiara_error *error);

/* ---- connections ---- */

struct tiara_connection {
	tiara_be32 client_addr;
	tiara_be16 client_port;
	tiara_be16 port;
	tiara_be32 vip;
	uint8_t protocol;
	uint8_t state;
	uint8_t flags;
	uint8_t pad;
	uint32_t service_idx; /* for tiara_service_read in the same process; never leaves it */
	uint32_t backend_idx;
	uint32_t idle_ticks;
	uint32_t expires_ticks;
};

enum tiara_on_conflict {
	TIARA_CONFLICT_KEEP = 0,
	TIARA_CONFLICT_REPLACE = 1,
};

/*
 * Inserts packed v1 records. service_idx[] and backend_idx[] translate the stream's dictionary
 * positions. All records are checked before the first insert: one bad record is INVALID with its
 * number in error.field ("records[17].state") and no connection was pushed. Then result[i] is OK,
 * FULL, CONFLICT (kept or replaced by policy; OK when the same backend was there) each.
 */
enum tiara_status tiara_connections_push(struct tiara_handle *handle,
					 const struct tiara_packed_connection *record, uint32_t cnt,
					 const uint32_t *service_idx, uint32_t service_cnt,
					 const uint32_t *backend_idx, uint32_t backend_cnt,
					 enum tiara_on_conflict on_conflict, uint8_t *result,
					 struct tiara_error *error);
enum tiara_status tiara_connection_find(struct tiara_handle *handle, tiara_be32 client_addr,
					tiara_be16 client_port, tiara_be32 vip, tiara_be16 port,
					uint8_t protocol, struct tiara_connection *connection,
					struct tiara_error *error);
/* Which live connections: every part that is set must fit. Zeroed: all. */
struct tiara_filter {
	const uint8_t *services; /* [service_max], by index, not 0: wanted; NULL: any */
	const uint8_t *backends; /* [backend_max], likewise */
	tiara_be32 client_addr;  /* the bits that client_mask has */
	tiara_be32 client_mask;
	uint32_t idle_min_ticks;
	uint32_t state_mask; /* 1 << enum tiara_state of those wanted; 0: any */
};
/*
 * Up to max connections that the filter wants from *cursor (0 at first; UINT64_MAX at the end) on.
 * Weakly consistent. Reads at most 65,536 buckets a call.
 */
enum tiara_status tiara_connections_list(struct tiara_handle *handle, uint64_t *cursor,
					 const struct tiara_filter *filter,
					 struct tiara_connection *connection, uint32_t max,
					 uint32_t *cnt, struct tiara_error *error);
/*
 * Counts live connections by scanning the table. per_service[service_max], per_backend[backend_max],
 * either may be NULL. differ: how many connections sit elsewhere than today's selection table says;
 * offloaded: how many a card may have.
 */
struct tiara_usage {
	uint64_t live;
	uint64_t differ;
	uint64_t offloaded;
	uint64_t capacity;
};
enum tiara_status tiara_connections_count(struct tiara_handle *handle, uint64_t *per_service,
					  uint64_t *per_backend, struct tiara_usage *usage,
					  struct tiara_error *error);

/*
 * What a change would do that removes these services and backends (not 0 in services[service_max],
 * backends[backend_max]; NULL: none of them): connections of a removed service end, others of a removed
 * backend select again. Each connection counts once, so the sum of both is what is affected in all; left
 * out are expired ones and those whose backend is gone already. per_service[service_max] and
 * per_backend[backend_max] (either may be NULL): the affected ones by their service and backend. Any
 * role; scans the table once and stops nobody.
 */
struct tiara_affected {
	uint64_t live; /* all that could be */
	uint64_t ended;
	uint64_t moved;
};
enum tiara_status tiara_connections_affected(struct tiara_handle *handle, const uint8_t *services,
					     const uint8_t *backends,
					     struct tiara_affected *affected, uint64_t *per_service,
					     uint64_t *per_backend, struct tiara_error *error);

/*
 * Removes the live connections that the filter wants; control plane's role. Zero flush, call until
 * flush->done: each call reads at most 65,536 buckets. complete: none that was there all the time is
 * left; false where entries moved faster than 8 passes over the table could follow.
 */
struct tiara_flush {
	uint64_t removed; /* so far */
	uint64_t bucket;  /* the next one */
	uint64_t moves;
	uint32_t passes;
	bool done;
	bool complete;
};
enum tiara_status tiara_connections_flush(struct tiara_handle *handle,
					  const struct tiara_filter *filter,
					  struct tiara_flush *flush, struct tiara_error *error);

/*
 * How many slots are in use in so many buckets spread evenly over the table from bucket `first` (modulo
 * the table) on; expired connections are in use until they are swept. Any role; stops nobody.
 */
struct tiara_sample {
	uint64_t used;
	uint64_t slots;
};
enum tiara_status tiara_table_sample(struct tiara_handle *handle, uint64_t first, uint64_t buckets,
				     struct tiara_sample *sample, struct tiara_error *error);

/*
 * A snapshot of the live table in packed v1 records, of any handle, without stopping anybody. Every
 * connection that is in the table from begin to done is given, perhaps twice (entries move); left out
 * are those that a push would refuse: expired, of a removed service or backend, of client port 0.
 * Positions count in dictionaries of what was in use at the begin; what gets another name meanwhile
 * is left out. End it before the handle is detached.
 */
struct tiara_snapshot;
struct tiara_snapshot_info {
	uint64_t records;  /* given so far */
	uint64_t followed; /* keys looked up because their entries had moved */
	uint64_t scanned_buckets;
	uint64_t left_buckets; /* of this pass */
	uint32_t passes;       /* begun: more than one when moves were faster than the scan */
	uint32_t service_cnt;  /* positions of the dictionaries */
	uint32_t backend_cnt;
	bool done;
};
enum tiara_status tiara_snapshot_begin(struct tiara_handle *handle,
				       struct tiara_snapshot **snapshot, struct tiara_error *error);
/* The dictionaries: what a position meant at the begin. NOT_FOUND past the end. */
enum tiara_status tiara_snapshot_service(const struct tiara_snapshot *snapshot, uint32_t pos,
					 struct tiara_service_spec *spec,
					 struct tiara_error *error);
enum tiara_status tiara_snapshot_backend(const struct tiara_snapshot *snapshot, uint32_t pos,
					 struct tiara_backend_spec *spec,
					 struct tiara_error *error);
/*
 * Up to max (at least 4) records, perhaps none before info->done: reads at most 65,536 buckets a
 * call. BUSY: entries moved faster than 8 passes could follow. After any status but OK call no more:
 * the snapshot is not whole, though all that was given, this call's records too, is right.
 */
enum tiara_status tiara_snapshot_next(struct tiara_snapshot *snapshot,
				      struct tiara_packed_connection *record, uint32_t max,
				      uint32_t *cnt, struct tiara_snapshot_info *info,
				      struct tiara_error *error);
void tiara_snapshot_end(struct tiara_snapshot *snapshot); /* NULL is allowed */

/* ---- explain ---- */

/* How a frame leaves the packet path. */
enum tiara_explain_way {
	TIARA_EXPLAIN_WAY_DROPPED = 0,
	TIARA_EXPLAIN_WAY_SENT = 1,
	TIARA_EXPLAIN_WAY_KERNEL = 2, /* to the kernel's side of the exception path */
};

/* What the data plane would do with a packet that came now. Indices are of this generation. */
struct tiara_explanation {
	uint64_t generation; /* 0: nothing was published yet */
	uint64_t hash; /* of the connection's key; from here to row_backend_idx: with has_service */
	uint32_t bucket[2]; /* where in the table it can be */
	uint32_t row;       /* of the service's selection table; with row_cnt */
	uint32_t row_cnt;
	uint32_t row_backend_idx; /* UINT32_MAX: there is no row */
	uint32_t service_idx;
	uint32_t backend_idx;   /* whom the packet goes to; UINT32_MAX: none was chosen */
	uint32_t events;        /* 1 << enum tiara_event */
	uint32_t left_bytes;    /* of the frame as it leaves; 0: dropped */
	tiara_be32 client_addr; /* from here to tcp_flags: with parsed */
	tiara_be32 vip;
	tiara_be16 client_port; /* 0 but for TCP and UDP */
	tiara_be16 port;
	uint8_t protocol;
	uint8_t tcp_flags;
	uint8_t verdict; /* enum tiara_verdict */
	uint8_t way;     /* enum tiara_explain_way */
	uint8_t l3_off;  /* behind Ethernet's header and tag, of the frame as it leaves too */
	uint8_t state;   /* enum tiara_state of its connection afterwards; EMPTY: it has none */
	bool parsed;     /* an IPv4 packet that was fit to be looked at for a service */
	bool has_service;
	bool found; /* a connection was there before */
	bool fresh; /* the packet makes its connection, or gives it another backend */
	struct tiara_connection connection; /* as it was before; with found */
};

/*
 * Does to a copy, by the packet path's own code, what a worker would do now with this Ethernet frame of
 * 1 to 16,384 bytes: no packet, counter or entry changes. left[room]: the frame as it leaves, cut off
 * where it does not fit; frame_bytes + 128 are always enough. Control plane's role: nobody else
 * publishes meanwhile. Not known: which worker it would be (this is the first one), and what a card has.
 */
enum tiara_status tiara_explain(struct tiara_handle *handle, const uint8_t *frame,
				uint32_t frame_bytes, struct tiara_explanation *explanation,
				uint8_t *left, uint32_t room, struct tiara_error *error);

/* ---- counters: sums over workers, read without stopping anyone ---- */

enum tiara_status tiara_counters_read(struct tiara_handle *handle,
				      struct tiara_worker_counters *sum, struct tiara_error *error);
enum tiara_status tiara_service_counters(struct tiara_handle *handle, uint32_t idx,
					 struct tiara_flow_counter *sum, struct tiara_error *error);
enum tiara_status tiara_backend_counters(struct tiara_handle *handle, uint32_t idx,
					 struct tiara_flow_counter *sum, struct tiara_error *error);
/* All of them at once: per_service[service_max], per_backend[backend_max]; either may be NULL. */
enum tiara_status tiara_flow_counters_read(struct tiara_handle *handle,
					   struct tiara_flow_counter *per_service,
					   struct tiara_flow_counter *per_backend,
					   struct tiara_error *error);
enum tiara_status tiara_worker_read(struct tiara_handle *handle, uint32_t idx,
				    struct tiara_worker_slot *slot, struct tiara_error *error);

/* ---- pure functions ---- */

/*
 * Weighted Maglev (NSDI'16 section 3.4, weights by turns): rows[m] gets positions 0..cnt-1.
 * offset[i] < m, 1 <= skip[i] < m, m prime; weight 0 takes no row. INVALID when all weights are 0.
 */
enum tiara_status tiara_maglev_fill(const uint32_t *offset, const uint32_t *skip,
				    const uint32_t *weight, uint32_t cnt, uint32_t *rows,
				    uint32_t m, struct tiara_error *error);
/*
 * The other policies' rows (docs/design/0009): positions 0..cnt-1 for any m; weights of at most
 * 16777215, 0 takes no row; INVALID when all are 0. Round robin by smooth turns in order of position.
 */
enum tiara_status tiara_round_robin_fill(const uint32_t *weight, uint32_t cnt, uint32_t *rows,
					 uint32_t m, struct tiara_error *error);
/* Weighted rendezvous hashing: a backend's draws depend on its seed and the row alone. */
enum tiara_status tiara_rendezvous_fill(const uint64_t *seed, const uint32_t *weight, uint32_t cnt,
					uint32_t *rows, uint32_t m, struct tiara_error *error);
/* A selection table as a planner has it: rows[i] is a position in idx[], which has backend numbers. */
struct tiara_rows {
	const uint32_t *rows;
	uint32_t row_cnt;
	const uint32_t *idx;
	uint32_t idx_cnt;
};
/* How many rows name another backend. INVALID: row counts differ, or a row is no position. */
enum tiara_status tiara_rows_differ(const struct tiara_rows *before, const struct tiara_rows *after,
				    uint32_t *differ, struct tiara_error *error);
/* docs/design/0003: the keyed hash of an 8-byte key (little-endian load of an entry's first half). */
uint64_t tiara_hash(uint64_t key, const uint64_t secret[2]);
/* The same without intrinsics: the twin that tests compare. */
uint64_t tiara_hash_plain(uint64_t key, const uint64_t secret[2]);
/* The selection row of a client for a table of row_cnt rows; source affinity: port 0. */
uint32_t tiara_select_row(tiara_be32 client_addr, tiara_be16 client_port, const uint64_t secret[2],
			  uint32_t row_cnt);
/* Whether a list of sources holds an address; cnt 0: it holds every one. */
bool tiara_source_allowed(const struct tiara_source *source, uint32_t cnt, tiara_be32 addr);
const char *tiara_status_name(enum tiara_status status);

/* CFFI-END */

#endif
