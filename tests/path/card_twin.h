/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The card of docs/design/0016 in plain C: the twin of the RTL, for tests. Its link loses, repeats and
 * reorders messages as a seed says. Any thread may call it: one at a time is let in, the others spin.
 */
#ifndef TIARA_PORT_CARD_TWIN_H
#define TIARA_PORT_CARD_TWIN_H

#include <stdio.h>

#include "port/card.h"

struct tiara_card_twin;

struct tiara_card_twin_config {
	uint32_t bucket_cnt;
	uint32_t backend_lines;
	uint32_t service_lines; /* services that it holds, and totals */
	uint32_t queue_cnt;     /* at most TIARA_CARD_CHANNELS */
	uint64_t secret[2];     /* of the hash: the segment's */
	uint64_t seed;
	/* in 256ths, of messages in both directions; all 0: each arrives once, at once and in order */
	uint8_t lose;
	uint8_t repeat;
	uint8_t delay; /* stays on its way while others pass, at each look */
	bool is_port;
	bool held; /* messages stay on the link, and arrive when tiara_card_twin_deliver says so */
	/* not NULL: gets a line for all that reaches the card and all that it answers */
	FILE *trace;
};

/* What it did, since it was made. */
struct tiara_card_twin_counts {
	uint64_t forwarded;
	uint64_t handed_up;
	uint64_t installs;
	uint64_t removals;
	uint64_t dropped; /* commands that were not newer, or of another epoch */
	uint64_t lost;    /* messages, by the link */
};

/* NULL: no memory. */
struct tiara_card_twin *tiara_card_twin_new(const struct tiara_card_twin_config *config);
void tiara_card_twin_free(struct tiara_card_twin *twin);
/* The ops table on it; lives as long as it. */
struct tiara_card tiara_card_twin_ops(struct tiara_card_twin *twin);

/* The card resets itself, as on a loss of power; the CPU is told nothing. */
void tiara_card_twin_reset(struct tiara_card_twin *twin);
/* From now on it hears nothing and says nothing, and forwards what it has; false: again it does. */
void tiara_card_twin_silence(struct tiara_card_twin *twin, bool silent);
/* The link is as the config's, or faultless. */
void tiara_card_twin_calm(struct tiara_card_twin *twin, bool calm);
struct tiara_card_twin_counts tiara_card_twin_counts(const struct tiara_card_twin *twin);
/*
 * held: the nth message of a kind that is about a key (0: about none) arrives, again if it has before.
 * False: there is none.
 */
bool tiara_card_twin_deliver(struct tiara_card_twin *twin, enum tiara_card_kind kind, uint64_t key,
			     uint32_t nth);
/* The entry of a key in its table, or one of state 0. */
struct tiara_card_entry tiara_card_twin_entry(const struct tiara_card_twin *twin, uint64_t key);
/* Its entries, into the trace. */
void tiara_card_twin_say_table(const struct tiara_card_twin *twin);
/* A slot as it is. */
struct tiara_card_entry tiara_card_twin_slot(const struct tiara_card_twin *twin, uint32_t slot);

#endif
