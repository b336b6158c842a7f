/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Floods from random sources: SYNs, ACKs with data, UDP. Connections that are held through them keep
 * their backends, though selection would send all of them elsewhere by then; what the flood makes
 * stays under its cap; clients that come meanwhile are served.
 */
#include <stdio.h>
#include <stdlib.h>

#include "path/stage.h"
#include "path/wire.h"
#include "table/hash.h"
#include "table/neighbour.h"
#include "table/slot.h"
#include "world.h"
#include "check.h"

enum {
	BUCKETS = 4096,
	SLOTS = BUCKETS * TIARA_BUCKET_ENTRIES,
	FLOOD_BURSTS = 5000,
	BURSTS_A_TICK = 1000,
	FRAME_BYTES = 60,
	HEADROOM_BYTES = 64,
	ROWS = 64,
};

/* Services 0 and 1: TCP and UDP on one VIP. Held: before the change backend 1, now all rows say 2. */
enum kind { KIND_SYN, KIND_ACK, KIND_UDP, KIND_CNT };

static struct {
	struct world world;
	uint8_t bytes[TIARA_BURST][HEADROOM_BYTES + FRAME_BYTES];
	struct tiara_memory_frame frame[TIARA_BURST];
	uint32_t cnt; /* frames of the burst to come */
	uint64_t *ring;
	uint32_t room;
	uint64_t random;
} t;

static const uint8_t server_mac[6] = {2, 0, 0, 0, 0, 9};

static uint32_t
draw(void)
{
	t.random = t.random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(t.random >> 33);
}

static void
plan_service(uint16_t idx, uint8_t protocol, uint32_t backend)
{
	struct tiara_service *s = &t.world.plan.service[idx];

	*s = (struct tiara_service){.vip = TIARA_BE32(0xc6126401),
				    .port = TIARA_BE16(80),
				    .protocol = protocol,
				    .use = TIARA_USE_ACTIVE,
				    .select_cnt = ROWS};
	for (int i = 0; i < TIARA_STATE_CNT; i++)
		s->timeout_ticks[i] = 1000;
	for (uint32_t i = 0; i < ROWS; i++)
		t.world.plan.rows[idx][i] = backend;
}

/* All rows of both services name this backend. */
static void
publish(uint32_t backend)
{
	for (uint32_t i = 1; i <= 2; i++)
		t.world.plan.backend[i] = (struct tiara_backend){.addr = TIARA_BE32(0xc6120000 + i),
								 .forward = TIARA_FORWARD_L2,
								 .use = TIARA_USE_ACTIVE};
	plan_service(0, TIARA_PROTOCOL_TCP, backend);
	plan_service(1, TIARA_PROTOCOL_UDP, backend);
	world_publish(&t.world);
}

static void
start(void)
{
	struct tiara_node *node;

	world_open(&t.world, BUCKETS, 100);
	node = &t.world.map.segment->node;
	node->address = TIARA_BE32(0xc6120064);
	node->netmask = TIARA_BE32(0xffff0000);
	node->mtu_bytes = 1500;
	node->port_mac[5] = 1;
	node->kernel_mac[5] = 2;
	world_start(&t.world);
	t.room = tiara_unconfirmed_room_ctl(&t.world.map, 1);
	t.ring = calloc(t.room, sizeof(*t.ring));
	CHECK(t.ring);
	tiara_worker_cap_unconfirmed_ctl(&t.world.worker, t.ring, t.room);
	for (uint32_t i = 1; i <= 2; i++) {
		tiara_neighbour_want(&t.world.map, TIARA_BE32(0xc6120000 + i));
		CHECK(tiara_neighbour_heard(&t.world.map, TIARA_BE32(0xc6120000 + i), server_mac,
					    0));
	}
	publish(1);
	t.cnt = 0;
}

static void
finish(void)
{
	free(t.ring);
	world_close(&t.world);
}

/* Handles what was queued; every frame must have been forwarded. Time goes on a little. */
static void
burst(void)
{
	t.world.port.rx = (struct tiara_memory_queue){.frame = t.frame, .cnt = t.cnt};
	t.world.tsc += WORLD_TSC_HZ / BURSTS_A_TICK;
	CHECK(tiara_worker_burst_wk(&t.world.worker, t.world.tsc) == t.cnt);
	for (uint32_t i = 0; i < t.cnt; i++)
		CHECK(t.frame[i].fate == TIARA_MEMORY_SENT);
	t.cnt = 0;
}

static void
send(tiara_be32 client, uint16_t port, uint8_t protocol, uint8_t tcp_flags)
{
	uint8_t *data = t.bytes[t.cnt] + HEADROOM_BYTES;
	struct tiara_ether *ether = (void *)data;
	struct tiara_ipv4 *ip = (void *)(ether + 1);
	struct tiara_tcp *tcp = (void *)(ip + 1);

	memset(data, 0, FRAME_BYTES);
	ether->dst[5] = 1;
	ether->type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);
	*ip = (struct tiara_ipv4){.version_ihl = 0x45,
				  .total_bytes = TIARA_BE16(FRAME_BYTES - sizeof(*ether)),
				  .ttl = 64,
				  .protocol = protocol,
				  .src = client,
				  .dst = TIARA_BE32(0xc6126401)};
	ip->checksum = tiara_checksum_words(ip, 5);
	tcp->src_port = TIARA_BE16(port);
	tcp->dst_port = TIARA_BE16(80);
	if (protocol == TIARA_PROTOCOL_TCP) {
		tcp->data_offset = 5 << 4;
		tcp->flags = tcp_flags;
	}
	t.frame[t.cnt++] = (struct tiara_memory_frame){
		.data = data, .len_bytes = FRAME_BYTES, .headroom_bytes = HEADROOM_BYTES};
	if (t.cnt == TIARA_BURST)
		burst();
}

/* Client n of those that are held: every third is UDP. */
static void
send_held(uint32_t n, bool first)
{
	bool udp = n % 3 == 0;

	send(TIARA_BE32(0x0a000000 + n), 40000, udp ? TIARA_PROTOCOL_UDP : TIARA_PROTOCOL_TCP,
	     first ? TIARA_TCP_SYN : TIARA_TCP_ACK);
}

static void
send_flood(enum kind kind)
{
	tiara_be32 client = TIARA_BE32(0x10000000 + draw() % 0x40000000);

	send(client, (uint16_t)(1024 + draw() % 60000),
	     kind == KIND_UDP ? TIARA_PROTOCOL_UDP : TIARA_PROTOCOL_TCP,
	     kind == KIND_SYN ? TIARA_TCP_SYN : TIARA_TCP_ACK);
}

static struct tiara_found
find_held(uint32_t n)
{
	return world_find(&t.world, TIARA_BE32(0x0a000000 + n), TIARA_BE16(40000), n % 3 == 0);
}

/* Two packets each, a few clients at a time: who waits too long for a second one gives way. */
static void
hold(uint32_t from, uint32_t cnt)
{
	for (; cnt > 64; from += 64, cnt -= 64)
		hold(from, 64);
	for (uint32_t n = from; n < from + cnt; n++)
		send_held(n, true);
	for (uint32_t n = from; n < from + cnt; n++)
		send_held(n, false);
	if (t.cnt > 0)
		burst();
}

static void
check_held(uint32_t from, uint32_t cnt, uint32_t backend)
{
	for (uint32_t n = from; n < from + cnt; n++) {
		struct tiara_found f = find_held(n);

		CHECK(f.slot && f.word.entry.backend_idx == backend);
		CHECK(!(f.word.entry.flags & TIARA_ENTRY_UNCONFIRMED));
	}
}

static uint32_t
unconfirmed(void)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < SLOTS; i++) {
		union tiara_word w = slot_load(&t.world.map.bucket[i / 4].entry[i % 4]);

		cnt += tiara_word_live(&w) && w.entry.flags & TIARA_ENTRY_UNCONFIRMED;
	}
	return cnt;
}

static uint64_t
event(enum tiara_event e)
{
	return t.world.worker.counters->event_cnt[e];
}

/* Half of the slots held; the flood would fill the table ten times over. */
static void
test_flood(enum kind kind)
{
	uint32_t held = SLOTS / 2, late = 0;

	start();
	hold(0, held);
	check_held(0, held, 1);
	publish(2);
	for (uint32_t i = 0; i < FLOOD_BURSTS; i++) {
		for (int j = 0; j < TIARA_BURST - 4; j++)
			send_flood(kind);
		send_held(draw() % held, false);
		if (i % 8 == 0)
			hold(held + late++, 1);
		if (i % 100 == 0)
			CHECK(unconfirmed() <= 2 * t.room);
	}
	check_held(0, held, 1);
	check_held(held, late, 2);
	CHECK(unconfirmed() <= 2 * t.room && unconfirmed() >= t.room);
	CHECK((int64_t)unconfirmed() == t.world.worker.writer.unconfirmed);
	CHECK(event(TIARA_EVENT_RECLAIMED) > 4 * FLOOD_BURSTS);
	CHECK(event(TIARA_EVENT_TABLE_FULL) == 0);
	finish();
}

/* As many held as fit: forwarding goes on by selection, counted; who was there stays. */
static void
test_flood_on_a_full_table(enum kind kind)
{
	uint64_t untracked;
	uint32_t held = 0;

	start();
	for (; event(TIARA_EVENT_TABLE_FULL) < 100; held += 64)
		hold(held, 64);
	CHECK(event(TIARA_EVENT_MOVED) > 1000 && held > SLOTS * 9 / 10);
	publish(2);
	untracked = t.world.worker.counters->verdict_pkts[TIARA_VERDICT_FORWARDED_UNTRACKED];
	for (uint32_t i = 0; i < FLOOD_BURSTS / 10 * (uint32_t)TIARA_BURST; i++)
		send_flood(kind);
	CHECK(t.world.worker.counters->verdict_pkts[TIARA_VERDICT_FORWARDED_UNTRACKED] > untracked);
	for (uint32_t n = 0; n < held - 128; n++) {
		struct tiara_found f = find_held(n);

		CHECK(!f.slot || f.word.entry.backend_idx == 1);
		CHECK(f.slot || n > SLOTS * 85 / 100); /* those that found no room then */
	}
	finish();
}

/* What confirms: any second packet but another SYN. */
static void
test_confirmation(void)
{
	start();
	send_held(1, true);
	send_held(1, true);
	send_held(3, true);
	burst();
	CHECK(find_held(1).word.entry.flags & TIARA_ENTRY_UNCONFIRMED);
	CHECK(find_held(3).word.entry.flags & TIARA_ENTRY_UNCONFIRMED);
	CHECK(t.world.worker.writer.unconfirmed == 2 && t.world.worker.slot->unconfirmed == 2);
	send_held(1, false);
	send_held(3, true); /* UDP: each packet is like the others */
	burst();
	check_held(1, 1, 1);
	check_held(3, 1, 1);
	CHECK(t.world.worker.writer.unconfirmed == 0 && t.world.worker.slot->unconfirmed == 0);
	finish();
}

/* A client that begins anew in its closing entry is unconfirmed again, and waits in the ring as others do. */
static void
test_begun_anew(void)
{
	uint32_t next;

	start();
	hold(1, 1);
	send(TIARA_BE32(0x0a000001), 40000, TIARA_PROTOCOL_TCP, TIARA_TCP_FIN | TIARA_TCP_ACK);
	burst();
	next = t.world.worker.unconfirmed_next;
	send_held(1, true);
	burst();
	CHECK(event(TIARA_EVENT_CONNECTION_RESELECTED) == 1);
	CHECK(find_held(1).word.entry.flags & TIARA_ENTRY_UNCONFIRMED);
	CHECK(t.world.worker.writer.unconfirmed == 1);
	CHECK(t.world.worker.unconfirmed_next == next + 1);
	CHECK(t.ring[next] == find_held(1).word.key);
	finish();
}

/* A restarted data plane counts on from what is there; others' unconfirmed ones count too. */
static void
test_balance_is_shared(void)
{
	start();
	for (uint32_t i = 0; i < 10; i++)
		send_held(3 * i + 1, true);
	burst();
	world_start(&t.world);
	CHECK(t.world.worker.writer.unconfirmed == 10);
	tiara_worker_cap_unconfirmed_ctl(&t.world.worker, t.ring, t.room);
	CHECK(t.world.worker.unconfirmed_limit == (int64_t)t.room);
	t.world.map.worker[0].unconfirmed = 1000;
	t.world.map.segment->node.worker_cnt = 2;
	tiara_unconfirmed_tick_wk(&t.world.worker);
	CHECK(t.world.worker.unconfirmed_limit == 10 + (int64_t)t.room - 500);
	finish();
}

int
main(void)
{
	for (int kind = 0; kind < KIND_CNT; kind++) {
		test_flood((enum kind)kind);
		test_flood_on_a_full_table((enum kind)kind);
	}
	test_confirmation();
	test_begun_anew();
	test_balance_is_shared();
	return 0;
}
