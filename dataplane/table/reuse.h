/* SPDX-License-Identifier: Apache-2.0 */
/* What table.c and sweep.c agree on: which words may be overwritten. */
#ifndef TIARA_TABLE_REUSE_H
#define TIARA_TABLE_REUSE_H

#include "step.h"
#include "table.h"
#include "word.h"

enum {
	REUSE_TENTATIVE_TICKS = 2
}; /* an insert takes microseconds: its process is dead or stopped */

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

static inline bool
reuse_is_unused(uint8_t use)
{
	return use == TIARA_USE_GONE || use == TIARA_USE_FREE;
}

/* The current generation, newer than ours perhaps: our report keeps all from ours on alive. */
static inline struct tiara_view
reuse_view_now(const struct tiara_map *map)
{
	/* Acquire, with tiara_epoch_publish_ctl. */
	return tiara_view_of(map, __atomic_load_n(&map->segment->generation, __ATOMIC_ACQUIRE));
}

/*
 * May an index that our view holds for unused be judged so? A newer generation may have given it
 * away, so that one is asked, after the word was read: who wrote the word had seen that generation
 * before, so now we see it (acquire, through the CAS that wrote the word).
 */
static inline bool
reuse_service_unused(const struct tiara_map *map, const struct tiara_view *view,
		     uint32_t service_idx)
{
	struct tiara_view now;

	if (!reuse_is_unused(reuse_service_use(view, service_idx)))
		return false;
	now = reuse_view_now(map);
	return reuse_is_unused(reuse_service_use(&now, service_idx));
}

static inline bool
reuse_backend_unused(const struct tiara_map *map, const struct tiara_view *view,
		     uint32_t backend_idx)
{
	struct tiara_view now;

	if (!reuse_is_unused(reuse_backend_use(view, backend_idx)))
		return false;
	now = reuse_view_now(map);
	return reuse_is_unused(reuse_backend_use(&now, backend_idx));
}

#endif
