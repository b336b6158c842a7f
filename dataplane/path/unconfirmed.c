/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cap on connections that only one packet speaks for: floods from random sources make nothing else.
 *
 * Every worker publishes its balance: unconfirmed entries made by it less those ended by it, its own
 * or others'; so does the control plane, which replaces and flushes some. Their sum is what is there. At
 * each tick a worker takes an equal share of that sum for its own, and counts on from there. Up to half
 * of its part of the cap nothing happens. From there on, for each new one that goes into its ring, the
 * one that leaves the ring goes from the table, unless a second packet has confirmed it. Half made
 * before, half in the ring: all together stay under the cap.
 */
#include "path/stage.h"
#include "table/hash.h"

enum {
	UNCONFIRMED_PART = 16,     /* of the table's slots: the cap */
	UNCONFIRMED_MAX = 1 << 20, /* and no more than this */
};

/* Relaxed: numbers of their moments, nothing hangs on their order. */
static int64_t
unconfirmed_sum(const struct tiara_worker *w)
{
	int64_t sum = (int64_t)__atomic_load_n(&w->map->segment->unconfirmed, __ATOMIC_RELAXED);

	for (uint32_t i = 0; i < w->map->segment->worker_max; i++)
		sum += (int64_t)__atomic_load_n(&w->map->worker[i].unconfirmed, __ATOMIC_RELAXED);
	return sum > 0 ? sum : 0;
}

void
tiara_unconfirmed_tick_wk(struct tiara_worker *w)
{
	uint32_t workers = w->node->worker_cnt ? w->node->worker_cnt : 1;

	/* From now on the balance may grow by what the half of the part leaves over. */
	w->unconfirmed_limit = w->writer.unconfirmed + (int64_t)w->unconfirmed_cnt -
			       unconfirmed_sum(w) / (int64_t)workers;
}

static void
unconfirmed_reclaim(struct tiara_worker *w, uint64_t key)
{
	uint64_t hash = tiara_hash_inline(key, w->map->segment->table_secret);
	struct tiara_found found = tiara_table_find(w->map, key, hash);

	if (found.slot && found.word.entry.flags & TIARA_ENTRY_UNCONFIRMED &&
	    tiara_table_remove(w->map, &w->writer, &found))
		w->writer.reclaimed_cnt++;
}

/* The bucket of the key that leaves the ring a burst from now. */
static void
unconfirmed_prefetch(const struct tiara_worker *w)
{
	uint32_t at = (w->unconfirmed_next + TIARA_BURST) % w->unconfirmed_cnt;
	uint64_t hash = tiara_hash_inline(w->unconfirmed[at], w->map->segment->table_secret);

	__builtin_prefetch(&w->map->bucket[tiara_hash_bucket_1(hash, w->map->bucket_mask)]);
}

void
tiara_unconfirmed_add_wk(struct tiara_worker *w, const struct tiara_frame *f)
{
	uint64_t *place;

	if (w->unconfirmed_cnt == 0 || !(f->found.word.entry.flags & TIARA_ENTRY_UNCONFIRMED))
		return;
	place = &w->unconfirmed[w->unconfirmed_next];
	if (w->writer.unconfirmed > w->unconfirmed_limit) {
		unconfirmed_prefetch(w);
		if (*place != 0)
			unconfirmed_reclaim(w, *place);
	}
	*place = f->key;
	if (++w->unconfirmed_next == w->unconfirmed_cnt)
		w->unconfirmed_next = 0;
}

uint32_t
tiara_unconfirmed_room_ctl(const struct tiara_map *map, uint32_t worker_cnt)
{
	uint64_t cap = (map->bucket_mask + 1) * TIARA_BUCKET_ENTRIES / UNCONFIRMED_PART;

	if (cap > UNCONFIRMED_MAX)
		cap = UNCONFIRMED_MAX;
	cap /= 2 * (uint64_t)worker_cnt;
	return cap > 0 ? (uint32_t)cap : 1;
}
