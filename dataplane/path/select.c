/* SPDX-License-Identifier: Apache-2.0 */
/* A backend for who has none: one row of the service's selection table. */
#include "path/row.h"
#include "path/stage.h"

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
		row[i] = tiara_row_wk(w, &f[i], 0);
		__builtin_prefetch(row[i]);
	}
	for (uint16_t i = 0; i < cnt; i++)
		if (row[i])
			tiara_backend_prefetch(w, *row[i]);
	for (uint16_t i = 0; i < cnt; i++)
		if (row[i])
			select_take(w, f, i, *row[i]);
}
