/* SPDX-License-Identifier: Apache-2.0 */
/* Moving entries to their other bucket, and ending moves that others began (docs/design/0007). */
#ifndef TIARA_TABLE_MOVE_H
#define TIARA_TABLE_MOVE_H

#include "table.h"

/* Moves of the stripe of a key's hash so far. Acquire, with the count in move.c. */
static inline uint32_t
tiara_move_count(const struct tiara_map *map, uint64_t hash)
{
	return __atomic_load_n(&map->move[(hash ^ hash >> 32) % TIARA_MOVE_STRIPES],
			       __ATOMIC_ACQUIRE);
}

/* Ends any move of this key that it meets: finished where the new word is there, else undone. */
void tiara_move_help(const struct tiara_map *map, struct tiara_writer *writer, uint64_t key);

/*
 * Moves entries until one of two full buckets has a free slot. True: look again, something changed
 * (not always for the better). False: no way within writer->search_max buckets.
 */
bool tiara_move_make_room(const struct tiara_map *map, const struct tiara_age *age,
			  struct tiara_writer *writer, const uint64_t bucket[2]);

#endif
