/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by logarithm). For a row every
 * backend draws a number u of 0..1 that nothing else decides, and the least -log(u) / weight has the
 * row. Whole numbers only: two nodes build one table whatever their C library and processor.
 *
 * Backends of one weight are compared by their draws alone, so that a logarithm is taken once a row
 * and weight. Order of all: cost / weight, then the heavier, then the greater draw, then the position.
 */
#include "control/internal.h"

#include <stdlib.h>

enum { RENDEZVOUS_LOG_BITS = 12, RENDEZVOUS_LOGS = 1 << RENDEZVOUS_LOG_BITS };

struct rendezvous_backend {
	uint64_t seed;
	uint32_t weight;
	uint32_t pos;
};

struct rendezvous {
	struct rendezvous_backend *backend; /* the heaviest first, then by position; no weight 0 */
	uint32_t cnt;
	uint64_t log[RENDEZVOUS_LOGS + 1]; /* log2(1 + i / 4096) in units of 2^-32 */
};

/* The best of one weight, or of all weights so far. */
struct rendezvous_bid {
	uint64_t draw;
	uint64_t cost;
	const struct rendezvous_backend *backend;
};

/* By squaring: a mantissa of 1 to 2 in units of 2^-31 gives a bit of its logarithm each time. */
static uint64_t
rendezvous_log(uint64_t mantissa)
{
	uint64_t log = 0;

	for (int bit = 0; bit < 32; bit++) {
		mantissa = mantissa * mantissa >> 31;
		log = log << 1 | mantissa >> 32;
		mantissa >>= mantissa >> 32;
	}
	return log;
}

static void
rendezvous_logs(struct rendezvous *t)
{
	for (uint64_t i = 0; i < RENDEZVOUS_LOGS; i++)
		t->log[i] = rendezvous_log((RENDEZVOUS_LOGS + i) << (31 - RENDEZVOUS_LOG_BITS));
	t->log[RENDEZVOUS_LOGS] = UINT64_C(1) << 32;
}

/* -log2(draw / 2^64) in units of 2^-32: more than 0, at most 64 units of 2^32. Falls as draw grows. */
static uint64_t
rendezvous_cost(const struct rendezvous *t, uint64_t draw)
{
	uint64_t zeros = (uint64_t)__builtin_clzll(draw | 1);
	uint64_t mantissa = (draw | 1) << zeros;
	uint64_t at = mantissa >> (63 - RENDEZVOUS_LOG_BITS) & (RENDEZVOUS_LOGS - 1);
	uint64_t part = mantissa >> (31 - RENDEZVOUS_LOG_BITS) & UINT32_MAX;
	uint64_t step = t->log[at + 1] - t->log[at];

	return ((zeros + 1) << 32) - (t->log[at] + (step * part >> 32));
}

/* splitmix64 (Steele, Lea, Flood 2014): the row's number of a stream that begins at the seed. */
static uint64_t
rendezvous_draw(uint64_t seed, uint32_t row)
{
	uint64_t z = seed + (row + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* The best of the backends from *at on that have one weight; *at: those of the next. */
static struct rendezvous_bid
rendezvous_bid_of_weight(const struct rendezvous *t, uint32_t *at, uint32_t row)
{
	const struct rendezvous_backend *b = &t->backend[*at], *end = t->backend + t->cnt;
	struct rendezvous_bid bid = {.draw = rendezvous_draw(b->seed, row), .backend = b};

	for (uint32_t weight = b++->weight; b < end && b->weight == weight; b++) {
		uint64_t draw = rendezvous_draw(b->seed, row);

		if (draw > bid.draw)
			bid = (struct rendezvous_bid){.draw = draw, .backend = b};
	}
	*at = (uint32_t)(b - t->backend);
	bid.cost = rendezvous_cost(t, bid.draw);
	return bid;
}

static uint32_t
rendezvous_row(const struct rendezvous *t, uint32_t row)
{
	uint32_t at = 0;
	struct rendezvous_bid best = rendezvous_bid_of_weight(t, &at, row);

	while (at < t->cnt) {
		struct rendezvous_bid bid = rendezvous_bid_of_weight(t, &at, row);

		if (bid.cost * best.backend->weight < best.cost * bid.backend->weight)
			best = bid;
	}
	return best.backend->pos;
}

static int
rendezvous_order(const void *left, const void *right)
{
	const struct rendezvous_backend *a = left, *b = right;

	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	return a->pos < b->pos ? -1 : 1;
}

static void
rendezvous_backends(struct rendezvous *t, const uint64_t *seed, const uint32_t *weight,
		    uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (weight[i])
			t->backend[t->cnt++] = (struct rendezvous_backend){seed[i], weight[i], i};
	qsort(t->backend, t->cnt, sizeof(*t->backend), rendezvous_order);
}

enum tiara_status
tiara_rendezvous_fill(const uint64_t *seed, const uint32_t *weight, uint32_t cnt, uint32_t *rows,
		      uint32_t m, struct tiara_error *error)
{
	enum tiara_status status = control_check_weights(weight, cnt, error);
	struct rendezvous t = {.cnt = 0};

	if (status != TIARA_OK)
		return status;
	t.backend = malloc(cnt * sizeof(*t.backend));
	if (!t.backend)
		return control_out_of_memory(error);
	rendezvous_logs(&t);
	rendezvous_backends(&t, seed, weight, cnt);
	for (uint32_t row = 0; row < m; row++)
		rows[row] = rendezvous_row(&t, row);
	free(t.backend);
	return TIARA_OK;
}
