/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which slots the card used. One harvest after another, numbered; one that is not whole is asked for
 * again under its number, and the card says the same again. A harvest is whole when as many lines came
 * as HARVEST_END counts, all of one command: only then may it speak for what it does not say (R12).
 */
#include "offload/internal.h"

#include <string.h>

enum {
	HARVEST_CHANNEL = 0, /* seat 0 has it, whatever the number of workers */
	HARVEST_SLOTS = 128, /* in a line */
	HARVEST_REPEATS_PER_S = 50,
};

static uint32_t
harvest_lines(const struct tiara_offload *o)
{
	return (o->mirror.slot_cnt + HARVEST_SLOTS - 1) / HARVEST_SLOTS;
}

/* False: no room to ask. What came of an earlier command is not counted: lines may be cleared between. */
static bool
harvest_ask(struct tiara_worker *w)
{
	struct tiara_offload_seat *seat = w->offload;
	struct offload_harvest *h = &seat->harvest;
	struct tiara_card_command c = {
		.kind = TIARA_CARD_KIND_HARVEST, .channel = HARVEST_CHANNEL, .harvest = h->number};
	uint32_t number = offload_post(seat, &c);

	if (number == 0)
		return false;
	h->command = number;
	h->posted_tsc = w->tsc;
	h->line_cnt = 0;
	h->line_end = UINT32_MAX;
	memset(seat->engine->harvest_line, 0, (harvest_lines(seat->engine) + 63) / 64 * 8);
	return true;
}

static void
harvest_begin(struct tiara_worker *w)
{
	struct offload_harvest *h = &w->offload->harvest;

	h->number++;
	if (!harvest_ask(w)) {
		h->number--;
		return;
	}
	h->begun = true;
	h->begun_tick = w->tick;
}

/* Nothing was heard of it for long: emptied, if it still hears, and in any case no longer believed. */
static void
harvest_give_up(struct tiara_worker *w)
{
	const struct tiara_card *card = w->offload->engine->card;

	offload_begin_life(w, card->reset(card->self));
	offload_follow(w);
}

void
offload_harvest_turn(struct tiara_worker *w)
{
	struct offload_harvest *h = &w->offload->harvest;

	if (!h->begun) {
		if ((int32_t)(w->tick - h->next_tick) >= 0)
			harvest_begin(w);
		return;
	}
	if (w->tick - h->begun_tick > OFFLOAD_LOST_TICKS)
		harvest_give_up(w);
	else if (w->tsc - h->posted_tsc > w->tsc_hz / HARVEST_REPEATS_PER_S)
		harvest_ask(w);
}

static void
harvest_end(struct tiara_worker *w)
{
	struct tiara_offload_seat *seat = w->offload;
	struct offload_harvest *h = &seat->harvest;

	if (!h->begun || h->line_cnt != h->line_end)
		return;
	h->begun = false;
	h->next_tick = h->begun_tick + OFFLOAD_HARVEST_TICKS;
	/* Release, with connection_was_harvested. */
	__atomic_store_n(&seat->engine->harvested, 1u << 16 | (h->begun_tick & 0xffff),
			 __ATOMIC_RELEASE);
}

static void
harvest_mark(struct tiara_offload *o, uint32_t first, uint64_t bits, uint16_t tick)
{
	for (; bits; bits &= bits - 1) {
		uint32_t slot = first + (uint32_t)__builtin_ctzll(bits);

		if (slot < o->mirror.slot_cnt) /* relaxed: connection_was_harvested orders it */
			__atomic_store_n(&o->used_tick[slot], tick, __ATOMIC_RELAXED);
	}
}

static void
harvest_line(struct tiara_worker *w, const struct tiara_card_answer *answer)
{
	struct tiara_offload *o = w->offload->engine;
	struct offload_harvest *h = &w->offload->harvest;
	uint32_t line = answer->slot / HARVEST_SLOTS;
	uint64_t bit = 1ull << (line % 64);

	if (line >= harvest_lines(o))
		return;
	/* The banks were swapped after it was asked for: a packet may be as young as the answer. */
	harvest_mark(o, line * HARVEST_SLOTS, answer->seen[0], (uint16_t)w->tick);
	harvest_mark(o, line * HARVEST_SLOTS + 64, answer->seen[1], (uint16_t)w->tick);
	if (answer->number != h->command || o->harvest_line[line / 64] & bit)
		return;
	o->harvest_line[line / 64] |= bit;
	h->line_cnt++;
}

void
offload_harvested(struct tiara_worker *w, const struct tiara_card_answer *answer)
{
	struct offload_harvest *h = &w->offload->harvest;

	if (w->number != 0 || !h->begun || answer->harvest != h->number)
		return;
	if (answer->kind == TIARA_CARD_KIND_HARVESTED)
		harvest_line(w, answer);
	else if (answer->number == h->command)
		h->line_end = answer->slot;
	harvest_end(w);
}
