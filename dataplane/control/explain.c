/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the packet path would do with a packet: it is done, by the same code, to a copy of what it
 * touches (docs/design/0011).
 */
#include "control/explain.h"

#include "control/internal.h"
#include "control/shadow.h"
#include "path/stage.h"
#include "path/wire.h"
#include "port/clock.h"
#include "port/memory.h"
#include "table/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	EXPLAIN_HEADROOM_BYTES = 128, /* what DPDK's buffers have */
	EXPLAIN_FRAME_MAX = 16384,
};

/* One explanation under way. Private to the call. */
struct explain {
	struct shadow shadow;
	struct tiara_worker worker;
	struct tiara_memory_port port;
	struct tiara_memory_frame frame;
	uint8_t *buffer; /* headroom, then the frame */
	uint64_t tsc;    /* of the burst */
	struct tiara_explanation *says;
};

/* Now; but where no worker has run since the next tick was due, time stands still before it. */
static uint64_t
explain_tsc(const struct explain *e, uint64_t now)
{
	uint64_t next = e->shadow.map.segment->tick_next_tsc;

	return (int64_t)(now - next) < 0 ? now : next - 1;
}

static void
explain_worker(struct explain *e)
{
	const struct tiara_map *map = &e->shadow.map;
	struct tiara_port port;

	tiara_memory_port_init(&e->port);
	port = tiara_memory_port_ops(&e->port);
	tiara_worker_init_ctl(&e->worker, map, 0, &port, NULL, map->segment->node.tsc_hz);
	e->worker.view = e->shadow.view; /* the segment's blocks: of this generation it has no others */
	e->worker.writer.owner = TIARA_OWNER_CONTROL; /* words of a worker 0 may be in the copy */
	e->worker.sweep_next_tsc = e->tsc + 1;        /* no slice is due */
}

static void
explain_frame(struct explain *e, const struct explain_packet *packet)
{
	memcpy(e->buffer + packet->headroom_bytes, packet->frame, packet->frame_bytes);
	e->frame = (struct tiara_memory_frame){
		.data = e->buffer + packet->headroom_bytes,
		.len_bytes = packet->frame_bytes,
		.headroom_bytes = packet->headroom_bytes,
	};
}

/* ---- before: what the packet is, and what it meets ---- */

static void
explain_row(struct explain *e, const struct tiara_frame *f)
{
	const struct tiara_service *service = tiara_frame_service(&e->worker, f);
	const uint32_t *rows = (const void *)(e->worker.view.base + service->select_off);
	tiara_be16 port = service->flags & TIARA_SERVICE_SOURCE_AFFINITY ? 0 : f->client_port;

	e->says->row_cnt = service->select_cnt;
	if (service->select_cnt == 0)
		return;
	e->says->row = tiara_select_row(f->client_addr, port, e->worker.view.root->select_secret,
					service->select_cnt);
	e->says->row_backend_idx = rows[e->says->row];
}

static void
explain_connection(struct explain *e, const struct tiara_frame *f)
{
	struct tiara_found found;

	tiara_table_lookup(&e->shadow.map, &e->worker.age, &f->key, &f->hash, 1, &found);
	e->says->found = found.slot != NULL;
	if (found.slot)
		e->says->connection = control_connection(&e->worker.age, &found.word.entry);
}

static void
explain_service(struct explain *e, const struct tiara_map *from, const struct tiara_frame *f)
{
	uint64_t mask = from->bucket_mask;

	e->says->has_service = true;
	e->says->service_idx = f->service_idx;
	e->says->hash = f->hash;
	e->says->bucket[0] = (uint32_t)tiara_hash_bucket_1(f->hash, mask);
	e->says->bucket[1] = (uint32_t)tiara_hash_bucket_2(f->hash, mask);
	shadow_fetch(&e->shadow, from, f->hash);
	explain_connection(e, f);
	explain_row(e, f);
}

/* The first stages once by themselves, as nothing is known of the key before. */
static void
explain_before(struct explain *e, const struct tiara_map *from)
{
	struct tiara_frame f = {
		.data = e->frame.data,
		.len_bytes = e->frame.len_bytes,
		.headroom_bytes = e->frame.headroom_bytes,
	};

	tiara_parse_wk(&e->worker, &f, 1);
	e->says->parsed = f.verdict == TIARA_VERDICT_NONE && f.l4_off != 0;
	if (!e->says->parsed)
		return;
	e->says->client_addr = f.client_addr;
	e->says->vip = f.vip;
	e->says->protocol = f.protocol;
	e->says->tcp_flags = f.tcp_flags;
	if (f.protocol == TIARA_PROTOCOL_TCP || f.protocol == TIARA_PROTOCOL_UDP) {
		e->says->client_port = f.client_port;
		e->says->port = f.port;
	}
	tiara_service_wk(&e->worker, &f, 1);
	if (f.verdict == TIARA_VERDICT_NONE)
		explain_service(e, from, &f);
}

/* ---- the burst, and what came of it ---- */

static enum tiara_explain_way
explain_way(uint8_t fate)
{
	if (fate == TIARA_MEMORY_SENT)
		return TIARA_EXPLAIN_WAY_SENT;
	return fate == TIARA_MEMORY_KERNEL ? TIARA_EXPLAIN_WAY_KERNEL : TIARA_EXPLAIN_WAY_DROPPED;
}

static uint32_t
explain_events(const struct tiara_worker *w)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < TIARA_EVENT_CNT; i++)
		mask |= (uint32_t)(w->counters->event_cnt[i] != 0) << i;
	return mask;
}

static void
explain_after(struct explain *e)
{
	const struct tiara_frame *f = &e->worker.frame[0];
	struct tiara_explanation *says = e->says;

	says->verdict = f->verdict;
	says->way = (uint8_t)explain_way(e->frame.fate);
	says->events = explain_events(&e->worker);
	says->backend_idx = f->backend_idx;
	says->l3_off = f->l3_off;
	says->fresh = says->has_service && f->fresh;
	says->state = f->found.slot ? f->found.word.entry.state : TIARA_STATE_EMPTY;
	says->left_bytes = e->frame.fate == TIARA_MEMORY_DROPPED ? 0 : e->frame.len_bytes;
}

static void
explain_burst(struct explain *e)
{
	e->port.rx = (struct tiara_memory_queue){.frame = &e->frame, .cnt = 1};
	tiara_worker_burst_wk(&e->worker, e->tsc);
	explain_after(e);
}

static enum tiara_status
explain_on_shadow(struct explain *e, const struct tiara_map *map,
		  const struct explain_packet *packet, struct tiara_error *error)
{
	if (!shadow_make(&e->shadow, map))
		return control_error(error, TIARA_NO_SPACE, "",
				     "no address space for a copy of the segment's %zu bytes: %s",
				     (size_t)map->segment->total_bytes, strerror(errno));
	e->says->generation = e->shadow.view.generation;
	e->tsc = explain_tsc(e, packet->tsc);
	explain_worker(e);
	explain_frame(e, packet);
	explain_before(e, map);
	explain_frame(e, packet);
	explain_burst(e);
	shadow_end(&e->shadow);
	return TIARA_OK;
}

enum tiara_status
control_explain(const struct tiara_map *map, const struct explain_packet *packet,
		struct tiara_explanation *explanation, uint8_t *left, uint32_t room,
		struct tiara_error *error)
{
	struct explain *e = calloc(1, sizeof(*e));
	enum tiara_status status = TIARA_OK;

	*explanation = (struct tiara_explanation){.backend_idx = CONTROL_NONE,
						  .row_backend_idx = CONTROL_NONE};
	if (e)
		e->buffer = malloc(packet->headroom_bytes + (size_t)packet->frame_bytes);
	if (e && e->buffer) {
		e->says = explanation;
		status = explain_on_shadow(e, map, packet, error);
	} else {
		status = control_out_of_memory(error);
	}
	if (status == TIARA_OK && explanation->left_bytes)
		memcpy(left, e->frame.data,
		       explanation->left_bytes < room ? explanation->left_bytes : room);
	if (e)
		free(e->buffer);
	free(e);
	return status;
}

enum tiara_status
tiara_explain(struct tiara_handle *handle, const uint8_t *frame, uint32_t frame_bytes,
	      struct tiara_explanation *explanation, uint8_t *left, uint32_t room,
	      struct tiara_error *error)
{
	const struct explain_packet packet = {
		.frame = frame,
		.frame_bytes = frame_bytes,
		.headroom_bytes = EXPLAIN_HEADROOM_BYTES,
		.tsc = tiara_clock_tsc(),
	};
	enum tiara_status status = control_require_writer(handle, error);

	if (status != TIARA_OK)
		return status;
	if (frame_bytes == 0 || frame_bytes > EXPLAIN_FRAME_MAX)
		return control_error(error, TIARA_INVALID, "frame",
				     "a frame has 1 to %d bytes, this one %u", EXPLAIN_FRAME_MAX,
				     frame_bytes);
	return control_explain(&handle->map, &packet, explanation, left, room, error);
}
