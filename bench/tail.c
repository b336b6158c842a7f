/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long single inserts take while a table fills up, with the packet path's search. As there, a
 * burst of keys is looked up first; then each insert stands between two reads of the time stamp
 * counter, whose own time is taken off.
 *
 * Usage: tail SEGMENT-PATH CONNECTIONS       CONNECTIONS name the size of the table
 */
#include "bench.h"
#include "load.h"

enum { TAIL_BURST = 32, TAIL_SAMPLES = 1 << 20 };

struct bench {
	struct load load;
	double tsc_ghz;
	uint32_t overhead_tsc;
	uint32_t *sample; /* tsc, TAIL_SAMPLES of them */
	uint32_t samples;
	uint64_t next; /* connection to insert */
	uint64_t refused;
};

static inline uint64_t
tail_clock(void)
{
	unsigned aux;
	uint64_t tsc = __rdtscp(&aux);

	_mm_lfence();
	return tsc;
}

/* The least that lies between two reads. */
static uint32_t
tail_overhead(void)
{
	uint64_t least = UINT32_MAX;

	for (int i = 0; i < 100000; i++) {
		uint64_t start = tail_clock(), took = tail_clock() - start;

		least = took < least ? took : least;
	}
	return (uint32_t)least;
}

static void
tail_insert_timed(struct bench *b, uint64_t hash, const union tiara_word *word)
{
	struct load *load = &b->load;
	struct tiara_found found;
	uint64_t start = tail_clock(), took;
	enum tiara_status status = tiara_table_insert(&load->map, &load->age, &load->writer, hash,
						      word, &found);

	took = tail_clock() - start;
	if (status == TIARA_EXISTS)
		bench_die("table.insert_tail", "a connection was there before it was put in");
	b->refused += status != TIARA_OK;
	b->sample[b->samples++] = took > b->overhead_tsc ? (uint32_t)(took - b->overhead_tsc) : 0;
}

static void
tail_burst(struct bench *b)
{
	struct load *load = &b->load;
	struct tiara_found found[TAIL_BURST];
	union tiara_word word[TAIL_BURST];
	uint64_t key[TAIL_BURST], hash[TAIL_BURST];

	for (int i = 0; i < TAIL_BURST; i++) {
		word[i] = load_word(load, b->next++);
		key[i] = word[i].key;
		hash[i] = load_hash(load, key[i]);
	}
	tiara_table_lookup(&load->map, &load->age, key, hash, TAIL_BURST, found);
	for (int i = 0; i < TAIL_BURST; i++)
		if (found[i].slot)
			bench_die("table.insert_tail", "a connection was found before its insert");
	for (int i = 0; i < TAIL_BURST; i++)
		tail_insert_timed(b, hash[i], &word[i]);
}

/* The inserts from this occupancy on, for half a percent of the table at most. */
static void
tail_at(struct bench *b, uint64_t percent)
{
	uint64_t slots = (b->load.map.bucket_mask + 1) * TIARA_BUCKET_ENTRIES;
	uint64_t want = slots / 200 < TAIL_SAMPLES ? slots / 200 : TAIL_SAMPLES;
	uint64_t from = slots / 100 * percent;
	char more[120];

	b->refused = b->samples = 0;
	load_insert(&b->load, b->next, from - b->next);
	b->next = from;
	while (b->samples + TAIL_BURST <= want)
		tail_burst(b);
	snprintf(more, sizeof(more), "\"percent_full\": %llu, \"samples\": %u, \"refused\": %llu",
		 (unsigned long long)percent, b->samples, (unsigned long long)b->refused);
	bench_row_tail("table.insert_tail", load_params(&b->load, more), b->sample, b->samples,
		       "ns", 1 / b->tsc_ghz);
}

int
main(int argc, char **argv)
{
	static struct bench b;

	if (argc != 3) {
		fprintf(stderr, "usage: tail SEGMENT-PATH CONNECTIONS\n");
		return 2;
	}
	load_open(&b.load,
		  &(struct load_config){.path = argv[1],
					.connections = bench_whole("connections", argv[2])});
	b.sample = malloc(TAIL_SAMPLES * sizeof(*b.sample));
	if (!b.sample)
		bench_die("memory", "not enough for the samples");
	b.tsc_ghz = (double)bench_tsc_hz() / 1e9;
	b.overhead_tsc = tail_overhead();
	tail_at(&b, 60);
	tail_at(&b, 90);
	tail_at(&b, 95);
	return 0;
}
