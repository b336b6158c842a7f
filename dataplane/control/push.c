/* SPDX-License-Identifier: Apache-2.0 */
/* Packed connections into the table: all checked, then all inserted. */
#include "control/internal.h"

#include "table/hash.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

enum { PUSH_BURST = 256, PUSH_TRIES = 16 };

struct push {
	struct tiara_handle *handle;
	struct tiara_view view;
	struct tiara_age age;
	const struct tiara_packed_connection *record;
	const uint32_t *service_idx;
	uint32_t service_cnt;
	const uint32_t *backend_idx;
	uint32_t backend_cnt;
	bool replace;
	struct tiara_error *error;
};

static enum tiara_status
push_invalid(const struct push *p, uint32_t i, const char *field, const char *why)
{
	char where[64];

	snprintf(where, sizeof(where), "records[%u].%s", i, field);
	return control_error(p->error, TIARA_INVALID, where, "%s %s; no connection was pushed",
			     where, why);
}

static bool
push_is_client(tiara_be32 addr)
{
	uint32_t a = ntohl(addr);

	return a != 0 && a >> 28 < 14;
}

static bool
push_state_fits(uint8_t protocol, uint8_t state)
{
	if (protocol == IPPROTO_UDP)
		return state == TIARA_STATE_UDP;
	return state == TIARA_STATE_NEW || state == TIARA_STATE_ESTABLISHED ||
	       state == TIARA_STATE_CLOSING;
}

static bool
push_service_active(const struct push *p, uint32_t pos)
{
	return pos < p->service_cnt && p->service_idx[pos] < p->view.service_cnt &&
	       p->view.service[p->service_idx[pos]].use == TIARA_USE_ACTIVE;
}

static bool
push_backend_in_use(const struct push *p, uint32_t idx)
{
	return idx < p->view.backend_cnt && (p->view.backend[idx].use == TIARA_USE_ACTIVE ||
					     p->view.backend[idx].use == TIARA_USE_DOWN);
}

static enum tiara_status
push_check(const struct push *p, uint32_t i)
{
	const struct tiara_packed_connection *r = &p->record[i];
	const struct tiara_service *service;

	if (!push_is_client(r->client_addr))
		return push_invalid(p, i, "client_addr", "must be a unicast address");
	if (r->client_port == 0)
		return push_invalid(p, i, "client_port", "must not be 0");
	if (!push_service_active(p, ntohs(r->service_pos)))
		return push_invalid(p, i, "service_pos", "names no service that is in use");
	if (ntohl(r->backend_pos) >= p->backend_cnt ||
	    !push_backend_in_use(p, p->backend_idx[ntohl(r->backend_pos)]))
		return push_invalid(p, i, "backend_pos", "names no backend that is in use");
	service = &p->view.service[p->service_idx[ntohs(r->service_pos)]];
	if (!push_state_fits(service->protocol, r->state))
		return push_invalid(p, i, "state",
				    "must be 2, 3 or 4 (TCP: new, established, "
				    "closing) or 5 (UDP), as the service's protocol is");
	if (r->flags)
		return push_invalid(p, i, "flags", "must be 0 in format 1");
	if (ntohs(r->idle_s) >= service->timeout_ticks[r->state])
		return push_invalid(p, i, "idle_s", "is not less than the timeout of its state");
	return TIARA_OK;
}

static union tiara_word
push_word(const struct push *p, const struct tiara_packed_connection *r)
{
	return (union tiara_word){
		.entry = {.client_addr = r->client_addr,
			  .client_port = r->client_port,
			  .service_idx = (uint16_t)p->service_idx[ntohs(r->service_pos)],
			  .backend_idx = p->backend_idx[ntohl(r->backend_pos)],
			  .last_seen = (uint16_t)(p->age.now - ntohs(r->idle_s)),
			  .state = r->state,
			  .flags = TIARA_ENTRY_PUSHED}};
}

/* An entry is there: its backend stays, unless the policy or its removal says otherwise. */
static enum tiara_status
push_meet(const struct push *p, struct tiara_found *found, const union tiara_word *word)
{
	if (found->word.entry.backend_idx == word->entry.backend_idx)
		return TIARA_OK;
	if (!p->replace && push_backend_in_use(p, found->word.entry.backend_idx))
		return TIARA_CONFLICT;
	if (found->word.entry.flags & TIARA_ENTRY_OFFLOADED)
		return TIARA_CONFLICT; /* the card's: only a worker may change it */
	return tiara_table_replace(&p->handle->map, &p->handle->state->writer, found, word)
		       ? TIARA_OK
		       : TIARA_BUSY;
}

/*
 * There was an entry when the burst was inserted; a record before this one may have replaced it since,
 * so it is looked for again. BUSY: a worker changed it meanwhile; then once more.
 */
static enum tiara_status
push_settle(const struct push *p, uint64_t hash, const union tiara_word *word)
{
	enum tiara_status status = TIARA_BUSY;
	struct tiara_found found;

	for (int i = 0; i < PUSH_TRIES && status == TIARA_BUSY; i++) {
		status = tiara_table_insert(&p->handle->map, &p->age, &p->handle->state->writer,
					    hash, word, &found);
		if (status == TIARA_EXISTS)
			status = push_meet(p, &found, word);
	}
	return status == TIARA_BUSY ? TIARA_CONFLICT : status;
}

/* Relaxed: a number of its moment, as the workers' are. */
void
control_tell_unconfirmed(struct tiara_handle *handle)
{
	__atomic_store_n(&handle->map.segment->unconfirmed,
			 (uint64_t)handle->state->writer.unconfirmed, __ATOMIC_RELAXED);
}

static void
push_burst(const struct push *p, const struct tiara_packed_connection *record, uint32_t cnt,
	   uint8_t *result)
{
	const struct tiara_map *map = &p->handle->map;
	union tiara_word word[PUSH_BURST];
	uint64_t hash[PUSH_BURST];
	struct tiara_found found[PUSH_BURST];
	enum tiara_status status[PUSH_BURST];

	for (uint32_t i = 0; i < cnt; i++) {
		word[i] = push_word(p, &record[i]);
		hash[i] = tiara_hash_inline(word[i].key, map->segment->table_secret);
	}
	tiara_table_insert_burst(map, &p->age, &p->handle->state->writer, hash, word, cnt, found,
				 status);
	for (uint32_t i = 0; i < cnt; i++)
		result[i] = (uint8_t)(status[i] == TIARA_EXISTS ? push_settle(p, hash[i], &word[i])
								: status[i]);
}

enum tiara_status
tiara_connections_push(struct tiara_handle *handle, const struct tiara_packed_connection *record,
		       uint32_t cnt, const uint32_t *service_idx, uint32_t service_cnt,
		       const uint32_t *backend_idx, uint32_t backend_cnt,
		       enum tiara_on_conflict on_conflict, uint8_t *result,
		       struct tiara_error *error)
{
	struct push p = {
		.handle = handle,
		.view = tiara_view_of(&handle->map, control_generation(handle)),
		.record = record,
		.service_idx = service_idx,
		.service_cnt = service_cnt,
		.backend_idx = backend_idx,
		.backend_cnt = backend_cnt,
		.replace = on_conflict == TIARA_CONFLICT_REPLACE,
		.error = error,
	};
	enum tiara_status status = control_require_writer(handle, error);

	p.age = (struct tiara_age){.view = &p.view, .now = (uint16_t)tiara_tick_now(&handle->map)};
	for (uint32_t i = 0; i < cnt && status == TIARA_OK; i++)
		status = push_check(&p, i);
	if (status != TIARA_OK)
		return status;
	for (uint32_t i = 0; i < cnt; i += PUSH_BURST)
		push_burst(&p, &record[i], cnt - i < PUSH_BURST ? cnt - i : PUSH_BURST, &result[i]);
	control_tell_unconfirmed(handle);
	return TIARA_OK;
}
