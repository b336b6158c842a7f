/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process-private pointers into the segment. Made once at attach (tiara_map) and once per generation
 * (tiara_view); the segment itself holds offsets only.
 */
#ifndef TIARA_TABLE_VIEW_H
#define TIARA_TABLE_VIEW_H

#include <stddef.h>

#include "tiara/layout.h"

/* The whole segment of one process. Lives from attach to detach. */
struct tiara_map {
	uint8_t *base;
	struct tiara_segment *segment;
	struct tiara_worker_slot *worker;
	struct tiara_root *root;
	struct tiara_neighbour *neighbour;
	uint32_t *move;                  /* counters, by stripe */
	struct tiara_move_log *move_log; /* by worker; the control plane's is at worker_max */
	struct tiara_rate *rate;         /* by tiara_service.rate_idx */
	struct tiara_bucket *bucket;
	uint64_t bucket_mask;
	uint32_t neighbour_mask;
};

/*
 * One generation. Valid while the worker reports its generation (table/epoch.h), or while the
 * control plane has not retired it.
 */
struct tiara_view {
	uint64_t generation; /* 0: nothing was published; all counts are 0 */
	const struct tiara_root *root;
	const struct tiara_service *service;
	const struct tiara_backend *backend;
	const struct tiara_frontend *frontend;
	uint32_t service_cnt;
	uint32_t backend_cnt;
	uint32_t frontend_mask; /* slots - 1; valid when frontend is not NULL */
	const uint8_t *base;    /* for tiara_service.select_off */
};

static inline struct tiara_map
tiara_map_of(void *base)
{
	uint8_t *b = base;
	struct tiara_segment *s = base;

	return (struct tiara_map){
		.base = b,
		.segment = s,
		.worker = (void *)(b + s->worker_off),
		.root = (void *)(b + s->root_off),
		.neighbour = (void *)(b + s->neighbour_off),
		.move = (void *)(b + s->move_off),
		.move_log = (void *)(b + s->move_log_off),
		.rate = (void *)(b + s->rate_off),
		.bucket = (void *)(b + s->table_off),
		.bucket_mask = s->bucket_cnt - 1,
		.neighbour_mask = s->neighbour_cnt - 1,
	};
}

static inline struct tiara_view
tiara_view_of(const struct tiara_map *map, uint64_t generation)
{
	const struct tiara_root *r = &map->root[generation % TIARA_ROOT_CNT];

	if (generation == 0)
		return (struct tiara_view){.base = map->base};
	return (struct tiara_view){
		.generation = generation,
		.root = r,
		.service = (const void *)(map->base + r->service_off),
		.backend = (const void *)(map->base + r->backend_off),
		.frontend = r->frontend_off ? (const void *)(map->base + r->frontend_off) : NULL,
		.service_cnt = r->service_cnt,
		.backend_cnt = r->backend_cnt,
		.frontend_mask = r->frontend_cnt - 1,
		.base = map->base,
	};
}

static inline struct tiara_worker_counters *
tiara_map_counters(const struct tiara_map *map, uint32_t worker)
{
	const struct tiara_segment *s = map->segment;

	return (void *)(map->base + s->counter_off + worker * s->counter_stride);
}

/* A worker's per-service counters; the per-backend ones follow at [service_max]. */
static inline struct tiara_flow_counter *
tiara_map_flow_counters(const struct tiara_map *map, uint32_t worker)
{
	return (struct tiara_flow_counter *)(tiara_map_counters(map, worker) + 1);
}

/* The per-backend ones; worker worker_max is the control plane. */
static inline struct tiara_flow_counter *
tiara_map_backend_counters(const struct tiara_map *map, uint32_t worker)
{
	return tiara_map_flow_counters(map, worker) + map->segment->service_max;
}

#endif
