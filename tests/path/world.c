/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <stdlib.h>
#include <string.h>

#include "table/epoch.h"
#include "table/frontend.h"
#include "table/hash.h"

/* A generation's blocks, side by side at a place of their own for each root. */
struct world_blocks {
	struct tiara_service service[WORLD_SERVICES];
	struct tiara_backend backend[WORLD_BACKENDS];
	struct tiara_frontend frontend[WORLD_FRONTENDS];
	uint32_t rows[WORLD_SERVICES][WORLD_ROWS];
	struct tiara_source source[WORLD_SERVICES][WORLD_SOURCES];
};

static uint64_t
world_take(uint64_t *end, uint64_t bytes)
{
	uint64_t off = *end;

	*end = (off + bytes + 63) & ~63ull;
	return off;
}

static uint64_t
world_describe(struct tiara_segment *s, uint64_t bucket_cnt)
{
	uint64_t end = 0;

	world_take(&end, sizeof(*s));
	s->bucket_cnt = bucket_cnt;
	s->worker_max = WORLD_WORKERS;
	s->service_max = WORLD_SERVICES;
	s->backend_max = WORLD_BACKENDS;
	s->neighbour_cnt = WORLD_NEIGHBOURS;
	s->worker_off = world_take(&end, WORLD_WORKERS * sizeof(struct tiara_worker_slot));
	s->counter_stride = sizeof(struct tiara_worker_counters) +
			    (WORLD_SERVICES + WORLD_BACKENDS) * sizeof(struct tiara_flow_counter);
	s->counter_off = world_take(&end, (WORLD_WORKERS + 1) * s->counter_stride);
	s->root_off = world_take(&end, TIARA_ROOT_CNT * sizeof(struct tiara_root));
	s->neighbour_off = world_take(&end, WORLD_NEIGHBOURS * sizeof(struct tiara_neighbour));
	s->move_off = world_take(&end, TIARA_MOVE_STRIPES * sizeof(uint32_t));
	s->move_log_off = world_take(&end, (WORLD_WORKERS + 1) * sizeof(struct tiara_move_log));
	s->rate_off = world_take(&end, WORLD_SERVICES * sizeof(struct tiara_rate));
	s->heap_off = world_take(&end, TIARA_ROOT_CNT * sizeof(struct world_blocks));
	s->table_off = world_take(&end, bucket_cnt * sizeof(struct tiara_bucket));
	return s->total_bytes = end;
}

uint64_t
world_bytes(uint64_t bucket_cnt)
{
	struct tiara_segment s = {0};

	return world_describe(&s, bucket_cnt);
}

void
world_open(struct world *w, uint64_t bucket_cnt, uint32_t tick)
{
	void *base = aligned_alloc(TIARA_LINE_BYTES, world_bytes(bucket_cnt));

	if (!base)
		abort();
	world_open_at(w, base, bucket_cnt, tick);
}

void
world_open_at(struct world *w, void *base, uint64_t bucket_cnt, uint32_t tick)
{
	struct tiara_segment s = {.tick = tick, .node.worker_cnt = 1, .node.start_cnt = 1};
	uint64_t bytes = world_describe(&s, bucket_cnt);

	s.table_secret[0] = 0x243f6a8885a308d3u;
	s.table_secret[1] = 0x13198a2e03707344u;
	memset(base, 0, bytes);
	memcpy(base, &s, sizeof(s));
	memset(w, 0, sizeof(*w));
	w->map = tiara_map_of(base);
	for (uint32_t i = 0; i < WORLD_WORKERS; i++)
		w->map.worker[i].sweep_slice = UINT64_MAX;
	tiara_memory_port_init(&w->port);
}

void
world_close(struct world *w)
{
	free(w->map.base);
	w->map.base = NULL;
}

void
world_start(struct world *w)
{
	struct tiara_port port = tiara_memory_port_ops(&w->port);

	w->tsc = WORLD_TSC_HZ;
	w->map.segment->node.tsc_hz = WORLD_TSC_HZ;
	tiara_tick_start_ctl(&w->map, w->tsc, WORLD_TSC_HZ);
	tiara_worker_init_ctl(&w->worker, &w->map, 0, &port, NULL, WORLD_TSC_HZ);
	tiara_worker_burst_wk(&w->worker, w->tsc);
}

static void
world_frontend_add(struct world_blocks *blocks, tiara_be32 vip, tiara_be16 port, uint8_t protocol,
		   uint8_t use, uint16_t service_idx)
{
	struct tiara_frontend *slot;

	for (uint32_t i = tiara_frontend_hash(vip, port, protocol);; i++) {
		slot = &blocks->frontend[i % WORLD_FRONTENDS];
		if (slot->use == TIARA_USE_FREE ||
		    (slot->vip == vip && slot->port == port && slot->protocol == protocol))
			break;
	}
	*slot = (struct tiara_frontend){.vip = vip,
					.port = port,
					.protocol = protocol,
					.use = use,
					.service_idx = service_idx};
}

static void
world_fill(struct world *w, struct world_blocks *blocks)
{
	memset(blocks, 0, sizeof(*blocks));
	memcpy(blocks->service, w->plan.service, sizeof(blocks->service));
	memcpy(blocks->backend, w->plan.backend, sizeof(blocks->backend));
	memcpy(blocks->rows, w->plan.rows, sizeof(blocks->rows));
	memcpy(blocks->source, w->plan.source, sizeof(blocks->source));
	for (uint16_t i = 0; i < WORLD_SERVICES; i++) {
		struct tiara_service *service = &blocks->service[i];

		if (service->use != TIARA_USE_ACTIVE)
			continue;
		service->select_off = (uint64_t)((uint8_t *)blocks->rows[i] - w->map.base);
		service->source_off = (uint64_t)((uint8_t *)blocks->source[i] - w->map.base);
		service->rate_idx = i;
		world_frontend_add(blocks, service->vip, 0, 0, TIARA_USE_VIP, 0);
		world_frontend_add(blocks, service->vip, service->port, service->protocol,
				   TIARA_USE_ACTIVE, i);
	}
}

void
world_publish(struct world *w)
{
	uint64_t generation = ++w->generation;
	struct tiara_root *root = &w->map.root[generation % TIARA_ROOT_CNT];
	uint64_t off = w->map.segment->heap_off +
		       generation % TIARA_ROOT_CNT * sizeof(struct world_blocks);

	world_fill(w, (void *)(w->map.base + off));
	*root = (struct tiara_root){
		.generation = generation,
		.select_secret = {w->plan.select_secret[0], w->plan.select_secret[1]},
		.service_off = off + offsetof(struct world_blocks, service),
		.backend_off = off + offsetof(struct world_blocks, backend),
		.frontend_off = off + offsetof(struct world_blocks, frontend),
		.service_cnt = WORLD_SERVICES,
		.backend_cnt = WORLD_BACKENDS,
		.frontend_cnt = WORLD_FRONTENDS,
	};
	tiara_epoch_publish_ctl(&w->map, generation);
}

void
world_wait(struct world *w, uint32_t ticks)
{
	for (uint32_t i = 0; i < ticks; i++) {
		w->tsc += WORLD_TSC_HZ;
		tiara_worker_burst_wk(&w->worker, w->tsc);
	}
}

uint32_t
world_burst(struct world *w)
{
	return tiara_worker_burst_wk(&w->worker, ++w->tsc);
}

enum tiara_status
world_push(struct world *w, const struct tiara_entry *entry)
{
	static struct tiara_writer writer = {.owner = TIARA_OWNER_CONTROL};
	struct tiara_view view = tiara_view_of(&w->map, w->generation);
	struct tiara_age age = {.view = &view, .now = (uint16_t)tiara_tick_now(&w->map)};
	union tiara_word word = {.entry = *entry};
	struct tiara_found found;

	writer.backend = tiara_map_backend_counters(&w->map, WORLD_WORKERS);
	writer.backend_cnt = WORLD_BACKENDS;
	return tiara_table_insert(&w->map, &age, &writer,
				  tiara_hash_inline(word.key, w->map.segment->table_secret), &word,
				  &found);
}

struct tiara_found
world_find(struct world *w, tiara_be32 client_addr, tiara_be16 client_port, uint16_t service_idx)
{
	struct tiara_view view = tiara_view_of(&w->map, w->generation);
	struct tiara_age age = {.view = &view, .now = (uint16_t)tiara_tick_now(&w->map)};
	uint64_t key = tiara_key(client_addr, client_port, service_idx);
	uint64_t hash = tiara_hash_inline(key, w->map.segment->table_secret);
	struct tiara_found found;

	tiara_table_lookup(&w->map, &age, &key, &hash, 1, &found);
	return found;
}
