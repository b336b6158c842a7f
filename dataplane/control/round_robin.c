/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Smooth weighted round robin: a backend's turns fall due at (2k + 1) / (2 weight), k = 0, 1, ...,
 * and each row goes to the turn that is due first; of equal ones to the lower position. Counts are
 * those of the weights to a row, and a backend's rows are spread evenly.
 */
#include "control/internal.h"

#include <stdlib.h>

struct round_robin_turn {
	uint64_t odd; /* 2k + 1 */
	uint32_t weight;
	uint32_t pos;
};

/* A heap: each turn is due no later than the two below it. */
struct round_robin {
	struct round_robin_turn *turn;
	uint32_t cnt;
};

static bool
round_robin_before(const struct round_robin_turn *a, const struct round_robin_turn *b)
{
	uint64_t left = a->odd * b->weight, right = b->odd * a->weight;

	return left < right || (left == right && a->pos < b->pos);
}

static void
round_robin_sink(struct round_robin *t, uint32_t at)
{
	struct round_robin_turn sinking = t->turn[at];

	for (;;) {
		uint32_t below = 2 * at + 1;

		if (below + 1 < t->cnt && round_robin_before(&t->turn[below + 1], &t->turn[below]))
			below++;
		if (below >= t->cnt || !round_robin_before(&t->turn[below], &sinking))
			break;
		t->turn[at] = t->turn[below];
		at = below;
	}
	t->turn[at] = sinking;
}

static void
round_robin_begin(struct round_robin *t, const uint32_t *weight, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (weight[i])
			t->turn[t->cnt++] = (struct round_robin_turn){1, weight[i], i};
	for (uint32_t i = t->cnt / 2; i-- > 0;)
		round_robin_sink(t, i);
}

static void
round_robin_turns(struct round_robin *t, uint32_t *rows, uint32_t m)
{
	for (uint32_t row = 0; row < m; row++) {
		rows[row] = t->turn[0].pos;
		t->turn[0].odd += 2;
		round_robin_sink(t, 0);
	}
}

enum tiara_status
tiara_round_robin_fill(const uint32_t *weight, uint32_t cnt, uint32_t *rows, uint32_t m,
		       struct tiara_error *error)
{
	enum tiara_status status = control_check_weights(weight, cnt, error);
	struct round_robin t = {.cnt = 0};

	if (status != TIARA_OK)
		return status;
	t.turn = malloc(cnt * sizeof(*t.turn));
	if (!t.turn)
		return control_out_of_memory(error);
	round_robin_begin(&t, weight, cnt);
	round_robin_turns(&t, rows, m);
	free(t.turn);
	return TIARA_OK;
}
