/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that take from one bucket at once get as many tokens as it holds, all together. */
#include "race.h"

#define TIARA_STEP(n) race_step()
#include "table/rate.h"

enum { ROUNDS = 100, PER_S = 500, TRIES = 300 };

struct rate_race {
	struct tiara_rate rate;
	uint32_t taken[RACE_THREADS];
};

static void
take(void *shared, uint32_t me)
{
	struct rate_race *r = shared;

	for (int i = 0; i < TRIES; i++)
		r->taken[me] += rate_take(&r->rate, 1000000000, 1000000000, PER_S);
}

int
main(void)
{
	for (uint64_t seed = 0; seed < ROUNDS; seed++) {
		struct rate_race r = {.rate = {.full = 0}};
		uint32_t taken = 0;

		race_run(take, &r, seed);
		for (uint32_t i = 0; i < RACE_THREADS; i++)
			taken += r.taken[i];
		CHECK(taken == PER_S);
	}
	return 0;
}
