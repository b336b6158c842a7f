/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of entries made right again: a writer that was killed between a change and its count has left
 * them off by one.
 */
#include "entries.h"

#include "slot.h"
#include "step.h"

enum { ENTRIES_RECOUNTS_MAX = 3 };

static bool
entries_limited(const struct tiara_view *view)
{
	for (uint32_t i = 0; i < view->backend_cnt; i++)
		if (view->backend[i].connection_max)
			return true;
	return false;
}

/* What the others say, taken off worker 0's numbers; each word found is added to them then. */
static void
entries_recount_begin(const struct tiara_map *map)
{
	struct tiara_flow_counter *mine = tiara_map_backend_counters(map, 0);

	for (uint32_t i = 0; i < map->segment->backend_max; i++)
		entries_add(&mine[i], -entries_of(map, i));
}

static void
entries_recount_words(const struct tiara_map *map)
{
	struct tiara_flow_counter *mine = tiara_map_backend_counters(map, 0);
	uint64_t end = (map->bucket_mask + 1) * TIARA_BUCKET_ENTRIES;
	const struct tiara_entry *entry = map->bucket[0].entry;

	for (uint64_t i = 0; i < end; i++) {
		union tiara_word word = tiara_word_plain(slot_load(&entry[i]));

		if (tiara_word_live(&word) && word.entry.backend_idx < map->segment->backend_max)
			entries_add(&mine[word.entry.backend_idx], 1);
	}
}

/* What the control plane has counted: another number later, and it changed entries meanwhile. */
static uint64_t
entries_control_sum(const struct tiara_map *map)
{
	const struct tiara_flow_counter *c = tiara_map_backend_counters(map,
									map->segment->worker_max);
	uint64_t sum = 0;

	for (uint32_t i = 0; i < map->segment->backend_max; i++)
		sum = sum * 31 + __atomic_load_n(&c[i].limit_cnt, __ATOMIC_ACQUIRE);
	return sum;
}

/* False: the control plane changed entries meanwhile. */
static bool
entries_recount(const struct tiara_map *map)
{
	uint64_t before = entries_control_sum(map);

	entries_recount_begin(map);
	TIARA_STEP(23);
	entries_recount_words(map);
	return entries_control_sum(map) == before;
}

void
tiara_entries_start_ctl(const struct tiara_map *map)
{
	/* Acquire, with tiara_epoch_publish_ctl. */
	struct tiara_view view = tiara_view_of(
		map, __atomic_load_n(&map->segment->generation, __ATOMIC_ACQUIRE));

	if (!entries_limited(&view) && !map->segment->recounting)
		return;
	map->segment->recounting = 1;
	for (int i = 0; i < ENTRIES_RECOUNTS_MAX; i++)
		if (entries_recount(map))
			break;
	map->segment->recounting = 0;
}
