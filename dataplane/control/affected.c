/* SPDX-License-Identifier: Apache-2.0 */
/* What a change would do to live connections, before it is made; and to the rows of a table. */
#include "control/internal.h"

#include "table/slot.h"

#include <stdio.h>
#include <string.h>

struct affected {
	struct tiara_age age;
	const uint8_t *services; /* by index: removed; NULL: none */
	const uint8_t *backends;
	struct tiara_affected *sum;
	uint64_t *per_service;
	uint64_t *per_backend;
};

/* It has a backend that a packet of it would still go to. */
static bool
affected_is_live(const struct affected *a, const union tiara_word *word)
{
	uint32_t backend = word->entry.backend_idx;
	uint8_t use;

	if (!tiara_word_live(word) || tiara_entry_expired(&a->age, word) ||
	    backend >= a->age.view->backend_cnt)
		return false;
	use = a->age.view->backend[backend].use;
	return use == TIARA_USE_ACTIVE || use == TIARA_USE_DOWN;
}

static void
affected_entry(struct affected *a, const union tiara_word *word)
{
	bool ends, moves;

	if (!affected_is_live(a, word))
		return;
	a->sum->live++;
	ends = a->services && a->services[word->entry.service_idx];
	moves = !ends && a->backends && a->backends[word->entry.backend_idx];
	if (!ends && !moves)
		return;
	a->sum->ended += ends;
	a->sum->moved += moves;
	if (a->per_service)
		a->per_service[word->entry.service_idx]++;
	if (a->per_backend)
		a->per_backend[word->entry.backend_idx]++;
}

static void
affected_scan(const struct tiara_map *map, struct affected *a)
{
	uint64_t end = (map->bucket_mask + 1) * TIARA_BUCKET_ENTRIES;
	const struct tiara_entry *entry = map->bucket[0].entry;

	for (uint64_t at = 0; at < end; at++) {
		union tiara_word word = tiara_word_plain(slot_load(&entry[at]));

		affected_entry(a, &word);
	}
}

enum tiara_status
tiara_connections_affected(struct tiara_handle *handle, const uint8_t *services,
			   const uint8_t *backends, struct tiara_affected *affected,
			   uint64_t *per_service, uint64_t *per_backend, struct tiara_error *error)
{
	const struct tiara_segment *s = handle->map.segment;
	struct control_kept kept;
	enum tiara_status status = control_keep(handle, &kept, error);
	struct affected a = {
		.age = {.view = &kept.view, .now = (uint16_t)tiara_tick_now(&handle->map)},
		.services = services,
		.backends = backends,
		.sum = affected,
		.per_service = per_service,
		.per_backend = per_backend,
	};

	*affected = (struct tiara_affected){.live = 0};
	if (per_service)
		memset(per_service, 0, s->service_max * sizeof(*per_service));
	if (per_backend)
		memset(per_backend, 0, s->backend_max * sizeof(*per_backend));
	if (status == TIARA_OK)
		affected_scan(&handle->map, &a);
	control_kept_free(&kept);
	return status;
}

static enum tiara_status
affected_check_table(const char *name, const struct tiara_rows *table, struct tiara_error *error)
{
	char field[32];

	for (uint32_t i = 0; i < table->row_cnt; i++) {
		if (table->rows[i] < table->idx_cnt)
			continue;
		snprintf(field, sizeof(field), "%s.rows[%u]", name, i);
		return control_error(error, TIARA_INVALID, field,
				     "%s is %u, no position in an idx of %u", field, table->rows[i],
				     table->idx_cnt);
	}
	return TIARA_OK;
}

enum tiara_status
tiara_rows_differ(const struct tiara_rows *before, const struct tiara_rows *after, uint32_t *differ,
		  struct tiara_error *error)
{
	enum tiara_status status = affected_check_table("before", before, error);

	*differ = 0;
	if (status == TIARA_OK)
		status = affected_check_table("after", after, error);
	if (status == TIARA_OK && before->row_cnt != after->row_cnt)
		status = control_error(error, TIARA_INVALID, "row_cnt",
				       "tables of %u and %u rows cannot be compared row by row",
				       before->row_cnt, after->row_cnt);
	for (uint32_t i = 0; i < after->row_cnt && status == TIARA_OK; i++)
		*differ += before->idx[before->rows[i]] != after->idx[after->rows[i]];
	return status;
}
