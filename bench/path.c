/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole packet path without a driver (world.h). Prints one JSON row a line.
 *
 * Usage: path SEGMENT-PATH CONNECTIONS l2|ipip|vxlan REPEATS
 *
 * Every frame that comes back must be sent, to a known server's MAC address, and be counted as its
 * connection's. Latency: packets arrive at random by the time stamp counter, whether the path keeps
 * up or not; what counts is the time from there until the packet is handed to the port.
 */
#include <math.h>
#include <string.h>

#include "bench.h"
#include "counters.h"
#include "world.h"

enum {
	PATH_TURNS = 64,         /* times each buffer is used in one measurement */
	PATH_ROWS_MIN = 100000,  /* connections, from which path.new makes sense */
	PATH_GAPS = 1 << 14,     /* times between arrivals, a power of two */
	PATH_ARRIVALS = 1 << 20, /* a measurement */
};

struct bench {
	struct world world; /* first: the port's functions are given its address */
	int repeats;
	/* latency */
	float gap[PATH_GAPS]; /* of mean 1 */
	double mean_tsc;      /* between two packets; 0: as fast as they go */
	double next_tsc;
	uint32_t arrivals;
	uint64_t arrived_tsc[TIARA_BURST];
	uint32_t *sample; /* tsc, PATH_ARRIVALS of them */
	uint32_t samples;
};

static void
path_new(struct bench *b)
{
	struct world *w = &b->world;
	double value[BENCH_REPEATS_MAX];

	for (int r = 0; r < b->repeats; r++) {
		memset(w->map.bucket, 0, (w->map.bucket_mask + 1) * sizeof(*w->map.bucket));
		value[r] = (double)w->connections / world_fill(w, NULL);
	}
	if (w->connections >= PATH_ROWS_MIN)
		bench_row("path.new", world_params(w, ""), "1/s", value, b->repeats);
}

static void
path_established(struct bench *b)
{
	enum { FRAMES = WORLD_BUFFERS * PATH_TURNS };
	struct world *w = &b->world;
	uint64_t made = world_counted(w, TIARA_EVENT_CONNECTION_NEW);
	struct counters counters = {.known = false};
	double ns[BENCH_REPEATS_MAX];

	world_run(w, WORLD_BUFFERS);
	for (int r = 0; r < b->repeats; r++) {
		counters_begin(&counters);
		ns[r] = world_run(w, FRAMES) * 1e9 / FRAMES;
		counters_end(&counters, FRAMES);
	}
	if (world_counted(w, TIARA_EVENT_CONNECTION_NEW) != made)
		bench_die("path.established", "a connection was not found");
	bench_row("path.established", world_params(w, counters_params(&counters)), "ns", ns,
		  b->repeats);
}

/* With all these backends: as table.sweep of bench/table.c, which has 1024. */
static void
path_sweep(struct bench *b)
{
	struct tiara_worker *worker = &b->world.worker;
	uint64_t slices = tiara_sweep_slices_per_pass(worker->map);
	double value[BENCH_REPEATS_MAX];
	char more[80];

	for (int r = 0; r < b->repeats; r++) {
		struct tiara_sweep_counts counts = {0};
		double start = bench_now_s();

		for (uint64_t i = 0; i < slices; i++)
			tiara_sweep_slice_wk(worker->map, &worker->age, &worker->writer, &counts);
		value[r] = (bench_now_s() - start) * 100 / BENCH_SWEEP_S;
		if (counts.expired + counts.gone + counts.tentative != 0)
			bench_die("table.sweep", "a connection that is alive was swept away");
	}
	snprintf(more, sizeof(more), "\"period_s\": %d, \"backends\": %d", BENCH_SWEEP_S,
		 WORLD_SERVICES * WORLD_POOL);
	bench_row("table.sweep", world_params(&b->world, more), "%", value, b->repeats);
}

/* ---- latency ---- */

/* Hands out what has arrived by now, a burst at most. */
static uint16_t
path_rx_arrived(void *self, struct tiara_frame *frame, uint16_t max)
{
	struct bench *b = self;
	double now = (double)__rdtsc();
	uint16_t cnt = 0;

	while (cnt < max && b->arrivals < PATH_ARRIVALS && b->next_tsc <= now) {
		b->arrived_tsc[cnt++] = (uint64_t)b->next_tsc;
		b->next_tsc += b->mean_tsc * (double)b->gap[b->arrivals++ % PATH_GAPS];
	}
	b->world.port.left = cnt;
	return world_rx(&b->world, frame, cnt);
}

static uint16_t
path_tx_timed(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	struct bench *b = self;
	uint64_t now = __rdtsc();

	for (uint16_t i = 0; i < cnt; i++) {
		uint64_t took = now - b->arrived_tsc[frame[i] - b->world.worker.frame];

		b->sample[b->samples++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
	}
	return world_tx(&b->world, frame, cnt);
}

/* One packet every mean_tsc; seconds that all took. */
static double
path_arrive(struct bench *b, double mean_tsc)
{
	uint64_t start = __rdtsc();

	b->mean_tsc = mean_tsc;
	b->next_tsc = (double)start;
	b->arrivals = b->samples = 0;
	while (b->samples < PATH_ARRIVALS) {
		if (tiara_worker_burst_wk(&b->world.worker, __rdtsc()) == 0 &&
		    b->arrivals == PATH_ARRIVALS)
			bench_die("path.latency", "a packet was not sent");
	}
	if (b->world.port.wrong != 0)
		bench_die("path.latency", "a packet was not sent to its server");
	return (double)(__rdtsc() - start) / (double)b->world.tsc_hz;
}

/* Exponential: what comes from many clients has no rhythm. */
static void
path_make_gaps(struct bench *b)
{
	uint64_t state = 3;
	double sum = 0;

	for (int i = 0; i < PATH_GAPS; i++) {
		b->gap[i] = (float)-log(((double)(bench_random(&state) >> 11) + 1) / 0x1p53);
		sum += (double)b->gap[i];
	}
	for (int i = 0; i < PATH_GAPS; i++)
		b->gap[i] *= (float)(PATH_GAPS / sum);
}

static void
path_latency(struct bench *b)
{
	static const int percent[] = {10, 50, 90};
	struct world *w = &b->world;
	double peak_per_s;

	b->sample = malloc(PATH_ARRIVALS * sizeof(*b->sample));
	if (!b->sample)
		bench_die("memory", "not enough for the samples");
	path_make_gaps(b);
	w->worker.port.rx = path_rx_arrived;
	w->worker.port.tx = path_tx_timed;
	path_arrive(b, 0);
	peak_per_s = PATH_ARRIVALS / path_arrive(b, 0);
	for (int i = 0; i < 3; i++) {
		double per_s = peak_per_s * percent[i] / 100;
		char more[120];

		path_arrive(b, (double)w->tsc_hz / per_s);
		snprintf(more, sizeof(more), "\"percent_of_peak\": %d, \"per_s\": %.0f", percent[i],
			 per_s);
		bench_row_tail("path.latency", world_params(w, more), b->sample, b->samples, "us",
			       1e6 / (double)w->tsc_hz);
	}
}

int
main(int argc, char **argv)
{
	struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);

	if (argc != 5 || !b) {
		fprintf(stderr, "usage: path SEGMENT-PATH CONNECTIONS l2|ipip|vxlan REPEATS\n");
		return 2;
	}
	memset(b, 0, sizeof(*b));
	b->repeats = bench_repeats(argv[4]);
	world_open(&b->world, argv[1], bench_whole("connections", argv[2]), argv[3]);
	world_start(&b->world, world_rx, world_tx);
	path_new(b);
	path_established(b);
	if (b->world.connections >= PATH_ROWS_MIN) {
		path_latency(b);
		path_sweep(b);
	}
	return 0;
}
