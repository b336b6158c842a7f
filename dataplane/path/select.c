/* SPDX-License-Identifier: Apache-2.0 */
/* A backend for who has none: one row of the service's selection table. */
#include "path/stage.h"
#include "table/hash.h"

/* Try 0 is tiara_select_row; each other one is as if it were of another client. */
const uint32_t *
tiara_select_row_wk(const struct tiara_worker *w, const struct tiara_frame *f, uint16_t again)
{
	const struct tiara_service *service = tiara_frame_service(w, f);
	const uint32_t *rows = (const void *)(w->view.base + service->select_off);
	tiara_be16 port = service->flags & TIARA_SERVICE_SOURCE_AFFINITY ? 0 : f->client_port;

	uint64_t hash = tiara_hash_inline(tiara_key(f->client_addr, port, again),
					  w->view.root->select_secret);

	return &rows[tiara_hash_row(hash, service->select_cnt)];
}

static void
select_take(struct tiara_worker *w, struct tiara_frame *f, uint16_t i, uint32_t backend_idx)
{
	if (!tiara_backend_exists(&w->view, backend_idx)) {
		f[i].verdict = TIARA_VERDICT_NO_BACKEND;
		return;
	}
	if (w->view.backend[backend_idx].connection_max)
		backend_idx = tiara_room_choose_wk(w, f, i, backend_idx);
	if (backend_idx == TIARA_BACKEND_NONE) {
		tiara_frame_refuse_wk(w, &f[i], TIARA_VERDICT_BACKEND_FULL);
		return;
	}
	f[i].backend_idx = backend_idx;
	f[i].fresh = 1;
	w->fresh_cnt++;
}

void
tiara_select_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	const uint32_t *row[TIARA_BURST];

	w->fresh_cnt = 0;
	if (w->unchosen_cnt == 0)
		return;
	for (uint16_t i = 0; i < cnt; i++) {
		row[i] = NULL;
		if (!tiara_frame_unchosen(&f[i]))
			continue;
		if (tiara_frame_service(w, &f[i])->select_cnt == 0) {
			f[i].verdict = TIARA_VERDICT_NO_BACKEND;
			continue;
		}
		row[i] = tiara_select_row_wk(w, &f[i], 0);
		__builtin_prefetch(row[i]);
	}
	for (uint16_t i = 0; i < cnt; i++)
		if (row[i])
			tiara_backend_prefetch(w, *row[i]);
	for (uint16_t i = 0; i < cnt; i++)
		if (row[i])
			select_take(w, f, i, *row[i]);
}
