/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How full a table is when it first refuses a connection, by the search that an insert may make.
 *
 * Usage: occupancy SEGMENT-PATH BUCKETS REPEATS      each repeat has another secret
 */
#include <string.h>

#include "bench.h"
#include "load.h"

struct occupancy_budget {
	const char *name;
	uint16_t search_max;
};

/* Percent of the slots. */
static double
occupancy_once(const char *path, uint64_t buckets, uint16_t search_max)
{
	uint64_t slots = buckets * TIARA_BUCKET_ENTRIES, n = 0;
	struct load load;

	load_open(&load, &(struct load_config){.path = path, .buckets = buckets});
	load.writer.search_max = search_max;
	while (n < slots && load_insert(&load, n, 1) == 0)
		n++;
	load_close(&load);
	return (double)n * 100 / (double)slots;
}

int
main(int argc, char **argv)
{
	static const struct occupancy_budget budget[] = {{"path", TIARA_SEARCH_PATH},
							 {"bulk", TIARA_SEARCH_BULK}};
	double value[BENCH_REPEATS_MAX];
	uint64_t buckets;
	char params[100];
	int repeats;

	if (argc != 4) {
		fprintf(stderr, "usage: occupancy SEGMENT-PATH BUCKETS REPEATS(1..16)\n");
		return 2;
	}
	buckets = bench_whole("buckets", argv[2]);
	repeats = bench_repeats(argv[3]);
	for (size_t i = 0; i < sizeof(budget) / sizeof(budget[0]); i++) {
		for (int r = 0; r < repeats; r++)
			value[r] = occupancy_once(argv[1], buckets, budget[i].search_max);
		snprintf(params, sizeof(params), "\"budget\": \"%s\", \"buckets\": %llu",
			 budget[i].name, (unsigned long long)buckets);
		bench_row("table.occupancy", params, "%", value, repeats);
	}
	return 0;
}
