/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection of a packet, and whether it keeps its backend (docs/design/0004-packet-path.md has
 * the table). A frame that leaves this stage without a backend is given one by selection.
 */
#include "path/stage.h"
#include "path/tcp.h"

static void
connection_lookup(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	uint64_t key[TIARA_BURST], hash[TIARA_BURST];
	struct tiara_found found[TIARA_BURST];
	struct tiara_frame *at[TIARA_BURST];
	uint32_t n = 0;

	for (uint16_t i = 0; i < cnt; i++) {
		if (f[i].verdict != TIARA_VERDICT_NONE)
			continue;
		key[n] = f[i].key;
		hash[n] = f[i].hash;
		at[n++] = &f[i];
	}
	if (n == 0)
		return;
	tiara_table_lookup(w->map, &w->age, key, hash, n, found);
	for (uint32_t i = 0; i < n; i++)
		tiara_found_set(&at[i]->found, found[i].slot, found[i].word);
}

static void
connection_prefetch(struct tiara_worker *w, const struct tiara_frame *f, uint16_t cnt)
{
	for (uint16_t i = 0; i < cnt; i++)
		if (f[i].found.slot)
			tiara_backend_prefetch(w, f[i].found.word.entry.backend_idx);
}

/* A backend that is down may be a false alarm: only who loses nothing leaves it. */
static bool
connection_keeps_down(struct tiara_worker *w, const struct tiara_frame *f)
{
	if (tiara_frame_service(w, f)->select_cnt == 0)
		return true;
	if (f->protocol == TIARA_PROTOCOL_UDP) {
		tiara_event_wk(w, TIARA_EVENT_BACKEND_DOWN);
		return false;
	}
	return !(tiara_tcp_opens(f) && f->found.word.entry.state == TIARA_STATE_NEW);
}

static bool
connection_keeps(struct tiara_worker *w, const struct tiara_frame *f)
{
	switch (tiara_backend_use(&w->view, f->found.word.entry.backend_idx)) {
	case TIARA_USE_ACTIVE:
		break;
	case TIARA_USE_DOWN:
		if (!connection_keeps_down(w, f))
			return false;
		break;
	default:
		tiara_event_wk(w, TIARA_EVENT_BACKEND_REMOVED);
		return false;
	}
	return !(tiara_tcp_opens(f) && f->found.word.entry.state == TIARA_STATE_CLOSING);
}

static union tiara_word
connection_used(const struct tiara_worker *w, const struct tiara_frame *f)
{
	union tiara_word word = f->found.word;

	word.entry.state = tiara_tcp_next(word.entry.state, f);
	word.entry.last_seen = w->age.now;
	word.entry.flags &= (uint8_t)~TIARA_ENTRY_PUSHED;
	if (!tiara_tcp_opens(f))
		word.entry.flags &= (uint8_t)~TIARA_ENTRY_UNCONFIRMED;
	return word;
}

/* Most packets of a burst: their connection is what they would make of it, and was used this tick. */
static bool
connection_is_used(const struct tiara_worker *w, const struct tiara_frame *f)
{
	enum { ENDS_OR_OPENS = TIARA_TCP_SYN | TIARA_TCP_FIN | TIARA_TCP_RST };
	uint8_t state = f->protocol == TIARA_PROTOCOL_TCP ? TIARA_STATE_ESTABLISHED
							  : TIARA_STATE_UDP;

	return f->found.word.value >> 32 == ((uint64_t)state << 16 | w->age.now) &&
	       !(f->tcp_flags & ENDS_OR_OPENS);
}

/* False: another thread changed the entry since it was read. */
static bool
connection_touch_once(struct tiara_worker *w, struct tiara_frame *f)
{
	union tiara_word used;

	if (connection_is_used(w, f))
		return true;
	used = connection_used(w, f);
	if (used.value == f->found.word.value)
		return true;
	if (tiara_table_replace(w->map, &w->writer, &f->found, &used)) {
		if (w->offload)
			tiara_offload_touched_wk(w, f, &used);
		return true;
	}
	tiara_event_wk(w, TIARA_EVENT_TOUCH_RACE);
	return false;
}

/* A lost race costs a second look, because the other one may not know of our FIN. */
void
tiara_connection_touch_wk(struct tiara_worker *w, struct tiara_frame *f)
{
	struct tiara_found again;

	if (connection_touch_once(w, f))
		return;
	tiara_table_lookup(w->map, &w->age, &f->key, &f->hash, 1, &again);
	if (!again.slot || again.word.entry.backend_idx != f->backend_idx)
		return;
	f->found = again;
	(void)connection_touch_once(w, f);
}

static void
connection_hit(struct tiara_worker *w, struct tiara_frame *f)
{
	if (!connection_keeps(w, f)) {
		(void)tiara_offload_holds_wk(w, f);
		return;
	}
	f->backend_idx = f->found.word.entry.backend_idx;
	tiara_connection_touch_wk(w, f);
}

void
tiara_connection_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	connection_lookup(w, f, cnt);
	connection_prefetch(w, f, cnt);
	w->unchosen_cnt = 0;
	for (uint16_t i = 0; i < cnt; i++) {
		if (f[i].verdict != TIARA_VERDICT_NONE)
			continue;
		f[i].wish = OFFLOAD_NOTHING;
		if (f[i].found.slot)
			connection_hit(w, &f[i]);
		w->unchosen_cnt += f[i].backend_idx == TIARA_BACKEND_NONE;
	}
}
