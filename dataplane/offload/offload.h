/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offload engine (docs/design/0016, whose rules R1 to R13 are named in the code): which connections
 * the card has, and how it comes to have them and to give them up. One for a data plane, a seat of it
 * for each worker; the worker of seat 0 also writes the card's tables, harvests and reads the totals.
 */
#ifndef TIARA_OFFLOAD_OFFLOAD_H
#define TIARA_OFFLOAD_OFFLOAD_H

#include <stddef.h>

#include "offload/mirror.h"
#include "offload/ring.h"
#include "port/card.h"
#include "table/table.h"

struct tiara_worker;

enum {
	OFFLOAD_PENDING = 1024, /* removals in flight, of one worker */
	OFFLOAD_POSTS = 64,     /* commands that wait for the card's queue */
	OFFLOAD_HARVEST_TICKS = 2,
	OFFLOAD_LOST_TICKS = 10, /* a harvest without an answer for longer: the card is lost */
};

/* A removal that the card has not answered. */
struct offload_pending {
	uint64_t key;
	uint64_t posted_tsc;
	uint32_t slot;
	uint32_t number; /* of the first command; an answer to an older one is not to this removal */
	uint8_t repeats;
	bool used;
	bool end; /* the connection goes with it, if nobody used it */
};

/* Seat 0. */
struct offload_harvest {
	uint32_t number;  /* of the harvest */
	uint32_t command; /* the number of the command that asked last */
	uint64_t posted_tsc;
	uint32_t begun_tick;
	uint32_t next_tick;
	uint32_t line_cnt; /* lines of the last command's answers that came */
	uint32_t line_end; /* how many there are; UINT32_MAX: not known yet */
	bool begun;
};

/* Seat 0: where a pass over tables of the card stands. */
struct offload_pass {
	uint32_t next;
	uint32_t tick; /* of its begin */
};

/* Owner: its worker, alone; zeroed when the card is emptied. */
struct tiara_offload_seat {
	struct tiara_offload *engine;
	uint32_t life;       /* the engine's that it knows */
	uint32_t clean_next; /* the mirror below it has nothing of the life before */
	uint32_t number[TIARA_CARD_CHANNELS];
	uint32_t out_cnt;
	uint32_t pending_cnt;
	uint32_t look_next;
	struct tiara_card_command out[OFFLOAD_POSTS];
	struct offload_pending pending[OFFLOAD_PENDING]; /* by slot, modulo their number */
	/* seat 0 */
	uint64_t epoch_look_tsc;
	uint64_t generation; /* that the card's tables show */
	struct offload_harvest harvest;
	struct offload_pass backend;
	struct offload_pass service;
	struct offload_pass total[2];
};

/*
 * Set once but for what is said otherwise. Lives in the memory given to init until the last worker has
 * ended.
 */
struct tiara_offload {
	const struct tiara_card *card;
	const struct tiara_map *map;
	uint64_t tsc_hz;
	uint32_t worker_cnt;
	uint32_t service_cnt; /* indices that the card has lines for */
	uint32_t line_cnt;    /* of the card's backend table that have a backend index */
	/* any worker's, as mirror.h says; relaxed */
	struct mirror mirror;
	uint16_t *used_tick; /* by slot: of the last harvest that found its bit, or of its offer */
	/* seat 0 writes, all read */
	uint32_t life;       /* lives << 16 | epoch */
	uint32_t harvested;  /* 1 << 16 | the tick in which the last whole harvest began; 0: none */
	uint8_t *line_ready; /* by line: 1: the card forwards by it */
	/* seat 0 */
	struct tiara_card_backend *line; /* what was written */
	struct tiara_card_service *service;
	struct tiara_card_total *total[2]; /* that were added */
	uint64_t *harvest_line;            /* bits: lines of the last command's answers */
	struct offload_ring *ring;         /* from i to j: [j * worker_cnt + i] */
	struct tiara_offload_seat *seat;
};

/* Bytes, on a cache line's boundary, for a card with a table. */
size_t tiara_offload_bytes(const struct tiara_card *card, const struct tiara_map *map,
			   uint32_t worker_cnt);
/*
 * Before any worker; memory is zeroed, of tiara_offload_bytes. Resets the card (R11). `card` and `map`
 * stay the caller's and must outlive the workers; worker_cnt is at most the card's queue_cnt.
 */
struct tiara_offload *tiara_offload_init_ctl(void *memory, const struct tiara_card *card,
					     const struct tiara_map *map, uint32_t worker_cnt,
					     uint64_t tsc_hz);

/* Once a burst: answers, wishes of others, repeats, tables, harvests, totals; posts what is to be posted. */
void tiara_offload_turn_wk(struct tiara_worker *w);
/* To the owner of the key's channel, who may be this worker. Lost, and counted, where there is no room. */
void tiara_offload_wish_wk(struct tiara_worker *w, uint64_t key, uint64_t hash,
			   enum offload_wish_kind kind);
/* What was posted goes to the card now. */
void tiara_offload_flush_wk(struct tiara_worker *w);

static inline uint32_t
tiara_offload_owner(const struct tiara_offload *o, uint64_t hash)
{
	return mirror_channel(hash) % o->worker_cnt;
}

#endif
