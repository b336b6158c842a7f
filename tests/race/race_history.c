/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers and readers in small tables that are nearly full, so that entries move all the time; what
 * each was told is recorded, and must be explained by one order in which nobody noticed a move.
 */
#include <unistd.h>

#include "history.h"
#include "race.h"

static void step(int n);
#define TIARA_STEP(n) step(n)
#include "table/insert.c"
#include "table/lookup.c"
#include "table/move.c"
#include "table/sweep.c"

enum {
	ROUNDS = 1500,
	ROUND_SECONDS = 20, /* it takes milliseconds: longer is for ever */
	OPS = 300,
	KEYS_MAX = 80,
	HOT_KEYS = 3,
	BURST = 4,
	LOG_MAX = OPS * BURST + KEYS_MAX,
	STEPS = 21,
	OLDEST = 95, /* ticks: entries are seen from here on, to 100, which is now */
	AHEAD = 7,
	EXPIRED_BEFORE = 97, /* 100 + AHEAD - WORLD_TIMEOUT_TICKS */
};

struct actor {
	struct tiara_writer writer;
	struct tiara_age age;
	bool ahead; /* in ticks: whatever it does may take places of what has expired to it */
	struct history_log log;
	struct history_log taking; /* what may be taken, recorded as a sweep around each operation */
	struct tiara_found last[KEYS_MAX]; /* found some time ago */
};

struct shared {
	struct world world;
	uint64_t clock;
	uint32_t keys;
	uint32_t readers;
	struct actor actor[RACE_THREADS + 1]; /* the last: before and after the threads */
};

static uint32_t slow_step; /* of this round: where somebody else often goes first */

static void
dawdle(void)
{
	uint32_t how = race_draw(16);

	if (how == 0)
		usleep(race_draw(60));
	else if (how < 8)
		sched_yield();
	else
		for (uint32_t n = race_draw(1000); n > 0; n--)
			word_pause();
}

static void
step(int n)
{
	if (race_draw(n == (int)slow_step ? 2 : 24) == 0)
		dawdle();
}

static uint64_t
key_of(uint32_t key)
{
	return world_word(key, 0, 0, 0).key;
}

static uint32_t
draw_key(const struct shared *s)
{
	return race_draw(race_draw(2) ? s->keys : HOT_KEYS);
}

static union tiara_word
draw_word(uint32_t key)
{
	union tiara_word w = world_word(key, 0, race_draw(WORLD_BACKENDS),
					(uint16_t)(OLDEST + race_draw(6)));

	w.entry.state = race_draw(2) ? TIARA_STATE_NEW : TIARA_STATE_ESTABLISHED;
	return w;
}

static uint64_t
value_of(uint32_t key, const struct tiara_found *f)
{
	CHECK(!f->slot || (f->word.key == key_of(key) && tiara_word_live(&f->word)));
	return f->slot ? f->word.value : 0;
}

/* ---- operations ---- */

static struct history_op *
call(struct actor *a, enum history_kind kind, uint32_t key)
{
	struct history_op *op = history_call(&a->log, kind, key);

	CHECK(op);
	op->expired_before = a->ahead ? EXPIRED_BEFORE : 0;
	return op;
}

static void
do_insert(struct shared *s, struct actor *a, uint32_t key)
{
	static const uint8_t outcome[] = {[TIARA_OK] = HISTORY_DONE,
					  [TIARA_EXISTS] = HISTORY_EXISTS,
					  [TIARA_FULL] = HISTORY_FULL};
	union tiara_word w = draw_word(key);
	struct history_op *op = call(a, HISTORY_INSERT, key);
	struct tiara_found f;
	enum tiara_status status = tiara_table_insert(&s->world.map, &a->age, &a->writer,
						      world_hash(&s->world, w.key), &w, &f);

	history_return(&a->log, op);
	CHECK(status == TIARA_OK || status == TIARA_EXISTS || status == TIARA_FULL);
	op->outcome = outcome[status];
	op->wanted = w.value;
	op->found = value_of(key, &f);
	CHECK(status != TIARA_OK || f.word.all == w.all);
	if (f.slot)
		a->last[key] = f;
}

/* Of a burst of keys in a row. */
static void
do_lookup(struct shared *s, struct actor *a, uint32_t key, uint32_t cnt)
{
	uint64_t k[BURST], hash[BURST];
	struct history_op *op[BURST];
	struct tiara_found f[BURST];

	for (uint32_t i = 0; i < cnt; i++) {
		k[i] = key_of((key + i) % s->keys);
		hash[i] = world_hash(&s->world, k[i]);
		op[i] = call(a, HISTORY_LOOKUP, (key + i) % s->keys);
	}
	tiara_table_lookup(&s->world.map, &a->age, k, hash, cnt, f);
	for (uint32_t i = 0; i < cnt; i++) {
		history_return(&a->log, op[i]);
		op[i]->found = value_of(op[i]->key, &f[i]);
		if (f[i].slot)
			a->last[op[i]->key] = f[i];
	}
}

static void
do_replace(struct shared *s, struct actor *a, uint32_t key)
{
	struct tiara_found *f = &a->last[key];
	union tiara_word w = draw_word(key);
	struct history_op *op;
	bool done;

	if (race_draw(2)) { /* a touch */
		w = f->word;
		w.entry.last_seen = a->age.now;
	}
	op = call(a, HISTORY_REPLACE, key);
	op->found = f->word.value;
	op->wanted = w.value;
	done = tiara_table_replace(&s->world.map, &a->writer, f, &w);
	history_return(&a->log, op);
	op->outcome = done ? HISTORY_DONE : HISTORY_CHANGED;
}

static void
do_remove(struct shared *s, struct actor *a, uint32_t key)
{
	struct history_op *op = call(a, HISTORY_REMOVE, key);
	bool done;

	op->found = a->last[key].word.value;
	done = tiara_table_remove(&s->world.map, &a->writer, &a->last[key]);
	history_return(&a->log, op);
	op->outcome = done ? HISTORY_DONE : HISTORY_CHANGED;
}

/* Of the word found last, which may be long ago; mostly it is looked up first. */
static void
do_change(struct shared *s, struct actor *a, uint32_t key)
{
	if (!a->last[key].slot || race_draw(4))
		do_lookup(s, a, key, 1);
	if (!a->last[key].slot)
		return;
	if (race_draw(2))
		do_replace(s, a, key);
	else
		do_remove(s, a, key);
}

/* From a tick so much later that some entries have expired, and every insert under way is stale. */
static void
do_sweep(struct shared *s, struct actor *a)
{
	struct tiara_age ahead = s->world.age;
	struct tiara_sweep_counts counts = {0};
	struct history_op *op;

	if (a->writer.owner == TIARA_OWNER_CONTROL)
		return;
	ahead.now += AHEAD;
	op = call(a, HISTORY_SWEEP, HISTORY_ALL_KEYS);
	tiara_sweep_slice_wk(&s->world.map, &ahead, &a->writer, &counts);
	history_return(&a->log, op);
	op->wanted = EXPIRED_BEFORE;
	CHECK(counts.gone == 0);
}

/* A slot of a bucket that may be taken. */
static struct tiara_found
room_in(const struct world *w, const struct tiara_age *age, uint32_t bucket)
{
	uint32_t first = race_draw(TIARA_BUCKET_ENTRIES);

	for (uint32_t i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		struct tiara_entry *slot = &w->map.bucket[bucket].entry[(first + i) % 4];
		struct tiara_found f = {.slot = slot, .word = slot_load(slot)};

		if (reuse_judge(&w->map, age, &f.word) == REUSE_TAKE)
			return f;
	}
	return (struct tiara_found){.slot = NULL};
}

/* Any entry to its other bucket, as if somebody needed its place. Nobody may notice. */
static void
do_move(struct shared *s, struct actor *a)
{
	const struct tiara_map *map = &s->world.map;
	uint32_t bucket = race_draw((uint32_t)map->bucket_mask + 1);
	struct tiara_found from = {.slot = &map->bucket[bucket].entry[race_draw(4)]}, to;

	from.word = slot_load(from.slot);
	if (!tiara_word_live(&from.word) || !move_allowed(map, &a->age, &from.word))
		return;
	to = room_in(&s->world, &a->age, move_other_bucket(map, from.word.key, bucket));
	if (to.slot)
		move_entry(map, &a->age, &a->writer, from, to);
}

static void
write_once(struct shared *s, struct actor *a)
{
	uint32_t what = race_draw(100);

	if (what < 35)
		do_insert(s, a, draw_key(s));
	else if (what < 70)
		do_change(s, a, draw_key(s));
	else if (what < 94)
		do_move(s, a);
	else if (what < 97)
		tiara_move_help(&s->world.map, &a->writer, key_of(draw_key(s)));
	else
		do_sweep(s, a);
}

/* Of one that is ahead: all the time something that has expired to it may go. */
static void
write_ahead(struct shared *s, struct actor *a)
{
	struct history_op *op = history_call(&a->taking, HISTORY_SWEEP, HISTORY_ALL_KEYS);

	CHECK(op);
	write_once(s, a);
	op->wanted = EXPIRED_BEFORE;
	history_return(&a->taking, op);
}

static void
body(void *shared, uint32_t me)
{
	struct shared *s = shared;
	struct actor *a = &s->actor[me];

	for (int i = 0; i < OPS; i++) {
		if (me < s->readers)
			do_lookup(s, a, draw_key(s), 1 + race_draw(BURST));
		else if (a->ahead)
			write_ahead(s, a);
		else
			write_once(s, a);
	}
}

/* ---- one round ---- */

static void
actors_make(struct shared *s, bool ahead)
{
	for (uint32_t i = 0; i <= RACE_THREADS; i++) {
		struct actor *a = &s->actor[i];

		a->writer.owner = (uint8_t)(i == 3 ? TIARA_OWNER_CONTROL : i);
		a->writer.search_max = i & 1 ? TIARA_SEARCH_PATH : TIARA_SEARCH_BULK;
		a->age = s->world.age;
		a->ahead = i == 2 && ahead;
		a->age.now += a->ahead ? AHEAD : 0;
		a->log = (struct history_log){.clock = &s->clock,
					      .op = calloc(LOG_MAX, sizeof(struct history_op)),
					      .max = LOG_MAX,
					      .thread = (uint8_t)i};
		a->taking = a->log;
		a->taking.op = calloc(OPS, sizeof(struct history_op));
		a->taking.max = OPS;
		a->taking.thread = RACE_THREADS + 1;
	}
}

/* Alone again: nothing is left half done, and no key is there twice. */
static void
table_check(const struct shared *s)
{
	CHECK(world_in_state(&s->world, TIARA_STATE_TENTATIVE) == 0);
	for (uint32_t k = 0; k < s->keys; k++)
		CHECK(world_copies(&s->world, key_of(k)) <= 1);
	for (uint64_t b = 0; b <= s->world.map.bucket_mask; b++)
		for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
			union tiara_word w = slot_load(&s->world.map.bucket[b].entry[i]);

			CHECK(!reuse_in_transit(&w));
		}
}

static uint32_t
history_collect(struct history_op *all, uint32_t cnt, const struct history_log *log)
{
	memcpy(all + cnt, log->op, log->cnt * sizeof(*all));
	return cnt + log->cnt;
}

static void
histories_check(struct shared *s, uint64_t seed)
{
	struct history_op *all = calloc((RACE_THREADS + 1) * (LOG_MAX + OPS), sizeof(*all));
	uint32_t cnt = 0;

	for (uint32_t i = 0; i <= RACE_THREADS; i++) {
		cnt = history_collect(all, cnt, &s->actor[i].log);
		cnt = history_collect(all, cnt, &s->actor[i].taking);
	}
	if (!history_holds(all, cnt, s->keys, stderr)) {
		fprintf(stderr, "seed %llu, slow step %u\n", (unsigned long long)seed, slow_step);
		abort();
	}
	free(all);
}

/* Entries moved. */
static uint64_t
test_round(uint64_t seed)
{
	struct shared *s = calloc(1, sizeof(*s));
	struct actor *alone = &s->actor[RACE_THREADS];
	uint64_t bucket_cnt = UINT64_C(2) << seed % 4, moved = 0;

	alarm(ROUND_SECONDS);
	s->keys = (uint32_t)bucket_cnt * 5;
	s->readers = 1 + (uint32_t)(seed / 4 % 2);
	slow_step = 10 + (uint32_t)(seed / 2 % (STEPS - 10));
	world_make(&s->world, bucket_cnt);
	actors_make(s, seed / 8 % 2);
	for (uint32_t k = 0; k < bucket_cnt * 4; k++)
		do_insert(s, alone, k);
	race_run(body, s, seed);
	table_check(s);
	for (uint32_t k = 0; k < s->keys; k++)
		do_lookup(s, alone, k, 1);
	histories_check(s, seed);
	for (uint32_t i = 0; i <= RACE_THREADS; i++) {
		moved += s->actor[i].writer.moved_cnt;
		free(s->actor[i].log.op);
		free(s->actor[i].taking.op);
	}
	world_free(&s->world);
	free(s);
	return moved;
}

int
main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? (uint64_t)atoi(argv[1]) : ROUNDS, moved = 0;

	for (uint64_t seed = 0; seed < rounds; seed++)
		moved += test_round(seed);
	printf("%llu entries moved in %llu rounds\n", (unsigned long long)moved,
	       (unsigned long long)rounds);
	CHECK(moved > 10 * rounds); /* thousands: else this shows nothing about moves */
	return 0;
}
