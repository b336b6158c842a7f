/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small segment for tests of dataplane/table: the real layout in shared anonymous memory, one
 * generation in which every service and backend is ACTIVE. Nothing of dataplane/control.
 */
#ifndef TIARA_TESTS_TABLE_WORLD_H
#define TIARA_TESTS_TABLE_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "table/entries.h"
#include "table/epoch.h"
#include "table/hash.h"
#include "table/slot.h"
#include "table/table.h"

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

enum {
	WORLD_WORKERS = 8,
	WORLD_SERVICES = 8,
	WORLD_BACKENDS = 64,
	WORLD_NEIGHBOURS = 64,
	WORLD_TIMEOUT_TICKS = 10,
};

struct world {
	struct tiara_map map;
	struct tiara_view view;
	struct tiara_age age;
	struct tiara_service *service; /* of the generation made last */
	struct tiara_backend *backend;
	uint64_t total_bytes;
};

/* A small, good enough generator of its own: the same numbers on every machine. */
static inline uint64_t
world_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint64_t
world_take(uint64_t *end, uint64_t bytes)
{
	uint64_t off = *end;

	*end = (off + bytes + 63) & ~63ull;
	return off;
}

static inline void
world_describe(struct tiara_segment *s, uint64_t bucket_cnt)
{
	uint64_t end = 0;

	world_take(&end, sizeof *s);
	s->bucket_cnt = bucket_cnt;
	s->worker_max = WORLD_WORKERS;
	s->service_max = WORLD_SERVICES;
	s->backend_max = WORLD_BACKENDS;
	s->neighbour_cnt = WORLD_NEIGHBOURS;
	s->worker_off = world_take(&end, WORLD_WORKERS * sizeof(struct tiara_worker_slot));
	s->root_off = world_take(&end, TIARA_ROOT_CNT * sizeof(struct tiara_root));
	s->neighbour_off = world_take(&end, WORLD_NEIGHBOURS * sizeof(struct tiara_neighbour));
	s->counter_stride = sizeof(struct tiara_worker_counters) +
			    (WORLD_SERVICES + WORLD_BACKENDS) * sizeof(struct tiara_flow_counter);
	s->counter_off = world_take(&end, (WORLD_WORKERS + 1) * s->counter_stride);
	s->move_off = world_take(&end, TIARA_MOVE_STRIPES * sizeof(uint32_t));
	s->move_log_off = world_take(&end, (WORLD_WORKERS + 1) * sizeof(struct tiara_move_log));
	s->heap_off = world_take(&end, 65536);
	s->table_off = world_take(&end, bucket_cnt * sizeof(struct tiara_bucket));
	s->total_bytes = end;
	s->table_secret[0] = 0x243f6a8885a308d3u;
	s->table_secret[1] = 0x13198a2e03707344u;
}

/* A root in which all services and backends are ACTIVE; each generation has blocks of its own. */
static inline void
world_root(struct world *w, uint64_t generation)
{
	struct tiara_root *r = &w->map.root[generation % TIARA_ROOT_CNT];
	uint64_t end = w->map.segment->heap_off + generation % TIARA_ROOT_CNT * 4096;

	*r = (struct tiara_root){.generation = generation,
				 .service_cnt = WORLD_SERVICES,
				 .backend_cnt = WORLD_BACKENDS};
	r->service_off = world_take(&end, WORLD_SERVICES * sizeof(struct tiara_service));
	r->backend_off = world_take(&end, WORLD_BACKENDS * sizeof(struct tiara_backend));
	w->service = (void *)(w->map.base + r->service_off);
	w->backend = (void *)(w->map.base + r->backend_off);
	memset(w->service, 0, end - r->service_off);
	for (int i = 0; i < WORLD_SERVICES; i++) {
		w->service[i].use = TIARA_USE_ACTIVE;
		for (int j = 0; j < TIARA_STATE_CNT; j++)
			w->service[i].timeout_ticks[j] = WORLD_TIMEOUT_TICKS;
	}
	for (int i = 0; i < WORLD_BACKENDS; i++)
		w->backend[i].use = TIARA_USE_ACTIVE;
}

/* w must stay where it is: its age points into it. */
static inline void
world_make(struct world *w, uint64_t bucket_cnt)
{
	struct tiara_segment plan = {0};
	void *base;

	world_describe(&plan, bucket_cnt);
	base = mmap(NULL, plan.total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		    0);
	CHECK(base != MAP_FAILED);
	memcpy(base, &plan, sizeof plan);
	w->total_bytes = plan.total_bytes;
	w->map = tiara_map_of(base);
	world_root(w, 1);
	tiara_sweep_start_ctl(&w->map);
	tiara_epoch_publish_ctl(&w->map, 1);
	w->view = tiara_view_of(&w->map, 1);
	w->age = (struct tiara_age){.view = &w->view, .now = 100};
}

static inline void
world_free(struct world *w)
{
	munmap(w->map.base, w->total_bytes);
}

static inline uint64_t
world_hash(const struct world *w, uint64_t key)
{
	return tiara_hash_inline(key, w->map.segment->table_secret);
}

/* One that counts entries; owners that are no workers of this world count as the control plane. */
static inline struct tiara_writer
world_writer(const struct world *w, uint8_t owner, uint16_t search_max)
{
	uint32_t block = owner < WORLD_WORKERS ? owner : WORLD_WORKERS;

	return (struct tiara_writer){.owner = owner,
				     .search_max = search_max,
				     .backend = tiara_map_backend_counters(&w->map, block),
				     .backend_cnt = WORLD_BACKENDS};
}

/* The live word of a connection: client n of a service, to a backend. */
static inline union tiara_word
world_word(uint32_t client, uint16_t service_idx, uint32_t backend_idx, uint16_t last_seen)
{
	union tiara_word w = {.key = tiara_key(client, 80, service_idx)};

	w.entry.backend_idx = backend_idx;
	w.entry.last_seen = last_seen;
	w.entry.state = TIARA_STATE_ESTABLISHED;
	return w;
}

static inline struct tiara_found
world_find(const struct world *w, uint64_t key)
{
	uint64_t hash = world_hash(w, key);
	struct tiara_found f;

	tiara_table_lookup(&w->map, &w->age, &key, &hash, 1, &f);
	return f;
}

static inline enum tiara_status
world_insert(const struct world *w, struct tiara_writer *writer, const union tiara_word *word,
	     struct tiara_found *f)
{
	return tiara_table_insert(&w->map, &w->age, writer, world_hash(w, word->key), word, f);
}

/* Puts a word into any slot of one of its key's buckets, with the mark that an insert would set. */
static inline struct tiara_entry *
world_plant(const struct world *w, uint64_t bucket, int slot, union tiara_word word)
{
	struct tiara_entry *at = &w->map.bucket[bucket].entry[slot];
	uint64_t first = tiara_hash_bucket_1(world_hash(w, word.key), w->map.bucket_mask);

	if (bucket != first)
		slot_mark_bucket(&w->map.bucket[first]);
	CHECK(slot_swap(at, slot_load(at), word));
	return at;
}

/* How many live words (expired or not) a key has; the table's first promise is: never two. */
static inline uint32_t
world_copies(const struct world *w, uint64_t key)
{
	uint32_t cnt = 0;

	for (uint64_t b = 0; b <= w->map.bucket_mask; b++)
		for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
			const struct tiara_entry *e = &w->map.bucket[b].entry[i];
			union tiara_word word = {.entry = *e};

			cnt += word.key == key && tiara_word_live(&word);
		}
	return cnt;
}

/* Live words of a backend, expired or not, one that moves perhaps twice. */
static inline int64_t
world_entries(const struct world *w, uint32_t backend_idx)
{
	int64_t cnt = 0;

	for (uint64_t b = 0; b <= w->map.bucket_mask; b++)
		for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
			union tiara_word word = {.entry = w->map.bucket[b].entry[i]};

			word = tiara_word_plain(word);
			cnt += tiara_word_live(&word) && word.entry.backend_idx == backend_idx;
		}
	return cnt;
}

/* By how much what writers say of a backend's entries is off; the most of all backends. */
static inline int64_t
world_entries_off(const struct world *w)
{
	int64_t most = 0;

	for (uint32_t i = 0; i < WORLD_BACKENDS; i++) {
		int64_t off = entries_of(&w->map, i) - world_entries(w, i);

		off = off < 0 ? -off : off;
		most = off > most ? off : most;
	}
	return most;
}

/* Words in a state, in the whole table. */
static inline uint32_t
world_in_state(const struct world *w, uint8_t state)
{
	uint32_t cnt = 0;

	for (uint64_t b = 0; b <= w->map.bucket_mask; b++)
		for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++)
			cnt += w->map.bucket[b].entry[i].state == state;
	return cnt;
}

#endif
