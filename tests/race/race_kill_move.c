/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 between any two steps of moves, and of ending moves that others began. A child on the
 * shared table inserts where entries have to move first, and dies; perhaps a second child helps it,
 * and dies too. All the time every connection is found; after whoever comes by next it is there
 * once; three ticks and a sweep later nothing of the dead is left, and entries can move again.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "table_world.h"

static int kill_at = -1;  /* step */
static int kill_hit = -1; /* which passing of it */

static void
step(int n)
{
	if (n == kill_at && kill_hit-- == 0)
		raise(SIGKILL);
}

#define TIARA_STEP(n) step(n)
#include "table/insert.c"
#include "table/move.c"

enum {
	BUCKETS = 32,
	MOVES = 2,       /* of the child's insert */
	CLIENTS = 160,   /* tried; most are there, each to the backend of its own number */
	STEP_FIRST = 10, /* of moves and helping */
	STEP_END = 21,
	HITS = 3,
	CHILD_OWNER = 5,
	HELPER_OWNER = 2,
	OTHER_OWNER = 3,
	STALE_TICKS = 3,
	CHILD_SECONDS = 20, /* it takes less than one: longer is for ever */
};

struct scene {
	struct world world;
	bool there[CLIENTS];
	uint32_t wanted; /* refused as long as nobody moves: the child inserts it */
};

/* Who comes by after the kill. */
enum repair {
	REPAIR_TOUCH,
	REPAIR_INSERT,
	REPAIR_HELP,
	REPAIR_SWEEP,
	REPAIR_ADOPT, /* a process that took the child's place, and its number */
	REPAIR_CNT,
};

static union tiara_word
word_of(uint32_t client)
{
	return world_word(client, 0, client % WORLD_BACKENDS, 100);
}

/* Entries that have to move for this insert; the table stays as it is. */
static uint64_t
moves_for(struct world *w, union tiara_word word)
{
	struct tiara_writer writer = {.owner = OTHER_OWNER, .search_max = TIARA_SEARCH_PATH};
	struct tiara_bucket before[BUCKETS];
	struct tiara_found f;
	enum tiara_status status;

	memcpy(before, w->map.bucket, sizeof(before));
	status = world_insert(w, &writer, &word, &f);
	memcpy(w->map.bucket, before, sizeof(before));
	return status == TIARA_OK ? writer.moved_cnt : 0;
}

/* Filled without moves, until an insert would need as many as it is to. */
static void
scene_make(struct scene *s)
{
	struct tiara_writer writer = {.owner = OTHER_OWNER};

	*s = (struct scene){.wanted = 0};
	world_make(&s->world, BUCKETS);
	for (s->wanted = 0; moves_for(&s->world, word_of(s->wanted)) < MOVES; s->wanted++) {
		union tiara_word w = word_of(s->wanted);
		struct tiara_found f;

		CHECK(s->wanted < CLIENTS);
		s->there[s->wanted] = world_insert(&s->world, &writer, &w, &f) == TIARA_OK;
	}
}

/* ---- children ---- */

/* All that are in transit. */
static void
help_all(struct scene *s, struct tiara_writer *writer)
{
	for (uint32_t i = 0; i < BUCKETS * TIARA_BUCKET_ENTRIES; i++) {
		union tiara_word w = slot_load(&s->world.map.bucket[i / 4].entry[i % 4]);

		if (tiara_word_live(&w) && reuse_in_transit(&w))
			tiara_move_help(&s->world.map, writer, w.key);
	}
}

static void
child_insert(struct scene *s)
{
	struct tiara_writer writer = {.owner = CHILD_OWNER, .search_max = TIARA_SEARCH_PATH};
	union tiara_word w = word_of(s->wanted);
	struct tiara_found f;

	_exit(world_insert(&s->world, &writer, &w, &f) != TIARA_OK || writer.moved_cnt < MOVES);
}

static void
child_help(struct scene *s)
{
	struct tiara_writer writer = {.owner = HELPER_OWNER};

	help_all(s, &writer);
	_exit(0);
}

/* True when the child died at the step; otherwise it never passed there and must have succeeded. */
static bool
child_killed(struct scene *s, void (*body)(struct scene *), int at, int hit)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(CHILD_SECONDS);
		kill_at = at;
		kill_hit = hit;
		body(s);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status)) {
		CHECK(WTERMSIG(status) == SIGKILL);
		return true;
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return false;
}

/* ---- afterwards ---- */

/* Every connection is found, with its backend; `copies`: and is in the table so often at most. */
static void
found_check(const struct scene *s, uint32_t copies)
{
	for (uint32_t c = 0; c < CLIENTS; c++) {
		union tiara_word w = word_of(c);
		struct tiara_found f = world_find(&s->world, w.key);
		uint32_t cnt = world_copies(&s->world, w.key);

		CHECK(f.slot || !s->there[c]);
		CHECK(!f.slot || f.word.entry.backend_idx == w.entry.backend_idx);
		CHECK(cnt <= copies && (cnt > 0) == (f.slot != NULL));
		CHECK(!f.slot || s->there[c] || c == s->wanted);
	}
}

static void
sweep(struct scene *s, uint16_t ahead)
{
	struct tiara_writer writer = {.owner = OTHER_OWNER};
	struct tiara_sweep_counts counts = {0};
	struct tiara_age age = s->world.age;

	age.now += ahead;
	tiara_sweep_slice_wk(&s->world.map, &age, &writer, &counts);
	CHECK(counts.expired == 0 && counts.gone == 0);
}

static void
touch_all(struct scene *s, struct tiara_writer *writer)
{
	for (uint32_t c = 0; c < CLIENTS; c++) {
		struct tiara_found f = world_find(&s->world, word_of(c).key);
		union tiara_word w = f.word;

		if (!f.slot)
			continue;
		w.entry.last_seen++;
		CHECK(tiara_table_replace(&s->world.map, writer, &f, &w));
	}
}

static void
insert_all(struct scene *s, struct tiara_writer *writer)
{
	for (uint32_t c = 0; c < CLIENTS; c++) {
		union tiara_word w = word_of(c);
		struct tiara_found f;

		if (s->there[c])
			CHECK(world_insert(&s->world, writer, &w, &f) == TIARA_EXISTS &&
			      f.word.entry.backend_idx == w.entry.backend_idx);
	}
}

static void
repair(struct scene *s, enum repair how)
{
	struct tiara_writer writer = {.owner = how == REPAIR_ADOPT ? CHILD_OWNER : OTHER_OWNER,
				      .search_max = TIARA_SEARCH_PATH,
				      .nonce = 1u << 24};

	if (how == REPAIR_TOUCH || how == REPAIR_ADOPT)
		touch_all(s, &writer);
	else if (how == REPAIR_INSERT)
		insert_all(s, &writer);
	else if (how == REPAIR_HELP)
		help_all(s, &writer);
	else
		sweep(s, 0);
	/* an insert that is told EXISTS has nothing to repair */
	found_check(s, how == REPAIR_INSERT ? 2 : 1);
}

/* Nothing tentative, nothing in transit; and the child's insert, done by another, moves entries. */
static void
aftermath(struct scene *s)
{
	struct tiara_writer writer = {.owner = OTHER_OWNER, .search_max = TIARA_SEARCH_PATH};
	union tiara_word w = word_of(s->wanted);
	struct tiara_found f;

	sweep(s, STALE_TICKS);
	CHECK(world_in_state(&s->world, TIARA_STATE_TENTATIVE) == 0);
	for (uint32_t i = 0; i < BUCKETS * TIARA_BUCKET_ENTRIES; i++) {
		union tiara_word at = slot_load(&s->world.map.bucket[i / 4].entry[i % 4]);

		CHECK(!reuse_in_transit(&at));
	}
	found_check(s, 1);
	CHECK(world_insert(&s->world, &writer, &w, &f) != TIARA_FULL);
	CHECK(world_find(&s->world, w.key).slot);
	found_check(s, 1);
}

static bool
test_kill(int at, int hit, enum repair how)
{
	struct scene s;
	bool killed;

	scene_make(&s);
	killed = child_killed(&s, child_insert, at, hit);
	found_check(&s, 2);
	repair(&s, how);
	aftermath(&s);
	world_free(&s.world);
	return killed;
}

/* The child dies at a step, its helper at another. */
static bool
test_kill_helper(int at, int helper_at, int hit)
{
	struct scene s;
	bool killed;

	scene_make(&s);
	child_killed(&s, child_insert, at, 0);
	killed = child_killed(&s, child_help, helper_at, hit);
	found_check(&s, 2);
	repair(&s, (enum repair)((helper_at + hit) % REPAIR_CNT));
	aftermath(&s);
	world_free(&s.world);
	return killed;
}

/* A helper meets each of the steps at some time, a mover those below 16. */
static void
test_helper(void)
{
	int killed[STEP_END] = {0};

	for (int at = 11; at <= 15; at++)
		for (int hit = 0; hit < 3 * HITS; hit++) {
			killed[16] += test_kill_helper(at, 16, hit);
			killed[20] += test_kill_helper(at, 20, hit);
			killed[17] += hit < HITS && test_kill_helper(at, 17, hit);
		}
	CHECK(killed[16] > 0 && killed[17] > 0 && killed[20] > 0);
}

int
main(void)
{
	for (int at = STEP_FIRST; at < STEP_END; at++) {
		int killed = 0;

		for (int hit = 0; hit < HITS; hit++)
			for (int how = 0; how < REPAIR_CNT; how++)
				killed += test_kill(at, hit, (enum repair)how);
		CHECK(killed > 0 || at > 15); /* every step of a move was died at */
	}
	test_helper();
	return 0;
}
