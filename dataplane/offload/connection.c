/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection goes to the card and comes back. Whoever is here owns the key's channel (R1), and is
 * the only one to set or clear OFFLOADED, or to end an entry that has it:
 *
 *   offer    take a slot of the mirror, mark the entry, post INSTALL       (a failed mark: nothing was posted)
 *   recall   slot REMOVING, post REMOVE
 *   answer   unmark or end the entry, free the slot                        (R5, R6)
 *
 * So an entry that is marked has a slot, unless the card was emptied or the process is a new one; then
 * the mark is an old life's, and the connection begins its timeout anew (R13).
 */
#include "offload/internal.h"

enum {
	CONNECTION_TRIES = 16,
	CONNECTION_DOUBLINGS = 6, /* of the time between two repetitions */
};

static struct tiara_card_command
connection_command(const struct tiara_worker *w, enum tiara_card_kind kind, uint64_t hash,
		   uint32_t slot, const union tiara_word *word)
{
	struct tiara_card_command c = {
		.kind = (uint8_t)kind, .channel = (uint8_t)mirror_channel(hash), .slot = slot};

	c.entry.client_addr = word->entry.client_addr;
	c.entry.client_port = word->entry.client_port;
	c.entry.service_idx = word->entry.service_idx;
	if (kind == TIARA_CARD_KIND_INSTALL) {
		c.entry.backend_line = word->entry.backend_idx;
		c.entry.generation = (uint16_t)w->view.generation;
		c.entry.state = TIARA_STATE_ESTABLISHED;
	}
	return c;
}

static void
connection_install(struct tiara_worker *w, uint64_t hash, uint32_t slot,
		   const union tiara_word *word)
{
	struct tiara_card_command c = connection_command(w, TIARA_CARD_KIND_INSTALL, hash, slot,
							 word);

	if (offload_post(w->offload, &c) != 0) /* else a hint that was lost */
		tiara_event_wk(w, TIARA_EVENT_CARD_OFFERED);
}

/* The mirror's slot of a marked entry. */
static uint32_t
connection_slot(const struct tiara_worker *w, uint64_t hash)
{
	return offload_is_clean(w->offload) ? mirror_find(&w->offload->engine->mirror, hash)
					    : MIRROR_NONE;
}

/* The mark is an earlier life's: the card has nothing of it. */
static void
connection_take_back(struct tiara_worker *w, struct tiara_found *found)
{
	union tiara_word word = found->word;

	if (word.entry.flags & TIARA_ENTRY_ENDING) {
		(void)tiara_table_remove(w->map, &w->writer, found);
		return;
	}
	word.entry.flags &= (uint8_t)~TIARA_ENTRY_OFFLOADED;
	word.entry.last_seen = w->age.now;
	(void)tiara_table_replace(w->map, &w->writer, found, &word);
}

/* ---- to the card ---- */

static void
connection_offer_new(struct tiara_worker *w, uint64_t hash, struct tiara_found *found)
{
	struct tiara_offload *o = w->offload->engine;
	union tiara_word word = found->word;
	uint32_t slot;

	/* A check that is there already is another key's: see mirror.h. */
	if (!offload_is_clean(w->offload) || mirror_find(&o->mirror, hash) != MIRROR_NONE)
		return;
	slot = mirror_take(&o->mirror, hash);
	if (slot == MIRROR_NONE) {
		tiara_event_wk(w, TIARA_EVENT_CARD_FULL);
		return;
	}
	__atomic_store_n(&o->used_tick[slot], w->age.now, __ATOMIC_RELAXED);
	word.entry.flags |= TIARA_ENTRY_OFFLOADED;
	if (tiara_table_replace(w->map, &w->writer, found, &word))
		connection_install(w, hash, slot, &word);
	else
		mirror_free(&o->mirror, slot);
}

static void
connection_offer(struct tiara_worker *w, uint64_t hash, struct tiara_found *found)
{
	uint32_t slot;

	if (!offload_admits(w, &found->word))
		return;
	if (!(found->word.entry.flags & TIARA_ENTRY_OFFLOADED)) {
		connection_offer_new(w, hash, found);
		return;
	}
	slot = connection_slot(w, hash);
	if (slot == MIRROR_NONE)
		connection_take_back(w, found);
	else if (mirror_state(&w->offload->engine->mirror, slot) == MIRROR_OFFERED)
		connection_install(w, hash, slot, &found->word); /* a packet came up: it was lost */
}

/* ---- and back ---- */

/* Nothing but its timeout keeps it: service and backend may be gone, or an operator wants it ended. */
static bool
connection_doomed(const struct tiara_worker *w, const union tiara_word *word)
{
	uint32_t service_idx = word->entry.service_idx;

	return word->entry.flags & TIARA_ENTRY_ENDING || service_idx >= w->view.service_cnt ||
	       w->view.service[service_idx].use != TIARA_USE_ACTIVE ||
	       !tiara_backend_exists(&w->view, word->entry.backend_idx);
}

/* With what a harvest said of its slot. */
static void
connection_age(const struct tiara_worker *w, uint32_t slot, union tiara_word *word)
{
	uint16_t used = __atomic_load_n(&w->offload->engine->used_tick[slot], __ATOMIC_RELAXED);

	word->entry.last_seen = offload_newer(word->entry.last_seen, used);
}

/* R12: a whole harvest was begun after its deadline. */
static bool
connection_was_harvested(const struct tiara_worker *w, const union tiara_word *word)
{
	/* Acquire, with offload_harvested: what it said is in used_tick. */
	uint32_t harvested = __atomic_load_n(&w->offload->engine->harvested, __ATOMIC_ACQUIRE);
	struct tiara_age then = {.view = &w->view, .now = (uint16_t)harvested};

	return harvested != 0 && tiara_entry_overdue(&then, word);
}

/* False: it was used, or it is too early to know. */
static bool
connection_due(struct tiara_worker *w, uint32_t slot, struct tiara_found *found)
{
	union tiara_word word = found->word;
	bool harvested;

	if (connection_doomed(w, &word))
		return true;
	harvested = connection_was_harvested(w, &word);
	connection_age(w, slot, &word);
	if (tiara_entry_overdue(&w->age, &word))
		return harvested && connection_was_harvested(w, &word);
	if (word.value != found->word.value)
		(void)tiara_table_replace(w->map, &w->writer, found, &word);
	return false;
}

static void
connection_remove(struct tiara_worker *w, uint64_t hash, uint32_t slot,
		  const struct tiara_found *found, bool end)
{
	struct tiara_offload_seat *seat = w->offload;
	struct offload_pending *p = &seat->pending[slot % OFFLOAD_PENDING];
	struct tiara_card_command c = connection_command(w, TIARA_CARD_KIND_REMOVE, hash, slot,
							 &found->word);
	uint32_t number;

	if (p->used)
		return; /* another slot's; whoever wishes it wishes it again */
	number = offload_post(seat, &c);
	if (number == 0)
		return;
	*p = (struct offload_pending){.key = found->word.key,
				      .posted_tsc = w->tsc,
				      .slot = slot,
				      .number = number,
				      .used = true,
				      .end = end};
	seat->pending_cnt++;
	mirror_set(&seat->engine->mirror, slot, hash, MIRROR_REMOVING);
}

static void
connection_recall(struct tiara_worker *w, uint64_t hash, struct tiara_found *found,
		  enum offload_wish_kind kind)
{
	uint32_t slot;

	if (!(found->word.entry.flags & TIARA_ENTRY_OFFLOADED))
		return;
	slot = connection_slot(w, hash);
	if (slot == MIRROR_NONE)
		connection_take_back(w, found);
	else if (mirror_state(&w->offload->engine->mirror, slot) == MIRROR_OFFERED &&
		 (kind == OFFLOAD_RECALL || connection_due(w, slot, found)))
		connection_remove(w, hash, slot, found, kind == OFFLOAD_DUE);
}

void
offload_do(struct tiara_worker *w, uint64_t key, uint64_t hash, enum offload_wish_kind kind)
{
	struct tiara_found found = tiara_table_find(w->map, key, hash);

	if (!found.slot)
		return;
	if (kind == OFFLOAD_OFFER)
		connection_offer(w, hash, &found);
	else
		connection_recall(w, hash, &found, kind);
}

/* ---- what the card answers ---- */

/* The removal's entry goes, or is the CPU's again. False: others changed it under us. */
static bool
connection_settle_once(struct tiara_worker *w, const struct offload_pending *p, bool used,
		       struct tiara_found *found)
{
	union tiara_word word = found->word;

	if (used)
		word.entry.last_seen = w->age.now;
	else
		connection_age(w, p->slot, &word);
	word.entry.flags &= (uint8_t)~TIARA_ENTRY_OFFLOADED;
	if (word.entry.flags & TIARA_ENTRY_ENDING ||
	    (p->end && (connection_doomed(w, &word) || tiara_entry_overdue(&w->age, &word)))) {
		if (!tiara_table_remove(w->map, &w->writer, found))
			return false;
		tiara_event_wk(w, TIARA_EVENT_CARD_EXPIRED);
		return true;
	}
	return tiara_table_replace(w->map, &w->writer, found, &word);
}

static bool
connection_settle(struct tiara_worker *w, const struct offload_pending *p, uint64_t hash, bool used)
{
	for (int i = 0; i < CONNECTION_TRIES; i++) {
		struct tiara_found found = tiara_table_find(w->map, p->key, hash);

		if (!found.slot || !(found.word.entry.flags & TIARA_ENTRY_OFFLOADED))
			return true;
		if (connection_settle_once(w, p, used, &found))
			return true;
	}
	return false;
}

/* The answer of that removal, or of a repetition; not of one that was here before (R5). */
static bool
connection_answers(const struct offload_pending *p, uint64_t hash,
		   const struct tiara_card_answer *answer)
{
	return p->slot == answer->slot && mirror_channel(hash) == answer->channel &&
	       (int32_t)(answer->number - p->number) >= 0;
}

void
offload_removed(struct tiara_worker *w, const struct tiara_card_answer *answer)
{
	struct tiara_offload_seat *seat = w->offload;
	struct offload_pending *p = &seat->pending[answer->slot % OFFLOAD_PENDING];
	uint64_t hash = tiara_hash_inline(p->key, w->map->segment->table_secret);
	bool found = answer->seen[0] & TIARA_CARD_REMOVED_FOUND;
	bool used = !found || answer->seen[0] & TIARA_CARD_REMOVED_SEEN; /* R9 */

	if (!p->used || !connection_answers(p, hash, answer))
		return;
	if (!connection_settle(w, p, hash, used))
		return; /* asked again, it says that it is not there: so be it */
	mirror_free(&seat->engine->mirror, p->slot);
	p->used = false;
	seat->pending_cnt--;
	tiara_event_wk(w, TIARA_EVENT_CARD_REMOVED);
}

static void
connection_repeat(struct tiara_worker *w, struct offload_pending *p)
{
	uint64_t hash = tiara_hash_inline(p->key, w->map->segment->table_secret);
	union tiara_word word = {.key = p->key};
	struct tiara_card_command c = connection_command(w, TIARA_CARD_KIND_REMOVE, hash, p->slot,
							 &word);

	if (offload_post(w->offload, &c) == 0)
		return;
	p->posted_tsc = w->tsc;
	if (p->repeats < CONNECTION_DOUBLINGS)
		p->repeats++;
	tiara_event_wk(w, TIARA_EVENT_CARD_REPEATED);
}

/* A millisecond is a thousand round trips; twice as long each time, or a slow card would drown in them. */
static bool
connection_repeat_due(const struct tiara_worker *w, const struct offload_pending *p)
{
	return p->used && w->tsc - p->posted_tsc > (w->tsc_hz / 1000) << p->repeats;
}

/* A few of them each turn. */
void
offload_repeat(struct tiara_worker *w)
{
	enum { LOOKS = 64 };
	struct tiara_offload_seat *seat = w->offload;

	for (int i = 0; i < LOOKS && seat->pending_cnt > 0; i++) {
		struct offload_pending *p = &seat->pending[seat->look_next++ % OFFLOAD_PENDING];

		if (connection_repeat_due(w, p))
			connection_repeat(w, p);
	}
}
