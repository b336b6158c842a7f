/* SPDX-License-Identifier: Apache-2.0 */
/* What a change does to services, backends and selection tables, and which index they get. */
#include "control/internal.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* ---- checks ---- */

static enum tiara_status
edit_check_name(const char *field, const char name[TIARA_NAME_BYTES], struct tiara_error *error)
{
	size_t len = strnlen(name, TIARA_NAME_BYTES);

	if (len > 0 && len < TIARA_NAME_BYTES)
		return TIARA_OK;
	return control_error(error, TIARA_INVALID, field,
			     "%s has %s; it can be 1 to %d characters; nothing was changed", field,
			     len ? "no end" : "no characters", TIARA_NAME_BYTES - 1);
}

static enum tiara_status
edit_invalid(const char *field, const char *why, struct tiara_error *error)
{
	return control_error(error, TIARA_INVALID, field, "%s %s; nothing was changed", field, why);
}

static enum tiara_status
edit_check_backend(const struct tiara_backend_spec *spec, struct tiara_error *error)
{
	const struct tiara_backend *r = &spec->record;
	enum tiara_status status = edit_check_name("pool", spec->pool, error);

	if (status == TIARA_OK)
		status = edit_check_name("backend", spec->backend, error);
	if (status != TIARA_OK)
		return status;
	if (r->use != TIARA_USE_ACTIVE && r->use != TIARA_USE_DOWN && r->use != TIARA_USE_GONE)
		return edit_invalid("record.use", "must be ACTIVE, DOWN or GONE", error);
	if (r->addr == 0)
		return edit_invalid("record.addr", "must not be 0.0.0.0", error);
	if (r->forward < TIARA_FORWARD_L2 || r->forward > TIARA_FORWARD_IPIP)
		return edit_invalid("record.forward", "must be L2, VXLAN or IPIP", error);
	if (r->vni >> 24)
		return edit_invalid("record.vni", "must be less than 16777216", error);
	if (r->forward == TIARA_FORWARD_VXLAN && r->tunnel_port == 0)
		return edit_invalid("record.tunnel_port", "must not be 0 with VXLAN", error);
	return TIARA_OK;
}

static bool
edit_timeout_used(uint8_t protocol, int state)
{
	return protocol == IPPROTO_TCP ? state >= TIARA_STATE_NEW && state <= TIARA_STATE_CLOSING
				       : state == TIARA_STATE_UDP;
}

static enum tiara_status
edit_check_timeouts(const struct tiara_service *record, struct tiara_error *error)
{
	char field[64];

	for (int i = 0; i < TIARA_STATE_CNT; i++) {
		uint16_t ticks = record->timeout_ticks[i];

		if (ticks <= TIARA_TIMEOUT_TICKS_MAX &&
		    (ticks > 0 || !edit_timeout_used(record->protocol, i)))
			continue;
		snprintf(field, sizeof(field), "record.timeout_ticks[%d]", i);
		return control_error(error, TIARA_INVALID, field,
				     "%s is %u; it can be 1 to %d ticks; nothing was changed",
				     field, ticks, TIARA_TIMEOUT_TICKS_MAX);
	}
	return TIARA_OK;
}

static enum tiara_status
edit_check_service(const struct tiara_change *change, const struct tiara_service_spec *spec,
		   struct tiara_error *error)
{
	const struct tiara_service *r = &spec->record;
	enum tiara_status status = edit_check_name("service", spec->service, error);

	if (status != TIARA_OK)
		return status;
	if (r->use != TIARA_USE_ACTIVE)
		return edit_invalid("record.use", "must be ACTIVE", error);
	if (r->vip == 0)
		return edit_invalid("record.vip", "must not be 0.0.0.0", error);
	if (r->port == 0)
		return edit_invalid("record.port", "must not be 0", error);
	if (r->protocol != IPPROTO_TCP && r->protocol != IPPROTO_UDP)
		return edit_invalid("record.protocol", "must be 6 (TCP) or 17 (UDP)", error);
	if ((spec->table_off == 0) != (spec->table_cnt == 0) ||
	    (spec->table_off &&
	     !control_heap_holds(change->handle, spec->table_off, spec->table_cnt * UINT64_C(4))))
		return edit_invalid("table_off",
				    "must be 0 or come from tiara_change_table, with "
				    "its table_cnt",
				    error);
	if ((spec->source_off == 0) != (spec->source_cnt == 0) ||
	    spec->source_cnt > TIARA_SOURCES_MAX ||
	    (spec->source_off &&
	     !control_heap_holds(change->handle, spec->source_off,
				 spec->source_cnt * sizeof(struct tiara_source))))
		return edit_invalid("source_off",
				    "must be 0 or come from tiara_change_sources, with "
				    "its source_cnt",
				    error);
	return edit_check_timeouts(r, error);
}

/* ---- finding what has a name ---- */

static uint32_t
edit_find_backend(const struct tiara_change *change, const struct tiara_backend_name *wanted)
{
	const struct control_names *names = &change->handle->state->backend_by_name;
	uint32_t i = control_names_first(names, control_hash_backend(wanted));

	for (; i != CONTROL_NONE; i = names->next[i]) {
		const struct tiara_backend_name *n = change_item(change, CHANGE_BACKEND_NAME, i);

		if (!strcmp(n->pool, wanted->pool) && !strcmp(n->backend, wanted->backend) &&
		    !memcmp(n->uid, wanted->uid, sizeof(n->uid)))
			break;
	}
	return i;
}

static bool
edit_same_frontend(const struct tiara_service *a, const struct tiara_service *b)
{
	return a->vip == b->vip && a->port == b->port && a->protocol == b->protocol;
}

static uint32_t
edit_find_service(const struct tiara_change *change, const struct tiara_service_name *wanted,
		  const struct tiara_service *record)
{
	const struct control_names *names = &change->handle->state->service_by_name;
	uint32_t i = control_names_first(names, control_hash_service(wanted, record));

	for (; i != CONTROL_NONE; i = names->next[i]) {
		const struct tiara_service_name *n = change_item(change, CHANGE_SERVICE_NAME, i);

		if (!strcmp(n->service, wanted->service) &&
		    !memcmp(n->uid, wanted->uid, sizeof(n->uid)) &&
		    edit_same_frontend(change_item(change, CHANGE_SERVICE, i), record))
			break;
	}
	return i;
}

static uint32_t
edit_find_frontend(const struct tiara_change *change, const struct tiara_service *record)
{
	const struct control_names *names = &change->handle->state->service_by_frontend;
	uint32_t i = control_names_first(names, control_hash_frontend(record));

	while (i != CONTROL_NONE &&
	       !edit_same_frontend(change_item(change, CHANGE_SERVICE, i), record))
		i = names->next[i];
	return i;
}

static enum tiara_status
edit_check_frontend_free(const struct tiara_change *change, const struct tiara_service *record,
			 struct tiara_error *error)
{
	uint32_t holder = edit_find_frontend(change, record);
	const struct tiara_service_name *name;
	char text[CONTROL_FRONTEND_TEXT_BYTES];

	if (holder == CONTROL_NONE)
		return TIARA_OK;
	name = change_item(change, CHANGE_SERVICE_NAME, holder);
	return control_error(
		error, TIARA_EXISTS, "record.vip",
		"%s belongs to service %s; nothing was changed; remove it there first",
		control_frontend_text(text, record->vip, record->port, record->protocol),
		name->service);
}

/* ---- indices ---- */

/* May this index be given away (docs/design/0002)? */
static bool
edit_released(const struct tiara_change *change, uint8_t use, uint64_t use_generation)
{
	const struct control_quarantine *q = &change->handle->state->quarantine;

	return use == TIARA_USE_FREE ||
	       (use == TIARA_USE_GONE && (q->off || use_generation <= q->released));
}

static enum tiara_status
edit_no_index(const struct tiara_change *change, const char *noun, uint32_t max, uint32_t gone,
	      struct tiara_error *error)
{
	bool live = control_role_live(change->handle, TIARA_ROLE_DATAPLANE);

	return control_error(
		error, TIARA_EXHAUSTED, noun,
		"none of the %u %s is free: %u are in use, %u were removed and wait "
		"until a sweep has passed%s; nothing was changed; wait, or start with a "
		"new segment and more --%s of tiara-dataplane",
		max, noun, max - gone, gone, live ? "" : " (no tiara-dataplane runs, so none does)",
		noun);
}

static enum tiara_status
edit_no_service(const struct tiara_change *change, struct tiara_error *error)
{
	const struct change_block *b = &change->block[CHANGE_SERVICE_NAME];
	const struct tiara_service_name *name = change_item(change, CHANGE_SERVICE_NAME, 0);
	uint32_t gone = 0;

	for (uint32_t i = 0; i < b->cnt; i++)
		gone += name[i].use == TIARA_USE_GONE;
	return edit_no_index(change, "services", b->max, gone, error);
}

static enum tiara_status
edit_no_backend(const struct tiara_change *change, struct tiara_error *error)
{
	const struct change_block *b = &change->block[CHANGE_BACKEND_NAME];
	const struct tiara_backend_name *name = change_item(change, CHANGE_BACKEND_NAME, 0);
	uint32_t gone = 0;

	for (uint32_t i = 0; i < b->cnt; i++)
		gone += name[i].use == TIARA_USE_GONE;
	return edit_no_index(change, "backends", b->max, gone, error);
}

static enum tiara_status
edit_take_service(struct tiara_change *change, uint32_t *idx, struct tiara_error *error)
{
	const struct change_block *b = &change->block[CHANGE_SERVICE];

	for (*idx = change->free_service_from; *idx < b->cnt; (*idx)++) {
		const struct tiara_service_name *n = change_item(change, CHANGE_SERVICE_NAME, *idx);

		if (edit_released(change, n->use, n->use_generation))
			break;
	}
	change->free_service_from = *idx;
	return *idx < b->max ? TIARA_OK : edit_no_service(change, error);
}

static enum tiara_status
edit_take_backend(struct tiara_change *change, uint32_t *idx, struct tiara_error *error)
{
	const struct change_block *b = &change->block[CHANGE_BACKEND];

	for (*idx = change->free_backend_from; *idx < b->cnt; (*idx)++) {
		const struct tiara_backend *r = change_item(change, CHANGE_BACKEND, *idx);
		const struct tiara_backend_name *n;

		if (r->use == TIARA_USE_ACTIVE || r->use == TIARA_USE_DOWN)
			continue; /* the small record spares a look at the large one */
		n = change_item(change, CHANGE_BACKEND_NAME, *idx);
		if (edit_released(change, n->use, n->use_generation))
			break;
	}
	change->free_backend_from = *idx;
	return *idx < b->max ? TIARA_OK : edit_no_backend(change, error);
}

/* Private copies of record and name before either is written: a change never holds half a put. */
static enum tiara_status
edit_own_both(struct tiara_change *change, enum change_block_no record, enum change_block_no name,
	      uint32_t cnt, struct tiara_error *error)
{
	enum tiara_status status = change_own(change, name, cnt, error);

	return status == TIARA_OK ? change_own(change, record, cnt, error) : status;
}

/* ---- backends ---- */

static struct tiara_backend_name
edit_backend_name(const char *pool, const char *backend, const uint8_t uid[16], uint8_t use,
		  uint64_t generation)
{
	struct tiara_backend_name name = {.use = use, .use_generation = generation};

	memcpy(name.pool, pool, strnlen(pool, sizeof(name.pool) - 1));
	memcpy(name.backend, backend, strnlen(backend, sizeof(name.backend) - 1));
	memcpy(name.uid, uid, sizeof(name.uid));
	return name;
}

static enum tiara_status
edit_backend_new(struct tiara_change *change, const struct tiara_backend_name *name,
		 const struct tiara_backend *record, uint32_t *idx, struct tiara_error *error)
{
	enum tiara_status status = edit_take_backend(change, idx, error);

	if (status == TIARA_OK)
		status = edit_own_both(change, CHANGE_BACKEND, CHANGE_BACKEND_NAME, *idx + 1,
				       error);
	if (status != TIARA_OK)
		return status;
	if (!change->handle->state->quarantine.off)
		control_entries_forget(change->handle, *idx);
	*(struct tiara_backend_name *)change_item(change, CHANGE_BACKEND_NAME, *idx) = *name;
	*(struct tiara_backend *)change_item(change, CHANGE_BACKEND, *idx) = *record;
	control_names_add(&change->handle->state->backend_by_name, control_hash_backend(name),
			  *idx);
	return TIARA_OK;
}

static enum tiara_status
edit_backend_change(struct tiara_change *change, const struct tiara_backend *record, uint32_t idx,
		    struct tiara_error *error)
{
	enum tiara_status status;

	if (!memcmp(change_item(change, CHANGE_BACKEND, idx), record, sizeof(*record)))
		return TIARA_OK;
	status = change_own(change, CHANGE_BACKEND, idx + 1, error);
	if (status == TIARA_OK)
		*(struct tiara_backend *)change_item(change, CHANGE_BACKEND, idx) = *record;
	return status;
}

enum tiara_status
tiara_change_backend_put(struct tiara_change *change, const struct tiara_backend_spec *spec,
			 uint32_t *idx, struct tiara_error *error)
{
	enum tiara_status status = edit_check_backend(spec, error);
	struct tiara_backend record = spec->record;
	struct tiara_backend_name name;
	uint32_t at;

	if (status != TIARA_OK)
		return status;
	memset(record.pad, 0, sizeof(record.pad));
	name = edit_backend_name(spec->pool, spec->backend, spec->uid, TIARA_USE_ACTIVE,
				 change->generation);
	at = edit_find_backend(change, &name);
	if (at == CONTROL_NONE)
		status = edit_backend_new(change, &name, &record, &at, error);
	else
		status = edit_backend_change(change, &record, at, error);
	if (status == TIARA_OK && idx)
		*idx = at;
	return status;
}

enum tiara_status
tiara_change_backend_remove(struct tiara_change *change, const char *pool, const char *backend,
			    const uint8_t uid[16], struct tiara_error *error)
{
	struct tiara_backend_name wanted = edit_backend_name(pool, backend, uid, TIARA_USE_FREE, 0);
	uint32_t idx = edit_find_backend(change, &wanted);
	struct tiara_backend_name *name;
	enum tiara_status status;

	if (idx == CONTROL_NONE)
		return control_error(error, TIARA_NOT_FOUND, "backend",
				     "there is no backend %s/%s of this uid; nothing was changed",
				     wanted.pool, wanted.backend);
	status = edit_own_both(change, CHANGE_BACKEND, CHANGE_BACKEND_NAME, idx + 1, error);
	if (status != TIARA_OK)
		return status;
	control_names_drop(&change->handle->state->backend_by_name, control_hash_backend(&wanted),
			   idx);
	name = change_item(change, CHANGE_BACKEND_NAME, idx);
	name->use = TIARA_USE_GONE;
	name->use_generation = change->generation;
	((struct tiara_backend *)change_item(change, CHANGE_BACKEND, idx))->use = TIARA_USE_GONE;
	if (change->handle->state->quarantine.off)
		change->free_backend_from = 0;
	return TIARA_OK;
}

/* ---- selection tables ---- */

static enum tiara_status
edit_check_table(const struct tiara_change *change, const uint32_t *rows, uint32_t row_cnt,
		 const uint32_t *idx, uint32_t idx_cnt, struct tiara_error *error)
{
	char field[64];

	if (row_cnt == 0)
		return edit_invalid("row_cnt",
				    "must not be 0; a service without backend has no table", error);
	for (uint32_t i = 0; i < idx_cnt; i++) {
		const struct tiara_backend *r;

		if (idx[i] < change->block[CHANGE_BACKEND].cnt) {
			r = change_item(change, CHANGE_BACKEND, idx[i]);
			if (r->use == TIARA_USE_ACTIVE || r->use == TIARA_USE_DOWN)
				continue;
		}
		snprintf(field, sizeof(field), "idx[%u]", i);
		return edit_invalid(field, "is not a backend in use", error);
	}
	for (uint32_t i = 0; i < row_cnt; i++) {
		if (rows[i] < idx_cnt)
			continue;
		snprintf(field, sizeof(field), "rows[%u]", i);
		return edit_invalid(field, "is not a position in idx", error);
	}
	return TIARA_OK;
}

static bool
edit_table_equal(const struct tiara_change *change, uint64_t off, const uint32_t *rows,
		 uint32_t row_cnt, const uint32_t *idx)
{
	const uint32_t *there = (const void *)(change->handle->map.base + off);

	if (!control_heap_holds(change->handle, off, row_cnt * UINT64_C(4)))
		return false;
	for (uint32_t i = 0; i < row_cnt; i++)
		if (there[i] != idx[rows[i]])
			return false;
	return true;
}

enum tiara_status
tiara_change_table(struct tiara_change *change, const uint32_t *rows, uint32_t row_cnt,
		   const uint32_t *idx, uint32_t idx_cnt, uint64_t reuse_off, uint64_t *table_off,
		   struct tiara_error *error)
{
	enum tiara_status status = edit_check_table(change, rows, row_cnt, idx, idx_cnt, error);
	uint32_t *there;

	*table_off = 0;
	if (status == TIARA_OK && reuse_off &&
	    edit_table_equal(change, reuse_off, rows, row_cnt, idx)) {
		*table_off = reuse_off;
		return TIARA_OK;
	}
	if (status == TIARA_OK)
		status = control_heap_take(change->handle, row_cnt * UINT64_C(4), table_off, error);
	if (status != TIARA_OK)
		return status;
	there = (void *)(change->handle->map.base + *table_off);
	for (uint32_t i = 0; i < row_cnt; i++)
		there[i] = idx[rows[i]];
	CONTROL_STEP("selection table written");
	return TIARA_OK;
}

/* ---- services ---- */

static struct tiara_service_name
edit_service_name(const char *service, const uint8_t uid[16], uint64_t generation)
{
	struct tiara_service_name name = {.use = TIARA_USE_ACTIVE, .use_generation = generation};

	memcpy(name.service, service, strnlen(service, sizeof(name.service) - 1));
	memcpy(name.uid, uid, sizeof(name.uid));
	return name;
}

static enum tiara_status
edit_service_new(struct tiara_change *change, const struct tiara_service_name *name,
		 const struct tiara_service *record, uint32_t *idx, struct tiara_error *error)
{
	struct control_state *state = change->handle->state;
	enum tiara_status status = edit_check_frontend_free(change, record, error);
	struct tiara_service *there;
	uint32_t bucket;

	if (status == TIARA_OK)
		status = edit_take_service(change, idx, error);
	if (status == TIARA_OK)
		status = edit_own_both(change, CHANGE_SERVICE, CHANGE_SERVICE_NAME, *idx + 1,
				       error);
	if (status != TIARA_OK)
		return status;
	*(struct tiara_service_name *)change_item(change, CHANGE_SERVICE_NAME, *idx) = *name;
	bucket = record->new_max_per_s ? control_rate_idx(change, name, *idx) : 0;
	there = change_item(change, CHANGE_SERVICE, *idx);
	*there = *record;
	there->rate_idx = bucket;
	control_names_add(&state->service_by_name, control_hash_service(name, record), *idx);
	control_names_add(&state->service_by_frontend, control_hash_frontend(record), *idx);
	change->frontends_differ = true;
	return TIARA_OK;
}

static enum tiara_status
edit_service_change(struct tiara_change *change, const struct tiara_service *record, uint32_t idx,
		    struct tiara_error *error)
{
	enum tiara_status status;

	if (!memcmp(change_item(change, CHANGE_SERVICE, idx), record, sizeof(*record)))
		return TIARA_OK;
	status = change_own(change, CHANGE_SERVICE, idx + 1, error);
	if (status == TIARA_OK)
		*(struct tiara_service *)change_item(change, CHANGE_SERVICE, idx) = *record;
	return status;
}

enum tiara_status
tiara_change_service_put(struct tiara_change *change, const struct tiara_service_spec *spec,
			 uint32_t *idx, struct tiara_error *error)
{
	enum tiara_status status = edit_check_service(change, spec, error);
	struct tiara_service record = spec->record;
	struct tiara_service_name name;
	uint32_t at;

	if (status != TIARA_OK)
		return status;
	record.select_off = spec->table_off;
	record.select_cnt = spec->table_cnt;
	record.source_off = spec->source_off;
	record.source_cnt = spec->source_cnt;
	record.rate_idx = 0;
	memset(record.pad, 0, sizeof(record.pad));
	name = edit_service_name(spec->service, spec->uid, change->generation);
	at = edit_find_service(change, &name, &record);
	if (at != CONTROL_NONE && record.new_max_per_s)
		record.rate_idx = control_rate_idx(change, &name, at);
	if (at == CONTROL_NONE)
		status = edit_service_new(change, &name, &record, &at, error);
	else
		status = edit_service_change(change, &record, at, error);
	if (status == TIARA_OK && idx)
		*idx = at;
	return status;
}

/* Off the chains, its selection table let go, its index in quarantine. */
static void
edit_service_gone(struct tiara_change *change, uint32_t idx)
{
	struct control_state *state = change->handle->state;
	struct tiara_service_name *name = change_item(change, CHANGE_SERVICE_NAME, idx);
	struct tiara_service *record = change_item(change, CHANGE_SERVICE, idx);

	control_names_drop(&state->service_by_name, control_hash_service(name, record), idx);
	control_names_drop(&state->service_by_frontend, control_hash_frontend(record), idx);
	name->use = TIARA_USE_GONE;
	name->use_generation = change->generation;
	record->use = TIARA_USE_GONE;
	record->select_off = 0;
	record->select_cnt = 0;
	record->source_off = 0;
	record->source_cnt = 0;
	change->frontends_differ = true;
	if (state->quarantine.off)
		change->free_service_from = 0;
}

enum tiara_status
tiara_change_service_remove(struct tiara_change *change, const char *service, const uint8_t uid[16],
			    tiara_be32 vip, tiara_be16 port, uint8_t protocol,
			    struct tiara_error *error)
{
	const struct tiara_service_name wanted = edit_service_name(service, uid, 0);
	const struct tiara_service record = {.vip = vip, .port = port, .protocol = protocol};
	uint32_t idx = edit_find_service(change, &wanted, &record);
	char text[CONTROL_FRONTEND_TEXT_BYTES];
	enum tiara_status status;

	if (idx == CONTROL_NONE)
		return control_error(
			error, TIARA_NOT_FOUND, "service",
			"service %s of this uid has no frontend %s; nothing was changed",
			wanted.service, control_frontend_text(text, vip, port, protocol));
	status = edit_own_both(change, CHANGE_SERVICE, CHANGE_SERVICE_NAME, idx + 1, error);
	if (status == TIARA_OK)
		edit_service_gone(change, idx);
	return status;
}

enum tiara_status
tiara_change_secret(struct tiara_change *change, const uint64_t secret[2],
		    struct tiara_error *error)
{
	if (secret[1] >> 63)
		return edit_invalid("secret", "must have 127 bits: the highest must be 0", error);
	memcpy(change->select_secret, secret, sizeof(change->select_secret));
	return TIARA_OK;
}
