/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two workers as threads, one card with a bad link, slots that both want: each worker has clients of its
 * own, whose channels may be the other one's. What each packet must reach is checked as it leaves; what
 * is left over at the end as well.
 */
#include <pthread.h>

#include "check.h"
#include "offload_bed.h"

enum { STEPS = 100000, STEP_NS = 5000000 };

static struct bed bed;

static uint32_t
next(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*random >> 33);
}

static void *
run(void *argument)
{
	static const enum bed_flags flags[] = {BED_SYN,  BED_DATA, BED_DATA, BED_DATA,
					       BED_DATA, BED_DATA, BED_FIN,  BED_RST};
	uint32_t worker = *(const uint32_t *)argument;
	uint64_t random = worker + 1;

	for (int i = 0; i < STEPS; i++) {
		uint32_t client = next(&random) % (BED_CLIENTS / 2) * 2 + worker;
		enum bed_flags f = flags[next(&random) % 8];

		if (bed.client[client].backend == BED_NONE)
			f = BED_SYN;
		bed_packet(&bed, client, f, worker);
		if (worker == 0 && i % 30000 == 29999)
			tiara_card_twin_reset(bed.twin);
	}
	return NULL;
}

int
main(void)
{
	struct bed_config config = {.twin = {.bucket_cnt = 2,
					     .backend_lines = BED_BACKENDS,
					     .service_lines = 4,
					     .queue_cnt = BED_WORKERS,
					     .seed = 3,
					     .lose = 25,
					     .repeat = 25,
					     .delay = 60,
					     .is_port = true},
				    .worker_cnt = BED_WORKERS};
	pthread_t thread[BED_WORKERS];
	uint32_t number[BED_WORKERS] = {0, 1};

	bed_open(&bed, &config);
	bed.step_ns = STEP_NS;
	for (int i = 0; i < BED_WORKERS; i++)
		CHECK(pthread_create(&thread[i], NULL, run, &number[i]) == 0);
	for (int i = 0; i < BED_WORKERS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	tiara_card_twin_calm(bed.twin, true);
	bed_ticks(&bed, 2);
	bed_check(&bed);
	bed_ticks(&bed, 60);
	for (uint32_t i = 0; i < bed.offload->mirror.slot_cnt; i++)
		CHECK(mirror_get(&bed.offload->mirror, i) == 0);
	CHECK(tiara_card_twin_counts(bed.twin).forwarded > STEPS / 20);
	CHECK(bed_event(&bed, TIARA_EVENT_CARD_REMOVED) > STEPS / 100);
	CHECK(bed_event(&bed, TIARA_EVENT_CARD_RESET) >= 3);
	printf("%lu of %lu packets by the card, %lu removals\n",
	       (unsigned long)tiara_card_twin_counts(bed.twin).forwarded,
	       (unsigned long)bed_sent(&bed),
	       (unsigned long)bed_event(&bed, TIARA_EVENT_CARD_REMOVED));
	bed_close(&bed);
	return 0;
}
