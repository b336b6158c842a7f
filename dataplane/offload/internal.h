/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine's files say to each other. Each function is of one seat's worker, on that worker. */
#ifndef TIARA_OFFLOAD_INTERNAL_H
#define TIARA_OFFLOAD_INTERNAL_H

#include "offload/offload.h"
#include "path/stage.h"

/* The newer of two ticks. */
static inline uint16_t
offload_newer(uint16_t a, uint16_t b)
{
	return (int16_t)(uint16_t)(a - b) > 0 ? a : b;
}

/* The mirror holds nothing of the card's life before. Until then all of it counts as free. */
static inline bool
offload_is_clean(const struct tiara_offload_seat *seat)
{
	return seat->clean_next == seat->engine->mirror.slot_cnt;
}

/* A command of the channel with the next number (R4); 0: there is no room. */
uint32_t offload_post(struct tiara_offload_seat *seat, const struct tiara_card_command *command);

/* connection.c */
void offload_do(struct tiara_worker *w, uint64_t key, uint64_t hash, enum offload_wish_kind kind);
void offload_removed(struct tiara_worker *w, const struct tiara_card_answer *answer);
void offload_repeat(struct tiara_worker *w);

/* admit.c */
bool offload_admits(const struct tiara_worker *w, const union tiara_word *word);

/* reset.c: seat 0 looks whether the card was emptied; every seat follows; the mirror is cleared in parts */
void offload_look_for_reset(struct tiara_worker *w);
void offload_look_for_reset_turn(struct tiara_worker *w);
void offload_follow(struct tiara_worker *w);
void offload_begin_life(struct tiara_worker *w, uint16_t epoch);

/* seat 0 */
void offload_harvest_turn(struct tiara_worker *w);
void offload_harvested(struct tiara_worker *w, const struct tiara_card_answer *answer);
void offload_tables_turn(struct tiara_worker *w);
void offload_totals_turn(struct tiara_worker *w);

#endif
