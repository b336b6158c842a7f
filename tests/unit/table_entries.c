/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of entries by backend against the table itself: inserts, moves, replacements, removals,
 * sweeps, by two workers and the control plane, in full tables and ageing ones.
 */
#include "table_world.h"

enum { BUCKETS = 16, CLIENTS = 90, TURNS = 40000, WRITERS = 3, BURST = 3 };

static struct world w;
static struct tiara_writer writer[WRITERS];
static uint64_t randomness = 7;

static uint32_t
draw(uint32_t below)
{
	return (uint32_t)(world_random(&randomness) >> 33) % below;
}

static union tiara_word
word_drawn(void)
{
	return world_word(draw(CLIENTS), (uint16_t)draw(2), draw(5), w.age.now);
}

static void
turn_insert(struct tiara_writer *by)
{
	union tiara_word word = word_drawn();
	struct tiara_found f;

	if (world_insert(&w, by, &word, &f) == TIARA_EXISTS && draw(2))
		tiara_table_replace(&w.map, by, &f, &word);
}

static void
turn_insert_burst(struct tiara_writer *by)
{
	enum tiara_status status[BURST];
	struct tiara_found f[BURST];
	union tiara_word word[BURST];
	uint64_t hash[BURST];

	for (int i = 0; i < BURST; i++) {
		word[i] = word_drawn();
		hash[i] = world_hash(&w, word[i].key);
	}
	tiara_table_insert_burst(&w.map, &w.age, by, hash, word, BURST, f, status);
}

static void
turn_remove(struct tiara_writer *by)
{
	struct tiara_found f = world_find(&w, word_drawn().key);

	if (f.slot)
		CHECK(tiara_table_remove(&w.map, by, &f));
}

/* A backend goes and comes back: what it had is swept, or reused by inserts. */
static void
turn_sweep(struct tiara_writer *by)
{
	struct tiara_sweep_counts counts = {0};

	w.backend[2].use = draw(3) ? TIARA_USE_ACTIVE : TIARA_USE_GONE;
	tiara_sweep_slice_wk(&w.map, &w.age, by, &counts);
}

static void
turn(void)
{
	struct tiara_writer *by = &writer[draw(WRITERS)];
	uint32_t what = draw(100);

	if (what < 60)
		turn_insert(by);
	else if (what < 80)
		turn_insert_burst(by);
	else if (what < 95)
		turn_remove(by);
	else if (what < 97)
		turn_sweep(&writer[draw(2)]);
	else
		w.age.now += (uint16_t)draw(4);
}

int
main(void)
{
	uint64_t moved = 0;
	int64_t most = 0;

	world_make(&w, BUCKETS);
	writer[0] = world_writer(&w, 0, TIARA_SEARCH_PATH);
	writer[1] = world_writer(&w, 6, TIARA_SEARCH_PATH);
	writer[2] = world_writer(&w, TIARA_OWNER_CONTROL, TIARA_SEARCH_BULK);
	for (int i = 0; i < TURNS; i++) {
		turn();
		CHECK(world_entries_off(&w) == 0);
		most = world_entries(&w, 3) > most ? world_entries(&w, 3) : most;
	}
	for (int i = 0; i < WRITERS; i++)
		moved += writer[i].moved_cnt;
	CHECK(most > 10 && moved > 100);
	world_free(&w);
	return 0;
}
