/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection table against the memory's own limit. Prints one JSON row a line:
 *   {"id": "table.hit", "params": {"connections": N, ...}, "unit": "1/s", "values": [...]}
 *
 * Usage: table SEGMENT-PATH CONNECTIONS REPEATS
 *
 * A real segment is made at SEGMENT-PATH (its file system decides the page size) and its name taken
 * away again. Probes are drawn at random over all connections; every answer is compared with what
 * was put in.
 */
#include "bench.h"
#include "counters.h"
#include "load.h"

enum { TABLE_PROBES = 1 << 22 };

struct bench {
	struct load load;
	uint64_t *probe; /* keys, TABLE_PROBES of them */
	uint32_t *line;  /* bucket numbers, TABLE_PROBES of them */
	int repeats;
	struct counters counters;
};

static double
table_per_s(double cnt, double start)
{
	return cnt / (bench_now_s() - start);
}

static void
table_row(const struct bench *b, const char *id, const double *value)
{
	bench_row(id, load_params(&b->load, counters_params(&b->counters)), "1/s", value,
		  b->repeats);
}

/* ---- find or insert ---- */

static void
table_insert(struct bench *b)
{
	double value[BENCH_REPEATS_MAX];

	for (int r = 0; r < b->repeats; r++) {
		double start;

		load_clear(&b->load);
		counters_begin(&b->counters);
		start = bench_now_s();
		if (load_insert(&b->load, 0, b->load.connections) != 0)
			bench_die("table.insert", "the table refused a connection");
		counters_end(&b->counters, (double)b->load.connections);
		value[r] = table_per_s((double)b->load.connections, start);
	}
	table_row(b, "table.insert", value);
}

static void
table_bytes(const struct bench *b)
{
	bench_row_one("table.bytes", load_params(&b->load, ""), "bytes",
		      (double)b->load.map.segment->total_bytes / (double)b->load.connections);
}

/* ---- the limit: random lines of the table's own memory ---- */

static double
table_limit_batch(const struct bench *b, uint64_t *sum)
{
	double start = bench_now_s();

	for (uint32_t first = 0; first < TABLE_PROBES; first += LOAD_BURST) {
		for (uint32_t i = 0; i < LOAD_BURST; i++)
			__builtin_prefetch(&b->load.map.bucket[b->line[first + i]]);
		for (uint32_t i = 0; i < LOAD_BURST; i++)
			*sum += *(uint64_t *)&b->load.map.bucket[b->line[first + i]];
	}
	return table_per_s(TABLE_PROBES, start);
}

static double
table_limit_sliding(const struct bench *b, uint32_t ahead, uint64_t *sum)
{
	double start = bench_now_s();

	for (uint32_t i = 0; i < TABLE_PROBES; i++) {
		__builtin_prefetch(&b->load.map.bucket[b->line[(i + ahead) % TABLE_PROBES]]);
		*sum += *(uint64_t *)&b->load.map.bucket[b->line[i]];
	}
	return table_per_s(TABLE_PROBES, start);
}

static void
table_limit(struct bench *b)
{
	double value[BENCH_REPEATS_MAX];
	uint64_t state = 7, sum = 0;

	for (uint32_t i = 0; i < TABLE_PROBES; i++)
		b->line[i] = (uint32_t)(bench_random(&state) & b->load.map.bucket_mask);
	for (int r = 0; r < b->repeats; r++) {
		value[r] = table_limit_batch(b, &sum);
		for (uint32_t ahead = 16; ahead <= 64; ahead *= 2) {
			double sliding = table_limit_sliding(b, ahead, &sum);

			value[r] = sliding > value[r] ? sliding : value[r];
		}
	}
	b->counters.known = false;
	if (sum == 1) /* uses the sum, so that the reads stay */
		fprintf(stderr, "bench table: unlikely\n");
	table_row(b, "limit.lines", value);
}

/* ---- lookups ---- */

/* Keys of connections at random, `from` the first number that may be drawn. */
static void
table_draw(struct bench *b, uint64_t from)
{
	uint64_t state = 42;

	for (uint32_t i = 0; i < TABLE_PROBES; i++)
		b->probe[i] = load_key(&b->load, from + bench_random(&state) % b->load.connections);
}

static void
table_lookup(struct bench *b, const char *id, uint64_t expected)
{
	double value[BENCH_REPEATS_MAX];

	for (int r = 0; r < b->repeats; r++) {
		double start;

		counters_begin(&b->counters);
		start = bench_now_s();
		if (load_lookup(&b->load, b->probe, TABLE_PROBES) != expected)
			bench_die(id, "what was put in was not found, or what was not, was");
		counters_end(&b->counters, TABLE_PROBES);
		value[r] = table_per_s(TABLE_PROBES, start);
	}
	table_row(b, id, value);
}

/* ---- touch, remove: of connections that follow each other, distinct and anywhere ---- */

static uint64_t
table_draw_in_turn(struct bench *b, uint64_t first, uint64_t cnt)
{
	if (cnt > TABLE_PROBES)
		cnt = TABLE_PROBES;
	for (uint64_t i = 0; i < cnt; i++)
		b->probe[i] = load_key(&b->load, first + i);
	return cnt;
}

typedef bool table_change(struct load *load, struct tiara_found *found);

static bool
table_touch_one(struct load *load, struct tiara_found *found)
{
	union tiara_word word = found->word;

	word.entry.last_seen ^= 1;
	return tiara_table_replace(&load->map, &load->writer, found, &word);
}

static bool
table_remove_one(struct load *load, struct tiara_found *found)
{
	return tiara_table_remove(&load->map, &load->writer, found);
}

/* Looks a burst up and changes what it finds, as the packet path does; how many were changed. */
static inline __attribute__((always_inline)) uint64_t
table_change_all(struct bench *b, uint64_t cnt, table_change *change)
{
	struct load *load = &b->load;
	struct tiara_found found[LOAD_BURST];
	uint64_t hash[LOAD_BURST], changed = 0;

	for (uint64_t first = 0; first < cnt; first += LOAD_BURST) {
		const uint64_t *key = b->probe + first;
		uint32_t n = cnt - first < LOAD_BURST ? (uint32_t)(cnt - first) : LOAD_BURST;

		for (uint32_t i = 0; i < n; i++)
			hash[i] = load_hash(load, key[i]);
		tiara_table_lookup(&load->map, &load->age, key, hash, n, found);
		for (uint32_t i = 0; i < n; i++)
			changed += found[i].slot && change(load, &found[i]);
	}
	return changed;
}

static void
table_touch(struct bench *b)
{
	double value[BENCH_REPEATS_MAX];
	uint64_t cnt = table_draw_in_turn(b, 0, b->load.connections);

	b->counters.known = false;
	for (int r = 0; r < b->repeats; r++) {
		double start = bench_now_s();

		if (table_change_all(b, cnt, table_touch_one) != cnt)
			bench_die("table.touch", "a connection was not touched");
		value[r] = table_per_s((double)cnt, start);
	}
	table_row(b, "table.touch", value);
}

/* Each repeat takes others away. */
static void
table_remove(struct bench *b)
{
	double value[BENCH_REPEATS_MAX];
	uint64_t share = b->load.connections / (uint64_t)b->repeats;

	for (int r = 0; r < b->repeats; r++) {
		uint64_t cnt = table_draw_in_turn(b, share * (uint64_t)r, share);
		double start = bench_now_s();

		if (table_change_all(b, cnt, table_remove_one) != cnt)
			bench_die("table.remove", "a connection was not removed");
		value[r] = table_per_s((double)cnt, start);
		if (load_lookup(&b->load, b->probe, cnt) != 0)
			bench_die("table.remove", "a removed connection was found");
	}
	table_row(b, "table.remove", value);
}

/* ---- the sweep: the share of one core's time at the default period ---- */

static void
table_sweep(struct bench *b)
{
	struct load *load = &b->load;
	uint64_t slices = tiara_sweep_slices_per_pass(&load->map);
	double value[BENCH_REPEATS_MAX];
	char more[80];

	for (int r = 0; r < b->repeats; r++) {
		struct tiara_sweep_counts counts = {0};
		double start = bench_now_s();

		for (uint64_t i = 0; i < slices; i++)
			tiara_sweep_slice_wk(&load->map, &load->age, &load->writer, &counts);
		value[r] = (bench_now_s() - start) * 100 / BENCH_SWEEP_S;
		if (counts.expired + counts.gone + counts.tentative != 0)
			bench_die("table.sweep", "a connection that is alive was swept away");
	}
	snprintf(more, sizeof(more), "\"period_s\": %d, \"backends\": %d", BENCH_SWEEP_S,
		 LOAD_BACKENDS);
	bench_row("table.sweep", load_params(load, more), "%", value, b->repeats);
}

int
main(int argc, char **argv)
{
	static struct bench b;

	if (argc != 4) {
		fprintf(stderr, "usage: table SEGMENT-PATH CONNECTIONS REPEATS(1..16)\n");
		return 2;
	}
	load_open(&b.load,
		  &(struct load_config){.path = argv[1],
					.connections = bench_whole("connections", argv[2])});
	b.repeats = bench_repeats(argv[3]);
	b.probe = malloc(TABLE_PROBES * sizeof(*b.probe));
	b.line = malloc(TABLE_PROBES * sizeof(*b.line));
	if (!b.probe || !b.line)
		bench_die("memory", "not enough for the probes");
	table_insert(&b);
	table_bytes(&b);
	table_limit(&b);
	table_draw(&b, 0);
	table_lookup(&b, "table.hit", TABLE_PROBES);
	table_draw(&b, b.load.connections);
	table_lookup(&b, "table.miss", 0);
	table_touch(&b);
	table_sweep(&b);
	table_remove(&b);
	return 0;
}
