/* SPDX-License-Identifier: Apache-2.0 */
/* What table.c and sweep.c agree on: which words may be overwritten. */
#ifndef TIARA_TABLE_REUSE_H
#define TIARA_TABLE_REUSE_H

#include "table.h"
#include "word.h"

enum { REUSE_TENTATIVE_TICKS = 2 }; /* an insert takes microseconds: its process is dead or stopped */

static inline union tiara_word
reuse_load(const struct tiara_entry *slot)
{
	return (union tiara_word){.all = word_load(slot)};
}

/* A tentative word whose owner will not come back, or will find its commit refused. */
static inline bool
reuse_stale(const struct tiara_age *age, const union tiara_word *word)
{
	return word->entry.state == TIARA_STATE_TENTATIVE &&
	       tiara_tick_age(age->now, word->entry.last_seen) > REUSE_TENTATIVE_TICKS;
}

static inline uint8_t
reuse_service_use(const struct tiara_view *view, uint32_t service_idx)
{
	return service_idx < view->service_cnt ? view->service[service_idx].use : TIARA_USE_FREE;
}

static inline uint8_t
reuse_backend_use(const struct tiara_view *view, uint32_t backend_idx)
{
	return backend_idx < view->backend_cnt ? view->backend[backend_idx].use : TIARA_USE_FREE;
}

/*
 * May an index that our view holds for unused be judged so? GONE: yes, until every worker has left
 * our generation it cannot be given away. FREE or beyond the end: only if our generation is the
 * current one, read after the word was: a newer generation may have given the index away, and who
 * wrote the word had seen that generation before, so then we see it now (acquire, with
 * tiara_epoch_publish_ctl through the CAS that wrote the word).
 */
static inline bool
reuse_unused(const struct tiara_map *map, const struct tiara_view *view, uint8_t use)
{
	if (use == TIARA_USE_GONE)
		return true;
	return use == TIARA_USE_FREE &&
	       __atomic_load_n(&map->segment->generation, __ATOMIC_ACQUIRE) == view->generation;
}

#endif
