/* SPDX-License-Identifier: Apache-2.0 */
/* A backend for who has none: one row of the service's selection table. */
#include "tiara/tiara.h"

#include "path/stage.h"

static const uint32_t *
select_row(const struct tiara_worker *w, const struct tiara_frame *f)
{
	const struct tiara_service *service = tiara_frame_service(w, f);
	const uint32_t *rows = (const void *)(w->view.base + service->select_off);
	tiara_be16 port = service->flags & TIARA_SERVICE_SOURCE_AFFINITY ? 0 : f->client_port;

	return &rows[tiara_select_row(f->client_addr, port, w->view.root->select_secret,
				      service->select_cnt)];
}

static bool
select_wanted(const struct tiara_frame *f)
{
	return f->verdict == TIARA_VERDICT_NONE && f->backend_idx == TIARA_BACKEND_NONE;
}

static void
select_take(struct tiara_worker *w, struct tiara_frame *f, uint32_t backend_idx)
{
	if (!tiara_backend_exists(&w->view, backend_idx)) {
		f->verdict = TIARA_VERDICT_NO_BACKEND;
		return;
	}
	f->backend_idx = backend_idx;
	f->fresh = 1;
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
		if (!select_wanted(&f[i]))
			continue;
		if (tiara_frame_service(w, &f[i])->select_cnt == 0) {
			f[i].verdict = TIARA_VERDICT_NO_BACKEND;
			continue;
		}
		row[i] = select_row(w, &f[i]);
		__builtin_prefetch(row[i]);
	}
	for (uint16_t i = 0; i < cnt; i++)
		if (row[i])
			tiara_backend_prefetch(w, *row[i]);
	for (uint16_t i = 0; i < cnt; i++)
		if (row[i])
			select_take(w, &f[i], *row[i]);
}
