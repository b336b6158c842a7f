/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is there now: configuration, connections, counters. Changes nothing, so that a reader's
 * read-only mapping will do where a load is one (word.h). The epochs do not know readers: what one has read is valid when the
 * generation is still the current one afterwards, as no block of the current one is ever overwritten.
 * Otherwise it reads again. The control plane itself reads once: nobody else publishes.
 */
#include "control/internal.h"

#include "table/frontend.h"
#include "table/hash.h"
#include "table/slot.h"

#include <inttypes.h>
#include <string.h>

enum { READ_TRIES = 100, READ_LIST_BUCKETS = 65536 };

static enum tiara_status
read_no_index(const char *noun, uint32_t idx, uint32_t cnt, struct tiara_error *error)
{
	return control_error(error, TIARA_NOT_FOUND, "idx", "there is no %s %u: there are %u", noun,
			     idx, cnt);
}

/* ---- configuration ---- */

static enum tiara_status
read_service(const struct tiara_view *view, uint32_t idx, struct tiara_service_spec *spec,
	     struct tiara_error *error)
{
	const struct tiara_service_name *name;

	if (idx >= view->service_cnt)
		return read_no_index("service", idx, view->service_cnt, error);
	name = (const void *)(view->base + view->root->service_name_off);
	name += idx;
	*spec = (struct tiara_service_spec){.record = view->service[idx]};
	memcpy(spec->service, name->service, sizeof(spec->service));
	memcpy(spec->uid, name->uid, sizeof(spec->uid));
	spec->table_off = spec->record.select_off;
	spec->table_cnt = spec->record.select_cnt;
	spec->source_off = spec->record.source_off;
	spec->source_cnt = spec->record.source_cnt;
	if (name->use != TIARA_USE_ACTIVE)
		spec->record.use = TIARA_USE_FREE;
	return TIARA_OK;
}

enum tiara_status
tiara_service_read(struct tiara_handle *handle, uint32_t idx, struct tiara_service_spec *spec,
		   struct tiara_error *error)
{
	for (int i = 0; i < READ_TRIES; i++) {
		struct tiara_view view = control_view(handle);
		enum tiara_status status = read_service(&view, idx, spec, error);

		if (control_view_valid(handle, &view))
			return status;
	}
	return control_view_moving(error, READ_TRIES);
}

static enum tiara_status
read_backend(const struct tiara_view *view, uint32_t idx, struct tiara_backend_spec *spec,
	     struct tiara_error *error)
{
	const struct tiara_backend_name *name;

	if (idx >= view->backend_cnt)
		return read_no_index("backend", idx, view->backend_cnt, error);
	name = (const void *)(view->base + view->root->backend_name_off);
	name += idx;
	*spec = (struct tiara_backend_spec){.record = view->backend[idx]};
	memcpy(spec->pool, name->pool, sizeof(spec->pool));
	memcpy(spec->backend, name->backend, sizeof(spec->backend));
	memcpy(spec->uid, name->uid, sizeof(spec->uid));
	if (name->use != TIARA_USE_ACTIVE)
		spec->record.use = TIARA_USE_FREE;
	return TIARA_OK;
}

enum tiara_status
tiara_backend_read(struct tiara_handle *handle, uint32_t idx, struct tiara_backend_spec *spec,
		   struct tiara_error *error)
{
	for (int i = 0; i < READ_TRIES; i++) {
		struct tiara_view view = control_view(handle);
		enum tiara_status status = read_backend(&view, idx, spec, error);

		if (control_view_valid(handle, &view))
			return status;
	}
	return control_view_moving(error, READ_TRIES);
}

/* A block of the heap, or NULL: none, or (for a reader) what named it was overwritten meanwhile. */
static const void *
read_block(const struct tiara_handle *handle, uint64_t off, uint64_t bytes)
{
	const struct tiara_segment *s = handle->map.segment;

	if (bytes == 0 || bytes > s->heap_bytes || off % 4 || off < s->heap_off ||
	    off - s->heap_off > s->heap_bytes - bytes)
		return NULL;
	return handle->map.base + off;
}

/* A service's selection table, or NULL. */
static const uint32_t *
read_select(const struct tiara_handle *handle, const struct tiara_service *service)
{
	return read_block(handle, service->select_off, service->select_cnt * UINT64_C(4));
}

static enum tiara_status
read_rows(const struct tiara_handle *handle, const struct tiara_view *view, uint32_t idx,
	  uint32_t *rows, uint32_t room, uint32_t *cnt, struct tiara_error *error)
{
	const uint32_t *select;

	if (idx >= view->service_cnt)
		return read_no_index("service", idx, view->service_cnt, error);
	select = read_select(handle, &view->service[idx]);
	*cnt = select ? view->service[idx].select_cnt : 0;
	if (*cnt > room)
		return control_error(error, TIARA_INVALID, "cnt",
				     "the table has %u rows and there is room for %u", *cnt, room);
	if (select)
		memcpy(rows, select, *cnt * sizeof(*rows));
	return TIARA_OK;
}

enum tiara_status
tiara_service_rows(struct tiara_handle *handle, uint32_t idx, uint32_t *rows, uint32_t *cnt,
		   struct tiara_error *error)
{
	uint32_t room = *cnt;

	for (int i = 0; i < READ_TRIES; i++) {
		struct tiara_view view = control_view(handle);
		enum tiara_status status = read_rows(handle, &view, idx, rows, room, cnt, error);

		if (control_view_valid(handle, &view))
			return status;
	}
	return control_view_moving(error, READ_TRIES);
}

static enum tiara_status
read_sources(const struct tiara_handle *handle, const struct tiara_view *view, uint32_t idx,
	     struct tiara_source *source, uint32_t room, uint32_t *cnt, struct tiara_error *error)
{
	const struct tiara_source *there;

	if (idx >= view->service_cnt)
		return read_no_index("service", idx, view->service_cnt, error);
	*cnt = view->service[idx].source_cnt;
	there = read_block(handle, view->service[idx].source_off, *cnt * sizeof(*there));
	if (!there)
		*cnt = 0;
	if (*cnt > room)
		return control_error(error, TIARA_INVALID, "cnt",
				     "the list has %u sources and there is room for %u", *cnt,
				     room);
	if (there)
		memcpy(source, there, *cnt * sizeof(*source));
	return TIARA_OK;
}

enum tiara_status
tiara_service_sources(struct tiara_handle *handle, uint32_t idx, struct tiara_source *source,
		      uint32_t *cnt, struct tiara_error *error)
{
	uint32_t room = *cnt;

	for (int i = 0; i < READ_TRIES; i++) {
		struct tiara_view view = control_view(handle);
		enum tiara_status status = read_sources(handle, &view, idx, source, room, cnt,
							error);

		if (control_view_valid(handle, &view))
			return status;
	}
	return control_view_moving(error, READ_TRIES);
}

/* ---- connections ---- */

static struct tiara_age
read_age(const struct tiara_handle *handle, const struct tiara_view *view)
{
	return (struct tiara_age){.view = view, .now = (uint16_t)tiara_tick_now(&handle->map)};
}

struct tiara_connection
control_connection(const struct tiara_age *age, const struct tiara_entry *entry)
{
	const struct tiara_service *service = &age->view->service[entry->service_idx];
	uint32_t idle = tiara_tick_age(age->now, entry->last_seen);
	uint32_t timeout = service->timeout_ticks[entry->state % TIARA_STATE_CNT];

	return (struct tiara_connection){
		.client_addr = entry->client_addr,
		.client_port = entry->client_port,
		.port = service->port,
		.vip = service->vip,
		.protocol = service->protocol,
		.state = entry->state,
		.flags = entry->flags,
		.service_idx = entry->service_idx,
		.backend_idx = entry->backend_idx,
		.idle_ticks = idle,
		.expires_ticks = timeout > idle ? timeout - idle : 0,
	};
}

/* As the packet path finds it: frontend, key, both buckets. */
static bool
read_find(const struct tiara_handle *handle, const struct tiara_view *view, tiara_be32 client_addr,
	  tiara_be16 client_port, const struct tiara_frontend *frontend,
	  struct tiara_connection *connection)
{
	struct tiara_age age = read_age(handle, view);
	uint64_t key = tiara_key(client_addr, client_port, frontend->service_idx);
	uint64_t hash = tiara_hash_inline(key, handle->map.segment->table_secret);
	struct tiara_found found;

	tiara_table_lookup(&handle->map, &age, &key, &hash, 1, &found);
	if (found.slot)
		*connection = control_connection(&age, &found.word.entry);
	return found.slot != NULL;
}

enum tiara_status
tiara_connection_find(struct tiara_handle *handle, tiara_be32 client_addr, tiara_be16 client_port,
		      tiara_be32 vip, tiara_be16 port, uint8_t protocol,
		      struct tiara_connection *connection, struct tiara_error *error)
{
	char text[CONTROL_FRONTEND_TEXT_BYTES];
	const char *name = control_frontend_text(text, vip, port, protocol);

	for (int i = 0; i < READ_TRIES; i++) {
		struct tiara_view view = control_view(handle);
		const struct tiara_frontend *frontend = tiara_frontend_find(&view, vip, port,
									    protocol);
		bool found = frontend && frontend->use == TIARA_USE_ACTIVE &&
			     frontend->service_idx < view.service_cnt &&
			     read_find(handle, &view, client_addr, client_port, frontend,
				       connection);

		if (!control_view_valid(handle, &view))
			continue;
		if (found)
			return TIARA_OK;
		return control_error(error, TIARA_NOT_FOUND, frontend ? "client" : "vip",
				     frontend ? "this client has no connection to %s"
					      : "there is no service at %s",
				     name);
	}
	return control_view_moving(error, READ_TRIES);
}

struct read_list {
	struct tiara_age age;
	const struct tiara_filter *filter;
	struct tiara_connection *connection;
	uint32_t max;
	uint32_t cnt;
};

/* From entry number `at` on; returns where it stopped. */
static uint64_t
read_list_entries(const struct tiara_handle *handle, struct read_list *list, uint64_t at)
{
	uint64_t end = (handle->map.bucket_mask + 1) * TIARA_BUCKET_ENTRIES;
	uint64_t stop = at + READ_LIST_BUCKETS * (uint64_t)TIARA_BUCKET_ENTRIES;
	const struct tiara_entry *entry = handle->map.bucket[0].entry;

	for (; at < end && at < stop && list->cnt < list->max; at++) {
		union tiara_word word = tiara_word_plain(slot_load(&entry[at]));

		if (control_filter_wants(list->filter, handle, &list->age, &word))
			list->connection[list->cnt++] = control_connection(&list->age, &word.entry);
	}
	return at < end ? at : UINT64_MAX;
}

enum tiara_status
tiara_connections_list(struct tiara_handle *handle, uint64_t *cursor,
		       const struct tiara_filter *filter, struct tiara_connection *connection,
		       uint32_t max, uint32_t *cnt, struct tiara_error *error)
{
	uint64_t end = (handle->map.bucket_mask + 1) * TIARA_BUCKET_ENTRIES;

	*cnt = 0;
	if (max == 0)
		return control_error(error, TIARA_INVALID, "max", "max must not be 0");
	if (*cursor >= end && *cursor != UINT64_MAX)
		return control_error(error, TIARA_INVALID, "cursor",
				     "cursor %" PRIu64 " is no position of this table", *cursor);
	if (*cursor == UINT64_MAX)
		return TIARA_OK;
	for (int i = 0; i < READ_TRIES; i++) {
		struct tiara_view view = control_view(handle);
		struct read_list list = {.age = read_age(handle, &view),
					 .filter = filter,
					 .connection = connection,
					 .max = max};
		uint64_t next = read_list_entries(handle, &list, *cursor);

		if (!control_view_valid(handle, &view))
			continue;
		*cursor = next;
		*cnt = list.cnt;
		return TIARA_OK;
	}
	return control_view_moving(error, READ_TRIES);
}

static bool
read_differs(const struct tiara_handle *handle, const struct tiara_view *view,
	     const struct tiara_entry *entry)
{
	const struct tiara_service *service = &view->service[entry->service_idx];
	const uint32_t *select = read_select(handle, service);
	tiara_be16 port = service->flags & TIARA_SERVICE_SOURCE_AFFINITY ? 0 : entry->client_port;

	return !select ||
	       select[tiara_select_row(entry->client_addr, port, view->root->select_secret,
				       service->select_cnt)] != entry->backend_idx;
}

static void
read_count_entry(const struct tiara_handle *handle, const struct tiara_age *age,
		 const struct tiara_entry *entry, uint64_t *per_service, uint64_t *per_backend,
		 struct tiara_usage *usage)
{
	usage->live++;
	usage->differ += read_differs(handle, age->view, entry);
	usage->offloaded += (entry->flags & TIARA_ENTRY_OFFLOADED) != 0;
	if (per_service)
		per_service[entry->service_idx]++;
	if (per_backend && entry->backend_idx < handle->map.segment->backend_max)
		per_backend[entry->backend_idx]++;
}

enum tiara_status
tiara_connections_count(struct tiara_handle *handle, uint64_t *per_service, uint64_t *per_backend,
			struct tiara_usage *usage, struct tiara_error *error)
{
	const struct tiara_segment *s = handle->map.segment;
	uint64_t end = (handle->map.bucket_mask + 1) * TIARA_BUCKET_ENTRIES;
	const struct tiara_entry *entry = handle->map.bucket[0].entry;
	struct control_kept kept;
	enum tiara_status status = control_keep(handle, &kept, error);
	struct tiara_age age = read_age(handle, &kept.view);

	*usage = (struct tiara_usage){.capacity = end};
	if (per_service)
		memset(per_service, 0, s->service_max * sizeof(*per_service));
	if (per_backend)
		memset(per_backend, 0, s->backend_max * sizeof(*per_backend));
	for (uint64_t at = 0; at < end && status == TIARA_OK; at++) {
		union tiara_word word = tiara_word_plain(slot_load(&entry[at]));

		if (tiara_word_live(&word) && !tiara_entry_expired(&age, &word))
			read_count_entry(handle, &age, &word.entry, per_service, per_backend,
					 usage);
	}
	control_kept_free(&kept);
	return status;
}

/* ---- counters ---- */

static uint64_t
read_counter(const uint64_t *counter)
{
	/* Relaxed: each counter is a number of its own. */
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

enum tiara_status
tiara_counters_read(struct tiara_handle *handle, struct tiara_worker_counters *sum,
		    struct tiara_error *error)
{
	(void)error;
	*sum = (struct tiara_worker_counters){.rx_pkts = 0};
	for (uint32_t w = 0; w < handle->map.segment->worker_max; w++) {
		const struct tiara_worker_counters *c = tiara_map_counters(&handle->map, w);

		for (int i = 0; i < TIARA_VERDICT_CNT; i++)
			sum->verdict_pkts[i] += read_counter(&c->verdict_pkts[i]);
		for (int i = 0; i < TIARA_EVENT_CNT; i++)
			sum->event_cnt[i] += read_counter(&c->event_cnt[i]);
		sum->rx_pkts += read_counter(&c->rx_pkts);
		sum->rx_bytes += read_counter(&c->rx_bytes);
		sum->tx_pkts += read_counter(&c->tx_pkts);
		sum->tx_bytes += read_counter(&c->tx_bytes);
	}
	return TIARA_OK;
}

static void
read_flows(const struct tiara_handle *handle, uint64_t at, struct tiara_flow_counter *sum)
{
	*sum = (struct tiara_flow_counter){.pkts = 0};
	for (uint32_t w = 0; w <= handle->map.segment->worker_max; w++) {
		const struct tiara_flow_counter *c = tiara_map_flow_counters(&handle->map, w) + at;

		sum->pkts += read_counter(&c->pkts);
		sum->bytes += read_counter(&c->bytes);
		sum->connections += read_counter(&c->connections);
		sum->limit_cnt += read_counter(&c->limit_cnt);
	}
}

enum tiara_status
tiara_service_counters(struct tiara_handle *handle, uint32_t idx, struct tiara_flow_counter *sum,
		       struct tiara_error *error)
{
	const struct tiara_segment *s = handle->map.segment;

	if (idx >= s->service_max)
		return read_no_index("service", idx, s->service_max, error);
	read_flows(handle, idx, sum);
	return TIARA_OK;
}

enum tiara_status
tiara_backend_counters(struct tiara_handle *handle, uint32_t idx, struct tiara_flow_counter *sum,
		       struct tiara_error *error)
{
	const struct tiara_segment *s = handle->map.segment;

	if (idx >= s->backend_max)
		return read_no_index("backend", idx, s->backend_max, error);
	read_flows(handle, (uint64_t)s->service_max + idx, sum);
	return TIARA_OK;
}

static void
read_all_flows(const struct tiara_flow_counter *c, uint32_t cnt, struct tiara_flow_counter *sum)
{
	for (uint32_t i = 0; i < cnt; i++) {
		sum[i].pkts += read_counter(&c[i].pkts);
		sum[i].bytes += read_counter(&c[i].bytes);
		sum[i].connections += read_counter(&c[i].connections);
		sum[i].limit_cnt += read_counter(&c[i].limit_cnt);
	}
}

enum tiara_status
tiara_flow_counters_read(struct tiara_handle *handle, struct tiara_flow_counter *per_service,
			 struct tiara_flow_counter *per_backend, struct tiara_error *error)
{
	const struct tiara_segment *s = handle->map.segment;

	(void)error;
	if (per_service)
		memset(per_service, 0, s->service_max * sizeof(*per_service));
	if (per_backend)
		memset(per_backend, 0, s->backend_max * sizeof(*per_backend));
	for (uint32_t w = 0; w <= s->worker_max; w++) {
		const struct tiara_flow_counter *c = tiara_map_flow_counters(&handle->map, w);

		if (per_service)
			read_all_flows(c, s->service_max, per_service);
		if (per_backend)
			read_all_flows(c + s->service_max, s->backend_max, per_backend);
	}
	return TIARA_OK;
}

enum tiara_status
tiara_worker_read(struct tiara_handle *handle, uint32_t idx, struct tiara_worker_slot *slot,
		  struct tiara_error *error)
{
	const struct tiara_worker_slot *w = &handle->map.worker[idx];

	if (idx >= handle->map.segment->worker_max)
		return read_no_index("worker", idx, handle->map.segment->worker_max, error);
	*slot = (struct tiara_worker_slot){
		.generation = read_counter(&w->generation),
		.sweep_slice = read_counter(&w->sweep_slice),
		.bursts = read_counter(&w->bursts),
		.busy_cycles = read_counter(&w->busy_cycles),
		.idle_cycles = read_counter(&w->idle_cycles),
		.unconfirmed = read_counter(&w->unconfirmed),
		.lcore = __atomic_load_n(&w->lcore, __ATOMIC_RELAXED),
		.queue = __atomic_load_n(&w->queue, __ATOMIC_RELAXED),
	};
	return TIARA_OK;
}
