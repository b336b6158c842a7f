/* SPDX-License-Identifier: Apache-2.0 */
#include "control/shadow.h"

#include "control/internal.h"
#include "table/hash.h"
#include "table/move.h"
#include "table/neighbour.h"
#include "table/slot.h"

#include <string.h>
#include <sys/mman.h>

enum {
	/*
	 * A search for room expands the first 42 buckets that it comes to, level by level, and of those
	 * the full ones only. It passes over some entries, which we do not: four times as many are enough
	 * that none of its levels is missed.
	 */
	SHADOW_EXPAND = 4 * TIARA_SEARCH_PATH,
	/* Four children each, and the level that the last one is in. */
	SHADOW_BUCKETS_MAX = 16 * SHADOW_EXPAND,
};

/* Buckets in the order in which they are come to. */
struct shadow_reach {
	uint32_t bucket[SHADOW_BUCKETS_MAX];
	uint32_t cnt;
};

/* ---- all but the table ---- */

/* Whole 8-byte words that others may write. Relaxed: each is a number of its own moment. */
static void
shadow_copy(const struct shadow *shadow, const struct tiara_map *from, uint64_t off, uint64_t bytes)
{
	const uint64_t *source = (const void *)(from->base + off);
	uint64_t *target = (void *)(shadow->map.base + off);

	for (uint64_t i = 0; i < bytes / sizeof(*target); i++)
		target[i] = __atomic_load_n(&source[i], __ATOMIC_RELAXED);
}

/* Each is a 16-byte word that workers write. */
static void
shadow_copy_neighbours(const struct shadow *shadow, const struct tiara_map *from)
{
	for (uint32_t i = 0; i <= from->neighbour_mask; i++) {
		unsigned __int128 word = word_load(&from->neighbour[i]);

		memcpy(&shadow->map.neighbour[i], &word, sizeof(word));
	}
}

/* What a limit on a backend's connections is held against. */
static void
shadow_copy_entries(const struct shadow *shadow, const struct tiara_map *from, uint32_t backend_idx)
{
	for (uint32_t writer = 0; writer <= from->segment->worker_max; writer++) {
		const uint64_t *mine = &tiara_map_backend_counters(from, writer)[backend_idx]
						.limit_cnt;

		tiara_map_backend_counters(&shadow->map, writer)[backend_idx]
			.limit_cnt = __atomic_load_n(mine, __ATOMIC_RELAXED);
	}
}

static void
shadow_copy_limits(const struct shadow *shadow, const struct tiara_map *from)
{
	const struct tiara_segment *s = from->segment;

	shadow_copy(shadow, from, s->rate_off, s->service_max * sizeof(*from->rate));
	for (uint32_t i = 0; i < shadow->view.backend_cnt; i++)
		if (shadow->view.backend[i].connection_max)
			shadow_copy_entries(shadow, from, i);
}

/* The generation is copied once: the view's and the header's are the same one. */
static void
shadow_copy_all(struct shadow *shadow, const struct tiara_map *from)
{
	const struct tiara_segment *s = from->segment;

	shadow_copy(shadow, from, 0, sizeof(*s));
	shadow->map = tiara_map_of(shadow->map.base);
	shadow_copy(shadow, from, s->worker_off, s->worker_max * sizeof(*from->worker));
	shadow_copy(shadow, from, s->root_off, TIARA_ROOT_CNT * sizeof(*from->root));
	shadow_copy(shadow, from, s->move_off, TIARA_MOVE_STRIPES * sizeof(*from->move));
	shadow_copy_neighbours(shadow, from);
	shadow->view = tiara_view_of(from, shadow->map.segment->generation);
	shadow_copy_limits(shadow, from);
}

bool
shadow_make(struct shadow *shadow, const struct tiara_map *from)
{
	uint64_t bytes = from->segment->total_bytes;
	/* Pages that nobody writes cost nothing, however large the table is. */
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return false;
	*shadow = (struct shadow){.map.base = base, .bytes = bytes};
	shadow_copy_all(shadow, from);
	return true;
}

void
shadow_end(struct shadow *shadow)
{
	munmap(shadow->map.base, shadow->bytes);
}

/* ---- the table ---- */

/*
 * One 16-byte load a word, as any reader. An insert in flight goes nowhere here, where its owner does
 * not run; it is left out, as if it came later.
 */
static void
shadow_copy_bucket(const struct shadow *shadow, const struct tiara_map *from, uint32_t bucket)
{
	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		union tiara_word w = {.all = word_load(&from->bucket[bucket].entry[i])};

		if (w.entry.state == TIARA_STATE_TENTATIVE)
			w = (union tiara_word){.value = w.value & SLOT_MARK};
		memcpy(&shadow->map.bucket[bucket].entry[i], &w, sizeof(w));
	}
}

static void
shadow_reach_add(const struct shadow *shadow, const struct tiara_map *from,
		 struct shadow_reach *reach, uint32_t bucket)
{
	for (uint32_t i = 0; i < reach->cnt; i++)
		if (reach->bucket[i] == bucket)
			return;
	if (reach->cnt == SHADOW_BUCKETS_MAX)
		return;
	reach->bucket[reach->cnt++] = bucket;
	shadow_copy_bucket(shadow, from, bucket);
}

static bool
shadow_is_full(const struct tiara_bucket *bucket)
{
	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++)
		if (bucket->entry[i].state == TIARA_STATE_EMPTY)
			return false;
	return true;
}

/* The other buckets of a full bucket's entries: where moves could take them. */
static void
shadow_reach_expand(const struct shadow *shadow, const struct tiara_map *from,
		    struct shadow_reach *reach, uint32_t at)
{
	const struct tiara_bucket *bucket = &shadow->map.bucket[reach->bucket[at]];

	if (!shadow_is_full(bucket))
		return;
	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		union tiara_word w = {.entry = bucket->entry[i]};
		uint64_t hash = tiara_hash_inline(w.key, from->segment->table_secret);

		shadow_reach_add(shadow, from, reach,
				 (uint32_t)tiara_hash_bucket_1(hash, from->bucket_mask));
		shadow_reach_add(shadow, from, reach,
				 (uint32_t)tiara_hash_bucket_2(hash, from->bucket_mask));
	}
}

/* The key's own two, again until it was not moved meanwhile: its word is in one of them or nowhere. */
static void
shadow_fetch_own(const struct shadow *shadow, const struct tiara_map *from, uint64_t hash,
		 struct shadow_reach *reach)
{
	uint32_t moves;

	do {
		moves = tiara_move_count(from, hash);
		reach->cnt = 0;
		shadow_reach_add(shadow, from, reach,
				 (uint32_t)tiara_hash_bucket_1(hash, from->bucket_mask));
		CONTROL_STEP("first bucket copied");
		shadow_reach_add(shadow, from, reach,
				 (uint32_t)tiara_hash_bucket_2(hash, from->bucket_mask));
	} while (tiara_move_count(from, hash) != moves);
}

void
shadow_fetch(struct shadow *shadow, const struct tiara_map *from, uint64_t hash)
{
	struct shadow_reach reach;
	uint32_t begin = 0, end;

	shadow_fetch_own(shadow, from, hash, &reach);
	while (begin < SHADOW_EXPAND && begin < reach.cnt) {
		end = reach.cnt;
		for (; begin < end; begin++)
			shadow_reach_expand(shadow, from, &reach, begin);
	}
}
