/* SPDX-License-Identifier: Apache-2.0 */
/* tiara_sweep_passed: when it says so, nothing planted before the pass is left. */
#include "race.h"

#define TIARA_STEP(n) race_step()
#include "table/sweep.c"

enum { BUCKETS = 1024, PASSES = 60, PLANTS = 64 };

struct sweep_race {
	struct world world;
	uint32_t stop;
};

/* Threads from 1 on sweep until told to stop. */
static void
sweeper(struct sweep_race *r, uint32_t me)
{
	struct tiara_writer writer = {.owner = (uint8_t)me};
	struct tiara_sweep_counts counts = {0};

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED))
		tiara_sweep_slice_wk(&r->world.map, &r->world.age, &writer, &counts);
}

/* Entries of a backend that is not in use, anywhere. */
static void
plant(struct world *w, struct tiara_entry *slot[PLANTS])
{
	for (uint32_t i = 0; i < PLANTS; i++) {
		union tiara_word dead = world_word(i, 0, WORLD_BACKENDS, w->age.now);

		slot[i] = &w->map.bucket[race_draw(BUCKETS)].entry[race_draw(TIARA_BUCKET_ENTRIES)];
		word_cas(slot[i], 0, dead.all);
	}
}

static void
observer(struct sweep_race *r)
{
	struct tiara_entry *slot[PLANTS];

	for (int n = 0; n < PASSES; n++) {
		uint64_t from;

		plant(&r->world, slot);
		from = __atomic_load_n(&r->world.map.segment->sweep_claimed, __ATOMIC_SEQ_CST);
		while (!tiara_sweep_passed(&r->world.map, from))
			race_step();
		for (int i = 0; i < PLANTS; i++)
			CHECK(word_load(slot[i]) == 0);
	}
	__atomic_store_n(&r->stop, 1, __ATOMIC_RELAXED);
}

static void
body(void *shared, uint32_t me)
{
	if (me == 0)
		observer(shared);
	else
		sweeper(shared, me);
}

int
main(void)
{
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct sweep_race r = {.stop = 0};

		world_make(&r.world, BUCKETS);
		race_run(body, &r, seed);
		world_free(&r.world);
	}
	return 0;
}
