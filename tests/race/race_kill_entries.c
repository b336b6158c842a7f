/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 between a change of the table and its count. Whatever the change was, each backend's count
 * is off by one at most then, by its inserts if they came as one burst, and right again after the data
 * plane's next start.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "table_world.h"

static int kill_at = 21;  /* the step between the two */
static int kill_hit = -1; /* which passing of it */

static void
step(int n)
{
	if (n == kill_at && kill_hit-- == 0)
		raise(SIGKILL);
}

#define TIARA_STEP(n) step(n)
#include "table/entries.c"
#include "table/insert.c"
#include "table/move.c"
#include "table/sweep.c"

enum { BUCKETS = 32, CHILD_OWNER = 5, OTHER_OWNER = 2, CLIENTS = 200, LIMITED = 7, TOGETHER = 3 };

enum change {
	CHANGE_INSERT,
	CHANGE_INSERT_OVER_EXPIRED,
	CHANGE_INSERT_BURST, /* TOGETHER of one backend, over expired ones */
	CHANGE_REPLACE,
	CHANGE_REMOVE,
	CHANGE_SWEEP,
	CHANGE_CNT,
};

static union tiara_word
word_of(const struct world *w, uint32_t client)
{
	return world_word(client, 0, client % WORLD_BACKENDS, w->age.now);
}

/* As many as get in without moves; the next ones will move some. */
static uint32_t
fill(struct world *w)
{
	struct tiara_writer writer = world_writer(w, OTHER_OWNER, 0);
	uint32_t refused = 0, client = 0;

	for (; refused < 3; client++) {
		union tiara_word word = word_of(w, client);
		struct tiara_found f;

		refused += world_insert(w, &writer, &word, &f) == TIARA_FULL;
	}
	return client;
}

static void
child_insert(struct world *w, struct tiara_writer *writer, uint32_t from)
{
	for (uint32_t client = from; client < from + TOGETHER; client++) {
		union tiara_word word = word_of(w, client);
		struct tiara_found f;

		if (world_insert(w, writer, &word, &f) == TIARA_EXISTS)
			_exit(1);
	}
}

static void
child_insert_burst(struct world *w, struct tiara_writer *writer, uint32_t from)
{
	enum tiara_status status[TOGETHER];
	struct tiara_found f[TOGETHER];
	union tiara_word word[TOGETHER];
	uint64_t hash[TOGETHER];

	for (uint32_t i = 0; i < TOGETHER; i++) {
		word[i] = world_word(from + i, 0, LIMITED, w->age.now);
		hash[i] = world_hash(w, word[i].key);
	}
	tiara_table_insert_burst(&w->map, &w->age, writer, hash, word, TOGETHER, f, status);
}

static void
child_change(struct world *w, enum change change, uint32_t from)
{
	struct tiara_writer writer = world_writer(w, CHILD_OWNER, TIARA_SEARCH_PATH);
	struct tiara_found f = world_find(w, word_of(w, 1).key);
	union tiara_word other = word_of(w, 1);
	struct tiara_sweep_counts counts = {0};

	other.entry.backend_idx = LIMITED;
	if (change == CHANGE_INSERT || change == CHANGE_INSERT_OVER_EXPIRED)
		child_insert(w, &writer, from);
	else if (change == CHANGE_INSERT_BURST)
		child_insert_burst(w, &writer, from);
	else if (change == CHANGE_REPLACE)
		tiara_table_replace(&w->map, &writer, &f, &other);
	else if (change == CHANGE_REMOVE)
		tiara_table_remove(&w->map, &writer, &f);
	else
		tiara_sweep_slice_wk(&w->map, &w->age, &writer, &counts);
	_exit(0);
}

static bool
child_killed(struct world *w, enum change change, uint32_t from, int hit)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		kill_hit = hit;
		child_change(w, change, from);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

/* What was left in flight is ended by another worker's sweep, and counted by it. */
static void
aftermath(struct world *w)
{
	struct tiara_writer writer = world_writer(w, OTHER_OWNER, 0);
	struct tiara_sweep_counts counts = {0};

	tiara_entries_start_ctl(&w->map);
	CHECK(world_entries_off(w) == 0);
	w->age.now += 3;
	tiara_sweep_slice_wk(&w->map, &w->age, &writer, &counts);
	CHECK(world_in_state(w, TIARA_STATE_TENTATIVE) == 0);
	CHECK(world_entries_off(w) == 0);
}

static int64_t
off_at_most(enum change change)
{
	return change == CHANGE_INSERT_BURST ? TOGETHER : 1;
}

static bool
change_ages(enum change change)
{
	return change == CHANGE_INSERT_OVER_EXPIRED || change == CHANGE_INSERT_BURST ||
	       change == CHANGE_SWEEP;
}

/* Returns by how much counts were off; -1: the child was done before it came so far. */
static int64_t
test_kill(enum change change, int hit)
{
	struct world w;
	uint32_t from;
	int64_t off;
	bool killed;

	world_make(&w, BUCKETS);
	w.backend[LIMITED].connection_max = 10;
	from = fill(&w);
	if (change_ages(change))
		w.age.now += WORLD_TIMEOUT_TICKS + 1;
	CHECK(world_entries_off(&w) == 0);
	killed = child_killed(&w, change, from, hit);
	off = world_entries_off(&w);
	CHECK(off <= killed * off_at_most(change));
	aftermath(&w);
	world_free(&w);
	return killed ? off : -1;
}

/* Without a limit anywhere nobody asks, and a start does not read the table. */
static void
test_start_without_limits(void)
{
	struct world w;

	world_make(&w, BUCKETS);
	fill(&w);
	tiara_map_backend_counters(&w.map, 1)[3].limit_cnt += 5;
	tiara_entries_start_ctl(&w.map);
	CHECK(world_entries_off(&w) == 5);
	w.backend[LIMITED].connection_max = 10;
	tiara_entries_start_ctl(&w.map);
	CHECK(world_entries_off(&w) == 0);
	world_free(&w);
}

/* A start that was killed while it counted has left nonsense: the next one counts, limits or not. */
static void
test_start_killed(void)
{
	struct world w;
	pid_t pid;

	world_make(&w, BUCKETS);
	fill(&w);
	w.backend[LIMITED].connection_max = 10;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		kill_at = 23;
		kill_hit = 0;
		tiara_entries_start_ctl(&w.map);
		_exit(0);
	}
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(world_entries_off(&w) > 1);
	w.backend[LIMITED].connection_max = 0;
	tiara_entries_start_ctl(&w.map);
	CHECK(world_entries_off(&w) == 0);
	CHECK(w.map.segment->recounting == 0);
	world_free(&w);
}

int
main(void)
{
	for (int change = 0; change < CHANGE_CNT; change++) {
		int64_t off = 0, most = 0;
		int kills = 0;

		for (; kills < CLIENTS && off >= 0; kills++) {
			off = test_kill((enum change)change, kills);
			most = off > most ? off : most;
		}
		/* there is such a moment in each of them */
		CHECK(kills > 1 && most == off_at_most((enum change)change));
	}
	test_start_without_limits();
	test_start_killed();
	return 0;
}
