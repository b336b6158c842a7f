/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real segment in a directory of its own, a control plane on it, and when asked for a data plane
 * whose workers the test moves by hand.
 */
#ifndef TIARA_TESTS_CONTROL_WORLD_H
#define TIARA_TESTS_CONTROL_WORLD_H

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/handle.h"
#include "table/epoch.h"
#include "table/frontend.h"
#include "table/table.h"
#include "tiara/tiara.h"

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define CHECK_OK(call) CHECK_IS(call, TIARA_OK)
#define CHECK_IS(call, status)                                                                     \
	do {                                                                                       \
		enum tiara_status is_ = (call);                                                    \
		if (is_ != (status)) {                                                             \
			fprintf(stderr, "%s:%d: %s is %s, not %s: %s: %s\n", __FILE__, __LINE__,   \
				#call, tiara_status_name(is_), #status, world_error.field,         \
				world_error.message);                                              \
			abort();                                                                   \
		}                                                                                  \
	} while (0)
#define CHECK_SAYS(text)                                                                           \
	do {                                                                                       \
		if (!strstr(world_error.message, text)) {                                          \
			fprintf(stderr, "%s:%d: \"%s\" is not in: %s\n", __FILE__, __LINE__, text, \
				world_error.message);                                              \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static struct tiara_error world_error;

static const struct tiara_segment_config world_config = {
	.connections = 4096,
	.worker_max = 4,
	.service_max = 32,
	.backend_max = 64,
	.heap_bytes = 1 << 20,
};

struct world {
	char directory[64];
	char path[96];
	struct tiara_handle *control;
	struct tiara_handle *dataplane; /* NULL: none lives */
};

static inline void
world_directory_make(struct world *w)
{
	const char *base = getenv("TIARA_TEST_FOLDER");

	if (!base)
		base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(w->directory, sizeof(w->directory), "%s/tiara-test-XXXXXX", base);
	CHECK(mkdtemp(w->directory));
	snprintf(w->path, sizeof(w->path), "%s/tiara-t.segment", w->directory);
	w->control = NULL;
	w->dataplane = NULL;
}

static inline void
world_make_sized(struct world *w, const struct tiara_segment_config *config)
{
	world_directory_make(w);
	CHECK_OK(tiara_segment_create(w->path, config, &world_error));
	CHECK_OK(tiara_segment_attach(w->path, TIARA_ROLE_CONTROLPLANE, &w->control, &world_error));
}

static inline void
world_make(struct world *w)
{
	world_make_sized(w, &world_config);
}

static inline void
world_end(struct world *w)
{
	tiara_segment_detach(w->control);
	tiara_segment_detach(w->dataplane);
	unlink(w->path);
	CHECK(rmdir(w->directory) == 0); /* nothing else was left behind */
}

static inline void
world_adopt(struct world *w)
{
	tiara_segment_detach(w->control);
	CHECK_OK(tiara_segment_attach(w->path, TIARA_ROLE_CONTROLPLANE, &w->control, &world_error));
}

static inline void
world_dataplane_start(struct world *w)
{
	CHECK_OK(tiara_segment_attach(w->path, TIARA_ROLE_DATAPLANE, &w->dataplane, &world_error));
}

/* As after a kill -9: the lock is gone, the slots say what they said. */
static inline void
world_dataplane_die(struct world *w)
{
	tiara_segment_detach(w->dataplane);
	w->dataplane = NULL;
}

static inline uint64_t
world_worker_enter(struct world *w, uint32_t worker)
{
	return tiara_epoch_enter_wk(tiara_handle_map(w->dataplane), worker);
}

static inline void
world_sweep_slices(struct world *w, uint32_t worker, uint64_t cnt)
{
	const struct tiara_map *map = tiara_handle_map(w->dataplane);
	struct tiara_sweep_counts counts = {0};

	for (uint64_t i = 0; i < cnt; i++) {
		struct tiara_view view = tiara_view_of(map, tiara_epoch_enter_wk(map, worker));
		struct tiara_age age = {.view = &view, .now = (uint16_t)tiara_tick_now(map)};

		tiara_sweep_slice_wk(map, &age, &(struct tiara_writer){.owner = (uint8_t)worker},
				     &counts);
	}
}

static inline void
world_sweep_pass(struct world *w, uint32_t worker)
{
	world_sweep_slices(w, worker, tiara_sweep_slices_per_pass(tiara_handle_map(w->dataplane)));
}

static inline struct tiara_collect_info
world_collect(struct world *w)
{
	struct tiara_collect_info info;

	CHECK_OK(tiara_generation_collect(w->control, &info, &world_error));
	return info;
}

static inline struct tiara_segment_info
world_describe(struct tiara_handle *handle)
{
	struct tiara_segment_info info;

	CHECK_OK(tiara_segment_describe(handle, &info, &world_error));
	return info;
}

/* b<n> of pool p; uid: n and `life`. */
static inline struct tiara_backend_spec
world_backend(uint32_t n, uint8_t life)
{
	struct tiara_backend_spec spec = {
		.pool = "p",
		.uid = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), life},
		.record = {.addr = htonl(0x0a000001 + n),
			   .forward = TIARA_FORWARD_L2,
			   .use = TIARA_USE_ACTIVE},
	};

	snprintf(spec.backend, sizeof(spec.backend), "b%u", n);
	return spec;
}

/* s<n> at 198.18.0.1, TCP port 80 + n. */
static inline struct tiara_service_spec
world_service(uint32_t n, uint8_t life)
{
	struct tiara_service_spec spec = {
		.uid = {(uint8_t)n, (uint8_t)(n >> 8), 0, life},
		.record = {.vip = htonl(0xc6120001),
			   .port = htons((uint16_t)(80 + n)),
			   .protocol = 6,
			   .use = TIARA_USE_ACTIVE},
	};

	snprintf(spec.service, sizeof(spec.service), "s%u", n);
	for (int i = TIARA_STATE_NEW; i <= TIARA_STATE_PENDING; i++)
		spec.record.timeout_ticks[i] = 100;
	return spec;
}

static inline struct tiara_change *
world_begin(struct world *w)
{
	struct tiara_change *change;

	CHECK_OK(tiara_change_begin(w->control, &change, &world_error));
	return change;
}

static inline uint64_t
world_commit(struct tiara_change *change)
{
	uint64_t generation;

	CHECK_OK(tiara_change_commit(change, 7, &generation, &world_error));
	return generation;
}

static inline uint32_t
world_put_backend(struct tiara_change *change, const struct tiara_backend_spec *spec)
{
	uint32_t idx;

	CHECK_OK(tiara_change_backend_put(change, spec, &idx, &world_error));
	return idx;
}

static inline void
world_remove_backend(struct tiara_change *change, const struct tiara_backend_spec *spec)
{
	CHECK_OK(tiara_change_backend_remove(change, spec->pool, spec->backend, spec->uid,
					     &world_error));
}

static inline void
world_remove_service(struct tiara_change *change, const struct tiara_service_spec *spec)
{
	CHECK_OK(tiara_change_service_remove(change, spec->service, spec->uid, spec->record.vip,
					     spec->record.port, spec->record.protocol,
					     &world_error));
}

/* A table of `rows` rows that alternates between idx[0] .. idx[cnt - 1]. */
static inline uint64_t
world_table(struct tiara_change *change, uint32_t rows, const uint32_t *idx, uint32_t cnt,
	    uint64_t reuse_off)
{
	uint32_t *row = calloc(rows, sizeof(*row));
	uint64_t off;

	for (uint32_t i = 0; i < rows; i++)
		row[i] = i % cnt;
	CHECK_OK(tiara_change_table(change, row, rows, idx, cnt, reuse_off, &off, &world_error));
	free(row);
	return off;
}

/* Puts s<n> with a table of 101 rows over idx[]. */
static inline uint32_t
world_put_service(struct tiara_change *change, const struct tiara_service_spec *spec,
		  const uint32_t *idx, uint32_t cnt)
{
	struct tiara_service_spec with = *spec;
	uint32_t at;

	with.table_cnt = cnt ? 101 : 0;
	with.table_off = cnt ? world_table(change, 101, idx, cnt, 0) : 0;
	CHECK_OK(tiara_change_service_put(change, &with, &at, &world_error));
	return at;
}

/* Generation 1: backends b0 and b1, service s0 on both. */
static inline void
world_first_generation(struct world *w)
{
	struct tiara_change *change = world_begin(w);
	struct tiara_backend_spec b[2] = {world_backend(0, 0), world_backend(1, 0)};
	struct tiara_service_spec s = world_service(0, 0);
	uint32_t idx[2] = {world_put_backend(change, &b[0]), world_put_backend(change, &b[1])};

	CHECK(world_put_service(change, &s, idx, 2) == 0);
	CHECK(world_commit(change) == 1);
}

static inline const struct tiara_root *
world_root(const struct world *w)
{
	const struct tiara_map *map = tiara_handle_map(w->control);

	return &map->root[map->segment->generation % TIARA_ROOT_CNT];
}

/* Waits for a child; true when it ended by itself with 0. */
static inline bool
world_child_passed(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
