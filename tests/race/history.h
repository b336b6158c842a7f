/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What threads did to the table and what they were told, and whether that can be explained: by an
 * order of the operations, each somewhere between its call and its return, in which every key is a
 * register that holds one word or nothing. Moves are no operations: nobody may notice them.
 */
#ifndef TIARA_TESTS_HISTORY_H
#define TIARA_TESTS_HISTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum history_kind {
	HISTORY_LOOKUP,  /* found: the word, or 0 */
	HISTORY_INSERT,  /* wanted, outcome; EXISTS: found */
	HISTORY_REPLACE, /* found by wanted; outcome DONE or not */
	HISTORY_REMOVE,  /* found; outcome DONE or not */
	HISTORY_SWEEP,   /* of every key: whatever was last seen before `wanted` may go */
};

enum history_outcome {
	HISTORY_DONE,
	HISTORY_EXISTS,
	HISTORY_FULL,
	HISTORY_CHANGED, /* found is not there any more: nothing was done */
};

enum {
	HISTORY_THREADS = 8,
	HISTORY_ALL_KEYS = UINT32_MAX, /* the key of a sweep */
};

/* Words are an entry's second half, 0: absent. One thread's operations on a key do not overlap. */
struct history_op {
	uint64_t called;   /* stamps of the clock, from 1 on */
	uint64_t returned; /* 0: never, its thread died: it took effect or not */
	uint64_t wanted;
	uint64_t found;
	uint32_t key;
	uint16_t expired_before; /* to a lookup or insert, what was last seen before is absent */
	uint8_t thread;
	uint8_t kind;
	uint8_t outcome;
};

/* A clock that all threads share, and what has been recorded by one of them. */
struct history_log {
	uint64_t *clock;
	struct history_op *op;
	uint32_t cnt;
	uint32_t max;
	uint8_t thread;
};

/*
 * A stamp between what came before it and what comes after it in this thread. Relaxed, so that
 * ThreadSanitizer does not take it for the order that the table has to make itself.
 */
static inline uint64_t
history_now(uint64_t *clock)
{
	uint64_t now;

	__asm__ volatile("" ::: "memory");
	now = __atomic_add_fetch(clock, 1, __ATOMIC_RELAXED);
	__asm__ volatile("" ::: "memory");
	return now;
}

/* The time of the call is stamped; the rest is filled in later. NULL: the log is full. */
struct history_op *history_call(struct history_log *log, enum history_kind kind, uint32_t key);
void history_return(struct history_log *log, struct history_op *op);

/* Can it be explained? If not, says why on `out`, unless that is NULL. Sorts the operations. */
bool history_holds(struct history_op *op, uint32_t cnt, uint32_t key_cnt, FILE *out);

#endif
