/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep: what it clears and counts, and when a pass is over. */
#include "table_world.h"

static struct tiara_writer writer = {.owner = 3};

static void
put(struct world *w, uint32_t client, uint16_t service_idx, uint32_t backend_idx)
{
	union tiara_word a = world_word(client, service_idx, backend_idx, w->age.now);
	struct tiara_found f;

	CHECK(world_insert(w, &writer, &a, &f) == TIARA_OK);
}

static bool
there(struct world *w, uint32_t client, uint16_t service_idx)
{
	return world_copies(w, tiara_key(client, 80, service_idx)) == 1;
}

static struct tiara_sweep_counts
sweep(struct world *w)
{
	struct tiara_sweep_counts counts = {0};

	for (uint64_t i = 0; i < tiara_sweep_slices_per_pass(&w->map); i++)
		tiara_sweep_slice_wk(&w->map, &w->age, &writer, &counts);
	return counts;
}

/* Nothing to clear: nothing is. */
static void
test_leaves_the_living(void)
{
	struct world w;
	struct tiara_sweep_counts c;

	world_make(&w, 64);
	put(&w, 1, 0, 1);
	w.age.now += WORLD_TIMEOUT_TICKS;
	c = sweep(&w);
	CHECK(c.expired == 0 && c.gone == 0 && c.tentative == 0 && there(&w, 1, 0));
	world_free(&w);
}

/* Each reason is counted under its name. */
static void
test_reasons(void)
{
	struct world w;
	struct tiara_sweep_counts c;

	world_make(&w, 64);
	put(&w, 1, 0, 1);
	w.age.now += WORLD_TIMEOUT_TICKS + 1;
	put(&w, 2, 0, 2);              /* stays */
	put(&w, 3, 0, 3);              /* its backend goes */
	put(&w, 4, 4, 4);              /* its service goes */
	put(&w, 5, 0, 5);              /* its backend is down: stays */
	put(&w, 6, 0, WORLD_BACKENDS); /* never was a backend */
	w.backend[3].use = TIARA_USE_GONE;
	w.service[4].use = TIARA_USE_FREE;
	w.backend[5].use = TIARA_USE_DOWN;
	c = sweep(&w);
	CHECK(c.expired == 1 && c.gone == 3 && c.tentative == 0);
	CHECK(there(&w, 2, 0) && there(&w, 5, 0));
	CHECK(!there(&w, 1, 0) && !there(&w, 3, 0) && !there(&w, 4, 4) && !there(&w, 6, 0));
	world_free(&w);
}

/* A tentative word stays for two ticks, over the wrap of the tick too. */
static void
test_tentative(void)
{
	struct world w;
	union tiara_word t = {.key = 1};

	world_make(&w, 64);
	t.tentative.state = TIARA_STATE_TENTATIVE;
	t.tentative.tick = 254;
	w.map.bucket[7].entry[1] = t.entry;
	w.age.now = 0;
	CHECK(sweep(&w).tentative == 0);
	w.age.now = 1;
	CHECK(sweep(&w).tentative == 1 && w.map.bucket[7].entry[1].state == TIARA_STATE_EMPTY);
	world_free(&w);
}

/*
 * What our generation holds for unused is asked of the current one, which may have given the index
 * away: an entry goes only if both say so.
 */
static void
test_newer_generation_is_respected(void)
{
	struct world w;

	world_make(&w, 64);
	put(&w, 1, 1, 1);
	put(&w, 2, 2, 2);
	put(&w, 3, 3, 3);
	put(&w, 4, 4, 4);
	w.service[1].use = TIARA_USE_FREE;
	w.backend[2].use = TIARA_USE_FREE;
	w.service[3].use = TIARA_USE_GONE;
	w.backend[4].use = TIARA_USE_GONE;
	world_root(&w, 2);
	w.service[3].use = TIARA_USE_GONE;
	w.backend[4].use = TIARA_USE_GONE;
	tiara_epoch_publish_ctl(&w.map, 2);
	CHECK(sweep(&w).gone == 2);
	CHECK(there(&w, 1, 1) && there(&w, 2, 2) && !there(&w, 3, 3) && !there(&w, 4, 4));
	w.service[1].use = TIARA_USE_GONE;
	w.backend[2].use = TIARA_USE_GONE;
	CHECK(sweep(&w).gone == 2 && !there(&w, 1, 1) && !there(&w, 2, 2));
	world_free(&w);
}

/* The slices of one pass cover every bucket once, whatever the table's size. */
static void
test_pass_covers_the_table(uint64_t bucket_cnt)
{
	struct world w;
	union tiara_word t = {.key = 1};

	world_make(&w, bucket_cnt);
	t.entry.state = TIARA_STATE_UDP;
	w.age.now = 1000;
	for (uint64_t b = 0; b < bucket_cnt; b++)
		w.map.bucket[b].entry[b % 4] = t.entry;
	CHECK(sweep(&w).expired == bucket_cnt);
	CHECK(world_in_state(&w, TIARA_STATE_UDP) == 0);
	world_free(&w);
}

/* A pass is over when its slices are claimed and no worker is still inside one of them. */
static void
test_passed(void)
{
	struct world w;
	uint64_t from, pass;

	world_make(&w, 1024);
	pass = tiara_sweep_slices_per_pass(&w.map);
	CHECK(pass == 4);
	sweep(&w);
	from = w.map.segment->sweep_claimed;
	CHECK(!tiara_sweep_passed(&w.map, from));
	for (uint64_t i = 0; i < pass; i++) {
		struct tiara_sweep_counts c = {0};

		CHECK(!tiara_sweep_passed(&w.map, from));
		tiara_sweep_slice_wk(&w.map, &w.age, &writer, &c);
	}
	CHECK(tiara_sweep_passed(&w.map, from));
	w.map.worker[5].sweep_slice = from + 3; /* stopped in the pass's last slice */
	CHECK(!tiara_sweep_passed(&w.map, from));
	w.map.worker[5].sweep_slice = from + 4; /* in a later one */
	CHECK(tiara_sweep_passed(&w.map, from));
	world_free(&w);
}

/* Fills `bucket`, which may be any of the two of each key; the other one is before `below`. */
static void
fill_from(struct world *w, uint64_t bucket, uint64_t below, uint32_t backend_idx)
{
	uint32_t client = (uint32_t)bucket << 16;

	for (int i = 0; i < TIARA_BUCKET_ENTRIES; client++) {
		union tiara_word a = world_word(client, 0, backend_idx, w->age.now);
		uint64_t hash = world_hash(w, a.key);

		if (tiara_hash_bucket_1(hash, w->map.bucket_mask) == bucket &&
		    tiara_hash_bucket_2(hash, w->map.bucket_mask) < below)
			world_plant(w, bucket, i++, a);
	}
}

/* A connection to backend 1 for which both buckets are to be made room in. */
static uint32_t
client_of(const struct world *w, uint64_t first, uint64_t second)
{
	uint64_t hash;
	uint32_t client = 0;

	do
		hash = world_hash(w, tiara_key(++client, 80, 0));
	while (tiara_hash_bucket_1(hash, w->map.bucket_mask) != first ||
	       tiara_hash_bucket_2(hash, w->map.bucket_mask) != second);
	return client;
}

/*
 * Between two slices of the pass that ends a backend's quarantine, an insert needs room where that
 * backend's entries are and could go where the pass has been. They do not: after it, none is left.
 */
static void
test_no_entry_hops_over_the_pass(uint8_t use)
{
	struct tiara_writer mover = {.owner = 1, .search_max = TIARA_SEARCH_BULK};
	struct tiara_sweep_counts counts = {0};
	struct world w;
	struct tiara_found f;
	union tiara_word fresh;
	uint64_t from;

	world_make(&w, 2 * TIARA_SWEEP_SLICE_BUCKETS);
	fill_from(&w, 300, TIARA_SWEEP_SLICE_BUCKETS, 4);
	fill_from(&w, 301, TIARA_SWEEP_SLICE_BUCKETS, 4);
	fresh = world_word(client_of(&w, 300, 301), 0, 1, w.age.now);
	w.backend[4].use = use;
	from = w.map.segment->sweep_claimed;
	tiara_sweep_slice_wk(&w.map, &w.age, &writer, &counts);
	CHECK(counts.gone == 0);
	CHECK(world_insert(&w, &mover, &fresh, &f) == TIARA_FULL && mover.moved_cnt == 0);
	tiara_sweep_slice_wk(&w.map, &w.age, &writer, &counts);
	CHECK(tiara_sweep_passed(&w.map, from) && counts.gone == 8);
	CHECK(world_in_state(&w, TIARA_STATE_ESTABLISHED) == 0);
	CHECK(world_insert(&w, &mover, &fresh, &f) == TIARA_OK);
	world_free(&w);
}

/* A new data plane frees the slots of a killed one and says so in sweep_restarts. */
static void
test_restart(void)
{
	struct world w;
	uint64_t restarts;

	world_make(&w, 256);
	restarts = w.map.segment->sweep_restarts;
	w.map.worker[5].sweep_slice = 0;
	sweep(&w);
	CHECK(!tiara_sweep_passed(&w.map, 0));
	tiara_sweep_start_ctl(&w.map);
	CHECK(tiara_sweep_passed(&w.map, 0) && w.map.segment->sweep_restarts == restarts + 1);
	world_free(&w);
}

int
main(void)
{
	test_leaves_the_living();
	test_reasons();
	test_tentative();
	test_newer_generation_is_respected();
	test_pass_covers_the_table(2);
	test_pass_covers_the_table(256);
	test_pass_covers_the_table(2048);
	test_passed();
	test_no_entry_hops_over_the_pass(TIARA_USE_GONE);
	test_no_entry_hops_over_the_pass(TIARA_USE_FREE);
	test_restart();
	return 0;
}
