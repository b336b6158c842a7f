/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters over a line of four words, against plain loops; and a sweep that goes by a generation's
 * limits clears what one clears that looks at every entry.
 */
#include "table_world.h"
#include "table/word.h"

enum { LINES = 200000, ENTRIES = 3000, BUCKETS = 1024 };

static uint64_t random_state = 5;

static uint32_t
draw(uint32_t below)
{
	return (uint32_t)(world_random(&random_state) >> 33) % below;
}

/* Few keys, so that some meet; any state, any flag. */
static union tiara_word
draw_word(void)
{
	union tiara_word w = {.key = draw(4), .value = world_random(&random_state)};

	w.entry.state = (uint8_t)draw(TIARA_STATE_CNT);
	if (draw(4) == 0)
		w.entry.flags |= TIARA_ENTRY_MOVING;
	else if (draw(4) > 0)
		w.entry.flags &= (uint8_t) ~(TIARA_ENTRY_MOVING | TIARA_ENTRY_ARRIVING);
	return w;
}

static bool
plain_due(const struct tiara_entry *e, uint16_t now, const int32_t limit[8])
{
	return (uint16_t)(now - e->last_seen) > limit[e->state] ||
	       (e->flags & (TIARA_ENTRY_MOVING | TIARA_ENTRY_ARRIVING)) != 0;
}

static void
test_filters(void)
{
	for (int n = 0; n < LINES; n++) {
		struct tiara_bucket line __attribute__((aligned(64)));
		int32_t limit[8];
		uint16_t now = (uint16_t)world_random(&random_state);
		uint64_t key = draw(4);
		uint32_t match = 0, due = 0;

		for (int s = 0; s < 8; s++)
			limit[s] = (int32_t)draw(65537) - 1;
		for (int i = 0; i < 4; i++) {
			union tiara_word w = draw_word();

			line.entry[i] = w.entry;
			match |= (uint32_t)(w.key == key) << i;
			due |= (uint32_t)plain_due(&w.entry, now, limit) << i;
		}
		CHECK(word_match(&line, key) == match);
		CHECK(word_due(&line, now, limit) == due);
	}
}

/* ---- limits ---- */

static void
fill(struct world *w, uint64_t seed)
{
	struct tiara_writer writer = {.owner = 3};
	struct tiara_found f;

	world_make(w, BUCKETS);
	random_state = seed;
	for (int i = 0; i < WORLD_SERVICES; i++)
		for (int s = 0; s < TIARA_STATE_CNT; s++)
			w->service[i].timeout_ticks[s] = (uint16_t)(20 + 10 * s + 3 * i);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint16_t seen = (uint16_t)(w->age.now - draw(30));
		union tiara_word word = world_word(i, (uint16_t)(i % WORLD_SERVICES), i % 60, seen);

		word.entry.state = (uint8_t)(TIARA_STATE_NEW + draw(4));
		CHECK(world_insert(w, &writer, &word, &f) != TIARA_EXISTS);
	}
}

/* As control/change.c does. */
static void
know_limits(struct world *w)
{
	struct tiara_root *root = &w->map.root[1];

	for (int s = 0; s < TIARA_STATE_CNT; s++)
		root->timeout_min_ticks[s] = (uint16_t)(20 + 10 * s);
	root->limits_known = 1;
}

static struct tiara_sweep_counts
sweep(struct world *w)
{
	struct tiara_writer writer = {.owner = 0};
	struct tiara_sweep_counts counts = {0};

	for (uint64_t i = 0; i < tiara_sweep_slices_per_pass(&w->map); i++)
		tiara_sweep_slice_wk(&w->map, &w->age, &writer, &counts);
	return counts;
}

/* Tick by tick, the same entries go. */
static void
test_same_as_looking_at_all(void)
{
	struct world by_limits, by_all;

	fill(&by_limits, 9);
	fill(&by_all, 9);
	know_limits(&by_limits);
	for (int tick = 0; tick < 120; tick++) {
		struct tiara_sweep_counts a = sweep(&by_limits), b = sweep(&by_all);

		CHECK(a.expired == b.expired && a.gone == b.gone);
		CHECK(memcmp(by_limits.map.bucket, by_all.map.bucket,
			     BUCKETS * sizeof(struct tiara_bucket)) == 0);
		by_limits.age.now++;
		by_all.age.now++;
	}
	CHECK(world_in_state(&by_all, TIARA_STATE_EMPTY) == BUCKETS * 4);
	world_free(&by_limits);
	world_free(&by_all);
}

/* Entries of what was removed are looked for until the control plane has said that none is left. */
static void
test_removed_are_looked_for(void)
{
	struct world w;
	uint32_t there;

	fill(&w, 10);
	know_limits(&w);
	w.backend[7].use = TIARA_USE_GONE;
	w.map.root[1].gone_generation = 4;
	w.map.segment->released_generation = 4;
	CHECK(sweep(&w).gone == 0);
	w.map.root[1].gone_generation = 5;
	there = sweep(&w).gone;
	CHECK(there > 10 && sweep(&w).gone == 0);
	world_free(&w);
}

int
main(void)
{
	test_filters();
	test_same_as_looking_at_all();
	test_removed_are_looked_for();
	return 0;
}
