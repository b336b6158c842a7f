/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the burst wishes of the card: connections that it may have, and those that the CPU wants back.
 * The table here is the owner of all of them; wishes are hints (docs/design/0016).
 */
#include "path/stage.h"
#include "path/tcp.h"

/* Its connection is the card's, perhaps: a later packet of it may leave before this one does. */
static void
offload_note_overtaken(struct tiara_worker *w, const struct tiara_frame *f)
{
	if (f->found.slot && f->found.word.entry.flags & TIARA_ENTRY_OFFLOADED &&
	    !tiara_tcp_opens(f) && !tiara_tcp_closes(f))
		tiara_event_wk(w, TIARA_EVENT_CARD_OVERTAKEN);
}

void
tiara_offload_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	if (!w->offload)
		return;
	for (uint16_t i = 0; i < cnt; i++) {
		if (f[i].verdict != TIARA_VERDICT_NONE)
			continue;
		offload_note_overtaken(w, &f[i]);
		if (f[i].wish != OFFLOAD_NOTHING)
			tiara_offload_wish_wk(w, f[i].key, f[i].hash, f[i].wish);
	}
	tiara_offload_flush_wk(w);
}

static enum offload_wish_kind
offload_wish_of(const union tiara_word *word)
{
	const struct tiara_entry *e = &word->entry;

	if (e->flags & TIARA_ENTRY_ENDING)
		return OFFLOAD_DUE;
	if (e->state == TIARA_STATE_CLOSING)
		return e->flags & TIARA_ENTRY_OFFLOADED ? OFFLOAD_RECALL : OFFLOAD_NOTHING;
	if (e->state == TIARA_STATE_NEW || e->flags & TIARA_ENTRY_UNCONFIRMED)
		return OFFLOAD_NOTHING;
	return OFFLOAD_OFFER;
}

void
tiara_offload_touched_wk(const struct tiara_worker *w, struct tiara_frame *f,
			 const union tiara_word *word)
{
	const struct tiara_offload *o = w->offload->engine;

	f->wish = (uint8_t)offload_wish_of(word);
	if (f->wish != OFFLOAD_NOTHING) /* a burst ahead: its lines are nobody's in the caches */
		mirror_prefetch(&o->mirror, o->used_tick, f->hash);
}

/*
 * The entry needs another backend, or is to begin anew, while the card may have it (R5): the packet is
 * dropped, and its sender repeats it. A removal takes microseconds.
 */
bool
tiara_offload_holds_wk(struct tiara_worker *w, struct tiara_frame *f)
{
	if (!w->offload || !(f->found.word.entry.flags & TIARA_ENTRY_OFFLOADED))
		return false;
	f->verdict = TIARA_VERDICT_CARD_REMOVING;
	tiara_offload_wish_wk(w, f->key, f->hash, OFFLOAD_RECALL);
	return true;
}
