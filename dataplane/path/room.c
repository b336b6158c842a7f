/* SPDX-License-Identifier: Apache-2.0 */
/* Backends that take only so many connections (docs/design/0010). */
#include "path/row.h"
#include "path/stage.h"
#include "path/tcp.h"
#include "table/entries.h"

enum { ROOM_TRIES = 16 }; /* rows looked at for one connection, the first included */

/* Frame j, before ours, will make an entry of the backend that is not counted yet. */
static bool
room_is_taken_by(const struct tiara_frame *f, uint32_t backend_idx)
{
	return f->verdict == TIARA_VERDICT_NONE && f->fresh && f->backend_idx == backend_idx &&
	       (f->found.slot ? f->found.word.entry.backend_idx != backend_idx
			      : !tiara_tcp_closes(f));
}

static bool
room_has(const struct tiara_worker *w, const struct tiara_frame *f, uint16_t i,
	 uint32_t backend_idx)
{
	uint32_t max = w->view.backend[backend_idx].connection_max;
	int64_t cnt;

	if (max == 0 || (f[i].found.slot && f[i].found.word.entry.backend_idx == backend_idx))
		return true;
	cnt = entries_of(w->map, backend_idx);
	for (uint16_t j = 0; j < i; j++)
		cnt += room_is_taken_by(&f[j], backend_idx);
	return cnt < max;
}

/* What a frame of the same connection, before it in the burst, has got. */
static uint32_t
room_earlier(const struct tiara_frame *f, uint16_t i)
{
	for (uint16_t j = 0; j < i; j++)
		if (f[j].verdict == TIARA_VERDICT_NONE && f[j].fresh && f[j].key == f[i].key)
			return f[j].backend_idx;
	return TIARA_BACKEND_NONE;
}

static uint32_t
room_another(struct tiara_worker *w, const struct tiara_frame *f, uint16_t i)
{
	for (uint32_t again = 1; again < ROOM_TRIES; again++) {
		uint32_t backend_idx = *tiara_row_wk(w, &f[i], (uint16_t)again);

		if (!tiara_backend_exists(&w->view, backend_idx) || !room_has(w, f, i, backend_idx))
			continue;
		tiara_event_wk(w, TIARA_EVENT_CONNECTION_SPILLED);
		return backend_idx;
	}
	return TIARA_BACKEND_NONE;
}

/* A stray makes no entry: it goes where its row says. */
uint32_t
tiara_room_choose_wk(struct tiara_worker *w, const struct tiara_frame *f, uint16_t i,
		     uint32_t first)
{
	uint32_t earlier = room_earlier(f, i);

	if (earlier != TIARA_BACKEND_NONE)
		return earlier;
	if ((!f[i].found.slot && tiara_tcp_closes(&f[i])) || room_has(w, f, i, first))
		return first;
	return room_another(w, f, i);
}
