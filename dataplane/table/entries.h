/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many entries a backend has (docs/design/0010). Each writer counts those that it made less those
 * that it ended, its own or others'; only their sum means something.
 */
#ifndef TIARA_TABLE_ENTRIES_H
#define TIARA_TABLE_ENTRIES_H

#include "table.h"

/* Relaxed: each number is of its moment, one of its backend's writers. */
static inline int64_t
entries_of(const struct tiara_map *map, uint32_t backend_idx)
{
	const struct tiara_segment *s = map->segment;
	int64_t sum = 0;

	for (uint32_t i = 0; i <= s->worker_max; i++)
		sum += (int64_t)__atomic_load_n(
			&tiara_map_backend_counters(map, i)[backend_idx].limit_cnt,
			__ATOMIC_RELAXED);
	return sum;
}

/* Only the writer that owns the counter. */
static inline void
entries_add(struct tiara_flow_counter *counter, int64_t more)
{
	__atomic_store_n(&counter->limit_cnt, counter->limit_cnt + (uint64_t)more,
			 __ATOMIC_RELAXED);
}

/* A word that a changed slot held or holds now. */
static inline void
entries_count(const struct tiara_writer *writer, const union tiara_word *word, int64_t more)
{
	uint32_t idx = tiara_word_plain(*word).entry.backend_idx;

	if (tiara_word_live(word) && idx < writer->backend_cnt)
		entries_add(&writer->backend[idx], more);
}

/* After a slot went from one word to another. Most changes are touches, which count nothing. */
static inline void
entries_changed(const struct tiara_writer *writer, const union tiara_word *from,
		const union tiara_word *to)
{
	if (tiara_word_live(from) && tiara_word_live(to) &&
	    tiara_word_plain(*from).entry.backend_idx == tiara_word_plain(*to).entry.backend_idx)
		return;
	entries_count(writer, from, -1);
	entries_count(writer, to, 1);
}

#endif
