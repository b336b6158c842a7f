/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linearizability of one key at a time: the search of Wing and Gong, breadth first along the events.
 * After each event we hold every pair (state, which of the operations under way have taken effect)
 * that the history so far allows. An operation takes effect as late as possible, just before some
 * return (its own or another's); that loses no order. At a return only the pairs stay in which the
 * returning operation has taken effect. None left: no order explains the history.
 */
#include "history.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tiara/layout.h"

enum { HISTORY_PAIRS_MAX = 512, HISTORY_PRINTED_MAX = 60 };

struct history_op *
history_call(struct history_log *log, enum history_kind kind, uint32_t key)
{
	struct history_op *op = &log->op[log->cnt];

	if (log->cnt == log->max)
		return NULL;
	log->cnt++;
	*op = (struct history_op){.kind = (uint8_t)kind, .key = key, .thread = log->thread};
	op->called = history_now(log->clock);
	return op;
}

void
history_return(struct history_log *log, struct history_op *op)
{
	op->returned = history_now(log->clock);
}

/* ---- the register ---- */

static uint16_t
history_last_seen(uint64_t word)
{
	return (uint16_t)(word >> 32);
}

/* What a lookup or an insert finds, by the tick that it goes by. */
static uint64_t
history_found(const struct history_op *op, uint64_t state)
{
	return history_last_seen(state) < op->expired_before ? 0 : state;
}

/* May this operation take effect in this state, and what is the state then? */
static bool
history_apply(const struct history_op *op, uint64_t state, uint64_t *next)
{
	*next = state;
	switch (op->kind) {
	case HISTORY_LOOKUP:
		return history_found(op, state) == op->found;
	case HISTORY_INSERT:
		if (op->outcome == HISTORY_EXISTS)
			return op->found != 0 && history_found(op, state) == op->found;
		if (op->outcome == HISTORY_DONE)
			*next = op->wanted;
		return history_found(op, state) == 0;
	case HISTORY_REPLACE:
	case HISTORY_REMOVE:
		if (op->outcome == HISTORY_CHANGED)
			return state != op->found;
		*next = op->kind == HISTORY_REPLACE ? op->wanted : 0;
		return state == op->found;
	case HISTORY_SWEEP:
		*next = 0;
		return state != 0 && history_last_seen(state) < op->wanted;
	default:
		return false;
	}
}

/* ---- the search ---- */

struct history_pair {
	uint64_t state;
	uint32_t done; /* bit t: the operation under way of thread t has taken effect */
};

struct history_search {
	struct history_pair pair[HISTORY_PAIRS_MAX];
	uint32_t cnt;
	const struct history_op *under_way[HISTORY_THREADS];
};

static void
history_add(struct history_search *s, uint64_t state, uint32_t done)
{
	for (uint32_t i = 0; i < s->cnt; i++)
		if (s->pair[i].state == state && s->pair[i].done == done)
			return;
	if (s->cnt == HISTORY_PAIRS_MAX) {
		fprintf(stderr, "history: more than %d pairs\n", HISTORY_PAIRS_MAX);
		abort();
	}
	s->pair[s->cnt++] = (struct history_pair){.state = state, .done = done};
}

/* All that the operations under way can make of the pairs. A sweep may clear a key many times. */
static void
history_close(struct history_search *s)
{
	for (uint32_t i = 0; i < s->cnt; i++)
		for (uint32_t t = 0; t < HISTORY_THREADS; t++) {
			const struct history_op *op = s->under_way[t];
			struct history_pair p = s->pair[i];
			uint64_t next;

			if (op && !(p.done & 1u << t) && history_apply(op, p.state, &next))
				history_add(s, next,
					    op->kind == HISTORY_SWEEP ? p.done : p.done | 1u << t);
		}
}

/* False: in no order can it have taken effect. */
static bool
history_returned(struct history_search *s, const struct history_op *op)
{
	uint32_t kept = 0;

	history_close(s);
	for (uint32_t i = 0; i < s->cnt; i++) {
		struct history_pair p = s->pair[i];

		if (op->kind == HISTORY_SWEEP || p.done & 1u << op->thread) {
			p.done &= ~(1u << op->thread);
			s->pair[kept++] = p;
		}
	}
	s->under_way[op->thread] = NULL;
	if (kept)
		s->cnt = kept;
	return kept > 0;
}

/* ---- telling ---- */

static void
history_print_word(FILE *out, uint64_t word)
{
	if (word == 0)
		fprintf(out, "nothing");
	else
		fprintf(out, "backend %u seen %u state %u flags %x", (uint32_t)word,
			history_last_seen(word), (uint32_t)(word >> 48 & 0xff),
			(uint32_t)(word >> 56));
}

static void
history_print_op(FILE *out, const struct history_op *op)
{
	static const char *const kind[] = {"lookup", "insert", "replace", "remove", "sweep"};
	static const char *const outcome[] = {"done", "exists", "full", "changed"};

	fprintf(out, "  %8" PRIu64 " .. %8" PRIu64 "  thread %u  %-7s ", op->called, op->returned,
		op->thread, kind[op->kind]);
	if (op->kind == HISTORY_SWEEP) {
		fprintf(out, "may clear what was seen before %" PRIu64 "\n", op->wanted);
		return;
	}
	if (op->kind != HISTORY_LOOKUP)
		fprintf(out, "%s: ", outcome[op->outcome]);
	if (op->kind != HISTORY_INSERT || op->outcome == HISTORY_EXISTS)
		history_print_word(out, op->found);
	if (op->kind == HISTORY_INSERT || op->kind == HISTORY_REPLACE) {
		fprintf(out, " -> ");
		history_print_word(out, op->wanted);
	}
	fprintf(out, "\n");
}

/* The last operations called before `bad` returned, and what the key can have been. */
static void
history_print(FILE *out, const struct history_search *s, const struct history_op *op, uint32_t cnt,
	      const struct history_op *bad)
{
	uint32_t end = 0, start;

	while (end < cnt && op[end].called < bad->returned)
		end++;
	start = end > HISTORY_PRINTED_MAX ? end - HISTORY_PRINTED_MAX : 0;
	fprintf(out, "key %u: no order explains what the operation of %" PRIu64 " was told\n",
		bad->key, bad->called);
	for (uint32_t i = start; i < end; i++)
		history_print_op(out, &op[i]);
	for (uint32_t i = 0; i < s->cnt; i++) {
		fprintf(out, "  the key can have been: ");
		history_print_word(out, s->pair[i].state);
		fprintf(out, "\n");
	}
}

/* ---- one key ---- */

struct history_event {
	uint64_t at;
	uint32_t op;
	bool returns;
};

static int
history_earlier(const void *a, const void *b)
{
	const struct history_event *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static bool
history_walk(const struct history_op *op, uint32_t cnt, const struct history_event *event,
	     uint32_t event_cnt, FILE *out)
{
	struct history_search *s = calloc(1, sizeof(*s));
	bool holds = true;

	history_add(s, 0, 0);
	for (uint32_t i = 0; holds && i < event_cnt; i++) {
		const struct history_op *now = &op[event[i].op];

		if (!event[i].returns) {
			s->under_way[now->thread] = now;
			continue;
		}
		holds = history_returned(s, now);
		if (!holds && out)
			history_print(out, s, op, cnt, now);
	}
	free(s);
	return holds;
}

static bool
history_key_holds(const struct history_op *op, uint32_t cnt, FILE *out)
{
	struct history_event *event = calloc(2 * (size_t)cnt + 1, sizeof(*event));
	uint32_t event_cnt = 0;
	bool holds;

	for (uint32_t i = 0; i < cnt; i++) {
		event[event_cnt++] = (struct history_event){.at = op[i].called, .op = i};
		if (op[i].returned)
			event[event_cnt++] = (struct history_event){
				.at = op[i].returned, .op = i, .returns = true};
	}
	qsort(event, event_cnt, sizeof(*event), history_earlier);
	holds = history_walk(op, cnt, event, event_cnt, out);
	free(event);
	return holds;
}

static int
history_called_earlier(const void *a, const void *b)
{
	const struct history_op *x = a, *y = b;

	return x->called < y->called ? -1 : x->called > y->called;
}

bool
history_holds(struct history_op *op, uint32_t cnt, uint32_t key_cnt, FILE *out)
{
	struct history_op *of_key = calloc((size_t)cnt + 1, sizeof(*of_key));
	bool holds = true;

	qsort(op, cnt, sizeof(*op), history_called_earlier);
	for (uint32_t key = 0; holds && key < key_cnt; key++) {
		uint32_t n = 0;

		for (uint32_t i = 0; i < cnt; i++)
			if (op[i].key == key || op[i].key == HISTORY_ALL_KEYS)
				of_key[n++] = op[i];
		holds = history_key_holds(of_key, n, out);
	}
	free(of_key);
	return holds;
}
