/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The card's services and backends, as the generation in use has them. What a new generation takes away
 * is taken away at once, in seat 0's first burst of that generation; what it gives, and what neighbours
 * do, follows in parts. A backend that is not ACTIVE has no valid line: its packets come up,
 * and the CPU decides about them (stay, select again).
 */
#include "offload/internal.h"

#include <string.h>

#include "path/next_hop.h"
#include "table/neighbour.h"

enum { TABLES_LINES = 32 }; /* of each table, in a turn */

static bool
tables_backend_use(const struct tiara_worker *w, uint32_t idx)
{
	const struct tiara_offload *o = w->offload->engine;

	return tiara_backend_use(&w->view, idx) == TIARA_USE_ACTIVE &&
	       o->card->caps.forwards >> w->view.backend[idx].forward & 1;
}

/* valid 0: there is no way to it that the card could take. */
static struct tiara_card_backend
tables_backend(const struct tiara_worker *w, uint32_t idx)
{
	const struct tiara_node *node = w->node;
	struct tiara_card_backend line = {.valid = 0};
	const struct tiara_backend *b;
	tiara_be32 next_hop;

	if (!tables_backend_use(w, idx))
		return line;
	b = &w->view.backend[idx];
	next_hop = tiara_next_hop(node, b->addr);
	if (next_hop == 0 || !tiara_neighbour_get(w->map, next_hop, line.next_hop_mac))
		return (struct tiara_card_backend){.valid = 0};
	memcpy(line.port_mac, node->port_mac, sizeof(line.port_mac));
	memcpy(line.inner_mac, b->inner_mac, sizeof(line.inner_mac));
	line.addr = b->addr;
	line.local_addr = node->address;
	line.vni = b->vni;
	line.tunnel_port = b->tunnel_port;
	line.mtu_bytes = (uint16_t)(node->mtu_bytes > UINT16_MAX ? UINT16_MAX : node->mtu_bytes);
	line.forward = b->forward;
	line.valid = 1;
	return line;
}

static void
tables_backend_write(const struct tiara_worker *w, uint32_t idx)
{
	struct tiara_offload *o = w->offload->engine;
	struct tiara_card_backend line = tables_backend(w, idx);

	if (memcmp(&line, &o->line[idx], sizeof(line)) == 0)
		return;
	if (!line.valid) /* relaxed: who offers meanwhile offers what the card will hand up */
		__atomic_store_n(&o->line_ready[idx], 0, __ATOMIC_RELAXED);
	o->line[idx] = line;
	o->card->backend_write(o->card->self, idx, &line);
	if (line.valid) /* release, with admit_line */
		__atomic_store_n(&o->line_ready[idx], 1, __ATOMIC_RELEASE);
}

static struct tiara_card_service
tables_service(const struct tiara_worker *w, uint32_t idx)
{
	const struct tiara_service *s = &w->view.service[idx];

	if (idx >= w->view.service_cnt || s->use != TIARA_USE_ACTIVE)
		return (struct tiara_card_service){.valid = 0};
	return (struct tiara_card_service){.vip = s->vip,
					   .port = s->port,
					   .protocol = s->protocol,
					   .valid = 1,
					   .service_idx = (uint16_t)idx};
}

/* The old one goes first: the new one may be another index's for the same VIP, port and protocol. */
static void
tables_service_clear(struct tiara_offload *o, uint32_t idx)
{
	struct tiara_card_service old = o->service[idx];

	if (!old.valid)
		return;
	old.valid = 0;
	(void)o->card->service_write(o->card->self, &old);
	o->service[idx] = (struct tiara_card_service){.valid = 0};
}

static void
tables_service_write(const struct tiara_worker *w, uint32_t idx)
{
	struct tiara_offload *o = w->offload->engine;
	struct tiara_card_service service = tables_service(w, idx);

	if (memcmp(&service, &o->service[idx], sizeof(service)) == 0)
		return;
	tables_service_clear(o, idx);
	/* No room: packets of the service come up, and what is installed of it is never used. */
	if (service.valid && o->card->service_write(o->card->self, &service))
		o->service[idx] = service;
}

static bool
tables_service_kept(const struct tiara_worker *w, uint32_t idx)
{
	struct tiara_card_service now = tables_service(w, idx);

	return memcmp(&now, &w->offload->engine->service[idx], sizeof(now)) == 0;
}

/* Addresses that changed are rewritten, not only taken away. */
static void
tables_take_away(const struct tiara_worker *w)
{
	struct tiara_offload *o = w->offload->engine;

	for (uint32_t i = 0; i < o->service_cnt; i++)
		if (o->service[i].valid && !tables_service_kept(w, i))
			tables_service_clear(o, i);
	for (uint32_t i = 0; i < o->line_cnt; i++)
		if (o->line[i].valid)
			tables_backend_write(w, i);
}

static void
tables_turn_generation(struct tiara_worker *w)
{
	struct tiara_offload_seat *seat = w->offload;

	if (seat->generation == w->view.generation)
		return;
	seat->generation = w->view.generation;
	tables_take_away(w);
	seat->service.next = seat->backend.next = 0;
}

/* Neighbours may have changed since the last tick. */
static void
tables_turn_tick(struct tiara_worker *w)
{
	struct offload_pass *pass = &w->offload->backend;

	if (pass->next < w->offload->engine->line_cnt || pass->tick == w->tick)
		return;
	*pass = (struct offload_pass){.tick = w->tick};
	w->offload->service.next = 0;
}

void
offload_tables_turn(struct tiara_worker *w)
{
	struct tiara_offload_seat *seat = w->offload;

	if (w->view.generation == 0)
		return;
	tables_turn_generation(w);
	tables_turn_tick(w);
	for (int i = 0; i < TABLES_LINES && seat->service.next < seat->engine->service_cnt; i++)
		tables_service_write(w, seat->service.next++);
	for (int i = 0; i < TABLES_LINES && seat->backend.next < seat->engine->line_cnt; i++)
		tables_backend_write(w, seat->backend.next++);
}
