/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table that is full, of connections of service 1 and 2, and a thread that is a worker: it makes room in
 * it all the time, for connections of service 0 that come and go.
 */
#ifndef TIARA_TESTS_CONTROL_FULL_H
#define TIARA_TESTS_CONTROL_FULL_H

#include "control_world.h"

#include "table/hash.h"

#include <pthread.h>
#include <stdatomic.h>

enum { FULL_SLOTS = 4096, FULL_TICK = 1000 };

struct mover {
	const struct tiara_map *map;
	pthread_t thread;
	atomic_bool stop;
	uint64_t moved;
};

static inline struct tiara_entry
full_entry(uint32_t n, uint32_t backend_idx)
{
	return (struct tiara_entry){.client_addr = htonl(0xc6130000 + n),
				    .client_port = 2,
				    .service_idx = (uint16_t)(1 + n % 2),
				    .backend_idx = backend_idx,
				    .last_seen = FULL_TICK,
				    .state = TIARA_STATE_ESTABLISHED};
}

static inline bool
full_insert(const struct tiara_map *map, struct tiara_writer *writer,
	    const struct tiara_entry *entry, uint16_t now)
{
	struct tiara_view view = tiara_view_of(map, map->segment->generation);
	struct tiara_age age = {.view = &view, .now = now};
	union tiara_word word = {.entry = *entry};
	struct tiara_found found;

	return tiara_table_insert(map, &age, writer,
				  tiara_hash_inline(word.key, map->segment->table_secret), &word,
				  &found) == TIARA_OK;
}

/* Entry n of those that found room: in[n]. */
static inline void
full_fill(const struct tiara_map *map, uint32_t backend_idx, bool in[FULL_SLOTS])
{
	struct tiara_writer writer = {.owner = 0, .search_max = TIARA_SEARCH_BULK};

	for (uint32_t n = 0; n < FULL_SLOTS; n++) {
		struct tiara_entry entry = full_entry(n, backend_idx);

		in[n] = full_insert(map, &writer, &entry, FULL_TICK);
	}
}

static void *
mover_run(void *arg)
{
	struct mover *m = arg;
	struct tiara_view view = tiara_view_of(m->map, m->map->segment->generation);
	struct tiara_age age = {.view = &view, .now = FULL_TICK};
	struct tiara_writer writer = {.owner = 1, .search_max = TIARA_SEARCH_BULK};

	for (uint32_t n = 0; !atomic_load(&m->stop); n++) {
		union tiara_word word = {.entry = {.client_addr = htonl(0x0a000000 + n),
						   .client_port = 1,
						   .last_seen = FULL_TICK,
						   .state = TIARA_STATE_ESTABLISHED}};
		uint64_t hash = tiara_hash_inline(word.key, m->map->segment->table_secret);
		struct tiara_found found;

		if (tiara_table_insert(m->map, &age, &writer, hash, &word, &found) == TIARA_OK)
			(void)tiara_table_remove(m->map, &writer, &found);
	}
	m->moved = writer.moved_cnt;
	return NULL;
}

static inline void
mover_start(struct mover *m, const struct tiara_map *map)
{
	m->map = map;
	m->stop = false;
	CHECK(pthread_create(&m->thread, NULL, mover_run, m) == 0);
}

static inline void
mover_end(struct mover *m)
{
	atomic_store(&m->stop, true);
	pthread_join(m->thread, NULL);
}

#endif
