/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full table in which connections come and go: as many new ones a second as expire, the sweep at
 * its period, and lookups in the rest of one core's time.
 *
 * Usage: churn SEGMENT-PATH CONNECTIONS PER-SECOND SECONDS
 *
 * Connections live for CONNECTIONS / PER-SECOND ticks and are numbered as they come; so those alive
 * are a window of numbers, from which lookups draw. Each must be found with its backend.
 */
#include <string.h>

#include "bench.h"
#include "load.h"
#include "table/epoch.h"

enum { CHURN_BEFORE_S = 2, CHURN_SLICES_A_TURN = 2 };

/* What one phase did, and the time stamp counts that it took. */
struct churn_part {
	uint64_t cnt;
	uint64_t tsc;
};

struct bench {
	struct load load;
	uint64_t tsc_hz;
	uint64_t per_s;
	uint32_t live_ticks; /* an entry is alive in so many ticks */
	uint32_t tick;
	uint64_t head;                  /* the next connection's number */
	uint64_t first[UINT16_MAX + 1]; /* by tick: its first connection's number */
	uint64_t random;
	uint64_t sweep_next_tsc;
	/* of one phase */
	struct churn_part insert, lookup, sweep;
	struct tiara_sweep_counts swept;
	uint64_t refused;
	uint64_t missed;
};

static void
churn_set_tick(struct bench *b, uint32_t tick)
{
	if (tick == b->tick)
		return;
	if (tick > UINT16_MAX)
		bench_die("table.churn", "takes fewer seconds");
	while (b->tick < tick)
		b->first[++b->tick] = b->head;
	b->load.age.now = (uint16_t)tick;
}

/* As if the connections had come evenly: so many of them in each tick that they live. */
static void
churn_fill(struct bench *b)
{
	uint64_t cnt = b->load.connections;

	for (uint32_t i = 1; i <= b->live_ticks; i++) {
		uint64_t until = cnt * i / b->live_ticks;

		churn_set_tick(b, i);
		if (load_insert(&b->load, b->head, until - b->head) != 0)
			bench_die("table.churn", "the table refused a connection before it began");
		b->head = until;
	}
	__atomic_store_n(&b->load.map.segment->tick, b->tick, __ATOMIC_RELAXED);
}

static uint64_t
churn_oldest(const struct bench *b)
{
	return b->first[b->tick - b->live_ticks + 1];
}

static void
churn_lookup(struct bench *b)
{
	uint64_t oldest = churn_oldest(b), key[LOAD_BURST];

	for (int i = 0; i < LOAD_BURST; i++)
		key[i] = load_key(&b->load, oldest + bench_random(&b->random) % (b->head - oldest));
	b->missed += LOAD_BURST - load_lookup(&b->load, key, LOAD_BURST);
	b->lookup.cnt += LOAD_BURST;
}

static void
churn_insert(struct bench *b)
{
	b->refused += load_insert(&b->load, b->head, LOAD_BURST);
	b->head += LOAD_BURST;
	b->insert.cnt += LOAD_BURST;
}

/* As the packet path: slices fall due evenly, a few are done at a time. */
static void
churn_sweep(struct bench *b, uint64_t tsc)
{
	struct load *load = &b->load;
	uint64_t interval = b->tsc_hz * BENCH_SWEEP_S / tiara_sweep_slices_per_pass(&load->map);

	for (int i = 0; i < CHURN_SLICES_A_TURN && (int64_t)(tsc - b->sweep_next_tsc) >= 0; i++) {
		tiara_sweep_slice_wk(&load->map, &load->age, &load->writer, &b->swept);
		b->sweep_next_tsc += interval;
		b->sweep.cnt++;
	}
}

/* A turn: new connections that are due, or else lookups; then the sweep. */
static void
churn_turn(struct bench *b, uint64_t tsc, bool due)
{
	struct churn_part *part = due ? &b->insert : &b->lookup;
	uint64_t now;

	if (due)
		churn_insert(b);
	else
		churn_lookup(b);
	now = __rdtsc();
	part->tsc += now - tsc;
	churn_sweep(b, now);
	b->sweep.tsc += __rdtsc() - now;
}

static void
churn_begin(struct bench *b)
{
	b->insert = b->lookup = b->sweep = (struct churn_part){0};
	b->swept = (struct tiara_sweep_counts){0};
	b->refused = b->missed = 0;
	b->sweep_next_tsc = __rdtsc();
}

/* Without churn time stands still, or connections would expire that nobody replaces. */
static double
churn_before(struct bench *b)
{
	uint64_t start = __rdtsc(), end = start + CHURN_BEFORE_S * b->tsc_hz;

	churn_begin(b);
	for (uint64_t tsc = start; tsc < end; tsc = __rdtsc())
		churn_turn(b, tsc, false);
	if (b->swept.expired + b->missed != 0)
		bench_die("table.churn", "a connection was gone before it began");
	return (double)b->lookup.cnt / CHURN_BEFORE_S;
}

static double
churn_during(struct bench *b, uint64_t seconds)
{
	uint64_t start = __rdtsc(), tsc;

	churn_begin(b);
	tiara_tick_start_ctl(&b->load.map, start, b->tsc_hz);
	for (tsc = start; tsc - start < seconds * b->tsc_hz; tsc = __rdtsc()) {
		double due = (double)(tsc - start) / (double)b->tsc_hz * (double)b->per_s;

		churn_set_tick(b, tiara_tick_advance_wk(&b->load.map, tsc, b->tsc_hz));
		churn_turn(b, tsc, due >= (double)(b->insert.cnt + LOAD_BURST));
	}
	if (b->missed > 0 && b->refused == 0)
		bench_die("table.churn", "a connection was not found as it was put in");
	if (b->swept.gone + b->swept.tentative != 0)
		bench_die("table.churn", "the sweep took what was neither old nor left behind");
	return (double)(tsc - start) / (double)b->tsc_hz;
}

static void
churn_row(const struct bench *b, const char *measure, const char *unit, double value,
	  uint64_t seconds)
{
	char more[160];

	snprintf(more, sizeof(more), "\"per_s\": %llu, \"seconds\": %llu, \"measure\": \"%s\"",
		 (unsigned long long)b->per_s, (unsigned long long)seconds, measure);
	bench_row_one("table.churn", load_params(&b->load, more), unit, value);
}

static void
churn_rows(const struct bench *b, double before, double took_s, uint64_t seconds)
{
	double all = took_s * (double)b->tsc_hz;

	churn_row(b, "new", "1/s", (double)b->insert.cnt / took_s, seconds);
	churn_row(b, "expired_by_sweep", "1/s", b->swept.expired / took_s, seconds);
	churn_row(b, "refused", "connections", (double)b->refused, seconds);
	churn_row(b, "lookups_before", "1/s", before, seconds);
	churn_row(b, "lookups_during", "1/s", (double)b->lookup.cnt / took_s, seconds);
	/* Of the time that was left for them. */
	churn_row(b, "lookups_rest", "1/s",
		  (double)b->lookup.cnt * (double)b->tsc_hz / (double)b->lookup.tsc, seconds);
	churn_row(b, "insert_time", "%", (double)b->insert.tsc * 100 / all, seconds);
	churn_row(b, "sweep_time", "%", (double)b->sweep.tsc * 100 / all, seconds);
}

int
main(int argc, char **argv)
{
	static struct bench b;
	uint64_t connections, seconds;
	double before, took_s;

	if (argc != 5) {
		fprintf(stderr, "usage: churn SEGMENT-PATH CONNECTIONS PER-SECOND SECONDS\n");
		return 2;
	}
	connections = bench_whole("connections", argv[2]);
	b.per_s = bench_whole("connections a second", argv[3]);
	seconds = bench_whole("seconds", argv[4]);
	b.live_ticks = b.per_s ? (uint32_t)(connections / b.per_s) : 0;
	if (b.live_ticks < 2 || b.live_ticks > TIARA_TIMEOUT_TICKS_MAX)
		bench_die("connections a second", "are too many or too few for the connections");
	/* Expired is what is older than the timeout: alive in one tick more. */
	load_open(&b.load, &(struct load_config){.path = argv[1],
						 .connections = connections,
						 .timeout_ticks = (uint16_t)(b.live_ticks - 1)});
	b.tsc_hz = bench_tsc_hz();
	churn_fill(&b);
	before = churn_before(&b);
	took_s = churn_during(&b, seconds);
	churn_rows(&b, before, took_s, seconds);
	return 0;
}
