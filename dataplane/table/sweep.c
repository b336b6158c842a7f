/* SPDX-License-Identifier: Apache-2.0 */
#include "move.h"
#include "reuse.h"

/*
 * Who sweeps what, so that tiara_sweep_passed can know that a pass is over. A worker:
 *   S1 slot = n0, a value read of sweep_claimed     S2 n = sweep_claimed++ (so n >= n0)
 *   S3 slot = n   ... sweeps slice n ...            S4 slot = UINT64_MAX
 * An observer that waits for all slices below `end`:
 *   O1 sweep_claimed >= end                         O2 no slot below end
 * S1, S2, O1 and O2 are sequentially consistent. Take a slice n < end. O1 saw it claimed, so its S2
 * stands before O1, S1 before S2 and O2 after O1: O2 sees S1 or something later of that worker. S1
 * and S3 say n or less: not passed. Any later store is S4 (or follows it), which releases the work,
 * and O2 acquires it: slice n is done. S1 alone may say "not passed" once too often, never once too
 * seldom.
 */

uint64_t
tiara_sweep_slices_per_pass(const struct tiara_map *map)
{
	return map->bucket_mask / TIARA_SWEEP_SLICE_BUCKETS + 1;
}

void
tiara_sweep_start_ctl(const struct tiara_map *map)
{
	/* First this: who sees the slots cleared (O2) sees the new number (release, acquire). */
	__atomic_add_fetch(&map->segment->sweep_restarts, 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < map->segment->worker_max; i++)
		__atomic_store_n(&map->worker[i].sweep_slice, UINT64_MAX, __ATOMIC_RELEASE);
}

bool
tiara_sweep_passed(const struct tiara_map *map, uint64_t from_claimed)
{
	uint64_t end = from_claimed + tiara_sweep_slices_per_pass(map);

	if (__atomic_load_n(&map->segment->sweep_claimed, __ATOMIC_SEQ_CST) < end) /* O1 */
		return false;
	for (uint32_t i = 0; i < map->segment->worker_max; i++)
		if (__atomic_load_n(&map->worker[i].sweep_slice, __ATOMIC_SEQ_CST) < end) /* O2 */
			return false;
	return true;
}

/* Names a service or backend that is not in use any more. */
static bool
sweep_gone(const struct tiara_map *map, const struct tiara_view *view, const union tiara_word *word)
{
	return reuse_service_unused(map, view, word->entry.service_idx) ||
	       reuse_backend_unused(map, view, word->entry.backend_idx);
}

/* The counter of the reason to clear this word, or NULL: it stays. */
static uint32_t *
sweep_reason(const struct tiara_map *map, const struct tiara_age *age, const union tiara_word *word,
	     struct tiara_sweep_counts *counts)
{
	uint32_t service = word->entry.service_idx;

	if (word->entry.state == TIARA_STATE_EMPTY)
		return NULL;
	if (word->entry.state == TIARA_STATE_TENTATIVE)
		return reuse_stale(age, word) ? &counts->tentative : NULL;
	if (sweep_gone(map, age->view, word))
		return &counts->gone;
	if (reuse_service_use(age->view, service) != TIARA_USE_ACTIVE)
		return NULL; /* of a newer generation than ours */
	return tiara_entry_overdue(age, word) ? &counts->expired : NULL;
}

/* A card may have it: told, not cleared. Nothing that it names may be given away in this pass. */
static void
sweep_hold(const struct tiara_map *map, const union tiara_word *word, bool gone,
	   struct tiara_sweep_counts *counts)
{
	if (gone) /* as a half swept slice: who waits for the pass begins again (with O2) */
		__atomic_add_fetch(&map->segment->sweep_restarts, 1, __ATOMIC_SEQ_CST);
	if (counts->held_cnt < TIARA_SWEEP_HELD)
		counts->held[counts->held_cnt++] = word->key;
}

/* There is no card any more: it begins its timeout anew (docs/design/0016, R13). */
static void
sweep_take_back(const struct tiara_map *map, const struct tiara_age *age,
		struct tiara_writer *writer, struct tiara_found *f)
{
	union tiara_word word = f->word;

	word.entry.flags &= (uint8_t) ~(TIARA_ENTRY_OFFLOADED | TIARA_ENTRY_ENDING);
	word.entry.last_seen = age->now;
	(void)tiara_table_replace(map, writer, f, &word);
}

/*
 * Until the slot holds nothing to clear: a word that changed under us is judged anew. A move is
 * ended first: its mover may be dead.
 */
static void
sweep_entry(const struct tiara_map *map, const struct tiara_age *age, struct tiara_writer *writer,
	    struct tiara_entry *slot, struct tiara_sweep_counts *counts)
{
	for (;;) {
		struct tiara_found f = {.slot = slot, .word = slot_load(slot)};
		uint32_t *reason;

		if (tiara_word_live(&f.word) && reuse_in_transit(&f.word)) {
			tiara_move_help(map, writer, f.word.key);
			continue;
		}
		reason = sweep_reason(map, age, &f.word, counts);
		if (!reason)
			return;
		if (f.word.entry.flags & TIARA_ENTRY_OFFLOADED &&
		    f.word.entry.state != TIARA_STATE_TENTATIVE) {
			if (writer->card) {
				sweep_hold(map, &f.word, reason == &counts->gone, counts);
				return;
			}
			if (reason == &counts->expired) {
				sweep_take_back(map, age, writer, &f);
				return;
			}
		}
		TIARA_STEP(8);
		if (!reuse_clear(writer, &f))
			continue;
		++*reason;
		return;
	}
}

/*
 * What an entry of each state may be old without being expired, whatever its service; -1: any entry of
 * the state is to be looked at. Entries of removed services and backends need a look each, as long as
 * there can be any.
 */
struct sweep_limits {
	int32_t ticks[TIARA_STATE_CNT];
};

static struct sweep_limits
sweep_limits(const struct tiara_map *map, const struct tiara_view *view)
{
	const struct tiara_root *root = view->root;
	bool known = root && root->limits_known &&
		     root->gone_generation <=
			     __atomic_load_n(&map->segment->released_generation, __ATOMIC_RELAXED);
	struct sweep_limits limits;

	for (int s = TIARA_STATE_NEW; s < TIARA_STATE_CNT; s++)
		limits.ticks[s] = known ? root->timeout_min_ticks[s] : -1;
	limits.ticks[TIARA_STATE_TENTATIVE] = -1;
	limits.ticks[TIARA_STATE_EMPTY] = UINT16_MAX;
	return limits;
}

static void
sweep_bucket(const struct tiara_map *map, const struct tiara_age *age, struct tiara_writer *writer,
	     const struct sweep_limits *limits, struct tiara_bucket *bucket,
	     struct tiara_sweep_counts *counts)
{
	for (uint32_t due = word_due(bucket, age->now, limits->ticks); due; due &= due - 1)
		sweep_entry(map, age, writer, &bucket->entry[__builtin_ctz(due)], counts);
}

/* S1 to S3: the number of a slice that is ours now. */
static uint64_t
sweep_claim(const struct tiara_map *map, uint64_t *mine)
{
	uint64_t *claimed = &map->segment->sweep_claimed;
	uint64_t n;

	__atomic_store_n(mine, __atomic_load_n(claimed, __ATOMIC_RELAXED), __ATOMIC_SEQ_CST);
	TIARA_STEP(6);
	n = __atomic_fetch_add(claimed, 1, __ATOMIC_SEQ_CST);
	TIARA_STEP(7);
	__atomic_store_n(mine, n, __ATOMIC_RELEASE);
	return n;
}

void
tiara_sweep_slice_wk(const struct tiara_map *map, const struct tiara_age *age,
		     struct tiara_writer *writer, struct tiara_sweep_counts *counts)
{
	uint64_t *mine = &map->worker[writer->owner].sweep_slice;
	uint64_t slice = sweep_claim(map, mine) % tiara_sweep_slices_per_pass(map);
	uint64_t first = slice * TIARA_SWEEP_SLICE_BUCKETS;
	struct sweep_limits limits = sweep_limits(map, age->view);

	for (uint64_t i = 0; i < TIARA_SWEEP_SLICE_BUCKETS && first + i <= map->bucket_mask; i++)
		sweep_bucket(map, age, writer, &limits, &map->bucket[first + i], counts);
	__atomic_store_n(mine, UINT64_MAX, __ATOMIC_RELEASE); /* S4, with O2 */
}
