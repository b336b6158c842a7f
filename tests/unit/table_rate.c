/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket of tokens against one that is filled and emptied plainly; clocks that differ, wrap, restart. */
#include "table_world.h"
#include "table/rate.h"

enum { TURNS = 200000 };

#define HZ UINT64_C(2600000000)

/* How much is in it, in the time that it took to come in. */
struct plain {
	uint64_t level;
	uint64_t tsc;
};

static bool
plain_take(struct plain *p, uint64_t tsc, uint32_t per_s)
{
	uint64_t second = HZ << RATE_FRACTION_BITS, token = second / per_s;
	uint64_t passed = (tsc - p->tsc) << RATE_FRACTION_BITS;

	p->level = passed > second - p->level ? second : p->level + passed;
	p->tsc = tsc;
	if (p->level < token)
		return false;
	p->level -= token;
	return true;
}

/* From empty on, asked half as often again as tokens come. `start`: so that moments wrap on the way. */
static void
test_as_plain(uint32_t per_s, uint64_t start)
{
	struct tiara_rate rate = {.full = (start + HZ) << RATE_FRACTION_BITS};
	struct plain plain = {.level = 0, .tsc = start};
	uint64_t random = per_s, tsc = start, taken = 0;

	for (int i = 0; i < TURNS; i++) {
		uint64_t step = (world_random(&random) % 1000 ? 4 : 200) * HZ / per_s / 3;
		bool got;

		tsc += world_random(&random) % (step + 1);
		got = rate_take(&rate, tsc, HZ, per_s);
		CHECK(got == plain_take(&plain, tsc, per_s));
		taken += got;
	}
	CHECK(taken > TURNS / 3 && taken < TURNS);
}

static uint32_t
take_all(struct tiara_rate *rate, uint64_t tsc, uint32_t per_s)
{
	uint32_t taken = 0;

	while (rate_take(rate, tsc, HZ, per_s))
		taken++;
	return taken;
}

/* One second's worth at once, then as much as comes in. */
static void
test_burst(void)
{
	struct tiara_rate rate = {.full = 0};

	CHECK(take_all(&rate, HZ, 100) == 100);
	CHECK(take_all(&rate, HZ + HZ / 10, 100) == 10);
	CHECK(take_all(&rate, HZ + HZ / 10, 100) == 0);
	CHECK(take_all(&rate, 60 * HZ, 100) == 100);
	CHECK(take_all(&rate, 60 * HZ, 1) == 0);
	CHECK(take_all(&rate, 61 * HZ, 1) == 1);
}

/* A worker whose burst began earlier sees a moment over a second away: still empty. */
static void
test_clock_behind(void)
{
	struct tiara_rate rate = {.full = 0};

	CHECK(take_all(&rate, 10 * HZ, 1000) == 1000);
	CHECK(take_all(&rate, 10 * HZ - HZ / 100, 1000) == 0);
	CHECK(take_all(&rate, 10 * HZ - HZ / 2, 1000) == 0);
}

/* What another boot's counter left does not shut a service. */
static void
test_other_boot(void)
{
	struct tiara_rate rate = {.full = (1000 * HZ) << RATE_FRACTION_BITS};

	CHECK(take_all(&rate, 5 * HZ, 7) == 7);
}

int
main(void)
{
	static const uint32_t per_s[] = {1, 7, 100, 1000, 1000000};

	for (size_t i = 0; i < sizeof(per_s) / sizeof(*per_s); i++) {
		test_as_plain(per_s[i], HZ);
		test_as_plain(per_s[i], (UINT64_C(1) << 56) - HZ / 2);
	}
	test_burst();
	test_clock_behind();
	test_other_boot();
	return 0;
}
