/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DPDK's own hash table in the connection table's place: same keys, same probes, same checks. Prints
 * rows rte_hash.hit and rte_hash.add.
 *
 * Usage: rte-hash CONNECTIONS PAGE-BYTES REPEATS     PAGE-BYTES: 4096 or 2097152 (free huge pages)
 */
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>

#include "bench.h"

enum { HASH_BULK = 64, HASH_PROBES = 1 << 22 };

struct bench {
	struct rte_hash *hash;
	uint32_t connections;
	uint32_t page_bytes;
	uint64_t *probe;
};

/* As bench/table.c: a bijection, so that keys are distinct without being stored. */
static uint64_t
hash_key(uint64_t i)
{
	const uint64_t mask = (1ull << 48) - 1;

	i = i * 0x5851f42d4c95ull & mask;
	i ^= i >> 23;
	i = i * 0xd1342543de83ull & mask;
	return i ^ i >> 25;
}

static uint32_t
hash_backend(uint64_t key)
{
	return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 40);
}

static void
hash_start_eal(const struct bench *b, uint64_t need_bytes)
{
	char megabytes[16];
	char *huge[] = {"bench", "--in-memory", "--no-pci", "--no-telemetry",
			"-l0",   "-m",          megabytes,  "--log-level=1"};
	char *plain[] = {"bench", "--no-huge", "--no-pci", "--no-telemetry",
			 "-l0",   "-m",        megabytes,  "--log-level=1"};

	snprintf(megabytes, sizeof(megabytes), "%llu", (unsigned long long)(need_bytes >> 20) + 64);
	if (rte_eal_init(8, b->page_bytes == 4096 ? plain : huge) < 0)
		bench_die("rte_hash", "EAL does not start: are there enough free huge pages?");
}

static void
hash_create(struct bench *b)
{
	struct rte_hash_parameters parameters = {
		.name = "bench",
		.entries = b->connections + b->connections / 8,
		.key_len = sizeof(uint64_t),
		.hash_func = rte_hash_crc,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE |
			      RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
	};

	b->hash = rte_hash_create(&parameters);
	if (!b->hash)
		bench_die("rte_hash", rte_strerror(rte_errno));
}

static double
hash_fill(struct bench *b)
{
	double start;

	rte_hash_reset(b->hash);
	start = bench_now_s();
	for (uint32_t i = 0; i < b->connections; i++) {
		uint64_t key = hash_key(i);

		if (rte_hash_add_key_data(b->hash, &key, (void *)(uintptr_t)hash_backend(key)) != 0)
			bench_die("rte_hash.add", "the table refused a connection");
	}
	return bench_now_s() - start;
}

static double
hash_lookup(const struct bench *b)
{
	uint64_t right = 0;
	double start = bench_now_s();

	for (uint32_t first = 0; first < HASH_PROBES; first += HASH_BULK) {
		const void *key[HASH_BULK];
		void *data[HASH_BULK];
		uint64_t hit = 0;

		for (int i = 0; i < HASH_BULK; i++)
			key[i] = &b->probe[first + (uint32_t)i];
		rte_hash_lookup_bulk_data(b->hash, key, HASH_BULK, &hit, data);
		for (int i = 0; i < HASH_BULK; i++)
			right += (hit >> i & 1) &&
				 (uint32_t)(uintptr_t)data[i] ==
					 hash_backend(b->probe[first + (uint32_t)i]);
	}
	if (right != HASH_PROBES)
		bench_die("rte_hash.hit", "a connection was not found as it was put in");
	return bench_now_s() - start;
}

int
main(int argc, char **argv)
{
	struct bench b = {.hash = NULL};
	double hit[BENCH_REPEATS_MAX] = {0}, add[BENCH_REPEATS_MAX] = {0};
	uint64_t state = 42;
	char params[80];
	int repeats;

	if (argc != 4) {
		fprintf(stderr, "usage: rte-hash CONNECTIONS PAGE-BYTES REPEATS\n");
		return 2;
	}
	b.connections = (uint32_t)strtoul(argv[1], NULL, 10);
	b.page_bytes = (uint32_t)strtoul(argv[2], NULL, 10);
	repeats = bench_repeats(argv[3]);
	hash_start_eal(&b, (uint64_t)b.connections * 64);
	hash_create(&b);
	b.probe = malloc(HASH_PROBES * sizeof(*b.probe));
	if (!b.probe)
		bench_die("memory", "not enough for the probes");
	for (uint32_t i = 0; i < HASH_PROBES; i++)
		b.probe[i] = hash_key(bench_random(&state) % b.connections);
	snprintf(params, sizeof(params), "\"connections\": %u, \"page_bytes\": %u", b.connections,
		 b.page_bytes);
	for (int r = 0; r < repeats; r++)
		add[r] = b.connections / hash_fill(&b);
	bench_row("rte_hash.add", params, "1/s", add, repeats);
	for (int r = 0; r < repeats; r++)
		hit[r] = HASH_PROBES / hash_lookup(&b);
	bench_row("rte_hash.hit", params, "1/s", hit, repeats);
	return 0;
}
