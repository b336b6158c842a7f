/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of control/. Everything here runs on one thread per handle. */
#ifndef TIARA_CONTROL_INTERNAL_H
#define TIARA_CONTROL_INTERNAL_H

#include "control/handle.h"
#include "table/epoch.h"
#include "table/table.h"
#include "tiara/tiara.h"

/* Tests define it to end the process between any two steps of a creation or a commit. */
#ifndef CONTROL_STEP
#define CONTROL_STEP(name) ((void)0)
#endif

#define CONTROL_NONE UINT32_MAX

/* Chains of indices by a hash of their name; room for every index from the start. */
struct control_names {
	uint32_t *head; /* mask + 1 */
	uint32_t *next; /* one per index */
	uint32_t mask;
};

/* docs/design/0002: the proof that nothing names an index any more. */
struct control_quarantine {
	bool off;          /* only for the test that proves it needed */
	uint64_t released; /* indices gone in this generation or before are free */
	bool waiting;      /* for the sweep of what follows */
	uint64_t through;
	uint64_t restarts;
	uint64_t claimed;
	/* what the names said when they were last counted */
	uint64_t counted_generation;
	uint64_t counted_released;
	uint64_t oldest_gone; /* UINT64_MAX: nothing waits */
	uint32_t services;
	uint32_t backends;
};

/* What only the control plane's handle has. Nothing of it must survive the process. */
struct control_state {
	uint64_t *heap_bits; /* a bit per unit: in use */
	uint64_t heap_units;
	struct control_names backend_by_name;
	struct control_names service_by_name;
	struct control_names service_by_frontend;
	struct control_quarantine quarantine;
	struct tiara_change *change; /* the open one */
	struct tiara_writer writer;
};

struct tiara_handle {
	int fd;
	enum tiara_role role;
	size_t bytes;
	struct tiara_map map;
	struct control_state *state; /* NULL unless the role is the control plane's */
};

/* ---- error.c ---- */

/* Fills error (may be NULL) and returns status. */
enum tiara_status control_error(struct tiara_error *error, enum tiara_status status,
				const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
enum tiara_status control_out_of_memory(struct tiara_error *error);
/* INVALID unless the handle may write. */
enum tiara_status control_require_writer(const struct tiara_handle *handle,
					 struct tiara_error *error);
enum { CONTROL_FRONTEND_TEXT_BYTES = 32 };
/* "198.18.0.1:80/tcp" */
const char *control_frontend_text(char text[CONTROL_FRONTEND_TEXT_BYTES], tiara_be32 vip,
				  tiara_be16 port, uint8_t protocol);

/* ---- locate.c ---- */

enum { CONTROL_PATH_BYTES = 4096 };
/* The second choice, where hugetlbfs has no room. */
enum tiara_status control_locate_shm(const char *instance, char *path, size_t path_bytes,
				     struct tiara_error *error);

/* ---- create.c ---- */

#define CONTROL_MAGIC "TIARASEG"
/* INVALID naming the first size that is out of bounds. */
enum tiara_status control_geometry_check(const struct tiara_segment_config *config,
					 struct tiara_error *error);
/* Offsets and total from page_bytes, *_max, bucket_cnt and heap_bytes. */
void control_geometry_fill(struct tiara_segment *segment);

/* ---- machine.c ---- */

/* False on a core on which this program would not fail, but be wrong. */
bool control_machine_fits(void);

/* ---- segment.c ---- */

/* The kernel says whether a living process holds the role. */
bool control_role_live(const struct tiara_handle *handle, enum tiara_role role);
static inline uint64_t
control_generation(const struct tiara_handle *handle)
{
	/* Pairs with the release store of tiara_epoch_publish_ctl. */
	return __atomic_load_n(&handle->map.segment->generation, __ATOMIC_ACQUIRE);
}
/* The oldest generation a worker may use, at most the current one. *worker: who, or -1. */
uint64_t control_oldest(const struct tiara_handle *handle, int32_t *worker);

/* ---- read.c ---- */

/* A word as the API shows it; its service is one of age->view's. */
struct tiara_connection control_connection(const struct tiara_age *age,
					   const struct tiara_entry *entry);

/* ---- keep.c ---- */

static inline struct tiara_view
control_view(const struct tiara_handle *handle)
{
	return tiara_view_of(&handle->map, control_generation(handle));
}
/* True: nothing that was read of the view's blocks has been overwritten meanwhile. */
bool control_view_valid(const struct tiara_handle *handle, const struct tiara_view *view);
/* BUSY: it never was in that many tries. */
enum tiara_status control_view_moving(struct tiara_error *error, int tries);

/* Services, backends and their names of one generation in our memory; view points to the former. */
struct control_kept {
	struct tiara_view view;
	struct tiara_root root;
	struct tiara_service *service;
	struct tiara_backend *backend;
	struct tiara_service_name *service_name;
	struct tiara_backend_name *backend_name;
};

/* Room, zeroed. False: no memory. Free it whatever it says; do not copy it. */
bool control_kept_make(struct control_kept *kept, const struct tiara_segment *s);
/* BUSY: it changed during each try. */
enum tiara_status control_kept_read(const struct tiara_handle *handle, struct control_kept *kept,
				    struct tiara_error *error);
void control_kept_free(struct control_kept *kept);
/* Made and read. Free it whatever the status. */
enum tiara_status control_keep(const struct tiara_handle *handle, struct control_kept *kept,
			       struct tiara_error *error);

/* ---- flush.c ---- */

/* A live, unexpired word that every part of the filter wants. */
bool control_filter_wants(const struct tiara_filter *filter, const struct tiara_handle *handle,
			  const struct tiara_age *age, const union tiara_word *word);

/* ---- push.c ---- */

/* What our writer made and ended of unconfirmed entries, for the workers' cap. */
void control_tell_unconfirmed(struct tiara_handle *handle);

/* ---- heap.c ---- */

/* Finds what the live roots reach; all else is free. */
void control_heap_mark(struct tiara_handle *handle);
uint64_t control_heap_used_bytes(const struct control_state *state);
/* NO_SPACE: nothing was changed. Not zeroed. */
enum tiara_status control_heap_take(struct tiara_handle *handle, uint64_t bytes, uint64_t *off,
				    struct tiara_error *error);
void control_heap_give(struct tiara_handle *handle, uint64_t off, uint64_t bytes);
/* True when the block begins at a unit and all of it is in use. */
bool control_heap_holds(const struct tiara_handle *handle, uint64_t off, uint64_t bytes);

/* ---- names.c ---- */

enum tiara_status control_names_make(struct control_names *names, uint32_t max,
				     struct tiara_error *error);
void control_names_free(struct control_names *names);
void control_names_add(struct control_names *names, uint64_t hash, uint32_t idx);
void control_names_drop(struct control_names *names, uint64_t hash, uint32_t idx);
static inline uint32_t
control_names_first(const struct control_names *names, uint64_t hash)
{
	return names->head[hash & names->mask];
}
uint64_t control_hash_backend(const struct tiara_backend_name *name);
uint64_t control_hash_service(const struct tiara_service_name *name,
			      const struct tiara_service *record);
uint64_t control_hash_frontend(const struct tiara_service *record);
/* Makes all names again from the current generation. */
void control_names_load(struct tiara_handle *handle);

/* ---- weights.c ---- */

/* 65535 in tenths fits; times a cost of rendezvous hashing it stays below 2^63. */
#define CONTROL_WEIGHT_MAX UINT32_C(0xffffff)
/* INVALID: one is over the maximum, or all are 0. */
enum tiara_status control_check_weights(const uint32_t *weight, uint32_t cnt,
					struct tiara_error *error);

/* ---- change.c ---- */

enum change_block_no {
	CHANGE_SERVICE,
	CHANGE_BACKEND,
	CHANGE_SERVICE_NAME,
	CHANGE_BACKEND_NAME,
	CHANGE_FRONTEND,
	CHANGE_BLOCK_CNT,
};

/* An array of the configuration: the current generation's, or from the first difference on a copy. */
struct change_block {
	uint64_t off;
	uint32_t cnt;
	uint32_t room; /* items that fit; only of a copy */
	uint32_t max;
	uint32_t item_bytes;
	bool own;
};

struct tiara_change {
	struct tiara_handle *handle;
	uint64_t generation; /* the one that it becomes */
	uint64_t select_secret[2];
	struct change_block block[CHANGE_BLOCK_CNT];
	uint32_t free_service_from; /* no index below is free */
	uint32_t free_backend_from;
	bool frontends_differ;
};

static inline void *
change_item(const struct tiara_change *change, enum change_block_no no, uint32_t idx)
{
	const struct change_block *b = &change->block[no];

	return change->handle->map.base + b->off + (uint64_t)idx * b->item_bytes;
}

/* Makes the block a private copy of at least cnt items; new ones are zero. */
enum tiara_status change_own(struct tiara_change *change, enum change_block_no no, uint32_t cnt,
			     struct tiara_error *error);

/* ---- limit.c ---- */

/* The bucket of a frontend that has, or will have, this index and a rate. */
uint32_t control_rate_idx(const struct tiara_change *change, const struct tiara_service_name *name,
			  uint32_t idx);
/* A backend's index is given away: nothing in the table names it. */
void control_entries_forget(const struct tiara_handle *handle, uint32_t backend_idx);

#endif
