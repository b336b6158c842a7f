/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker (there is room for more) with a memory port on a small segment that is filled by hand: the
 * packet path alone, nothing of dataplane/control. Time is a number that the test moves.
 */
#ifndef TIARA_TESTS_PATH_WORLD_H
#define TIARA_TESTS_PATH_WORLD_H

#include "path/worker.h"
#include "port/memory.h"

enum {
	WORLD_WORKERS = 4,
	WORLD_SERVICES = 16,
	WORLD_BACKENDS = 64,
	WORLD_FRONTENDS = 64,
	WORLD_ROWS = 1024,  /* of one service */
	WORLD_SOURCES = 64, /* of one service */
	WORLD_NEIGHBOURS = 64,
	WORLD_TSC_HZ = 1000000000,
};

/* What the next generation will hold. */
struct world_plan {
	struct tiara_service service[WORLD_SERVICES];
	struct tiara_backend backend[WORLD_BACKENDS];
	uint32_t rows[WORLD_SERVICES][WORLD_ROWS];
	struct tiara_source source[WORLD_SERVICES][WORLD_SOURCES];
	uint64_t select_secret[2];
};

struct world {
	struct tiara_map map;
	struct tiara_memory_port port;
	struct tiara_worker worker;
	struct world_plan plan;
	uint64_t generation;
	uint64_t tsc;
};

/* Memory, a node that the caller fills in, no generation. bucket_cnt: a power of two. */
void world_open(struct world *w, uint64_t bucket_cnt, uint32_t tick);
void world_close(struct world *w);
/* The same in memory of the caller's, world_bytes() of it on a cache line; not to be closed. */
void world_open_at(struct world *w, void *base, uint64_t bucket_cnt, uint32_t tick);
uint64_t world_bytes(uint64_t bucket_cnt);
/* After the node was filled in. */
void world_start(struct world *w);
/* The plan becomes the next generation. */
void world_publish(struct world *w);
/* Seconds pass, in which the worker runs and no packet comes. */
void world_wait(struct world *w, uint32_t ticks);
/* What the port holds is handled by one burst; returns its frames. */
uint32_t world_burst(struct world *w);
/* A live entry as the control plane would push it. */
enum tiara_status world_push(struct world *w, const struct tiara_entry *entry);
/* What a lookup now finds for a client; slot NULL: nothing. */
struct tiara_found world_find(struct world *w, tiara_be32 client_addr, tiara_be16 client_port,
			      uint16_t service_idx);

#endif
