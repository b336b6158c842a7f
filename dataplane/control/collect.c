/* SPDX-License-Identifier: Apache-2.0 */
/* What workers have left behind: how far they are, and which indices are free (docs/design/0002). */
#include "control/internal.h"

/* Relaxed: the sweep may believe the old number a little longer. Never goes back, as q->released may. */
static void
collect_tell_released(struct tiara_handle *handle, uint64_t generation)
{
	uint64_t *told = &handle->map.segment->released_generation;

	if (generation > __atomic_load_n(told, __ATOMIC_RELAXED))
		__atomic_store_n(told, generation, __ATOMIC_RELAXED);
}

static void
collect_count_gone(struct control_quarantine *q, uint8_t use, uint64_t use_generation,
		   uint32_t *cnt)
{
	if (use != TIARA_USE_GONE || use_generation <= q->released)
		return;
	++*cnt;
	if (use_generation < q->oldest_gone)
		q->oldest_gone = use_generation;
}

/* The names say the same as long as neither generation nor released moves. */
static void
collect_count(struct tiara_handle *handle)
{
	struct control_quarantine *q = &handle->state->quarantine;
	struct tiara_view view = tiara_view_of(&handle->map, control_generation(handle));
	const struct tiara_service_name *service;
	const struct tiara_backend_name *backend;

	if (q->counted_generation == view.generation && q->counted_released == q->released)
		return;
	q->counted_generation = view.generation;
	q->counted_released = q->released;
	q->services = 0;
	q->backends = 0;
	q->oldest_gone = UINT64_MAX;
	if (view.generation == 0)
		return;
	service = (const void *)(view.base + view.root->service_name_off);
	backend = (const void *)(view.base + view.root->backend_name_off);
	for (uint32_t i = 0; i < view.service_cnt; i++)
		collect_count_gone(q, service[i].use, service[i].use_generation, &q->services);
	for (uint32_t i = 0; i < view.backend_cnt; i++)
		collect_count_gone(q, backend[i].use, backend[i].use_generation, &q->backends);
}

/* Pairs with tiara_sweep_start_ctl, which counts before it resets the slots. */
static uint64_t
collect_restarts(const struct tiara_handle *handle)
{
	return __atomic_load_n(&handle->map.segment->sweep_restarts, __ATOMIC_SEQ_CST);
}

/* Every worker has left what came before `applied`: the next whole pass is the proof. */
static void
collect_wait(struct tiara_handle *handle, uint64_t applied)
{
	struct control_quarantine *q = &handle->state->quarantine;

	q->waiting = true;
	q->through = applied;
	q->restarts = collect_restarts(handle);
	q->claimed = __atomic_load_n(&handle->map.segment->sweep_claimed, __ATOMIC_SEQ_CST);
}

static void
collect_quarantine(struct tiara_handle *handle, uint64_t applied)
{
	struct control_quarantine *q = &handle->state->quarantine;

	/* The pass first, then the restarts: a reset slot may look like a finished one. */
	if (q->waiting && tiara_sweep_passed(&handle->map, q->claimed) &&
	    collect_restarts(handle) == q->restarts) {
		q->released = q->through;
		collect_tell_released(handle, q->released);
		q->waiting = false;
	}
	if (q->waiting && collect_restarts(handle) != q->restarts)
		q->waiting = false;
	collect_count(handle);
	if (!q->waiting && q->oldest_gone <= applied)
		collect_wait(handle, applied);
}

enum tiara_status
tiara_generation_collect(struct tiara_handle *handle, struct tiara_collect_info *info,
			 struct tiara_error *error)
{
	enum tiara_status status = control_require_writer(handle, error);
	uint64_t current = control_generation(handle);
	int32_t slowest;
	uint64_t applied;

	if (status != TIARA_OK)
		return status;
	applied = control_oldest(handle, &slowest);
	collect_quarantine(handle, applied);
	*info = (struct tiara_collect_info){
		.generation = current,
		.applied_generation = applied,
		.roots_waiting = (uint32_t)(current - applied),
		.quarantined_services = handle->state->quarantine.services,
		.quarantined_backends = handle->state->quarantine.backends,
		.slowest_worker = slowest,
	};
	return TIARA_OK;
}

void
tiara_quarantine_disable_for_test(struct tiara_handle *handle)
{
	if (handle->state)
		handle->state->quarantine.off = true;
}
