/* SPDX-License-Identifier: Apache-2.0 */
/* What selection chose becomes the connection, if there is room and no one was first. */
#include "path/stage.h"
#include "path/tcp.h"

/* New connections of a burst, to be inserted together. */
struct insert_batch {
	struct tiara_frame *frame[TIARA_BURST];
	union tiara_word word[TIARA_BURST];
	uint64_t hash[TIARA_BURST];
	uint32_t cnt;
};

/*
 * The entry this packet wants. A SYN starts anew; anything else carries the old state on. What no
 * second packet has confirmed yet may be one of a flood.
 */
static union tiara_word
insert_word(const struct tiara_worker *w, const struct tiara_frame *f)
{
	bool known = f->found.slot && !tiara_tcp_opens(f);
	uint8_t state = known ? f->found.word.entry.state : TIARA_STATE_EMPTY;
	union tiara_word word = {.key = f->key};

	word.entry.backend_idx = f->backend_idx;
	word.entry.last_seen = w->age.now;
	word.entry.state = tiara_tcp_next(state, f);
	word.entry.flags = known ? 0 : TIARA_ENTRY_UNCONFIRMED;
	return word;
}

/* Somebody else's entry is there: its backend, so that both packets go one way. */
static void
insert_follow(struct tiara_worker *w, struct tiara_frame *f)
{
	uint32_t backend_idx = f->found.word.entry.backend_idx;

	f->fresh = 0;
	tiara_event_wk(w, TIARA_EVENT_INSERT_RACE);
	if (!tiara_backend_exists(&w->view, backend_idx))
		return;
	f->backend_idx = backend_idx;
	tiara_connection_touch_wk(w, f);
}

static void
insert_result(struct tiara_worker *w, struct tiara_frame *f, enum tiara_status status)
{
	switch (status) {
	case TIARA_OK:
		tiara_event_wk(w, TIARA_EVENT_CONNECTION_NEW);
		tiara_unconfirmed_add_wk(w, f);
		break;
	case TIARA_EXISTS:
		insert_follow(w, f);
		break;
	default:
		f->fresh = 0;
		tiara_event_wk(w, TIARA_EVENT_TABLE_FULL);
		break;
	}
}

static void
insert_batch(struct tiara_worker *w, struct insert_batch *batch)
{
	struct tiara_found found[TIARA_BURST];
	enum tiara_status status[TIARA_BURST];

	tiara_table_insert_burst(w->map, &w->age, &w->writer, batch->hash, batch->word, batch->cnt,
				 found, status);
	for (uint32_t i = 0; i < batch->cnt; i++) {
		tiara_found_set(&batch->frame[i]->found, found[i].slot, found[i].word);
		insert_result(w, batch->frame[i], status[i]);
	}
}

/* An entry that selected anew is replaced in place; a new connection waits for its burst. */
static void
insert_one(struct tiara_worker *w, struct tiara_frame *f, struct insert_batch *batch)
{
	union tiara_word word = insert_word(w, f);

	if (f->found.slot && tiara_table_replace(w->map, &w->writer, &f->found, &word)) {
		tiara_event_wk(w, TIARA_EVENT_CONNECTION_RESELECTED);
		tiara_unconfirmed_add_wk(w, f);
		return;
	}
	batch->frame[batch->cnt] = f;
	batch->word[batch->cnt] = word;
	batch->hash[batch->cnt++] = f->hash;
}

void
tiara_insert_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	struct insert_batch batch;

	if (w->fresh_cnt == 0)
		return;
	batch.cnt = 0;
	for (uint16_t i = 0; i < cnt; i++) {
		if (f[i].verdict != TIARA_VERDICT_NONE || !f[i].fresh)
			continue;
		if (!f[i].found.slot && tiara_tcp_closes(&f[i]))
			f[i].fresh = 0; /* the end of what we never saw: nothing to remember */
		else
			insert_one(w, &f[i], &batch);
	}
	if (batch.cnt > 0)
		insert_batch(w, &batch);
}
