/* SPDX-License-Identifier: Apache-2.0 */
/* What insert.c, move.c and sweep.c agree on: which words may be overwritten. */
#ifndef TIARA_TABLE_REUSE_H
#define TIARA_TABLE_REUSE_H

#include "entries.h"
#include "slot.h"
#include "step.h"
#include "table.h"

enum {
	REUSE_TENTATIVE_TICKS = 2
}; /* an insert takes microseconds: its process is dead or stopped */

/* A tentative word whose owner will not come back, or will find its commit refused. */
static inline bool
reuse_stale(const struct tiara_age *age, const union tiara_word *word)
{
	uint8_t ticks = (uint8_t)(age->now - word->tentative.tick);

	/* The last 64 of 256: its owner read a newer tick than we did. */
	return word->entry.state == TIARA_STATE_TENTATIVE && ticks > REUSE_TENTATIVE_TICKS &&
	       ticks < 192;
}

/*
 * Ours alone: no other live process has our number, and we repeat no nonce. So a commit that finds
 * it finds what was placed, never gone in between, and a late abort by another hits no later one.
 */
static inline union tiara_word
reuse_tentative(const struct tiara_age *age, struct tiara_writer *writer, uint64_t key)
{
	union tiara_word w = {.key = key};

	w.tentative.nonce = writer->nonce++;
	w.tentative.tick = (uint8_t)age->now;
	w.tentative.owner = writer->owner;
	w.tentative.state = TIARA_STATE_TENTATIVE;
	return w;
}

/* A live word of an entry that is between two slots. */
static inline bool
reuse_in_transit(const union tiara_word *word)
{
	return (word->entry.flags & (TIARA_ENTRY_MOVING | TIARA_ENTRY_ARRIVING)) != 0;
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

static inline int
reuse_unconfirmed(const union tiara_word *word)
{
	return tiara_word_live(word) && word->entry.flags & TIARA_ENTRY_UNCONFIRMED;
}

/* All changes of entries go through here or reuse_swap, so that unconfirmed ones are counted. */
static inline bool
reuse_swap_uncounted(struct tiara_writer *writer, const struct tiara_found *from,
		     union tiara_word to)
{
	if (!slot_swap(from->slot, from->word, to))
		return false;
	TIARA_STEP(21);
	writer->unconfirmed += reuse_unconfirmed(&to) - reuse_unconfirmed(&from->word);
	return true;
}

/* And by backend. */
static inline bool
reuse_swap(struct tiara_writer *writer, const struct tiara_found *from, union tiara_word to)
{
	if (!reuse_swap_uncounted(writer, from, to))
		return false;
	entries_changed(writer, &from->word, &to);
	return true;
}

static inline bool
reuse_clear(struct tiara_writer *writer, const struct tiara_found *from)
{
	return reuse_swap(writer, from, (union tiara_word){.all = 0});
}

enum reuse {
	REUSE_TAKE,  /* empty, expired, or left by a dead insert: the place is free */
	REUSE_SPARE, /* unconfirmed for over a tick: gives way before anything else does */
	REUSE_HELD,  /* a connection */
	REUSE_LEAVE, /* in flight, or of a generation that we do not know */
};

static inline enum reuse
reuse_judge(const struct tiara_map *map, const struct tiara_age *age, const union tiara_word *word)
{
	if (word->entry.state == TIARA_STATE_EMPTY)
		return REUSE_TAKE;
	if (!tiara_word_live(word))
		return reuse_stale(age, word) ? REUSE_TAKE : REUSE_LEAVE;
	if (reuse_in_transit(word))
		return REUSE_LEAVE;
	if (!(word->entry.flags & TIARA_ENTRY_OFFLOADED) &&
	    reuse_service_use(age->view, word->entry.service_idx) != TIARA_USE_ACTIVE)
		return reuse_service_unused(map, age->view, word->entry.service_idx) ? REUSE_TAKE
										     : REUSE_LEAVE;
	if (tiara_entry_expired(age, word))
		return REUSE_TAKE;
	if (word->entry.flags & TIARA_ENTRY_UNCONFIRMED &&
	    tiara_tick_age(age->now, word->entry.last_seen) > 1)
		return REUSE_SPARE;
	return REUSE_HELD;
}

#endif
