/* SPDX-License-Identifier: Apache-2.0 */
/* Round robin against a plain twin; rendezvous hashing by what it must be like. */
#include "control_world.h"

enum { POLICIES_BACKENDS = 100, POLICIES_ROWS = 65537 };

static uint64_t
policies_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static void
policies_weights(uint64_t seed, uint32_t *weight, uint32_t cnt, uint32_t max)
{
	for (uint32_t i = 0; i < cnt; i++)
		weight[i] = (uint32_t)(policies_random(&seed) % (max + 1));
	weight[cnt - 1] = max;
}

static void
policies_seeds(uint64_t *seed, uint32_t cnt)
{
	uint64_t state = 7;

	for (uint32_t i = 0; i < cnt; i++)
		seed[i] = policies_random(&state) << 33 ^ policies_random(&state);
}

/* Each row to the turn that is due first, by looking at all. */
static void
policies_round_robin_plain(const uint32_t *weight, uint32_t cnt, uint32_t *rows, uint32_t m)
{
	uint64_t odd[POLICIES_BACKENDS];

	for (uint32_t i = 0; i < cnt; i++)
		odd[i] = 1;
	for (uint32_t row = 0; row < m; row++) {
		uint32_t first = cnt;

		for (uint32_t i = 0; i < cnt; i++)
			if (weight[i] &&
			    (first == cnt || odd[i] * weight[first] < odd[first] * weight[i]))
				first = i;
		rows[row] = first;
		odd[first] += 2;
	}
}

static void
test_round_robin_equals_its_twin(void)
{
	static uint32_t rows[4099], plain[4099];
	uint32_t weight[POLICIES_BACKENDS];

	for (uint64_t seed = 1; seed <= 60; seed++) {
		uint32_t cnt = (uint32_t)(seed * 37 % POLICIES_BACKENDS + 1);
		uint32_t m = (uint32_t)(seed * 1031 % 4099 + 1);

		policies_weights(seed, weight, cnt, seed % 3 ? (uint32_t)seed : 0xffffff);
		CHECK_OK(tiara_round_robin_fill(weight, cnt, rows, m, &world_error));
		policies_round_robin_plain(weight, cnt, plain, m);
		CHECK(!memcmp(rows, plain, m * sizeof(*rows)));
	}
}

/* Of equal weights each has every cnt-th row. */
static void
test_round_robin_takes_turns(void)
{
	uint32_t rows[1000], weight[7] = {5, 5, 5, 5, 5, 5, 5};

	CHECK_OK(tiara_round_robin_fill(weight, 7, rows, 1000, &world_error));
	for (uint32_t row = 0; row < 1000; row++)
		CHECK(rows[row] == row % 7);
}

/* Shares are those of the weights within five standard deviations; weight 0 has none. */
static void
test_rendezvous_shares(void)
{
	static uint32_t rows[POLICIES_ROWS], share[POLICIES_BACKENDS];
	uint32_t weight[POLICIES_BACKENDS];
	uint64_t seed[POLICIES_BACKENDS];
	double sum = 0;

	policies_seeds(seed, POLICIES_BACKENDS);
	policies_weights(3, weight, POLICIES_BACKENDS, 9);
	CHECK_OK(tiara_rendezvous_fill(seed, weight, POLICIES_BACKENDS, rows, POLICIES_ROWS,
				       &world_error));
	for (uint32_t row = 0; row < POLICIES_ROWS; row++)
		share[rows[row]]++;
	for (uint32_t i = 0; i < POLICIES_BACKENDS; i++)
		sum += weight[i];
	for (uint32_t i = 0; i < POLICIES_BACKENDS; i++) {
		double want = POLICIES_ROWS * weight[i] / sum;

		CHECK(weight[i] || share[i] == 0);
		CHECK((share[i] - want) * (share[i] - want) <= 25 * want);
	}
}

/* A backend that leaves: exactly its rows move. One that grows: no row of its own does. */
static void
test_rendezvous_moves_what_it_must(void)
{
	static uint32_t before[POLICIES_ROWS], after[POLICIES_ROWS];
	uint32_t weight[POLICIES_BACKENDS];
	uint64_t seed[POLICIES_BACKENDS];

	policies_seeds(seed, POLICIES_BACKENDS);
	policies_weights(4, weight, POLICIES_BACKENDS, 3);
	weight[10] = 2;
	CHECK_OK(tiara_rendezvous_fill(seed, weight, POLICIES_BACKENDS, before, POLICIES_ROWS,
				       &world_error));
	weight[10] = 0;
	CHECK_OK(tiara_rendezvous_fill(seed, weight, POLICIES_BACKENDS, after, POLICIES_ROWS,
				       &world_error));
	for (uint32_t row = 0; row < POLICIES_ROWS; row++)
		CHECK(before[row] == 10 ? after[row] != 10 : after[row] == before[row]);
	weight[10] = 5;
	CHECK_OK(tiara_rendezvous_fill(seed, weight, POLICIES_BACKENDS, after, POLICIES_ROWS,
				       &world_error));
	for (uint32_t row = 0; row < POLICIES_ROWS; row++)
		CHECK(after[row] == before[row] || after[row] == 10);
}

static void
test_refused(void)
{
	uint32_t rows[11], weight[2] = {0, 0};
	uint64_t seed[2] = {1, 2};

	CHECK_IS(tiara_rendezvous_fill(seed, weight, 2, rows, 11, &world_error), TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "weight"));
	CHECK_IS(tiara_round_robin_fill(weight, 2, rows, 11, &world_error), TIARA_INVALID);
	CHECK_IS(tiara_round_robin_fill(weight, 0, rows, 11, &world_error), TIARA_INVALID);
	weight[1] = 0x1000000;
	CHECK_IS(tiara_rendezvous_fill(seed, weight, 2, rows, 11, &world_error), TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "weight[1]"));
	CHECK_IS(tiara_round_robin_fill(weight, 2, rows, 11, &world_error), TIARA_INVALID);
}

int
main(void)
{
	test_round_robin_equals_its_twin();
	test_round_robin_takes_turns();
	test_rendezvous_shares();
	test_rendezvous_moves_what_it_must();
	test_refused();
	return 0;
}
