/* SPDX-License-Identifier: Apache-2.0 */
#include "port/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "path/wire.h"
#include "table/epoch.h"
#include "table/neighbour.h"

enum {
	RESOLVER_FRAMES_PER_TURN = 256, /* a quarter of the ring to worker 0 */
	RESOLVER_SLOTS_PER_TURN = 8192, /* but after a new generation: all */
	RESOLVER_REFRESH_TICKS = 30,
	RESOLVER_UNANSWERED_MAX = 3, /* then a known neighbour is lost */
	RESOLVER_ANNOUNCE_CNT = 3,
};
static const uint64_t RESOLVER_FIRST_NS = 100000000; /* doubles up to the last */
static const uint64_t RESOLVER_LAST_NS = 1000000000;
static const uint64_t RESOLVER_REREAD_NS = 1000000000;
static const uint64_t RESOLVER_ANNOUNCE_NS = 300000000; /* between a VIP's announcements */

/* A VIP and how often the link was told of it. */
struct announcement {
	tiara_be32 vip;
	uint32_t told_cnt;
	uint64_t next_ns;
};

/*
 * Owner: the main lcore. hop: the next hops of the generation last read, sorted, each once; next_ns
 * and vip are kept from generation to generation.
 */
struct tiara_resolver {
	const struct tiara_map *map;
	uint32_t worker;
	struct tiara_dpdk *port;
	uint64_t generation; /* last read */
	uint64_t reread_ns;
	tiara_be32 *hop;
	uint32_t hop_cnt;
	uint64_t *next_ns;       /* by neighbour slot: not asked again before */
	uint32_t neighbour_from; /* slot to begin the next turn with */
	struct announcement *vip;
	uint32_t vip_cnt;
	uint32_t frames_left; /* in this turn */
	uint32_t slots_left;
};

/* ---- what is sent ---- */

struct resolver_frame {
	struct tiara_ether ether;
	struct tiara_arp arp;
	uint8_t pad[18]; /* to the least length on the wire */
} __attribute__((packed));

_Static_assert(sizeof(struct resolver_frame) == 60,
	       "least length of an Ethernet frame without FCS");

static const uint8_t BROADCAST[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static bool
resolver_request(struct tiara_resolver *self, const uint8_t dst[6], const uint8_t src[6],
		 tiara_be32 sender, tiara_be32 target)
{
	struct resolver_frame f = {
		.ether.type = TIARA_BE16(TIARA_ETHERTYPE_ARP),
		.arp = {.hardware = TIARA_BE16(TIARA_ARP_ETHERNET),
			.protocol = TIARA_BE16(TIARA_ETHERTYPE_IPV4),
			.hardware_bytes = 6,
			.protocol_bytes = 4,
			.op = TIARA_BE16(TIARA_ARP_REQUEST),
			.sender_addr = sender,
			.target_addr = target},
	};

	tiara_mac_copy(f.ether.dst, dst);
	tiara_mac_copy(f.ether.src, src);
	tiara_mac_copy(f.arp.sender_mac, src);
	if (!tiara_dpdk_inject_bytes_ctl(self->port, &f, sizeof(f))) {
		self->frames_left = 0;
		return false;
	}
	self->frames_left--;
	return true;
}

/* Without an own address it asks as a probe does (RFC 5227): sender 0.0.0.0. */
static bool
resolver_ask(struct tiara_resolver *self, const uint8_t dst[6], tiara_be32 target)
{
	const struct tiara_node *node = &self->map->segment->node;

	return resolver_request(self, dst, node->address ? node->kernel_mac : node->port_mac,
				node->address, target);
}

/* ---- what the current generation needs ---- */

static int
resolver_compare(const void *a, const void *b)
{
	tiara_be32 x = *(const tiara_be32 *)a, y = *(const tiara_be32 *)b;

	return (x > y) - (x < y);
}

/* As the packet path does; 0: there is no way. */
static tiara_be32
resolver_next_hop(const struct tiara_node *node, tiara_be32 addr)
{
	bool on_link = !node->address || ((addr ^ node->address) & node->netmask) == 0;

	return on_link ? addr : node->gateway;
}

static bool
resolver_backend_used(const struct tiara_backend *backend)
{
	return (backend->use == TIARA_USE_ACTIVE || backend->use == TIARA_USE_DOWN) &&
	       backend->addr;
}

static void
resolver_hops_read(struct tiara_resolver *self, const struct tiara_view *view)
{
	const struct tiara_node *node = &self->map->segment->node;
	uint32_t cnt = 0, kept = 0;

	self->hop[cnt++] = node->gateway;
	for (uint32_t i = 0; i < view->backend_cnt; i++)
		if (resolver_backend_used(&view->backend[i]))
			self->hop[cnt++] = resolver_next_hop(node, view->backend[i].addr);
	qsort(self->hop, cnt, sizeof(*self->hop), resolver_compare);
	for (uint32_t i = 0; i < cnt; i++)
		if (self->hop[i] && (kept == 0 || self->hop[i] != self->hop[kept - 1]))
			self->hop[kept++] = self->hop[i];
	self->hop_cnt = kept;
	for (uint32_t i = 0; i < kept; i++)
		tiara_neighbour_want(self->map, self->hop[i]);
}

static uint32_t
resolver_vip_count(const struct tiara_view *view)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; view->frontend && i <= view->frontend_mask; i++)
		cnt += view->frontend[i].use == TIARA_USE_VIP;
	return cnt;
}

/* The new list takes over what was told of VIPs in the old one. No memory: the old list stays. */
static void
resolver_vips_read(struct tiara_resolver *self, const struct tiara_view *view)
{
	uint32_t cnt = resolver_vip_count(view), used = 0;
	struct announcement *list = calloc(cnt + 1, sizeof(*list));

	if (!list)
		return;
	for (uint32_t i = 0; used < cnt; i++)
		if (view->frontend[i].use == TIARA_USE_VIP)
			list[used++].vip = view->frontend[i].vip;
	qsort(list, cnt, sizeof(*list), resolver_compare);
	for (uint32_t i = 0; i < cnt && self->vip_cnt; i++) {
		const struct announcement *old = bsearch(&list[i].vip, self->vip, self->vip_cnt,
							 sizeof(*self->vip), resolver_compare);
		if (old)
			list[i] = *old;
	}
	free(self->vip);
	self->vip = list;
	self->vip_cnt = cnt;
}

/*
 * Reads like a worker does: between enter and offline the generation stays. Once a second also
 * without a change: another process may have lost what this one asked for.
 */
static void
resolver_generation_read(struct tiara_resolver *self, uint64_t now_ns)
{
	/* Acquire, with the store in tiara_epoch_publish_ctl; used only to compare. */
	uint64_t current = __atomic_load_n(&self->map->segment->generation, __ATOMIC_ACQUIRE);
	struct tiara_view view;

	if (current == self->generation && now_ns < self->reread_ns)
		return;
	view = tiara_view_of(self->map, tiara_epoch_enter_wk(self->map, self->worker));
	resolver_hops_read(self, &view);
	resolver_vips_read(self, &view);
	if (self->generation != view.generation)
		self->slots_left = self->map->neighbour_mask + 1;
	self->generation = view.generation;
	tiara_epoch_offline_wk(self->map, self->worker);
	self->reread_ns = now_ns + RESOLVER_REREAD_NS;
}

/* ---- neighbours ---- */

static bool
resolver_hop_needed(const struct tiara_resolver *self, tiara_be32 addr)
{
	return bsearch(&addr, self->hop, self->hop_cnt, sizeof(*self->hop), resolver_compare);
}

/* 100, 200, 400, 800 ms, then every second. */
static uint64_t
resolver_backoff_ns(uint8_t probes)
{
	uint64_t ns = probes < 5 ? RESOLVER_FIRST_NS << probes : RESOLVER_LAST_NS;

	return ns < RESOLVER_LAST_NS ? ns : RESOLVER_LAST_NS;
}

static bool
resolver_fresh(const struct tiara_neighbour *n, uint32_t tick)
{
	return n->state == TIARA_NEIGHBOUR_KNOWN && n->probes == 0 &&
	       tick - n->heard < RESOLVER_REFRESH_TICKS;
}

/* A worker that hears an answer meanwhile wins: the swap fails and nothing is lost. */
static void
resolver_neighbour_turn(struct tiara_resolver *self, uint32_t idx, uint32_t tick, uint64_t now_ns)
{
	struct tiara_neighbour was = tiara_neighbour_read(self->map, idx), now = was;
	bool known = was.state == TIARA_NEIGHBOUR_KNOWN;

	if (was.state == TIARA_NEIGHBOUR_FREE || resolver_fresh(&was, tick))
		return;
	/* A slot asked for anew, by a worker or another hop: it need not wait for an old deadline. */
	if (was.probes != 0 && now_ns < self->next_ns[idx])
		return;
	if (!resolver_hop_needed(self, was.addr))
		return;
	if (known && was.probes >= RESOLVER_UNANSWERED_MAX) {
		now = (struct tiara_neighbour){.addr = was.addr, .state = TIARA_NEIGHBOUR_WANTED};
		tiara_neighbour_swap(self->map, idx, &was, &now);
		return;
	}
	if (!resolver_ask(self, known ? was.mac : BROADCAST, was.addr))
		return;
	self->next_ns[idx] = now_ns + resolver_backoff_ns(was.probes);
	now.probes += now.probes < UINT8_MAX;
	tiara_neighbour_swap(self->map, idx, &was, &now);
}

static void
resolver_neighbours_turn(struct tiara_resolver *self, uint64_t now_ns)
{
	uint32_t tick = tiara_tick_now(self->map), mask = self->map->neighbour_mask;

	if (self->slots_left > mask + 1)
		self->slots_left = mask + 1;
	for (; self->slots_left && self->frames_left; self->slots_left--)
		resolver_neighbour_turn(self, self->neighbour_from++ & mask, tick, now_ns);
}

/* ---- VIPs ---- */

/* A request for the own address: most hosts take the sender's MAC from it. */
static void
resolver_announce(struct tiara_resolver *self, uint64_t now_ns)
{
	const struct tiara_node *node = &self->map->segment->node;

	for (uint32_t i = 0; i < self->vip_cnt && self->frames_left; i++) {
		struct announcement *a = &self->vip[i];

		if (a->told_cnt >= RESOLVER_ANNOUNCE_CNT || now_ns < a->next_ns)
			continue;
		if (!resolver_request(self, BROADCAST, node->port_mac, a->vip, a->vip))
			return;
		a->told_cnt++;
		a->next_ns = now_ns + RESOLVER_ANNOUNCE_NS;
	}
}

/* ---- start, turn, end ---- */

enum tiara_status
tiara_resolver_start_ctl(const struct tiara_map *map, uint32_t worker, struct tiara_dpdk *port,
			 struct tiara_resolver **resolver, struct tiara_error *error)
{
	struct tiara_resolver *self = calloc(1, sizeof(*self));

	*resolver = self;
	if (self) {
		*self = (struct tiara_resolver){.map = map, .worker = worker, .port = port};
		/* a hop for each backend, and the gateway */
		self->hop = calloc(map->segment->backend_max + 1, sizeof(*self->hop));
		self->next_ns = calloc(map->neighbour_mask + 1, sizeof(*self->next_ns));
	}
	if (self && self->hop && self->next_ns)
		return TIARA_OK;
	tiara_resolver_stop_ctl(self);
	*error = (struct tiara_error){.status = TIARA_NO_SPACE,
				      .message = "no memory for the resolver"};
	return TIARA_NO_SPACE;
}

void
tiara_resolver_turn_ctl(struct tiara_resolver *self, uint64_t now_ns)
{
	self->frames_left = RESOLVER_FRAMES_PER_TURN;
	self->slots_left = RESOLVER_SLOTS_PER_TURN;
	resolver_generation_read(self, now_ns);
	resolver_announce(self, now_ns);
	resolver_neighbours_turn(self, now_ns);
}

void
tiara_resolver_stop_ctl(struct tiara_resolver *self)
{
	if (!self)
		return;
	free(self->hop);
	free(self->next_ns);
	free(self->vip);
	free(self);
}
