/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits under four workers on cores of their own: of a rate all together get as much as it gives; a
 * backend gets what it may have, and what bursts on their way at that moment bring.
 */
#include <pthread.h>
#include <stdlib.h>

#include "path/wire.h"
#include "table/entries.h"
#include "table/neighbour.h"
#include "table/slot.h"
#include "world.h"
#include "check.h"

enum {
	BUCKETS = 8192,
	WORKERS = WORLD_WORKERS,
	FRAME_BYTES = 60,
	HEADROOM_BYTES = 64,
	RATE = 1000,
	BURSTS = 200, /* of each worker */
	CONNECTION_MAX = 500,
	OVER_MAX = (WORKERS - 1) * TIARA_BURST,
};

struct thread {
	struct tiara_worker worker;
	struct tiara_memory_port port;
	struct tiara_memory_frame frame[TIARA_BURST];
	uint8_t bytes[TIARA_BURST][HEADROOM_BYTES + FRAME_BYTES];
	uint32_t number;
	uint32_t sent;
	pthread_t id;
	pthread_barrier_t *start;
	uint64_t tsc;
};

static struct world world;
static struct thread thread[WORKERS];

static void
plan(uint32_t new_max_per_s, uint32_t connection_max)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct tiara_service *s = &world.plan.service[0];

	*s = (struct tiara_service){.vip = TIARA_BE32(0xc6126401),
				    .port = TIARA_BE16(80),
				    .protocol = TIARA_PROTOCOL_TCP,
				    .use = TIARA_USE_ACTIVE,
				    .new_max_per_s = new_max_per_s,
				    .select_cnt = 1};
	for (int i = 0; i < TIARA_STATE_CNT; i++)
		s->timeout_ticks[i] = 1000;
	world.plan.backend[0] = (struct tiara_backend){.addr = TIARA_BE32(0xc6120001),
						       .forward = TIARA_FORWARD_L2,
						       .use = TIARA_USE_ACTIVE,
						       .connection_max = connection_max};
	tiara_neighbour_want(&world.map, TIARA_BE32(0xc6120001));
	CHECK(tiara_neighbour_heard(&world.map, TIARA_BE32(0xc6120001), mac, 0));
	world_publish(&world);
}

static void
start(uint32_t new_max_per_s, uint32_t connection_max)
{
	struct tiara_node *node;

	world_open(&world, BUCKETS, 100);
	node = &world.map.segment->node;
	node->address = TIARA_BE32(0xc6120064);
	node->netmask = TIARA_BE32(0xffff0000);
	node->mtu_bytes = 1500;
	node->port_mac[5] = 1;
	node->kernel_mac[5] = 2;
	node->worker_cnt = WORKERS;
	world_start(&world);
	plan(new_max_per_s, connection_max);
}

/* Client n of this thread's own: a SYN. */
static void
fill_frame(struct thread *t, uint32_t slot, uint32_t n)
{
	uint8_t *data = t->bytes[slot] + HEADROOM_BYTES;
	struct tiara_ether *ether = (void *)data;
	struct tiara_ipv4 *ip = (void *)(ether + 1);
	struct tiara_tcp *tcp = (void *)(ip + 1);

	memset(data, 0, FRAME_BYTES);
	ether->dst[5] = 1;
	ether->type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);
	*ip = (struct tiara_ipv4){.version_ihl = 0x45,
				  .total_bytes = TIARA_BE16(FRAME_BYTES - sizeof(*ether)),
				  .ttl = 64,
				  .protocol = TIARA_PROTOCOL_TCP,
				  .src = TIARA_BE32(0x0a000000 + (t->number << 20) + n),
				  .dst = TIARA_BE32(0xc6126401)};
	ip->checksum = tiara_checksum_words(ip, 5);
	tcp->src_port = TIARA_BE16(40000);
	tcp->dst_port = TIARA_BE16(80);
	tcp->data_offset = 5 << 4;
	tcp->flags = TIARA_TCP_SYN;
	t->frame[slot] = (struct tiara_memory_frame){
		.data = data, .len_bytes = FRAME_BYTES, .headroom_bytes = HEADROOM_BYTES};
}

static void *
flood(void *arg)
{
	struct thread *t = arg;

	pthread_barrier_wait(t->start);
	for (uint32_t burst = 0; burst < BURSTS; burst++) {
		for (uint32_t i = 0; i < TIARA_BURST; i++)
			fill_frame(t, i, burst * TIARA_BURST + i);
		t->port.rx = (struct tiara_memory_queue){.frame = t->frame, .cnt = TIARA_BURST};
		tiara_worker_burst_wk(&t->worker, t->tsc);
		for (uint32_t i = 0; i < TIARA_BURST; i++)
			t->sent += t->frame[i].fate == TIARA_MEMORY_SENT;
	}
	tiara_worker_offline_wk(&t->worker);
	return NULL;
}

/* All at one moment of the clock; returns how many frames were sent. */
static uint32_t
flood_all(uint64_t tsc)
{
	pthread_barrier_t barrier;
	uint32_t sent = 0;

	pthread_barrier_init(&barrier, NULL, WORKERS);
	for (uint32_t i = 0; i < WORKERS; i++) {
		struct tiara_port port;

		thread[i] = (struct thread){.number = i, .start = &barrier, .tsc = tsc};
		tiara_memory_port_init(&thread[i].port);
		port = tiara_memory_port_ops(&thread[i].port);
		tiara_worker_init_ctl(&thread[i].worker, &world.map, i, &port, NULL, WORLD_TSC_HZ);
		CHECK(pthread_create(&thread[i].id, NULL, flood, &thread[i]) == 0);
	}
	for (uint32_t i = 0; i < WORKERS; i++) {
		pthread_join(thread[i].id, NULL);
		sent += thread[i].sent;
	}
	pthread_barrier_destroy(&barrier);
	return sent;
}

static uint64_t
verdict(enum tiara_verdict v)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < WORKERS; i++)
		sum += tiara_map_counters(&world.map, i)->verdict_pkts[v];
	return sum;
}

/* By the limits of the one service. */
static uint64_t
refused(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < WORKERS; i++)
		sum += tiara_map_flow_counters(&world.map, i)[0].limit_cnt;
	return sum;
}

static uint32_t
live(void)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < BUCKETS * TIARA_BUCKET_ENTRIES; i++) {
		union tiara_word w = slot_load(&world.map.bucket[i / 4].entry[i % 4]);

		cnt += tiara_word_live(&w);
	}
	return cnt;
}

static void
test_rate(void)
{
	uint64_t all = WORKERS * BURSTS * (uint64_t)TIARA_BURST;

	start(RATE, 0);
	CHECK(flood_all(world.tsc) == RATE);
	CHECK(live() == RATE);
	CHECK(verdict(TIARA_VERDICT_RATE_LIMITED) == all - RATE);
	CHECK(refused() == all - RATE);
	CHECK(verdict(TIARA_VERDICT_FORWARDED) == RATE);
	/* Those of before are connections: they go on, and half a second lets half of a rate in. */
	CHECK(flood_all(world.tsc + WORLD_TSC_HZ / 2) == RATE + RATE / 2);
	CHECK(live() == RATE + RATE / 2);
	world_close(&world);
}

static void
test_connection_max(void)
{
	uint32_t sent;

	start(0, CONNECTION_MAX);
	sent = flood_all(world.tsc);
	CHECK(sent >= CONNECTION_MAX && sent <= CONNECTION_MAX + OVER_MAX);
	CHECK(live() == sent && entries_of(&world.map, 0) == sent);
	CHECK(verdict(TIARA_VERDICT_BACKEND_FULL) > 0);
	CHECK(refused() == verdict(TIARA_VERDICT_BACKEND_FULL));
	/* What is there stays, and nothing comes to it. */
	CHECK(flood_all(world.tsc) == sent);
	CHECK(live() == sent && entries_of(&world.map, 0) == sent);
	world_close(&world);
}

int
main(void)
{
	test_rate();
	test_connection_max();
	return 0;
}
