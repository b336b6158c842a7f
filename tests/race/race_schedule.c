/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One after another, every order in which a mover, somebody who acts meanwhile and a third can
 * interrupt each other a few times; nothing is left to chance. Each is a coroutine that is stopped
 * at any step, goes on later, or never does (as if it had been killed there). What all were told
 * must be explained (history.h), and the table must be sound after whoever comes next.
 */
#include <ucontext.h>
#include <unistd.h>

#include "history.h"
#include "table_world.h"

static void step(int n);
#define TIARA_STEP(n) step(n)
#include "table/insert.c"
#include "table/lookup.c"
#include "table/move.c"
#include "table/sweep.c"

enum {
	KEY = 0,   /* the one that moves */
	OTHER = 1, /* one that wants its places */
	KEYS = 2,
	BYSTANDERS = 10, /* their numbers begin here */
	STACK_BYTES = 256 * 1024,
	LOG_MAX = 256,
	FIRST_BACKEND = 20,
	TO_THE_END = INT32_MAX,
	STALE_TICKS = 3,
	TURNS_MAX = 8,
	RANDOM = 50000, /* random schedules */
	SECONDS = 10,   /* for schedules that take less than one: longer is for ever */
};

enum { MOVER, ACTOR, THIRD, FOURTH, ACTORS, WATCHER = ACTORS, NEXT_ONE, EVERYBODY };

enum action {
	ACTION_HELP,
	ACTION_LOOKUP,
	ACTION_INSERT,
	ACTION_INSERT_OTHER,
	ACTION_TOUCH,
	ACTION_REMOVE,
	ACTION_REMOVE_INSERT,
	ACTION_SWEEP, /* from so far ahead that what is tentative is stale */
	ACTION_MOVE,
	ACTION_MOVE_OFTEN, /* there, back, and there again */
	ACTION_NONE,
	ACTION_ANY, /* three of the above, on any key */
};

struct actor {
	ucontext_t at;
	char *stack;
	enum action action;
	int budget; /* steps it may pass */
	bool done;
	struct tiara_writer writer;
	struct history_log log;
	struct history_op op[LOG_MAX];
};

static struct {
	struct world world;
	ucontext_t main;
	uint64_t clock;
	uint32_t backend; /* each word written has its own */
	uint64_t random;
	struct actor *now;
	struct actor actor[EVERYBODY];
	uint64_t passed[32]; /* by step: how often somebody was stopped there */
} the;

/* After a swap, before it is counted: nothing that the table's words tell. It would only lengthen runs. */
enum { STEP_OF_COUNTS = 21 };

static void
step(int n)
{
	struct actor *a = the.now;

	if (!a || n == STEP_OF_COUNTS)
		return;
	if (a->budget == 0) {
		the.passed[n]++;
		swapcontext(&a->at, &the.main);
	}
	a->budget--;
}

/* ---- actions ---- */

static uint64_t
key_of(uint32_t key)
{
	return world_word(key, 0, 0, 0).key;
}

static struct history_op *
call(struct actor *a, enum history_kind kind, uint32_t key)
{
	struct history_op *op = history_call(&a->log, kind, key);

	CHECK(op);
	return op;
}

static struct tiara_found
do_lookup(struct actor *a, uint32_t key)
{
	struct history_op *op = call(a, HISTORY_LOOKUP, key);
	struct tiara_found f;

	op->found = UINT64_MAX; /* should it never return: nobody was told anything */
	f = world_find(&the.world, key_of(key));
	op->found = f.slot ? f.word.value : 0;
	history_return(&a->log, op);
	return f;
}

static void
do_insert(struct actor *a, uint32_t key)
{
	union tiara_word w = world_word(key, 0, the.backend++, the.world.age.now);
	struct history_op *op = call(a, HISTORY_INSERT, key);
	struct tiara_found f;
	enum tiara_status status;

	op->wanted = w.value;
	status = world_insert(&the.world, &a->writer, &w, &f);
	op->outcome = status == TIARA_OK       ? HISTORY_DONE
		      : status == TIARA_EXISTS ? HISTORY_EXISTS
					       : HISTORY_FULL;
	op->found = f.slot ? f.word.value : 0;
	history_return(&a->log, op);
}

static void
do_touch(struct actor *a, uint32_t key)
{
	struct tiara_found f = do_lookup(a, key);
	union tiara_word w = f.word;
	struct history_op *op;

	if (!f.slot)
		return;
	step(9);
	w.entry.backend_idx = the.backend++;
	op = call(a, HISTORY_REPLACE, key);
	op->found = f.word.value;
	op->wanted = w.value;
	if (!tiara_table_replace(&the.world.map, &a->writer, &f, &w))
		op->outcome = HISTORY_CHANGED;
	history_return(&a->log, op);
}

static void
do_remove(struct actor *a, uint32_t key)
{
	struct tiara_found f = do_lookup(a, key);
	struct history_op *op;

	if (!f.slot)
		return;
	op = call(a, HISTORY_REMOVE, key);
	op->found = f.word.value;
	if (!tiara_table_remove(&the.world.map, &a->writer, &f))
		op->outcome = HISTORY_CHANGED;
	history_return(&a->log, op);
}

static void
do_sweep(struct actor *a)
{
	struct tiara_age ahead = the.world.age;
	struct tiara_sweep_counts counts = {0};

	ahead.now += STALE_TICKS;
	tiara_sweep_slice_wk(&the.world.map, &ahead, &a->writer, &counts);
	CHECK(counts.gone == 0 && counts.expired == 0);
}

static struct tiara_found
room_in(uint32_t bucket)
{
	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		struct tiara_found f = {.slot = &the.world.map.bucket[bucket].entry[i]};

		f.word = slot_load(f.slot);
		if (reuse_judge(&the.world.map, &the.world.age, &f.word) == REUSE_TAKE)
			return f;
	}
	return (struct tiara_found){.slot = NULL};
}

/* True: the key is where it can be moved, and was. */
static bool
do_move(struct actor *a, uint32_t key)
{
	const struct tiara_map *map = &the.world.map;

	for (uint32_t i = 0; i < 2 * TIARA_BUCKET_ENTRIES; i++) {
		struct tiara_found from = {.slot = &map->bucket[i / 4].entry[i % 4]}, to;

		from.word = slot_load(from.slot);
		if (from.word.key != key_of(key) || !tiara_word_live(&from.word) ||
		    !move_allowed(map, &the.world.age, &from.word))
			continue;
		to = room_in(1 - i / 4);
		return to.slot && move_entry(map, &the.world.age, &a->writer, from, to);
	}
	return false;
}

static uint32_t
draw(uint32_t below)
{
	return (uint32_t)(world_random(&the.random) >> 33) % below;
}

static void
act(struct actor *a, enum action action, uint32_t key)
{
	switch (action) {
	case ACTION_HELP:
		tiara_move_help(&the.world.map, &a->writer, key_of(key));
		break;
	case ACTION_LOOKUP:
		do_lookup(a, key);
		break;
	case ACTION_INSERT:
		do_insert(a, key);
		break;
	case ACTION_INSERT_OTHER:
		do_insert(a, OTHER);
		break;
	case ACTION_TOUCH:
		do_touch(a, key);
		break;
	case ACTION_REMOVE:
	case ACTION_REMOVE_INSERT:
		do_remove(a, key);
		if (action == ACTION_REMOVE_INSERT)
			do_insert(a, key);
		break;
	case ACTION_SWEEP:
		do_sweep(a);
		break;
	case ACTION_MOVE_OFTEN:
		do_move(a, key);
		do_move(a, key);
		do_move(a, key);
		break;
	case ACTION_MOVE:
		do_move(a, key);
		break;
	case ACTION_NONE:
		break;
	case ACTION_ANY:
		for (int i = 0; i < 3; i++)
			act(a, (enum action)draw(ACTION_NONE), draw(4) ? KEY : OTHER);
	}
}

static void
enter(void)
{
	act(the.now, the.now->action, KEY);
	the.now->done = true;
}

/* ---- a schedule ---- */

/* Goes on until it has passed so many steps and comes to another. Then the key is looked for. */
static void
go_on(int who, int steps)
{
	struct actor *a = &the.actor[who];

	if (!a->done) {
		a->budget = steps;
		the.now = a;
		swapcontext(&the.main, &a->at);
		the.now = NULL;
	}
	do_lookup(&the.actor[WATCHER], KEY);
}

static void
actor_make(int who, enum action action, uint8_t owner)
{
	struct actor *a = &the.actor[who];

	a->action = action;
	a->done = false;
	a->writer = (struct tiara_writer){.owner = owner, .search_max = TIARA_SEARCH_PATH};
	a->log = (struct history_log){
		.clock = &the.clock, .op = a->op, .max = LOG_MAX, .thread = (uint8_t)who};
	if (!a->stack)
		a->stack = malloc(STACK_BYTES);
	getcontext(&a->at);
	a->at.uc_stack.ss_sp = a->stack;
	a->at.uc_stack.ss_size = STACK_BYTES;
	a->at.uc_link = &the.main;
	makecontext(&a->at, enter, 0);
}

/* Where the key is at first and where there is room for it, and how full the rest is. */
struct scene {
	bool second; /* it is in its second bucket */
	bool last;   /* slots 3, which carry the marks; else slot 0 and, as room, 1 */
	bool full;   /* the room for it is the only one */
};

static uint64_t
scene_bucket(const struct scene *scene)
{
	uint64_t first = tiara_hash_bucket_1(world_hash(&the.world, key_of(KEY)), 1);

	return scene->second ? 1 - first : first;
}

static void
scene_fill(uint64_t from, int from_slot, int to_slot)
{
	for (uint32_t i = 0; i < 2 * TIARA_BUCKET_ENTRIES; i++) {
		uint64_t bucket = i / 4;
		int slot = (int)i % 4;

		if (slot != (bucket == from ? from_slot : to_slot))
			world_plant(&the.world, bucket, slot,
				    world_word(BYSTANDERS + i, 0, i, the.world.age.now));
	}
}

static void
scene_make(const struct scene *scene)
{
	uint64_t from = scene_bucket(scene);
	int from_slot = scene->last ? 3 : 0, to_slot = scene->last ? 3 : 1;

	memset(the.world.map.bucket, 0, 2 * sizeof(struct tiara_bucket));
	the.clock = 0;
	the.backend = FIRST_BACKEND;
	the.world.age.now = 100;
	actor_make(WATCHER, ACTION_LOOKUP, 4);
	actor_make(NEXT_ONE, ACTION_HELP, 3);
	if (scene->full)
		scene_fill(from, from_slot, to_slot);
	do_insert(&the.actor[WATCHER], KEY); /* for the history; now to its place */
	for (uint32_t i = 0; i < 2 * TIARA_BUCKET_ENTRIES; i++) {
		struct tiara_entry *slot = &the.world.map.bucket[i / 4].entry[i % 4];
		union tiara_word word = slot_load(slot);

		if (word.key == key_of(KEY)) {
			CHECK(slot_swap(slot, word, (union tiara_word){.all = 0}));
			world_plant(&the.world, from, from_slot, word);
			break;
		}
	}
}

/* ---- afterwards ---- */

static bool
history_check(void)
{
	struct history_op all[EVERYBODY * LOG_MAX];
	uint32_t cnt = 0;

	for (int i = 0; i < EVERYBODY; i++) {
		const struct history_log *log = &the.actor[i].log;

		memcpy(all + cnt, log->op, log->cnt * sizeof(*all));
		cnt += log->cnt;
	}
	return history_holds(all, cnt, KEYS, stderr);
}

/* Nothing of anybody's doings is left, but connections, each once. */
static bool
table_check(const struct scene *scene)
{
	bool sound = world_in_state(&the.world, TIARA_STATE_TENTATIVE) == 0;

	for (uint32_t key = 0; key < KEYS; key++)
		sound &= world_copies(&the.world, key_of(key)) <= 1;
	for (uint32_t i = 0; i < 2 * TIARA_BUCKET_ENTRIES; i++) {
		union tiara_word w = slot_load(&the.world.map.bucket[i / 4].entry[i % 4]);
		uint32_t bystander = (uint32_t)(w.entry.client_addr - BYSTANDERS);

		sound &= !reuse_in_transit(&w);
		sound &= !tiara_word_live(&w) || w.entry.client_addr < BYSTANDERS ||
			 w.entry.backend_idx == bystander;
	}
	return sound && world_in_state(&the.world, TIARA_STATE_ESTABLISHED) >=
				(scene->full ? 2 * TIARA_BUCKET_ENTRIES - 2 : 0);
}

/* The next one to come by, with this action; then the sweep, and the key can be moved. */
static bool
aftermath(const struct scene *scene, enum action repair, uint8_t owner)
{
	struct actor *next = &the.actor[NEXT_ONE];
	bool sound = true, there;

	next->writer.owner = owner;
	next->writer.nonce = 1000;
	act(next, repair, KEY);
	do_lookup(next, KEY);
	if (world_copies(&the.world, key_of(KEY)) > 1 && repair != ACTION_INSERT)
		return false; /* an insert that is told EXISTS repairs nothing */
	do_sweep(next);
	there = do_lookup(next, KEY).slot != NULL;
	sound &= table_check(scene);
	if (there && room_in(0).slot && room_in(1).slot)
		sound &= do_move(next, KEY) && do_lookup(next, KEY).slot != NULL;
	return sound & history_check();
}

static const struct {
	enum action action;
	uint8_t owner; /* 1: the mover's; a process that took its place */
} repairs[] = {
	{ACTION_HELP, 3},  {ACTION_TOUCH, 3}, {ACTION_INSERT, 3},
	{ACTION_SWEEP, 3}, {ACTION_TOUCH, 1}, {ACTION_SWEEP, 1},
};

enum { REPAIRS = sizeof repairs / sizeof *repairs };

/* ---- all schedules ---- */

/* Whose turn it is, and how many steps he passes. */
struct turn {
	int who;
	int steps;
};

/* Then those who live go on to the end, in the order of `enum`, the mover last. */
struct schedule {
	struct scene scene;
	enum action action; /* the actor's */
	enum action third;
	uint8_t owner; /* the actor's: below or above the mover's */
	bool mover_dies;
	bool actor_dies;
	int repair;
	struct turn turn[TURNS_MAX]; /* up to one of -1 steps */
};

static const char *const who_is[] = {[MOVER] = "mover", [ACTOR] = "actor", [THIRD] = "third"};

static void
schedule_print(const struct schedule *s)
{
	fprintf(stderr, "key in its %s bucket, slots %s, %s; actor %u does %d, the third %d\n",
		s->scene.second ? "second" : "first", s->scene.last ? "3, 3" : "0, 1",
		s->scene.full ? "full" : "else empty", s->owner, (int)s->action, (int)s->third);
	for (int i = 0; i < TURNS_MAX && s->turn[i].steps >= 0; i++)
		fprintf(stderr, "  %s passes %d\n", who_is[s->turn[i].who], s->turn[i].steps);
	fprintf(stderr, "  dies:%s%s; repair %d\n", s->mover_dies ? " mover" : "",
		s->actor_dies ? " actor" : "", s->repair);
}

static void
schedule_run(const struct schedule *s)
{
	scene_make(&s->scene);
	actor_make(MOVER, ACTION_MOVE_OFTEN, 1);
	actor_make(ACTOR, s->action, s->owner);
	actor_make(THIRD, s->third, 5);
	actor_make(FOURTH, ACTION_NONE, 6);
	for (int i = 0; i < TURNS_MAX && s->turn[i].steps >= 0; i++)
		go_on(s->turn[i].who, s->turn[i].steps);
	if (!s->actor_dies)
		go_on(ACTOR, TO_THE_END);
	go_on(THIRD, TO_THE_END);
	if (!s->mover_dies)
		go_on(MOVER, TO_THE_END);
	if (aftermath(&s->scene, repairs[s->repair].action, repairs[s->repair].owner))
		return;
	schedule_print(s);
	abort();
}

/* All numbers of steps below those of `below`, turn by turn. */
static void
schedule_all(struct schedule *s, const struct turn *below, int at)
{
	if (at == TURNS_MAX || below[at].steps == 0) {
		if (at < TURNS_MAX)
			s->turn[at].steps = -1;
		schedule_run(s);
		return;
	}
	for (int n = 0; n < below[at].steps; n++) {
		s->turn[at] = (struct turn){below[at].who, n};
		schedule_all(s, below, at + 1);
	}
}

static void
test(struct schedule s, const struct turn *below)
{
	alarm(SECONDS);
	schedule_all(&s, below, 0);
}

enum { MOVE = 7, MOVES = 20, ACT = 12 }; /* steps, and a little more */

/* A mover and an actor. Whoever is stopped last may be dead; then anybody comes by. */
static void
test_two(struct scene scene, enum action action)
{
	static const struct turn below[TURNS_MAX] = {{MOVER, MOVE}, {ACTOR, ACT}, {MOVER, MOVES}};
	struct schedule s = {.scene = scene, .action = action, .third = ACTION_NONE};

	for (s.owner = 0; s.owner <= 2; s.owner += 2)
		test(s, below);
	s.owner = 2;
	s.mover_dies = true;
	for (s.repair = 0; s.repair < REPAIRS; s.repair++)
		test(s, below);
	s.repair = 0;
	s.actor_dies = true;
	test(s, below);
	s.mover_dies = false;
	test(s, below);
}

/* A lookup or an insert is stopped between two looks, while the mover and the actor go on. */
static void
test_three(struct scene scene, enum action action)
{
	static const struct turn below[TURNS_MAX] = {{MOVER, MOVE}, {THIRD, 6}, {MOVER, MOVES}};
	struct schedule s = {.scene = scene, .action = action, .owner = 2};

	for (int dies = 0; dies < 2; dies++) {
		s.mover_dies = dies;
		s.third = ACTION_LOOKUP;
		test(s, below);
		s.third = ACTION_INSERT;
		test(s, below);
	}
}

/* An insert is stopped three times: the key may move whenever it looks. */
static void
test_insert(struct scene scene)
{
	static const struct turn below[TURNS_MAX] = {{THIRD, 2}, {MOVER, MOVE + 1},
						     {THIRD, 4}, {MOVER, MOVE + 1},
						     {THIRD, 4}, {MOVER, MOVE + 1}};

	test((struct schedule){.scene = scene, .action = ACTION_NONE, .third = ACTION_INSERT},
	     below);
}

/* What a touch found has long moved, and comes back just now, with somebody's help. */
static void
test_late_touch(struct scene scene)
{
	static const struct turn below[TURNS_MAX] = {{THIRD, 3}, {MOVER, 2 * MOVE}, {ACTOR, 3},
						     {MOVER, 4}, {ACTOR, 4},        {THIRD, 4}};

	test(
		(struct schedule){
			.scene = scene, .action = ACTION_HELP, .owner = 2, .third = ACTION_TOUCH},
		below);
}

/* ---- random schedules of four ---- */

static void
random_turns(int dead)
{
	int who = MOVER;

	for (int turn = 0; turn < 200; turn++) {
		struct actor *a;

		if (draw(2))
			who = (int)draw(ACTORS);
		a = &the.actor[who];
		if (a->done || (who == dead && turn > 10))
			continue;
		a->budget = (int)draw(4);
		the.now = a;
		swapcontext(&the.main, &a->at);
		the.now = NULL;
		if (draw(4) == 0)
			do_lookup(&the.actor[WATCHER], draw(4) ? KEY : OTHER);
	}
}

static void
test_random(uint64_t seed)
{
	static const uint8_t owner[ACTORS] = {1, 0, 5, 2};
	struct scene scene = {.second = seed & 1, .last = seed & 2, .full = seed & 4};
	int dead, repair;

	the.random = seed;
	scene_make(&scene);
	for (int who = 0; who < ACTORS; who++)
		actor_make(who, who == MOVER ? ACTION_MOVE_OFTEN : ACTION_ANY, owner[who]);
	dead = (int)draw(2 * ACTORS); /* or nobody */
	random_turns(dead);
	for (int who = 0; who < ACTORS; who++)
		if (who != dead)
			go_on(who, TO_THE_END);
	repair = (int)draw(REPAIRS - 2);
	if (aftermath(&scene, repairs[repair].action, repairs[repair].owner))
		return;
	fprintf(stderr, "random schedule %llu\n", (unsigned long long)seed);
	abort();
}

int
main(int argc, char **argv)
{
	uint64_t random = argc > 1 ? (uint64_t)atoll(argv[1]) : RANDOM;

	world_make(&the.world, 2);
	for (uint64_t seed = 0; seed < random; seed++) {
		if (seed % 1000 == 0)
			alarm(SECONDS);
		test_random(seed);
	}
	for (int i = 0; i < 8; i++) {
		struct scene scene = {.second = i & 1, .last = i & 2, .full = i & 4};

		for (int action = 0; action < ACTION_NONE; action++) {
			test_two(scene, (enum action)action);
			test_three(scene, (enum action)action);
		}
		test_insert(scene);
		test_late_touch(scene);
	}
	for (int n = 10; n <= 20; n++)
		CHECK(the.passed[n] > 0); /* somebody was stopped at every step */
	return 0;
}
