/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection table against the memory's own limit. Prints one JSON row a line:
 *   {"id": "table.hit", "params": {"connections": N}, "unit": "1/s", "values": [...]}
 *
 * Usage: table SEGMENT-PATH CONNECTIONS REPEATS
 *
 * A real segment is made at SEGMENT-PATH (its file system decides the page size) and removed again.
 * Keys are a permutation of counters, so that they are distinct without being stored; probes are
 * drawn at random over all of them; every answer is compared with what was put in.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>

#include "bench.h"
#include "tiara/tiara.h"
#include "control/handle.h"
#include "table/epoch.h"
#include "table/hash.h"
#include "table/table.h"

enum { BENCH_BURST = 32, BENCH_PROBES = 1 << 22, BENCH_REFUSED_MAX = 1024 };

struct bench {
	struct tiara_map map;
	struct tiara_view view;
	struct tiara_age age;
	uint16_t service_idx;
	uint64_t connections;
	uint64_t refused[BENCH_REFUSED_MAX];
	uint32_t refused_cnt;
	uint64_t *probe; /* keys, BENCH_PROBES of them */
	uint32_t *line;  /* bucket numbers, BENCH_PROBES of them */
};

/* A bijection of 48 bits: counter to client address and port. */
static uint64_t
bench_key(const struct bench *b, uint64_t i)
{
	const uint64_t mask = (1ull << 48) - 1;

	i = i * 0x5851f42d4c95ull & mask;
	i ^= i >> 23;
	i = i * 0xd1342543de83ull & mask;
	i ^= i >> 25;
	return i | (uint64_t)b->service_idx << 48;
}

static uint32_t
bench_backend(uint64_t key)
{
	return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 40);
}

static void
bench_open(struct bench *b, const char *path, uint64_t connections)
{
	struct tiara_segment_config config = {.connections = connections * 5 / 3,
					      .worker_max = 2,
					      .service_max = 16,
					      .backend_max = 16,
					      .heap_bytes = 1 << 20};
	struct tiara_service_spec service = {.service = "bench",
					     .record = {.vip = htonl(0xc6126401),
							.port = htons(80),
							.protocol = 6,
							.use = TIARA_USE_ACTIVE}};
	struct tiara_handle *handle;
	struct tiara_change *change;
	struct tiara_error error;
	uint64_t generation;
	uint32_t idx;

	for (int i = 0; i < TIARA_STATE_CNT; i++)
		service.record.timeout_ticks[i] = TIARA_TIMEOUT_TICKS_MAX;
	if (tiara_segment_create(path, &config, &error) != TIARA_OK ||
	    tiara_segment_attach(path, TIARA_ROLE_CONTROLPLANE, &handle, &error) != TIARA_OK ||
	    tiara_change_begin(handle, &change, &error) != TIARA_OK)
		bench_die("segment", error.message);
	if (tiara_change_service_put(change, &service, &idx, &error) != TIARA_OK ||
	    tiara_change_commit(change, 1, &generation, &error) != TIARA_OK)
		bench_die("configuration", error.message);
	b->service_idx = (uint16_t)idx;
	b->map = *tiara_handle_map(handle);
	b->view = tiara_view_of(&b->map, generation);
	b->age = (struct tiara_age){.view = &b->view, .now = (uint16_t)tiara_tick_now(&b->map)};
	b->connections = connections;
}

/* Both buckets of a key may be full long before the table is: such keys are not drawn later. */
static void
bench_note_refused(struct bench *b, uint64_t key)
{
	if (b->refused_cnt == BENCH_REFUSED_MAX)
		bench_die("table.insert", "the table refused too many connections");
	b->refused[b->refused_cnt++] = key;
}

/* Fills the table; the seconds it took. */
static double
bench_fill(struct bench *b)
{
	struct tiara_writer writer = {.owner = 0};
	double start = bench_now_s();

	for (uint64_t first = 0; first < b->connections; first += BENCH_BURST) {
		uint64_t key[BENCH_BURST], hash[BENCH_BURST];

		for (int i = 0; i < BENCH_BURST; i++) {
			key[i] = bench_key(b, first + (uint64_t)i);
			hash[i] = tiara_hash_inline(key[i], b->map.segment->table_secret);
			__builtin_prefetch(
				&b->map.bucket[tiara_hash_bucket_1(hash[i], b->map.bucket_mask)]);
			__builtin_prefetch(
				&b->map.bucket[tiara_hash_bucket_2(hash[i], b->map.bucket_mask)]);
		}
		for (int i = 0; i < BENCH_BURST; i++) {
			union tiara_word word = {.key = key[i]};
			struct tiara_found found;

			word.entry.backend_idx = bench_backend(key[i]);
			word.entry.state = TIARA_STATE_ESTABLISHED;
			word.entry.last_seen = b->age.now;
			if (tiara_table_insert(&b->map, &b->age, &writer, hash[i], &word, &found) !=
			    TIARA_OK)
				bench_note_refused(b, key[i]);
		}
	}
	return bench_now_s() - start;
}

/* Was this key refused because its two buckets were full? */
static bool
bench_refused(const struct bench *b, uint64_t key)
{
	for (uint32_t i = 0; i < b->refused_cnt; i++)
		if (b->refused[i] == key)
			return true;
	return false;
}

static void
bench_draw(struct bench *b, uint64_t from)
{
	uint64_t state = 42;

	for (uint32_t i = 0; i < BENCH_PROBES; i++) {
		do
			b->probe[i] = bench_key(b, from + bench_random(&state) % b->connections);
		while (bench_refused(b, b->probe[i]));
		b->line[i] = (uint32_t)(bench_random(&state) & b->map.bucket_mask);
	}
}

/* Looks all probes up; how many were found with the backend that was put in. */
static uint64_t
bench_lookup(struct bench *b, double *seconds)
{
	struct tiara_found found[BENCH_BURST];
	uint64_t hash[BENCH_BURST], right = 0;
	double start = bench_now_s();

	for (uint32_t first = 0; first < BENCH_PROBES; first += BENCH_BURST) {
		const uint64_t *key = b->probe + first;

		for (int i = 0; i < BENCH_BURST; i++)
			hash[i] = tiara_hash_inline(key[i], b->map.segment->table_secret);
		tiara_table_lookup(&b->map, &b->age, key, hash, BENCH_BURST, found);
		for (int i = 0; i < BENCH_BURST; i++)
			right += found[i].slot != NULL &&
				 found[i].word.entry.backend_idx == bench_backend(key[i]);
	}
	*seconds = bench_now_s() - start;
	return right;
}

/* Random lines of the table's own memory, prefetched a burst ahead. */
static double
bench_limit_batch(struct bench *b, uint64_t *sum)
{
	double start = bench_now_s();

	for (uint32_t first = 0; first < BENCH_PROBES; first += BENCH_BURST) {
		for (int i = 0; i < BENCH_BURST; i++)
			__builtin_prefetch(&b->map.bucket[b->line[first + (uint32_t)i]]);
		for (int i = 0; i < BENCH_BURST; i++)
			*sum += *(uint64_t *)&b->map.bucket[b->line[first + (uint32_t)i]];
	}
	return bench_now_s() - start;
}

static double
bench_limit_sliding(struct bench *b, uint64_t *sum)
{
	double start = bench_now_s();

	for (uint32_t i = 0; i < BENCH_PROBES; i++) {
		__builtin_prefetch(&b->map.bucket[b->line[(i + BENCH_BURST) % BENCH_PROBES]]);
		*sum += *(uint64_t *)&b->map.bucket[b->line[i]];
	}
	return bench_now_s() - start;
}

static void
bench_table_row(const struct bench *b, const char *id, const double *value, int cnt)
{
	char params[80];

	snprintf(params, sizeof(params), "\"connections\": %llu, \"page_bytes\": %u",
		 (unsigned long long)b->connections, b->map.segment->page_bytes);
	bench_row(id, params, "1/s", value, cnt);
}

static void
bench_measure(struct bench *b, int repeats)
{
	double limit[BENCH_REPEATS_MAX], hit[BENCH_REPEATS_MAX], miss[BENCH_REPEATS_MAX], s;
	uint64_t sum = 0;

	bench_draw(b, 0);
	for (int r = 0; r < repeats; r++) {
		double batch = bench_limit_batch(b, &sum), sliding = bench_limit_sliding(b, &sum);

		limit[r] = BENCH_PROBES / (batch < sliding ? batch : sliding);
		if (bench_lookup(b, &s) != BENCH_PROBES)
			bench_die("table.hit", "a connection was not found as it was put in");
		hit[r] = BENCH_PROBES / s;
	}
	if (sum == 1) /* uses the sum, so that the reads stay */
		fprintf(stderr, "bench table: unlikely\n");
	bench_draw(b, b->connections);
	for (int r = 0; r < repeats; r++) {
		if (bench_lookup(b, &s) != 0)
			bench_die("table.miss", "a connection was found that was never put in");
		miss[r] = BENCH_PROBES / s;
	}
	bench_table_row(b, "limit.lines", limit, repeats);
	bench_table_row(b, "table.hit", hit, repeats);
	bench_table_row(b, "table.miss", miss, repeats);
}

int
main(int argc, char **argv)
{
	struct bench b = {0};
	double insert;
	int repeats;

	if (argc != 4) {
		fprintf(stderr, "usage: table SEGMENT-PATH CONNECTIONS REPEATS(1..16)\n");
		return 2;
	}
	repeats = bench_repeats(argv[3]);
	bench_open(&b, argv[1], strtoull(argv[2], NULL, 10));
	b.probe = malloc(BENCH_PROBES * sizeof(*b.probe));
	b.line = malloc(BENCH_PROBES * sizeof(*b.line));
	if (b.probe == NULL || b.line == NULL)
		bench_die("memory", "not enough for the probes");
	insert = (double)b.connections / bench_fill(&b);
	unlink(argv[1]);
	fprintf(stderr, "bench table: %u of %llu connections refused\n", b.refused_cnt,
		(unsigned long long)b.connections);
	bench_table_row(&b, "table.insert", &insert, 1);
	bench_measure(&b, repeats);
	return 0;
}
