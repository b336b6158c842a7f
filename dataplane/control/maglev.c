/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weighted Maglev. Each backend walks its own permutation of the rows and takes the next free one when
 * it is its turn; a turn adds its weight to its credit, and a row costs the greatest weight.
 */
#include "control/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct maglev_backend {
	uint32_t row; /* next in its permutation */
	uint32_t skip;
	uint64_t weight;
	uint64_t credit;
};

struct maglev {
	struct maglev_backend *backend;
	uint32_t cnt;
	uint64_t weight_max;
	uint64_t *taken; /* a bit per row: stays in the first cache */
	uint32_t *rows;
	uint32_t row_cnt;
};

static bool
maglev_is_prime(uint32_t m)
{
	if (m < 2)
		return false;
	for (uint32_t d = 2; (uint64_t)d * d <= m; d++)
		if (m % d == 0)
			return false;
	return true;
}

static enum tiara_status
maglev_invalid(const char *array, uint32_t i, const char *why, struct tiara_error *error)
{
	char field[64];

	snprintf(field, sizeof(field), "%s[%u]", array, i);
	return control_error(error, TIARA_INVALID, field, "%s %s; no row was filled", field, why);
}

static enum tiara_status
maglev_check(const uint32_t *offset, const uint32_t *skip, const uint32_t *weight, uint32_t cnt,
	     uint32_t m, struct tiara_error *error)
{
	if (!maglev_is_prime(m))
		return control_error(error, TIARA_INVALID, "m", "m is %u and must be a prime", m);
	for (uint32_t i = 0; i < cnt; i++) {
		if (offset[i] >= m)
			return maglev_invalid("offset", i, "must be less than m", error);
		if (skip[i] == 0 || skip[i] >= m)
			return maglev_invalid("skip", i, "must be 1 to m - 1", error);
	}
	return control_check_weights(weight, cnt, error);
}

static uint32_t
maglev_free_row(struct maglev *t, struct maglev_backend *b)
{
	uint32_t row;

	do {
		row = b->row;
		b->row += b->skip;
		if (b->row >= t->row_cnt)
			b->row -= t->row_cnt;
	} while (t->taken[row / 64] >> row % 64 & 1);
	t->taken[row / 64] |= UINT64_C(1) << row % 64;
	return row;
}

static void
maglev_turns(struct maglev *t)
{
	uint32_t filled = 0;

	for (uint32_t i = 0; filled < t->row_cnt; i = i + 1 == t->cnt ? 0 : i + 1) {
		struct maglev_backend *b = &t->backend[i];

		b->credit += b->weight;
		if (b->credit < t->weight_max)
			continue;
		b->credit -= t->weight_max;
		t->rows[maglev_free_row(t, b)] = i;
		filled++;
	}
}

static void
maglev_backends(struct maglev *t, const uint32_t *offset, const uint32_t *skip,
		const uint32_t *weight)
{
	for (uint32_t i = 0; i < t->cnt; i++) {
		t->backend[i] = (struct maglev_backend){
			.row = offset[i], .skip = skip[i], .weight = weight[i]};
		if (weight[i] > t->weight_max)
			t->weight_max = weight[i];
	}
}

enum tiara_status
tiara_maglev_fill(const uint32_t *offset, const uint32_t *skip, const uint32_t *weight,
		  uint32_t cnt, uint32_t *rows, uint32_t m, struct tiara_error *error)
{
	enum tiara_status status = maglev_check(offset, skip, weight, cnt, m, error);
	struct maglev t = {.cnt = cnt, .rows = rows, .row_cnt = m};

	if (status != TIARA_OK)
		return status;
	t.backend = malloc(cnt * sizeof(*t.backend));
	t.taken = calloc((m + UINT64_C(63)) / 64, sizeof(*t.taken));
	if (t.backend && t.taken) {
		maglev_backends(&t, offset, skip, weight);
		maglev_turns(&t);
	} else {
		status = control_out_of_memory(error);
	}
	free(t.backend);
	free(t.taken);
	return status;
}
