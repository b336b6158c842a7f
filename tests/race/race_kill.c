/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 between any two steps of an insert. A child on the shared table dies at one step of one
 * scene; then the table must hold: no key twice, others' entries untouched, the key can be inserted
 * by another owner, and three ticks later a sweep leaves nothing tentative.
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

enum { STEPS = 6, HITS = 3, CHILD_OWNER = 5, OTHER_OWNER = 2 };
enum { KEY = 1, BYSTANDER = 2 };

/* What is in the table before. */
enum scene {
	SCENE_EMPTY,
	SCENE_OWN_EXPIRED,
	SCENE_OTHERS_EXPIRED,
	SCENE_RIVAL_FIRST, /* a lower owner's tentative word: the child withdraws, then insists */
	SCENE_RIVAL_LAST,  /* a higher one's: the child aborts it */
	SCENE_CNT,
};

static void
scene_tentative(struct world *w, uint8_t owner)
{
	union tiara_word t = {.key = tiara_key(KEY, 80, 0)};

	t.tentative.owner = owner;
	t.tentative.tick = (uint8_t)w->age.now;
	t.tentative.state = TIARA_STATE_TENTATIVE;
	world_plant(w, 1, 3, t);
}

static void
scene_make(struct world *w, enum scene scene)
{
	struct tiara_writer writer = {.owner = 9};
	union tiara_word old = world_word(KEY, 0, 1, 100);
	struct tiara_found f;

	world_make(w, 2);
	if (scene == SCENE_OWN_EXPIRED)
		CHECK(world_insert(w, &writer, &old, &f) == TIARA_OK);
	for (uint32_t i = 0; scene == SCENE_OTHERS_EXPIRED && i < 7; i++) {
		old = world_word(50 + i, 0, 1, 100);
		CHECK(world_insert(w, &writer, &old, &f) == TIARA_OK);
	}
	w->age.now += WORLD_TIMEOUT_TICKS + 1;
	old = world_word(BYSTANDER, 0, 2, w->age.now);
	CHECK(world_insert(w, &writer, &old, &f) == TIARA_OK);
	if (scene == SCENE_RIVAL_FIRST || scene == SCENE_RIVAL_LAST)
		scene_tentative(w, scene == SCENE_RIVAL_FIRST ? 0 : 200);
}

static void
child(struct world *w, int at, int hit)
{
	struct tiara_writer writer = {.owner = CHILD_OWNER};
	union tiara_word a = world_word(KEY, 0, 10, w->age.now);
	struct tiara_found f;

	kill_at = at;
	kill_hit = hit;
	_exit(world_insert(w, &writer, &a, &f) != TIARA_OK);
}

/* True when the child died at the step; otherwise it never passed there and must have succeeded. */
static bool
child_killed(struct world *w, int at, int hit)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0)
		child(w, at, hit);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status)) {
		CHECK(WTERMSIG(status) == SIGKILL);
		return true;
	}
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return false;
}

static void
bystander_check(struct world *w)
{
	struct tiara_found f = world_find(w, world_word(BYSTANDER, 0, 0, 0).key);

	CHECK(f.slot && f.word.entry.backend_idx == 2);
}

/* After the kill the child's connection is there whole or not at all, and the key is usable. */
static void
aftermath_insert(struct world *w, bool committed)
{
	struct tiara_writer writer = {.owner = OTHER_OWNER};
	union tiara_word b = world_word(KEY, 0, 20, w->age.now);
	struct tiara_found f = world_find(w, b.key);

	CHECK(!f.slot == !committed);
	CHECK(world_insert(w, &writer, &b, &f) == (committed ? TIARA_EXISTS : TIARA_OK));
	CHECK(f.word.entry.backend_idx == (committed ? 10 : 20));
	CHECK(world_copies(w, b.key) == 1);
}

static void
aftermath_sweep(struct world *w)
{
	struct tiara_sweep_counts counts = {0};
	uint64_t key = world_word(KEY, 0, 0, 0).key;
	bool there = world_copies(w, key) == 1 && world_find(w, key).slot;

	w->age.now += 3;
	tiara_sweep_slice_wk(&w->map, &w->age, &(struct tiara_writer){.owner = 0}, &counts);
	CHECK(world_in_state(w, TIARA_STATE_TENTATIVE) == 0);
	CHECK((world_copies(w, key) == 1) == there);
	CHECK(world_in_state(w, TIARA_STATE_ESTABLISHED) == 1u + there);
}

/* `insert_first`: another owner comes before the sweep does; otherwise after it. */
static bool
test_kill(enum scene scene, int at, int hit, bool insert_first)
{
	struct world w;
	bool killed, committed;

	scene_make(&w, scene);
	killed = child_killed(&w, at, hit);
	committed = !killed || at == STEPS - 1;
	CHECK(world_copies(&w, world_word(KEY, 0, 0, 0).key) <= 1);
	bystander_check(&w);
	if (insert_first)
		aftermath_insert(&w, committed);
	aftermath_sweep(&w);
	if (!insert_first)
		aftermath_insert(&w, committed);
	bystander_check(&w);
	world_free(&w);
	return killed;
}

int
main(void)
{
	int killed[STEPS] = {0};

	for (int scene = 0; scene < SCENE_CNT; scene++)
		for (int at = 0; at < STEPS; at++)
			for (int hit = 0; hit < HITS; hit++) {
				killed[at] += test_kill((enum scene)scene, at, hit, true);
				killed[at] += test_kill((enum scene)scene, at, hit, false);
			}
	for (int at = 0; at < STEPS; at++)
		CHECK(killed[at] > 0); /* every step was died at */
	return 0;
}
