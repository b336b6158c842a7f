/* SPDX-License-Identifier: Apache-2.0 */
/* What a change does to limits: lists of sources, buckets of rates, counts of entries (docs/design/0010). */
#include "control/internal.h"

#include "table/entries.h"

#include <stdio.h>
#include <string.h>

/* ---- lists of sources ---- */

static enum tiara_status
limit_check_sources(const struct tiara_source *source, uint32_t cnt, struct tiara_error *error)
{
	char field[64];

	if (cnt == 0 || cnt > TIARA_SOURCES_MAX)
		return control_error(error, TIARA_INVALID, "cnt",
				     "cnt is %u; it can be 1 to %d; nothing was changed", cnt,
				     TIARA_SOURCES_MAX);
	for (uint32_t i = 0; i < cnt; i++) {
		if (source[i].first <= source[i].last &&
		    (i == 0 || (uint64_t)source[i - 1].last + 1 < source[i].first))
			continue;
		snprintf(field, sizeof(field), "source[%u]", i);
		return control_error(error, TIARA_INVALID, field,
				     "%s must end at or after its start, and start behind a gap "
				     "after the one before; nothing was changed",
				     field);
	}
	return TIARA_OK;
}

enum tiara_status
tiara_change_sources(struct tiara_change *change, const struct tiara_source *source, uint32_t cnt,
		     uint64_t reuse_off, uint64_t *source_off, struct tiara_error *error)
{
	uint64_t bytes = cnt * sizeof(*source);
	uint8_t *base = change->handle->map.base;
	enum tiara_status status = limit_check_sources(source, cnt, error);

	*source_off = 0;
	if (status == TIARA_OK && reuse_off &&
	    control_heap_holds(change->handle, reuse_off, bytes) &&
	    !memcmp(base + reuse_off, source, bytes)) {
		*source_off = reuse_off;
		return TIARA_OK;
	}
	if (status == TIARA_OK)
		status = control_heap_take(change->handle, bytes, source_off, error);
	if (status == TIARA_OK)
		memcpy(base + *source_off, source, bytes);
	CONTROL_STEP("sources written");
	return status;
}

/* ---- rates ---- */

static bool
limit_has_rate(const struct tiara_service *record)
{
	return record->use == TIARA_USE_ACTIVE && record->new_max_per_s;
}

static bool
limit_same_service(const struct tiara_service_name *a, const struct tiara_service_name *b)
{
	return !strcmp(a->service, b->service) && !memcmp(a->uid, b->uid, sizeof(a->uid));
}

/* Another frontend, not idx, that takes its tokens from this bucket. */
static bool
limit_bucket_used(const struct tiara_change *change, uint32_t bucket, uint32_t idx)
{
	const struct tiara_service *record = change_item(change, CHANGE_SERVICE, 0);

	for (uint32_t i = 0; i < change->block[CHANGE_SERVICE].cnt; i++)
		if (i != idx && limit_has_rate(&record[i]) && record[i].rate_idx == bucket)
			return true;
	return false;
}

/* A frontend takes the bucket of its service's others, or its own, or (that being in use) the next. */
uint32_t
control_rate_idx(const struct tiara_change *change, const struct tiara_service_name *name,
		 uint32_t idx)
{
	const struct tiara_service *record = change_item(change, CHANGE_SERVICE, 0);
	const struct tiara_service_name *other = change_item(change, CHANGE_SERVICE_NAME, 0);
	uint32_t bucket = idx;

	for (uint32_t i = 0; i < change->block[CHANGE_SERVICE].cnt; i++)
		if (i != idx && limit_has_rate(&record[i]) && limit_same_service(&other[i], name))
			return record[i].rate_idx;
	if (idx < change->block[CHANGE_SERVICE].cnt && limit_has_rate(&record[idx]))
		return record[idx].rate_idx;
	/* There are no more services than buckets. */
	while (limit_bucket_used(change, bucket, idx))
		bucket = (bucket + 1) % change->block[CHANGE_SERVICE].max;
	return bucket;
}

/* ---- entries ---- */

/* The quarantine has shown that it has none: what counts say is of writers that were killed. */
void
control_entries_forget(const struct tiara_handle *handle, uint32_t backend_idx)
{
	const struct tiara_map *map = &handle->map;

	entries_add(&tiara_map_backend_counters(map, map->segment->worker_max)[backend_idx],
		    -entries_of(map, backend_idx));
}
