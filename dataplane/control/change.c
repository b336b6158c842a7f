/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration change: begun, committed or aborted (docs/design/0002). What is in it: edit.c. */
#include "control/internal.h"

#include "table/frontend.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
change_bytes(const struct change_block *b, uint32_t cnt)
{
	return (uint64_t)cnt * b->item_bytes;
}

/* Whole heap units, so that the next items need no new copy. */
static uint32_t
change_room(const struct change_block *b, uint32_t cnt)
{
	uint64_t wanted = b->own && cnt < 2 * (uint64_t)b->room ? 2 * (uint64_t)b->room : cnt;
	uint64_t units = (wanted * b->item_bytes + TIARA_HEAP_UNIT_BYTES - 1) /
			 TIARA_HEAP_UNIT_BYTES;
	uint64_t room = units * TIARA_HEAP_UNIT_BYTES / b->item_bytes;

	return room > b->max ? b->max : (uint32_t)room;
}

enum tiara_status
change_own(struct tiara_change *change, enum change_block_no no, uint32_t cnt,
	   struct tiara_error *error)
{
	struct change_block *b = &change->block[no];
	uint8_t *base = change->handle->map.base;
	uint32_t room = change_room(b, cnt > b->cnt ? cnt : b->cnt);
	uint64_t off;
	enum tiara_status status = TIARA_OK;

	if (!b->own || cnt > b->room) {
		status = control_heap_take(change->handle, change_bytes(b, room), &off, error);
		if (status != TIARA_OK)
			return status;
		memcpy(base + off, base + b->off, change_bytes(b, b->cnt));
		memset(base + off + change_bytes(b, b->cnt), 0, change_bytes(b, room - b->cnt));
		if (b->own)
			control_heap_give(change->handle, b->off, change_bytes(b, b->room));
		b->off = off;
		b->room = room;
		b->own = true;
		CONTROL_STEP("block copied");
	}
	b->cnt = cnt > b->cnt ? cnt : b->cnt;
	return status;
}

static struct tiara_root
change_current_root(const struct tiara_handle *handle)
{
	uint64_t generation = control_generation(handle);

	if (generation == 0)
		return (struct tiara_root){.generation = 0};
	return handle->map.root[generation % TIARA_ROOT_CNT];
}

static struct change_block
change_block_of(uint64_t off, uint32_t cnt, uint32_t max, size_t item_bytes)
{
	return (struct change_block){
		.off = off, .cnt = cnt, .max = max, .item_bytes = (uint32_t)item_bytes};
}

static void
change_blocks_of(const struct tiara_handle *handle, const struct tiara_root *r,
		 struct change_block block[CHANGE_BLOCK_CNT])
{
	uint32_t services = handle->map.segment->service_max;
	uint32_t backends = handle->map.segment->backend_max;

	block[CHANGE_SERVICE] = change_block_of(r->service_off, r->service_cnt, services,
						sizeof(struct tiara_service));
	block[CHANGE_BACKEND] = change_block_of(r->backend_off, r->backend_cnt, backends,
						sizeof(struct tiara_backend));
	block[CHANGE_SERVICE_NAME] = change_block_of(r->service_name_off, r->service_cnt, services,
						     sizeof(struct tiara_service_name));
	block[CHANGE_BACKEND_NAME] = change_block_of(r->backend_name_off, r->backend_cnt, backends,
						     sizeof(struct tiara_backend_name));
	block[CHANGE_FRONTEND] = change_block_of(r->frontend_off, r->frontend_cnt, UINT32_MAX,
						 sizeof(struct tiara_frontend));
}

enum tiara_status
tiara_change_begin(struct tiara_handle *handle, struct tiara_change **change,
		   struct tiara_error *error)
{
	enum tiara_status status = control_require_writer(handle, error);
	struct tiara_root root;
	struct tiara_change *c;

	*change = NULL;
	if (status != TIARA_OK)
		return status;
	if (handle->state->change)
		return control_error(error, TIARA_BUSY, "change",
				     "a change is open; commit or abort it first");
	c = calloc(1, sizeof(*c));
	if (!c)
		return control_out_of_memory(error);
	root = change_current_root(handle);
	c->handle = handle;
	c->generation = root.generation + 1;
	memcpy(c->select_secret, root.select_secret, sizeof(c->select_secret));
	change_blocks_of(handle, &root, c->block);
	control_heap_mark(handle);
	handle->state->change = c;
	*change = c;
	return TIARA_OK;
}

/* The names of put and removed go back to what the segment says. */
void
tiara_change_abort(struct tiara_change *change)
{
	if (!change)
		return;
	change->handle->state->change = NULL;
	control_names_load(change->handle);
	free(change);
}

/* ---- frontends ---- */

static int
change_compare_vips(const void *a, const void *b)
{
	tiara_be32 x = *(const tiara_be32 *)a, y = *(const tiara_be32 *)b;

	return x < y ? -1 : x > y;
}

/* The distinct VIPs of active services; NULL: no memory. */
static tiara_be32 *
change_vips(const struct tiara_change *change, uint32_t *vip_cnt, uint32_t *service_cnt)
{
	uint32_t cnt = change->block[CHANGE_SERVICE].cnt;
	const struct tiara_service *service = change_item(change, CHANGE_SERVICE, 0);
	tiara_be32 *vip = malloc((cnt + 1) * sizeof(*vip));
	uint32_t active = 0, distinct = 0;

	if (!vip)
		return NULL;
	for (uint32_t i = 0; i < cnt; i++)
		if (service[i].use == TIARA_USE_ACTIVE)
			vip[active++] = service[i].vip;
	qsort(vip, active, sizeof(*vip), change_compare_vips);
	for (uint32_t i = 0; i < active; i++)
		if (i == 0 || vip[i] != vip[i - 1])
			vip[distinct++] = vip[i];
	*vip_cnt = distinct;
	*service_cnt = active;
	return vip;
}

static void
change_frontend_add(const struct tiara_change *change, const struct tiara_frontend *frontend)
{
	struct tiara_frontend *slot = change_item(change, CHANGE_FRONTEND, 0);
	uint32_t mask = change->block[CHANGE_FRONTEND].cnt - 1;
	uint32_t i = tiara_frontend_hash(frontend->vip, frontend->port, frontend->protocol);

	while (slot[i & mask].use != TIARA_USE_FREE)
		i++;
	slot[i & mask] = *frontend;
}

static void
change_frontends_fill(const struct tiara_change *change, const tiara_be32 *vip, uint32_t vip_cnt)
{
	const struct tiara_service *service = change_item(change, CHANGE_SERVICE, 0);

	for (uint32_t i = 0; i < change->block[CHANGE_SERVICE].cnt; i++)
		if (service[i].use == TIARA_USE_ACTIVE)
			change_frontend_add(
				change, &(struct tiara_frontend){.vip = service[i].vip,
								 .port = service[i].port,
								 .protocol = service[i].protocol,
								 .use = TIARA_USE_ACTIVE,
								 .service_idx = (uint16_t)i});
	for (uint32_t i = 0; i < vip_cnt; i++)
		change_frontend_add(change,
				    &(struct tiara_frontend){.vip = vip[i], .use = TIARA_USE_VIP});
}

/* A new table, at most half full, from the services. */
static enum tiara_status
change_frontends_make(struct tiara_change *change, struct tiara_error *error)
{
	struct change_block *b = &change->block[CHANGE_FRONTEND];
	enum tiara_status status = TIARA_OK;
	uint32_t vip_cnt, service_cnt, slots = 1;
	tiara_be32 *vip = change_vips(change, &vip_cnt, &service_cnt);

	if (!vip)
		return control_out_of_memory(error);
	while (slots < 2 * (service_cnt + vip_cnt))
		slots <<= 1;
	b->off = 0;
	b->cnt = 0;
	if (service_cnt)
		status = change_own(change, CHANGE_FRONTEND, slots, error);
	if (status == TIARA_OK && service_cnt)
		change_frontends_fill(change, vip, vip_cnt);
	free(vip);
	return status;
}

/* ---- commit ---- */

/* A copy that ended up equal gives way to what it was copied from. */
static void
change_share(struct tiara_change *change, enum change_block_no no, const struct change_block *from)
{
	struct change_block *b = &change->block[no];
	const uint8_t *base = change->handle->map.base;

	if (b->own && b->cnt == from->cnt &&
	    !memcmp(base + b->off, base + from->off, change_bytes(b, b->cnt)))
		*b = *from;
}

static bool
change_differs(const struct tiara_change *change, const struct tiara_root *root,
	       const struct change_block *from)
{
	for (int i = 0; i < CHANGE_BLOCK_CNT; i++)
		if (change->block[i].off != from[i].off)
			return true;
	return memcmp(change->select_secret, root->select_secret, sizeof(root->select_secret)) != 0;
}

static enum tiara_status
change_waiting_check(const struct tiara_change *change, struct tiara_error *error)
{
	int32_t worker;
	uint64_t oldest = control_oldest(change->handle, &worker);

	if (change->generation - oldest <= TIARA_ROOT_WAITING_MAX)
		return TIARA_OK;
	return control_error(
		error, TIARA_EXHAUSTED, "worker",
		"worker %d (lcore %u) still uses generation %" PRIu64 "; %d "
		"generations wait for it and no more may; nothing was changed, %" PRIu64
		" goes on serving; let the worker run, or restart tiara-dataplane",
		worker, change->handle->map.worker[worker].lcore, oldest, TIARA_ROOT_WAITING_MAX,
		change->generation - 1);
}

/* A record whose entries have to go. Its name is still in use: drained by force, for how long no one knows. */
static void
change_note_gone(struct tiara_root *root, uint8_t name_use, uint64_t use_generation)
{
	if (name_use != TIARA_USE_GONE)
		use_generation = UINT64_MAX;
	if (use_generation > root->gone_generation)
		root->gone_generation = use_generation;
}

/* What lets the sweep pass most entries without looking at their service and backend. */
static void
change_fill_limits(const struct tiara_change *change, struct tiara_root *root)
{
	const struct tiara_service *service = change_item(change, CHANGE_SERVICE, 0);
	const struct tiara_backend *backend = change_item(change, CHANGE_BACKEND, 0);
	const struct tiara_service_name *service_name = change_item(change, CHANGE_SERVICE_NAME, 0);
	const struct tiara_backend_name *backend_name = change_item(change, CHANGE_BACKEND_NAME, 0);

	for (int s = 0; s < TIARA_STATE_CNT; s++)
		root->timeout_min_ticks[s] = UINT16_MAX;
	for (uint32_t i = 0; i < root->service_cnt; i++) {
		if (service[i].use == TIARA_USE_GONE)
			change_note_gone(root, service_name[i].use, service_name[i].use_generation);
		for (int s = 0; s < TIARA_STATE_CNT && service[i].use == TIARA_USE_ACTIVE; s++)
			if (service[i].timeout_ticks[s] < root->timeout_min_ticks[s])
				root->timeout_min_ticks[s] = service[i].timeout_ticks[s];
	}
	for (uint32_t i = 0; i < root->backend_cnt; i++)
		if (backend[i].use == TIARA_USE_GONE)
			change_note_gone(root, backend_name[i].use, backend_name[i].use_generation);
	root->limits_known = 1;
}

static void
change_publish(const struct tiara_change *change, uint64_t revision)
{
	const struct tiara_map *map = &change->handle->map;
	const struct change_block *b = change->block;
	struct tiara_root *root = &map->root[change->generation % TIARA_ROOT_CNT];

	CONTROL_STEP("blocks written");
	*root = (struct tiara_root){
		.revision = revision,
		.select_secret = {change->select_secret[0], change->select_secret[1]},
		.service_off = b[CHANGE_SERVICE].off,
		.backend_off = b[CHANGE_BACKEND].off,
		.frontend_off = b[CHANGE_FRONTEND].off,
		.service_name_off = b[CHANGE_SERVICE_NAME].off,
		.backend_name_off = b[CHANGE_BACKEND_NAME].off,
		.service_cnt = b[CHANGE_SERVICE].cnt,
		.backend_cnt = b[CHANGE_BACKEND].cnt,
		.frontend_cnt = b[CHANGE_FRONTEND].cnt,
	};
	CONTROL_STEP("root half written");
	change_fill_limits(change, root);
	root->generation = change->generation;
	CONTROL_STEP("root written");
	tiara_epoch_publish_ctl(map, change->generation);
	/* Release, with read_valid: who reads what is from now on written over older blocks sees it. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	CONTROL_STEP("published");
}

static enum tiara_status
change_finish(struct tiara_change *change, uint64_t revision, struct tiara_error *error)
{
	struct tiara_root root = change_current_root(change->handle);
	struct change_block from[CHANGE_BLOCK_CNT];
	enum tiara_status status = TIARA_OK;

	change_blocks_of(change->handle, &root, from);
	for (int i = 0; i < CHANGE_FRONTEND; i++)
		change_share(change, (enum change_block_no)i, &from[i]);
	if (change->frontends_differ)
		status = change_frontends_make(change, error);
	change_share(change, CHANGE_FRONTEND, &from[CHANGE_FRONTEND]);
	if (status == TIARA_OK && !change_differs(change, &root, from))
		return TIARA_UNCHANGED;
	if (status == TIARA_OK)
		status = change_waiting_check(change, error);
	if (status == TIARA_OK)
		change_publish(change, revision);
	return status;
}

enum tiara_status
tiara_change_commit(struct tiara_change *change, uint64_t revision, uint64_t *generation,
		    struct tiara_error *error)
{
	struct tiara_handle *handle = change->handle;
	enum tiara_status status = change_finish(change, revision, error);

	if (generation)
		*generation = control_generation(handle);
	if (status != TIARA_OK) {
		tiara_change_abort(change);
		return status;
	}
	handle->state->change = NULL; /* the names say already what was published */
	free(change);
	return TIARA_OK;
}
