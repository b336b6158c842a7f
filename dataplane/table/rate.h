/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets of tokens, shared by all workers (docs/design/0010). A bucket holds what comes in one
 * second. Its one number is the moment when it is full again; each token taken puts that off by the
 * time in which one comes. Moments wrap; only differences are looked at.
 */
#ifndef TIARA_TABLE_RATE_H
#define TIARA_TABLE_RATE_H

#include <stdbool.h>

#include "step.h"
#include "tiara/layout.h"

enum { RATE_FRACTION_BITS = 8 };

/*
 * When the bucket is full after one more token; false: it is empty. Workers' clocks differ by less than a
 * second: a moment further away than two is of another boot.
 */
static inline bool
rate_next(uint64_t full, uint64_t now, uint64_t second, uint64_t token, uint64_t *next)
{
	int64_t missing = (int64_t)(full - now);

	if (missing < 0 || (uint64_t)missing > 2 * second)
		missing = 0;
	if ((uint64_t)missing + token > second)
		return false;
	*next = now + (uint64_t)missing + token;
	return true;
}

/* One token, if there is one. per_s: at least 1. */
static inline bool
rate_take(struct tiara_rate *rate, uint64_t tsc, uint64_t tsc_hz, uint32_t per_s)
{
	uint64_t second = tsc_hz << RATE_FRACTION_BITS;
	uint64_t token = second / per_s;
	/* Relaxed, all: the word is all there is; nothing hangs on its order with others. */
	uint64_t full = __atomic_load_n(&rate->full, __ATOMIC_RELAXED);
	uint64_t next;

	do {
		if (!rate_next(full, tsc << RATE_FRACTION_BITS, second, token, &next))
			return false;
		TIARA_STEP(22);
	} while (!__atomic_compare_exchange_n(&rate->full, &full, next, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return true;
}

#endif
