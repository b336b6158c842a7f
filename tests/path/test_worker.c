/* SPDX-License-Identifier: Apache-2.0 */
/* What records cannot show: the sweep's pace, generations, a worker's time, races lost. */
#include <stdio.h>
#include <stdlib.h>

#include "path/stage.h"
#include "path/wire.h"
#include "table/epoch.h"
#include "table/hash.h"
#include "world.h"
#include "check.h"

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

/* Two backends, and a UDP service without a selection table: what insert needs. */
static void
start_service(void)
{
	start(1);
	world.plan.backend[1].use = TIARA_USE_ACTIVE;
	world.plan.backend[2].use = TIARA_USE_ACTIVE;
	world.plan.service[0] = (struct tiara_service){.protocol = TIARA_PROTOCOL_UDP,
						       .use = TIARA_USE_ACTIVE};
	world.plan.service[0].timeout_ticks[TIARA_STATE_UDP] = 10;
	world_publish(&world);
	world_burst(&world);
}

/* As selection left it: backend 1 chosen, no entry seen. */
static struct tiara_frame
selected_frame(void)
{
	struct tiara_frame f = {.protocol = TIARA_PROTOCOL_UDP, .backend_idx = 1, .fresh = 1};

	f.key = tiara_key(7, 8, 0);
	f.hash = tiara_hash_inline(f.key, world.map.segment->table_secret);
	world.worker.fresh_cnt = 1;
	return f;
}

static void
push_elsewhere(void)
{
	struct tiara_entry entry = {.client_addr = 7,
				    .client_port = 8,
				    .backend_idx = 2,
				    .last_seen = (uint16_t)world.worker.tick,
				    .state = TIARA_STATE_UDP};

	CHECK(world_push(&world, &entry) == TIARA_OK);
}

/* Between lookup and insert another thread put the connection elsewhere: the packet goes there. */
static void
test_insert_lost(void)
{
	struct tiara_frame f;

	start_service();
	f = selected_frame();
	push_elsewhere();
	tiara_insert_wk(&world.worker, &f, 1);
	CHECK(f.backend_idx == 2 && f.fresh == 0);
	CHECK(world.worker.counters->event_cnt[TIARA_EVENT_INSERT_RACE] == 1);
	world_close(&world);
}

/* The entry to be moved was moved by another thread meanwhile: where that one put it. */
static void
test_reselect_lost(void)
{
	struct tiara_frame f;

	start_service();
	f = selected_frame();
	push_elsewhere();
	f.found = world_find(&world, 7, 8, 0);
	f.found.word.entry.backend_idx = 3; /* as it was when this worker looked */
	tiara_insert_wk(&world.worker, &f, 1);
	CHECK(f.backend_idx == 2 && f.fresh == 0);
	CHECK(world_find(&world, 7, 8, 0).word.entry.backend_idx == 2);
	world_close(&world);
}

/* A UDP packet whose IPv4 header checksum is wrong, and what the port said about it. */
static uint8_t
verdict_of_wrong_checksum(uint8_t checked)
{
	static uint8_t bytes[128 + 64];
	struct tiara_ether *ether = (void *)(bytes + 128);
	struct tiara_ipv4 *ip = (void *)(ether + 1);
	struct tiara_memory_frame frame = {.data = bytes + 128,
					   .len_bytes = sizeof(*ether) + sizeof(*ip) + 8,
					   .headroom_bytes = 128,
					   .checked = checked};

	tiara_mac_copy(ether->dst, world.map.segment->node.port_mac);
	ether->type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);
	*ip = (struct tiara_ipv4){.version_ihl = 0x45,
				  .total_bytes = TIARA_BE16(sizeof(*ip) + 8),
				  .ttl = 64,
				  .protocol = TIARA_PROTOCOL_UDP,
				  .src = TIARA_BE32(0x0a000001),
				  .dst = TIARA_BE32(0x0a000002)};
	world.port.rx = (struct tiara_memory_queue){.frame = &frame, .cnt = 1};
	tiara_worker_burst_wk(&world.worker, ++world.tsc);
	return world.worker.frame[0].verdict;
}

/* Only a port that found the checksum right itself spares the path the look at it. */
static void
test_checked_by_port(void)
{
	start(1);
	world.map.segment->node.port_mac[5] = 2;
	CHECK(verdict_of_wrong_checksum(0) == TIARA_VERDICT_BAD_CHECKSUM);
	CHECK(verdict_of_wrong_checksum(1) == TIARA_VERDICT_NOT_CONFIGURED);
	CHECK(verdict_of_wrong_checksum(0) == TIARA_VERDICT_BAD_CHECKSUM);
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
	test_insert_lost();
	test_reselect_lost();
	test_checked_by_port();
	return 0;
}
