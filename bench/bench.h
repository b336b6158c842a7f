/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark programs share: an end with a reason, a clock, random numbers, a row. */
#ifndef TIARA_BENCH_BENCH_H
#define TIARA_BENCH_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

enum {
	BENCH_REPEATS_MAX = 16,
	BENCH_SWEEP_S = 10, /* default period of the sweep, as in path/worker.c */
};

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

/* Ticks of the time stamp counter in a second. */
static inline uint64_t
bench_tsc_hz(void)
{
	double start = bench_now_s(), end;
	uint64_t tsc = __rdtsc();

	do
		end = bench_now_s();
	while (end - start < 0.05);
	return (uint64_t)((double)(__rdtsc() - tsc) / (end - start));
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
		printf("%s%.9g", i ? ", " : "", value[i]);
	printf("]}\n");
	fflush(stdout);
}

static inline void
bench_row_one(const char *id, const char *params, const char *unit, double value)
{
	bench_row(id, params, unit, &value, 1);
}

static inline int
bench_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Four rows of one id, by "quantile": p50, p99, p99.9, max. Sorts the samples. */
static inline void
bench_row_tail(const char *id, const char *params, uint32_t *sample, uint32_t cnt, const char *unit,
	       double scale)
{
	static const struct {
		const char *name;
		double part;
	} quantile[] = {{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
	char all[500];

	qsort(sample, cnt, sizeof(*sample), bench_compare);
	for (int i = 0; i < 4; i++) {
		uint32_t at = (uint32_t)((double)(cnt - 1) * quantile[i].part);

		snprintf(all, sizeof(all), "%s, \"quantile\": \"%s\"", params, quantile[i].name);
		bench_row_one(id, all, unit, sample[at] * scale);
	}
}

/*
 * Room to ask a segment for: so many connections, or twice as many where the segment made for them
 * would be over 90 % full.
 */
static inline uint64_t
bench_room(uint64_t connections)
{
	uint64_t slots = 8; /* the smallest table */

	while (slots < connections)
		slots *= 2;
	return connections * 10 > slots * 9 ? slots + 1 : connections;
}

static inline uint64_t
bench_whole(const char *what, const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (end == text || *end != '\0')
		bench_die(what, "is not a whole number");
	return value;
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
