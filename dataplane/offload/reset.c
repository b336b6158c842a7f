/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A card that was emptied begins a new life (R8). Seat 0 learns of it and tells the others by `life`;
 * each of them forgets what it had in flight and clears its channels' part of the mirror, a piece a turn.
 * Meanwhile all of that part counts as free slots do, and nothing is offered. The entries' marks stay
 * where they are: whoever meets one without a slot takes it back, with a whole timeout (R13).
 */
#include "offload/internal.h"

#include <string.h>

enum {
	RESET_LOOKS_PER_S = 1000,    /* at the register */
	RESET_CLEAN_SLOTS = 1 << 13, /* of the mirror, in a turn */
};

/* Before seat 0's own offload_follow. */
void
offload_begin_life(struct tiara_worker *w, uint16_t epoch)
{
	struct tiara_offload *o = w->offload->engine;
	uint32_t life = ((o->life >> 16) + 1) << 16 | epoch;

	for (uint32_t i = 0; i < o->line_cnt; i++)
		__atomic_store_n(&o->line_ready[i], 0, __ATOMIC_RELAXED);
	memset(o->line, 0, o->line_cnt * sizeof(*o->line));
	memset(o->service, 0, o->service_cnt * sizeof(*o->service));
	memset(o->total[TIARA_CARD_TOTALS_SERVICE], 0, o->service_cnt * sizeof(*o->total[0]));
	memset(o->total[TIARA_CARD_TOTALS_BACKEND], 0, o->line_cnt * sizeof(*o->total[0]));
	__atomic_store_n(&o->harvested, 0, __ATOMIC_RELAXED);
	/* Release, with offload_follow. */
	__atomic_store_n(&o->life, life, __ATOMIC_RELEASE);
	tiara_event_wk(w, TIARA_EVENT_CARD_RESET);
}

void
offload_look_for_reset(struct tiara_worker *w)
{
	const struct tiara_offload *o = w->offload->engine;
	uint16_t epoch = o->card->epoch(o->card->self);

	if (epoch != (uint16_t)o->life)
		offload_begin_life(w, epoch);
}

void
offload_look_for_reset_turn(struct tiara_worker *w)
{
	struct tiara_offload_seat *seat = w->offload;

	if ((int64_t)(w->tsc - seat->epoch_look_tsc) < 0)
		return;
	seat->epoch_look_tsc = w->tsc + w->tsc_hz / RESET_LOOKS_PER_S;
	offload_look_for_reset(w);
}

static void
reset_clean(struct tiara_offload_seat *seat, uint32_t number)
{
	struct tiara_offload *o = seat->engine;
	uint32_t end = seat->clean_next + RESET_CLEAN_SLOTS;

	if (end > o->mirror.slot_cnt)
		end = o->mirror.slot_cnt;
	for (; seat->clean_next < end; seat->clean_next++) {
		uint32_t word = mirror_get(&o->mirror, seat->clean_next);

		if (word != 0 && mirror_check_channel(word >> 2) % o->worker_cnt == number)
			mirror_free(&o->mirror, seat->clean_next);
	}
}

void
offload_follow(struct tiara_worker *w)
{
	struct tiara_offload_seat *seat = w->offload;
	struct tiara_offload *o = seat->engine;
	uint32_t life = __atomic_load_n(&o->life, __ATOMIC_ACQUIRE); /* with offload_begin_life */

	if (life != seat->life) {
		memset(seat, 0, sizeof(*seat));
		seat->engine = o;
		seat->life = life;
		seat->epoch_look_tsc = w->tsc + w->tsc_hz / RESET_LOOKS_PER_S;
		seat->harvest.next_tick = w->tick + OFFLOAD_HARVEST_TICKS;
	}
	if (!offload_is_clean(seat))
		reset_clean(seat, w->number);
}
