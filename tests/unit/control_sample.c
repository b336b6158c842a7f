/* SPDX-License-Identifier: Apache-2.0 */
/* How full the table is, told by a few buckets. */
#include "control_world.h"

enum { SAMPLE_BUCKETS = 4096 };

static void
sample_push(struct world *w, uint32_t first, uint32_t cnt)
{
	static const uint32_t dictionary[1] = {0};
	struct tiara_packed_connection record;
	uint8_t result;

	for (uint32_t n = first; n < first + cnt; n++) {
		record = (struct tiara_packed_connection){.client_addr = htonl(0xc6130000 + n),
							  .client_port = htons(4000),
							  .state = TIARA_STATE_ESTABLISHED};
		CHECK_OK(tiara_connections_push(w->control, &record, 1, dictionary, 1, dictionary,
						1, TIARA_CONFLICT_KEEP, &result, &world_error));
		CHECK(result == TIARA_OK);
	}
}

static struct tiara_sample
sample(struct world *w, uint64_t first, uint64_t buckets)
{
	struct tiara_sample found;

	CHECK_OK(tiara_table_sample(w->control, first, buckets, &found, &world_error));
	return found;
}

/* All buckets: what is in the table, wherever the sample begins. */
static void
test_all_buckets(void)
{
	struct tiara_usage usage;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	CHECK(sample(&w, 0, UINT64_MAX).used == 0);
	sample_push(&w, 0, 100);
	CHECK_OK(tiara_connections_count(w.control, NULL, NULL, &usage, &world_error));
	for (uint64_t first = 0; first < 3; first++) {
		struct tiara_sample all = sample(&w, first, UINT64_MAX);

		CHECK(all.used == 100 && all.slots == usage.capacity);
	}
	CHECK(sample(&w, UINT64_MAX, UINT64_MAX).used == 100);
	world_end(&w);
}

/* Single buckets, one after the other, add up to the table: the sample reads where it says. */
static void
test_single_buckets(void)
{
	uint64_t used = 0;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	sample_push(&w, 0, 100);
	for (uint64_t at = 0; at < sample(&w, 0, UINT64_MAX).slots / TIARA_BUCKET_ENTRIES; at++) {
		struct tiara_sample one = sample(&w, at, 1);

		CHECK(one.slots == TIARA_BUCKET_ENTRIES && one.used <= one.slots);
		used += one.used;
	}
	CHECK(used == 100);
	world_end(&w);
}

/* A sample of a larger table is near the whole: within three points at four thousand buckets. */
static void
test_a_few_buckets(void)
{
	struct tiara_segment_config config = {.connections = 262144,
					      .worker_max = 1,
					      .service_max = 8,
					      .backend_max = 8,
					      .heap_bytes = 16 << 20};
	struct world w;

	world_make_sized(&w, &config);
	world_first_generation(&w);
	for (uint32_t part = 0; part < 4; part++) {
		double share;

		sample_push(&w, part * 52428, 52428);
		for (uint64_t first = 0; first < 5; first++) {
			struct tiara_sample few = sample(&w, first, SAMPLE_BUCKETS);

			share = (double)few.used / (double)few.slots;
			CHECK(share > 0.2 * (part + 1) - 0.03 && share < 0.2 * (part + 1) + 0.03);
		}
	}
	world_end(&w);
}

static void
test_no_buckets(void)
{
	struct tiara_sample found;
	struct world w;

	world_make(&w);
	CHECK_IS(tiara_table_sample(w.control, 0, 0, &found, &world_error), TIARA_INVALID);
	CHECK_SAYS("must be at least 1");
	world_end(&w);
}

int
main(void)
{
	test_all_buckets();
	test_single_buckets();
	test_a_few_buckets();
	test_no_buckets();
	return 0;
}
