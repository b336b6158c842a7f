/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several threads on one table: lookups and inserts by one thread and by as many as there are
 * processors, and beyond that what a model says.
 *
 * Usage: scaling SEGMENT-PATH CONNECTIONS REPEATS
 *
 * The model: an operation takes what it takes alone, and longer by one transfer for each line it
 * writes that another core wrote last. Lookups write none. What an insert writes is counted: its
 * bucket's line, and for each entry that it moves two more and a move counter. Of n workers the last
 * writer was another (n-1)/n of the time. A transfer is measured between two threads that write one
 * line in turn. The memory's bandwidth is not in the model.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "bench.h"
#include "load.h"

enum {
	SCALING_PROBES = 1 << 21, /* a thread */
	SCALING_THREADS_MAX = 2,  /* the table's segment is made for so many workers */
	SCALING_TURNS = 200000,
	SCALING_TURNS_ROUND = 1000,
	SCALING_MOVE_LINES = 3,
};

struct thread {
	struct load *load;
	pthread_barrier_t *start;
	pthread_t id;
	uint64_t *probe;
	uint64_t first, cnt; /* its own connections */
	int number;
	bool inserts;
	double begin_s, end_s;
};

struct bench {
	struct load load;
	struct thread thread[SCALING_THREADS_MAX];
	int repeats;
	double transfer_ns; /* 0: not measured */
};

static void
scaling_pin(int number)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)number, &set);
	(void)sched_setaffinity(0, sizeof(set), &set); /* not allowed: wherever the kernel says */
}

/* ---- one line between two threads ---- */

struct scaling_line {
	uint32_t turn __attribute__((aligned(128)));
	uint32_t pad[31];
};

static struct scaling_line scaling_line;

static void *
scaling_answer(void *unused)
{
	(void)unused;
	scaling_pin(1);
	for (uint32_t i = 0; i < SCALING_TURNS; i++) {
		while (__atomic_load_n(&scaling_line.turn, __ATOMIC_ACQUIRE) != 2 * i + 1)
			_mm_pause();
		__atomic_store_n(&scaling_line.turn, 2 * i + 2, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Nanoseconds until a line that another core wrote last is here: of many rounds the fastest. */
static double
scaling_transfer_ns(void)
{
	double start, least = 1e300;
	pthread_t other;

	if (pthread_create(&other, NULL, scaling_answer, NULL) != 0)
		bench_die("thread", "does not start");
	scaling_pin(0);
	start = bench_now_s();
	for (uint32_t i = 0; i < SCALING_TURNS; i++) {
		__atomic_store_n(&scaling_line.turn, 2 * i + 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&scaling_line.turn, __ATOMIC_ACQUIRE) != 2 * i + 2)
			_mm_pause();
		if ((i + 1) % SCALING_TURNS_ROUND == 0) {
			double now = bench_now_s();

			least = now - start < least ? now - start : least;
			start = now;
		}
	}
	pthread_join(other, NULL);
	return least * 1e9 / (2.0 * SCALING_TURNS_ROUND);
}

/* ---- measured ---- */

static void *
scaling_run(void *self)
{
	struct thread *t = self;

	scaling_pin(t->number);
	pthread_barrier_wait(t->start);
	t->begin_s = bench_now_s();
	if (t->inserts && load_insert(t->load, t->first, t->cnt) != 0)
		bench_die("table.scaling", "the table refused a connection");
	if (!t->inserts && load_lookup(t->load, t->probe, SCALING_PROBES) != SCALING_PROBES)
		bench_die("table.scaling", "a connection was not found as it was put in");
	t->end_s = bench_now_s();
	return NULL;
}

/* Operations a second by all of them, from the first one's begin to the last one's end. */
static double
scaling_once(struct bench *b, int threads, bool inserts)
{
	uint64_t share = b->load.connections / (uint64_t)threads;
	double begin_s = 1e300, end_s = 0, done = 0;
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, (unsigned)threads);
	for (int i = 0; i < threads; i++) {
		struct thread *t = &b->thread[i];

		t->start = &start;
		t->inserts = inserts;
		t->first = share * (uint64_t)i;
		t->cnt = share;
		done += inserts ? (double)share : SCALING_PROBES;
		if (pthread_create(&t->id, NULL, scaling_run, t) != 0)
			bench_die("thread", "does not start");
	}
	for (int i = 0; i < threads; i++) {
		struct thread *t = &b->thread[i];

		pthread_join(t->id, NULL);
		begin_s = t->begin_s < begin_s ? t->begin_s : begin_s;
		end_s = t->end_s > end_s ? t->end_s : end_s;
	}
	pthread_barrier_destroy(&start);
	return done / (end_s - begin_s);
}

static void
scaling_row(const struct bench *b, const char *operation, int threads, const char *basis,
	    double transfers, const double *value, int cnt)
{
	char more[250];

	snprintf(more, sizeof(more),
		 "\"operation\": \"%s\", \"threads\": %d, \"basis\": \"%s\", "
		 "\"transfers_per_op\": %.3f, \"transfer_ns\": %.1f",
		 operation, threads, basis, transfers, b->transfer_ns);
	bench_row("table.scaling", load_params(&b->load, more), "1/s", value, cnt);
}

static void
scaling_model(const struct bench *b, const char *operation, double alone_per_s, double transfers)
{
	if (b->transfer_ns == 0 && transfers > 0)
		return;
	for (int n = 4; n <= 16; n *= 2) {
		double op_ns = 1e9 / alone_per_s + transfers * b->transfer_ns * (n - 1) / n;
		double per_s = n * 1e9 / op_ns;

		scaling_row(b, operation, n, "modelled", transfers, &per_s, 1);
	}
}

static uint64_t
scaling_moved(const struct bench *b)
{
	uint64_t moved = 0;

	for (int i = 0; i < SCALING_THREADS_MAX; i++)
		moved += b->thread[i].load->writer.moved_cnt;
	return moved;
}

static void
scaling_measure(struct bench *b, bool inserts, int threads_max)
{
	const char *operation = inserts ? "insert" : "hit";
	double value[BENCH_REPEATS_MAX], alone = 0, transfers = 0;

	for (int threads = 1; threads <= threads_max; threads++) {
		uint64_t moved = scaling_moved(b);

		for (int r = 0; r < b->repeats; r++) {
			if (inserts)
				load_clear(&b->load);
			value[r] = scaling_once(b, threads, inserts);
			alone = threads == 1 && value[r] > alone ? value[r] : alone;
		}
		if (inserts)
			transfers = 1 + (double)(scaling_moved(b) - moved) * SCALING_MOVE_LINES /
						((double)b->load.connections * b->repeats);
		scaling_row(b, operation, threads, "measured", transfers, value, b->repeats);
	}
	scaling_model(b, operation, alone, transfers);
}

static void
scaling_prepare(struct bench *b)
{
	uint64_t state = 42,
		 reach = b->load.connections / SCALING_THREADS_MAX * SCALING_THREADS_MAX;

	for (int i = 0; i < SCALING_THREADS_MAX; i++) {
		struct thread *t = &b->thread[i];

		t->number = i;
		t->load = load_share(&b->load, (uint8_t)i);
		t->probe = malloc(SCALING_PROBES * sizeof(*t->probe));
		if (!t->probe)
			bench_die("memory", "not enough for the probes");
		for (uint32_t n = 0; n < SCALING_PROBES; n++)
			t->probe[n] = load_key(&b->load, bench_random(&state) % reach);
	}
}

int
main(int argc, char **argv)
{
	int threads_max = sysconf(_SC_NPROCESSORS_ONLN) < SCALING_THREADS_MAX ? 1
									      : SCALING_THREADS_MAX;
	static struct bench b;

	if (argc != 4) {
		fprintf(stderr, "usage: scaling SEGMENT-PATH CONNECTIONS REPEATS(1..16)\n");
		return 2;
	}
	load_open(&b.load,
		  &(struct load_config){.path = argv[1],
					.connections = bench_whole("connections", argv[2])});
	b.repeats = bench_repeats(argv[3]);
	scaling_prepare(&b);
	if (threads_max > 1)
		b.transfer_ns = scaling_transfer_ns();
	scaling_measure(&b, true, threads_max);
	scaling_measure(&b, false, threads_max);
	return 0;
}
