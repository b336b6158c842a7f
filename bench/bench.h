/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark programs share: an end with a reason, a clock, random numbers, a row. */
#ifndef TIARA_BENCH_BENCH_H
#define TIARA_BENCH_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BENCH_REPEATS_MAX = 16 };

static inline void
bench_die(const char *what, const char *why)
{
	fprintf(stderr, "bench: %s: %s\n", what, why);
	exit(1);
}

static inline double
bench_now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* splitmix64 */
static inline uint64_t
bench_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* One row for run.py; params is JSON without braces. */
static inline void
bench_row(const char *id, const char *params, const char *unit, const double *value, int cnt)
{
	printf("{\"id\": \"%s\", \"params\": {%s}, \"unit\": \"%s\", \"values\": [", id, params,
	       unit);
	for (int i = 0; i < cnt; i++)
		printf("%s%.1f", i ? ", " : "", value[i]);
	printf("]}\n");
	fflush(stdout);
}

static inline int
bench_repeats(const char *text)
{
	int repeats = atoi(text);

	if (repeats < 1 || repeats > BENCH_REPEATS_MAX)
		bench_die("repeats", "takes a whole number from 1 to 16");
	return repeats;
}

#endif
