/* SPDX-License-Identifier: Apache-2.0 */
/* Weighted Maglev against a plain twin, and what a selection table must be like. */
#include "control_world.h"

enum { MAGLEV_BACKENDS_MAX = 1000 };

struct maglev_input {
	uint32_t offset[MAGLEV_BACKENDS_MAX];
	uint32_t skip[MAGLEV_BACKENDS_MAX];
	uint32_t weight[MAGLEV_BACKENDS_MAX];
};

static uint64_t
maglev_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static struct maglev_input
maglev_input_of(uint64_t seed, uint32_t cnt, uint32_t m, uint32_t weight_max)
{
	struct maglev_input in;

	for (uint32_t i = 0; i < cnt; i++) {
		in.offset[i] = (uint32_t)(maglev_random(&seed) % m);
		in.skip[i] = (uint32_t)(maglev_random(&seed) % (m - 1) + 1);
		in.weight[i] = weight_max == 1
				       ? 1
				       : (uint32_t)(maglev_random(&seed) % (weight_max + 1));
	}
	in.weight[0] = weight_max;
	return in;
}

/* As the paper writes it down: permutation[i][j] computed each time, rows looked at one by one. */
static void
maglev_plain(const struct maglev_input *in, uint32_t cnt, uint32_t *rows, uint32_t m)
{
	uint64_t next[MAGLEV_BACKENDS_MAX] = {0}, credit[MAGLEV_BACKENDS_MAX] = {0}, most = 0;
	uint32_t filled = 0;

	for (uint32_t i = 0; i < cnt; i++)
		most = in->weight[i] > most ? in->weight[i] : most;
	for (uint32_t r = 0; r < m; r++)
		rows[r] = UINT32_MAX;
	for (;;) {
		for (uint32_t i = 0; i < cnt; i++) {
			uint64_t c;

			credit[i] += in->weight[i];
			if (credit[i] < most)
				continue;
			credit[i] -= most;
			do
				c = (in->offset[i] + next[i]++ * in->skip[i]) % m;
			while (rows[c] != UINT32_MAX);
			rows[c] = i;
			if (++filled == m)
				return;
		}
	}
}

/* Each row is filled; shares follow the weights to one row for each begun turn of the smallest. */
static void
maglev_check_shares(const struct maglev_input *in, uint32_t cnt, const uint32_t *rows, uint32_t m)
{
	uint32_t share[MAGLEV_BACKENDS_MAX] = {0};
	double sum = 0, turns, most = 0;

	for (uint32_t r = 0; r < m; r++) {
		CHECK(rows[r] < cnt);
		share[rows[r]]++;
	}
	for (uint32_t i = 0; i < cnt; i++) {
		sum += in->weight[i];
		most = in->weight[i] > most ? in->weight[i] : most;
	}
	turns = m * most / sum;
	for (uint32_t i = 0; i < cnt; i++) {
		double want = turns * in->weight[i] / most;

		CHECK(share[i] <= want + 2 && share[i] + 2 >= want);
		CHECK(in->weight[i] || share[i] == 0);
	}
}

static void
test_twin_and_shares(void)
{
	static const uint32_t primes[] = {2, 3, 101, 1009, 65537};
	static uint32_t rows[65537], again[65537], plain[65537];

	for (uint64_t seed = 1; seed <= 100; seed++) {
		uint32_t m = primes[seed % 5];
		uint32_t cnt = (uint32_t)(seed * 37 % 100 + 1);
		uint32_t weight_max = seed % 3 ? 1 : (uint32_t)(seed % 7 * 50 + 1);
		struct maglev_input in = maglev_input_of(seed, cnt, m, weight_max);

		CHECK_OK(tiara_maglev_fill(in.offset, in.skip, in.weight, cnt, rows, m,
					   &world_error));
		CHECK_OK(tiara_maglev_fill(in.offset, in.skip, in.weight, cnt, again, m,
					   &world_error));
		maglev_plain(&in, cnt, plain, m);
		CHECK(!memcmp(rows, again, m * sizeof(*rows)));
		CHECK(!memcmp(rows, plain, m * sizeof(*rows)));
		maglev_check_shares(&in, cnt, rows, m);
	}
}

/* 1000 equal backends, 65537 rows: 65 or 66 each. */
static void
test_equal_shares(void)
{
	static uint32_t rows[65537], share[1000];
	struct maglev_input in = maglev_input_of(5, 1000, 65537, 1);

	CHECK_OK(tiara_maglev_fill(in.offset, in.skip, in.weight, 1000, rows, 65537, &world_error));
	for (uint32_t r = 0; r < 65537; r++)
		share[rows[r]]++;
	for (uint32_t i = 0; i < 1000; i++)
		CHECK(share[i] == 65 || share[i] == 66);
}

/* What is no input for a table is refused by name. */
static void
test_refused(void)
{
	uint32_t rows[101];
	struct maglev_input in = maglev_input_of(1, 3, 101, 1);

	CHECK_IS(tiara_maglev_fill(in.offset, in.skip, in.weight, 3, rows, 100, &world_error),
		 TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "m"));
	in.offset[1] = 101;
	CHECK_IS(tiara_maglev_fill(in.offset, in.skip, in.weight, 3, rows, 101, &world_error),
		 TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "offset[1]"));
	in.offset[1] = 0;
	in.skip[2] = 0;
	CHECK_IS(tiara_maglev_fill(in.offset, in.skip, in.weight, 3, rows, 101, &world_error),
		 TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "skip[2]"));
	in.skip[2] = 1;
	memset(in.weight, 0, sizeof(in.weight));
	CHECK_IS(tiara_maglev_fill(in.offset, in.skip, in.weight, 3, rows, 101, &world_error),
		 TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "weight"));
	CHECK_IS(tiara_maglev_fill(in.offset, in.skip, in.weight, 0, rows, 101, &world_error),
		 TIARA_INVALID);
}

int
main(void)
{
	test_twin_and_shares();
	test_equal_shares();
	test_refused();
	return 0;
}
