/* SPDX-License-Identifier: Apache-2.0 */
#include "offload_bed.h"

#include <string.h>

#include "check.h"
#include "path/wire.h"
#include "table/epoch.h"
#include "table/hash.h"
#include "table/neighbour.h"

enum { BED_BUCKETS = 64, BED_TICK = 65500, BED_VIP = 0x0a0000c8, BED_NET = 0x0a000000 };

static void
bed_mac(uint8_t mac[6], uint8_t life, uint8_t idx)
{
	const uint8_t made[6] = {2, 0, 0, 7, life, idx};

	memcpy(mac, made, 6);
}

/* Its address is new with each owner of the index, and known to the neighbour table. */
static void
bed_backend_set(struct bed *b, uint32_t idx)
{
	struct tiara_backend *backend = &b->world.plan.backend[idx];
	uint32_t addr = BED_NET + 0x100u * (b->life[idx] % 8 + 1u) + idx + 1;
	uint8_t mac[6];

	*backend = (struct tiara_backend){
		.addr = TIARA_BE32(addr), .forward = TIARA_FORWARD_L2, .use = TIARA_USE_ACTIVE};
	bed_mac(mac, b->life[idx], (uint8_t)idx);
	tiara_neighbour_want(&b->world.map, backend->addr);
	CHECK(tiara_neighbour_heard(&b->world.map, backend->addr, mac, 1));
}

static uint8_t
bed_protocol(const struct bed *b)
{
	return b->config.udp ? TIARA_PROTOCOL_UDP : TIARA_PROTOCOL_TCP;
}

static void
bed_plan(struct bed *b)
{
	struct tiara_service *s = &b->world.plan.service[0];

	*s = (struct tiara_service){.vip = TIARA_BE32(BED_VIP),
				    .port = TIARA_BE16(80),
				    .protocol = bed_protocol(b),
				    .use = TIARA_USE_ACTIVE,
				    .select_cnt = WORLD_ROWS};
	s->timeout_ticks[TIARA_STATE_NEW] = BED_SHORT_TICKS;
	s->timeout_ticks[TIARA_STATE_CLOSING] = BED_SHORT_TICKS;
	s->timeout_ticks[TIARA_STATE_ESTABLISHED] = BED_ESTABLISHED_TICKS;
	s->timeout_ticks[TIARA_STATE_UDP] = BED_ESTABLISHED_TICKS;
	for (uint32_t i = 0; i < BED_BACKENDS; i++)
		bed_backend_set(b, i);
}

static void
bed_start(struct bed *b)
{
	size_t bytes;

	b->world.map.segment->node.worker_cnt = b->config.worker_cnt;
	bytes = tiara_offload_bytes(&b->card, &b->world.map, b->config.worker_cnt);
	b->memory = aligned_alloc(64, bytes);
	CHECK(b->memory);
	memset(b->memory, 0, bytes);
	b->offload = tiara_offload_init_ctl(b->memory, &b->card, &b->world.map,
					    b->config.worker_cnt, WORLD_TSC_HZ);
	b->world.map.segment->node.start_cnt++;
	tiara_sweep_start_ctl(&b->world.map);
	tiara_tick_start_ctl(&b->world.map, b->world.tsc, WORLD_TSC_HZ);
	for (uint32_t i = 0; i < b->config.worker_cnt; i++) {
		struct tiara_port port = tiara_memory_port_ops(&b->port[i]);

		tiara_memory_port_init(&b->port[i]);
		tiara_worker_init_ctl(&b->worker[i], &b->world.map, i, &port, b->offload,
				      WORLD_TSC_HZ);
	}
}

void
bed_open(struct bed *b, const struct bed_config *config)
{
	struct tiara_node *node;

	memset(b, 0, sizeof(*b));
	b->config = *config;
	world_open(&b->world, BED_BUCKETS, BED_TICK);
	node = &b->world.map.segment->node;
	node->address = TIARA_BE32(BED_NET + 1);
	node->netmask = TIARA_BE32(0xffff0000);
	node->mtu_bytes = 1500;
	node->tsc_hz = WORLD_TSC_HZ;
	memcpy(node->port_mac, (const uint8_t[6]){2, 0, 0, 0, 0, 1}, 6);
	b->world.tsc = WORLD_TSC_HZ;
	b->step_ns = 1000;
	memcpy(b->config.twin.secret, b->world.map.segment->table_secret,
	       sizeof(b->config.twin.secret));
	b->twin = tiara_card_twin_new(&b->config.twin);
	CHECK(b->twin);
	b->card = tiara_card_twin_ops(b->twin);
	for (uint32_t i = 0; i < BED_CLIENTS; i++)
		b->client[i].backend = BED_NONE;
	bed_plan(b);
	bed_start(b);
	bed_shuffle(b, 1);
	bed_turn(b, 1);
}

void
bed_close(struct bed *b)
{
	free(b->memory);
	tiara_card_twin_free(b->twin);
	world_close(&b->world);
}

void
bed_restart(struct bed *b)
{
	free(b->memory);
	bed_start(b);
	bed_turn(b, 1);
}

/* Relaxed: workers' clocks need not agree to the nanosecond. */
static uint64_t
bed_later(struct bed *b, uint64_t ns)
{
	return __atomic_add_fetch(&b->world.tsc, ns, __ATOMIC_RELAXED);
}

void
bed_turn(struct bed *b, uint64_t later_ns)
{
	uint64_t tsc = bed_later(b, later_ns);

	for (uint32_t i = 0; i < b->config.worker_cnt; i++)
		tiara_worker_burst_wk(&b->worker[i], tsc);
}

void
bed_ticks(struct bed *b, uint32_t ticks)
{
	for (; ticks > 0; ticks--)
		bed_turn(b, WORLD_TSC_HZ);
}

/* ---- configuration ---- */

static void
bed_publish(struct bed *b)
{
	world_publish(&b->world);
	bed_turn(b, 1);
}

void
bed_shuffle(struct bed *b, uint64_t seed)
{
	for (uint32_t i = 0; i < WORLD_ROWS; i++) {
		uint32_t idx = 0;

		do {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			idx = seed >> 33 & 0xffff;
		} while (b->world.plan.backend[idx % BED_BACKENDS].use != TIARA_USE_ACTIVE);
		b->world.plan.rows[0][i] = idx % BED_BACKENDS;
	}
	bed_publish(b);
}

void
bed_backend_gone(struct bed *b, uint32_t idx)
{
	b->world.plan.backend[idx].use = TIARA_USE_GONE;
	for (uint32_t i = 0; i < BED_CLIENTS; i++)
		if (b->client[i].backend == (int)idx)
			b->client[i].backend = BED_NONE;
	bed_shuffle(b, idx + 77);
}

void
bed_backend_new(struct bed *b, uint32_t idx)
{
	b->life[idx]++;
	bed_backend_set(b, idx);
	bed_publish(b);
}

/* ---- packets ---- */

static void
bed_build(const struct bed *b, uint8_t *frame, uint32_t client, enum bed_flags flags)
{
	uint8_t *data = frame + BED_HEADROOM;
	struct tiara_ether *ether = (void *)data;
	struct tiara_ipv4 *ip = (void *)(ether + 1);
	struct tiara_tcp *tcp = (void *)(ip + 1);
	uint32_t bytes = sizeof(*ip) + sizeof(*tcp) + 8;
	uint64_t sum = 0;

	memset(frame, 0, BED_FRAME_BYTES);
	tiara_mac_copy(ether->dst, b->world.map.segment->node.port_mac);
	ether->type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);
	*ip = (struct tiara_ipv4){.version_ihl = 0x45,
				  .total_bytes = TIARA_BE16(bytes),
				  .ttl = 64,
				  .protocol = bed_protocol(b),
				  .src = TIARA_BE32(0xc6120001 + client),
				  .dst = TIARA_BE32(BED_VIP)};
	for (int i = 0; i < 10; i++) {
		uint16_t half;

		memcpy(&half, (const uint8_t *)ip + 2 * i, 2);
		sum += half;
	}
	ip->checksum = (uint16_t)~tiara_checksum_fold(sum);
	tcp->src_port = TIARA_BE16(4000);
	tcp->dst_port = TIARA_BE16(80);
	if (b->config.udp) {
		((struct tiara_udp *)tcp)->len_bytes = TIARA_BE16(bytes - sizeof(*ip));
		return;
	}
	tcp->data_offset = 5 << 4;
	tcp->flags = (uint8_t)flags;
}

uint64_t
bed_key(uint32_t client)
{
	return tiara_key(TIARA_BE32(0xc6120001 + client), TIARA_BE16(4000), 0);
}

struct tiara_found
bed_find(struct bed *b, uint32_t client)
{
	uint64_t key = bed_key(client);

	return tiara_table_find(&b->world.map, key,
				tiara_hash_inline(key, b->world.map.segment->table_secret));
}

static int
bed_backend_of(const struct bed *b, const uint8_t *data)
{
	uint8_t idx = data[5];

	CHECK(data[3] == 7 && idx < BED_BACKENDS);
	/* neither an earlier owner of the index nor one that is gone */
	CHECK(data[4] == b->life[idx]);
	CHECK(b->world.plan.backend[idx].use == TIARA_USE_ACTIVE);
	return idx;
}

/* Its last packet is not so long ago that it may have been forgotten. */
static bool
bed_remembered(const struct bed *b, const struct bed_client *c)
{
	uint32_t ticks = tiara_tick_now(&b->world.map) - c->last_tick;

	return c->backend != BED_NONE &&
	       ticks <= (c->established ? BED_ESTABLISHED_TICKS : BED_SHORT_TICKS);
}

static void
bed_expect(struct bed *b, struct bed_client *c, enum bed_flags flags, int backend, bool offloaded,
	   uint32_t tick)
{
	bool anew = flags == BED_SYN && (c->closing || !bed_remembered(b, c));

	CHECK(!bed_remembered(b, c) || anew || backend == c->backend);
	c->backend = backend;
	c->last_tick = tick;
	if (flags == BED_FIN || flags == BED_RST || anew)
		c->established = false;
	else if (flags == BED_DATA && !(c->closing && offloaded))
		c->established = true; /* not while only the card saw it, and the CPU knows of the end */
	if (flags == BED_FIN || flags == BED_RST)
		c->closing = true;
	else if (anew || c->established)
		c->closing = false;
}

int
bed_packet(struct bed *b, uint32_t client, enum bed_flags flags, uint32_t worker)
{
	struct bed_client *c = &b->client[client];
	struct tiara_memory_frame frame = {.data = b->frame[worker] + BED_HEADROOM,
					   .len_bytes = 14 + 20 + 20 + 8,
					   .headroom_bytes = BED_HEADROOM};
	struct tiara_found found = bed_find(b, client);
	bool offloaded = found.slot && found.word.entry.flags & TIARA_ENTRY_OFFLOADED;
	uint32_t tick = tiara_tick_now(&b->world.map); /* others may turn it before we are back */
	int backend;

	bed_build(b, b->frame[worker], client, flags);
	b->port[worker].rx = (struct tiara_memory_queue){.frame = &frame, .cnt = 1};
	tiara_worker_burst_wk(&b->worker[worker], bed_later(b, b->step_ns));
	b->port[worker].rx = (struct tiara_memory_queue){.cnt = 0};
	b->last[worker] = frame;
	if (frame.fate != TIARA_MEMORY_SENT) {
		uint8_t verdict = b->worker[worker].frame[0].verdict;

		CHECK(verdict == TIARA_VERDICT_CARD_REMOVING ||
		      verdict == TIARA_VERDICT_NO_BACKEND);
		return BED_NONE;
	}
	b->sent[worker]++;
	backend = bed_backend_of(b, frame.data);
	/* a FIN or RST of what is not in the table is passed on and not remembered */
	if (flags != BED_FIN && flags != BED_RST)
		bed_expect(b, c, flags, backend, offloaded, tick);
	else if (offloaded || bed_remembered(b, c))
		bed_expect(b, c, flags, backend, offloaded, tick);
	return backend;
}

/* ---- what is seen ---- */

uint64_t
bed_sent(const struct bed *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < BED_WORKERS; i++)
		sum += b->sent[i];
	return sum;
}

uint64_t
bed_event(const struct bed *b, enum tiara_event event)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < b->config.worker_cnt; i++)
		sum += b->worker[i].counters->event_cnt[event];
	return sum;
}

uint64_t
bed_counted(const struct bed *b)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < b->config.worker_cnt; i++)
		sum += b->worker[i].service_counters[0].pkts;
	return sum;
}

/* R6: what the card has, the CPU has, with the same backend and marked. */
static void
bed_check_entry(struct bed *b, const struct tiara_card_entry *e)
{
	uint64_t key = tiara_key(e->client_addr, e->client_port, e->service_idx);
	uint64_t hash = tiara_hash_inline(key, b->world.map.segment->table_secret);
	struct tiara_found f = tiara_table_find(&b->world.map, key, hash);

	CHECK(f.slot && f.word.entry.flags & TIARA_ENTRY_OFFLOADED);
	CHECK(f.word.entry.backend_idx == e->backend_line);
}

void
bed_check(struct bed *b)
{
	if (b->card.epoch(b->card.self) != (uint16_t)b->offload->life)
		return;
	for (uint32_t i = 0; i < b->config.twin.bucket_cnt * TIARA_BUCKET_ENTRIES; i++) {
		struct tiara_card_entry e = tiara_card_twin_slot(b->twin, i);

		if (e.state == 0)
			continue;
		bed_check_entry(b, &e);
		CHECK(mirror_get(&b->offload->mirror, i) != 0);
	}
}
