/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At each step of one insert or sweep, and at each first few passings of it, somebody else does a
 * whole action of his own: each such order is run once, none is left to chance.
 */
#include "table_world.h"

static void step(int n);
#define TIARA_STEP(n) step(n)
#include "table/insert.c"
#include "table/sweep.c"

enum { STEPS = 9, HITS = 3, KEY = 1, OWNER = 5, MINE = 10, THEIRS = 20 };

/* What the other one does. */
enum action {
	ACTION_INSERT_FIRST, /* of a lower owner */
	ACTION_INSERT_LAST,  /* of a higher one */
	ACTION_INSERT_OLD,   /* with a tick so old that for us its entry has expired */
	ACTION_SWEEP,        /* from three ticks ahead: our tentative word looks stale */
	ACTION_INSERT_AND_REMOVE,
	ACTION_COMMIT,     /* after a look that came before our claim */
	ACTION_COMMIT_OLD, /* the same, with an old tick */
	ACTION_TOUCH_GONE, /* changes an entry of a removed backend, which stays one */
	ACTION_CNT,
};

static struct {
	struct world *world;
	enum action action;
	int at, hit;
	bool acted;
	enum tiara_status status;
} other;

static void
other_insert(uint8_t owner, uint16_t now)
{
	struct tiara_writer writer = {.owner = owner};
	struct tiara_age age = {.view = other.world->age.view, .now = now};
	union tiara_word w = world_word(KEY, 0, THEIRS, now);
	struct tiara_found f;

	other.status = tiara_table_insert(&other.world->map, &age, &writer,
					  world_hash(other.world, w.key), &w, &f);
	if (other.action == ACTION_INSERT_AND_REMOVE && other.status == TIARA_OK) {
		CHECK(tiara_table_remove(&other.world->map, &writer, &f));
		other.status = TIARA_NOT_FOUND;
	}
}

static void
other_commit(uint16_t now)
{
	CHECK(other.world->map.bucket[1].entry[3].state == TIARA_STATE_EMPTY);
	world_plant(other.world, 1, 3, world_word(KEY, 0, THEIRS, now));
	other.status = TIARA_OK;
}

static void
other_sweep(void)
{
	struct tiara_age age = other.world->age;
	struct tiara_sweep_counts counts = {0};

	age.now += 3;
	tiara_sweep_slice_wk(&other.world->map, &age, &(struct tiara_writer){.owner = 0}, &counts);
}

static void
other_touch_gone(void)
{
	for (uint64_t i = 0; i < 8; i++) {
		struct tiara_entry *e = &other.world->map.bucket[i / 4].entry[i % 4];

		if (e->backend_idx == WORLD_BACKENDS)
			e->flags ^= TIARA_ENTRY_PUSHED;
	}
}

static void
step(int n)
{
	uint16_t now = other.world->age.now, old = (uint16_t)(now - WORLD_TIMEOUT_TICKS - 1);

	if (other.acted || n != other.at || other.hit-- != 0)
		return;
	other.acted = true;
	if (other.action == ACTION_SWEEP)
		other_sweep();
	else if (other.action == ACTION_TOUCH_GONE)
		other_touch_gone();
	else if (other.action == ACTION_INSERT_OLD)
		other_insert(OWNER + 1, old);
	else if (other.action == ACTION_COMMIT || other.action == ACTION_COMMIT_OLD)
		other_commit(other.action == ACTION_COMMIT ? now : old);
	else
		other_insert(other.action == ACTION_INSERT_FIRST ? 0 : OWNER + 1, now);
}

static void
prepare(struct world *w, enum action action, int at, int hit)
{
	world_make(w, 2);
	other.world = w;
	other.action = action;
	other.at = at;
	other.hit = hit;
	other.acted = false;
	other.status = TIARA_NOT_FOUND;
}

/* Before: nothing, the key expired, or a dead owner's tentative word for it (lower or higher). */
static void
prepare_key(struct world *w, int before)
{
	union tiara_word old = world_word(KEY, 0, 1,
					  (uint16_t)(w->age.now - WORLD_TIMEOUT_TICKS - 1));

	if (before == 0)
		return;
	if (before > 1) {
		old.tentative.state = TIARA_STATE_TENTATIVE;
		old.tentative.owner = before == 2 ? 0 : 200;
		old.tentative.tick = (uint8_t)w->age.now;
	}
	world_plant(w, 1, 2, old);
}

/*
 * One live word at most, and it is what who said OK last put there; never two OK (an old tick's
 * entry is expired for us, so ours may follow it).
 */
static bool
test_insert(enum action action, int before, int at, int hit)
{
	struct tiara_writer writer = {.owner = OWNER};
	struct world w;
	struct tiara_found f, now;
	union tiara_word mine;
	enum tiara_status s;

	prepare(&w, action, at, hit);
	prepare_key(&w, before);
	mine = world_word(KEY, 0, MINE, w.age.now);
	s = world_insert(&w, &writer, &mine, &f);
	now = world_find(&w, mine.key);
	CHECK(s == TIARA_OK || s == TIARA_EXISTS);
	CHECK(world_copies(&w, mine.key) == 1 && now.slot == f.slot && now.word.all == f.word.all);
	CHECK(f.word.entry.backend_idx == (s == TIARA_OK ? MINE : THEIRS));
	CHECK(s == TIARA_OK || other.status == TIARA_OK);
	CHECK(s != TIARA_OK || other.status != TIARA_OK || action == ACTION_INSERT_OLD ||
	      action == ACTION_COMMIT_OLD);
	CHECK(world_in_state(&w, TIARA_STATE_TENTATIVE) == 0);
	world_free(&w);
	return other.acted;
}

/* Could this have happened? Others' commits only right after our first look or our claim. */
static bool
possible(enum action action, int before, int at)
{
	bool commit = action == ACTION_COMMIT || action == ACTION_COMMIT_OLD;

	return !commit || (before == 0 && at <= 1);
}

/* A sweep leaves nothing of a removed backend, also when the entry changes under its hands. */
static bool
test_sweep(enum action action, int at, int hit)
{
	struct tiara_sweep_counts counts = {0};
	struct world w;

	prepare(&w, action, at, hit);
	for (uint32_t i = 0; i < 4; i++)
		world_plant(&w, i % 2, (int)i, world_word(50 + i, 0, WORLD_BACKENDS, w.age.now));
	tiara_sweep_slice_wk(&w.map, &w.age, &(struct tiara_writer){.owner = 1}, &counts);
	CHECK(other.acted == (at >= 6));
	for (uint32_t i = 0; i < 4; i++)
		CHECK(world_copies(&w, world_word(50 + i, 0, 0, 0).key) == 0);
	world_free(&w);
	return other.acted;
}

int
main(void)
{
	int acted[STEPS] = {0};

	for (int action = 0; action < ACTION_CNT; action++)
		for (int at = 0; at < STEPS; at++)
			for (int hit = 0; hit < HITS; hit++)
				for (int before = 0; before < 4; before++)
					if (possible((enum action)action, before, at))
						acted[at] += test_insert((enum action)action,
									 before, at, hit);
	for (int at = 6; at < STEPS; at++) {
		acted[at] += test_sweep(ACTION_SWEEP, at, 0);
		acted[at] += test_sweep(ACTION_TOUCH_GONE, at, 0);
	}
	for (int at = 0; at < STEPS; at++)
		CHECK(acted[at] > 0); /* every step had its turn */
	return 0;
}
