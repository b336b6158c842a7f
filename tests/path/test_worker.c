/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker does beside packets: the sweep's pace, generations, first forward, its time. */
#include <stdio.h>
#include <stdlib.h>

#include "table/epoch.h"
#include "world.h"

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

enum {
	SLICES = 64,
	BUCKETS = SLICES * TIARA_SWEEP_SLICE_BUCKETS,
	MS_TSC = WORLD_TSC_HZ / 1000,
};

static struct world world;

static uint64_t
claimed(void)
{
	return world.map.segment->sweep_claimed;
}

static void
start(uint32_t worker_cnt)
{
	world_open(&world, BUCKETS, 100);
	world.map.segment->node.worker_cnt = worker_cnt;
	world_start(&world);
}

static void
run_ms(uint32_t ms)
{
	for (; ms > 0; ms--)
		tiara_worker_burst_wk(&world.worker, world.tsc += MS_TSC);
}

/* A frame that ends as truncated: enough to make a burst busy. */
static void
send_nothing_much(void)
{
	static uint8_t byte[16];
	static struct tiara_memory_frame frame;

	frame = (struct tiara_memory_frame){
		.data = byte + 15, .len_bytes = 1, .headroom_bytes = 15};
	world.port.rx = (struct tiara_memory_queue){.frame = &frame, .cnt = 1};
}

/* A whole pass in ten seconds, evenly: half of it in half the time. */
static void
test_sweep_pace(void)
{
	uint64_t before;

	start(1);
	before = claimed();
	run_ms(5000);
	CHECK(claimed() - before >= SLICES / 2 - 1 && claimed() - before <= SLICES / 2 + 1);
	run_ms(5000);
	CHECK(claimed() - before >= SLICES - 1 && claimed() - before <= SLICES + 1);
	world_close(&world);
}

/* Four workers sweep a quarter of it each. */
static void
test_sweep_shared(void)
{
	uint64_t before;

	start(4);
	before = claimed();
	run_ms(10000);
	CHECK(claimed() - before >= SLICES / 4 - 1 && claimed() - before <= SLICES / 4 + 1);
	world_close(&world);
}

/* A worker that slept a minute owes one pass, and pays in parts: fewer when packets wait. */
static void
test_sweep_after_sleep(void)
{
	uint64_t before;

	start(1);
	before = claimed();
	tiara_worker_burst_wk(&world.worker, world.tsc += 60ull * WORLD_TSC_HZ);
	CHECK(claimed() - before == 16);
	send_nothing_much();
	tiara_worker_burst_wk(&world.worker, ++world.tsc);
	CHECK(claimed() - before == 16 + 2);
	run_ms(20);
	CHECK(claimed() - before >= SLICES && claimed() - before <= SLICES + 2);
	world_close(&world);
}

/* A burst reports the generation it uses; offline holds back none. */
static void
test_generation(void)
{
	int32_t worker;

	start(1);
	CHECK(world.worker.view.generation == 0);
	world_publish(&world);
	world_burst(&world);
	CHECK(world.worker.view.generation == 1);
	CHECK(tiara_epoch_oldest_ctl(&world.map, &worker) == 1 && worker == 0);
	world_publish(&world);
	CHECK(tiara_epoch_oldest_ctl(&world.map, &worker) == 1);
	world_burst(&world);
	CHECK(tiara_epoch_oldest_ctl(&world.map, &worker) == 2);
	tiara_worker_offline_wk(&world.worker);
	CHECK(tiara_epoch_oldest_ctl(&world.map, &worker) == UINT64_MAX);
	world_burst(&world);
	CHECK(tiara_epoch_oldest_ctl(&world.map, &worker) == 2);
	world_close(&world);
}

/* The time between two turns is busy when the first of them had packets. */
static void
test_busy_time(void)
{
	const struct tiara_worker_slot *slot;

	start(1);
	slot = world.worker.slot;
	send_nothing_much();
	tiara_worker_burst_wk(&world.worker, world.tsc += 100);
	CHECK(slot->bursts == 1 && slot->busy_cycles == 0 && slot->idle_cycles == 100);
	tiara_worker_burst_wk(&world.worker, world.tsc += 30);
	CHECK(slot->bursts == 1 && slot->busy_cycles == 30 && slot->idle_cycles == 100);
	tiara_worker_burst_wk(&world.worker, world.tsc += 7);
	CHECK(slot->bursts == 1 && slot->busy_cycles == 30 && slot->idle_cycles == 107);
	world_close(&world);
}

/* Packets that are not forwarded do not start the clock of forwarding. */
static void
test_first_forward(void)
{
	start(1);
	send_nothing_much();
	world_burst(&world);
	CHECK(world.map.segment->node.first_forward_ns == 0);
	world_close(&world);
}

int
main(void)
{
	test_sweep_pace();
	test_sweep_shared();
	test_sweep_after_sleep();
	test_generation();
	test_busy_time();
	test_first_forward();
	return 0;
}
