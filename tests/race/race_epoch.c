/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generations under threads: whoever publishes overwrites an old root and its blocks with ordinary
 * stores as soon as tiara_epoch_oldest_ctl lets it, and workers read through their views with
 * ordinary loads. A worker that still reads what is overwritten sees a wrong number; ThreadSanitizer
 * sees the race itself. Then ticks: counted once, whoever counts.
 */
#include "race.h"

static void epoch_step(void);
#define TIARA_STEP(n) epoch_step()
#include "table/epoch.c"

enum { GENERATIONS = 3000, DUELS = 600000, TICKS = 2000, HZ = 100 };

static bool epoch_steps_yield;

static void
epoch_step(void)
{
	if (epoch_steps_yield)
		race_step();
}

struct epoch_race {
	struct world world;
	uint32_t stop;
	uint32_t round[2]; /* the duel's starting line: each side's arrivals */
	uint64_t tsc;
};

/* Everything a generation holds is a function of its number. */
static void
generation_write(struct world *w, uint64_t g)
{
	world_root(w, g);
	for (uint32_t i = 0; i < WORLD_BACKENDS; i++)
		w->backend[i].vni = (uint32_t)g;
}

static void
generation_read(const struct tiara_map *map, uint64_t g)
{
	struct tiara_view v = tiara_view_of(map, g);

	if (g == 0)
		return;
	CHECK(v.root->generation == g && v.backend_cnt == WORLD_BACKENDS);
	for (uint32_t i = 0; i < v.backend_cnt; i++)
		CHECK(v.backend[i].vni == (uint32_t)g);
}

static void
generation_poison(struct world *w, uint64_t g)
{
	struct tiara_view v = tiara_view_of(&w->map, g);

	memset((void *)(uintptr_t)v.backend, 0xa5, WORLD_BACKENDS * sizeof *v.backend);
	memset(&w->map.root[g % TIARA_ROOT_CNT], 0xa5, 16);
}

/* ---- many workers, one publisher ---- */

static void
publisher(struct epoch_race *r)
{
	uint64_t freed = 0;

	for (uint64_t g = 1; g <= GENERATIONS; g++) {
		int32_t who;
		uint64_t oldest;

		generation_write(&r->world, g);
		tiara_epoch_publish_ctl(&r->world.map, g);
		do {
			oldest = tiara_epoch_oldest_ctl(&r->world.map, &who);
			for (; freed < g - 1 && freed + 1 < oldest; freed++)
				generation_poison(&r->world, freed + 1);
			if (g - freed > TIARA_ROOT_WAITING_MAX)
				sched_yield();
		} while (g - freed > TIARA_ROOT_WAITING_MAX);
	}
	__atomic_store_n(&r->stop, 1, __ATOMIC_RELAXED);
}

static void
worker(struct epoch_race *r, uint32_t me)
{
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		uint64_t g = tiara_epoch_enter_wk(&r->world.map, me);

		generation_read(&r->world.map, g);
		race_step();
		generation_read(&r->world.map, g);
		if (race_draw(4) == 0)
			tiara_epoch_offline_wk(&r->world.map, me);
	}
	tiara_epoch_offline_wk(&r->world.map, me);
}

static void
epoch_body(void *shared, uint32_t me)
{
	if (me == 0)
		publisher(shared);
	else
		worker(shared, me);
}

static void
test_nothing_in_use_is_freed(uint64_t seed)
{
	struct epoch_race r = {.stop = 0};

	world_make(&r.world, 2);
	tiara_epoch_publish_ctl(&r.world.map, 0);
	race_run(epoch_body, &r, seed);
	world_free(&r.world);
}

/* ---- a duel: a worker comes online in the instant of a publication ---- */

static void
duel_meet(struct epoch_race *r, uint32_t side, uint32_t round)
{
	__atomic_store_n(&r->round[side], round, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&r->round[!side], __ATOMIC_SEQ_CST) < round)
		if (race_draw(64) == 0)
			sched_yield();
}

/* What the other side wrote last comes into our cache: the loads of the duel are to be fast ones. */
static void
duel_warm(const struct tiara_map *map)
{
	__atomic_load_n(&map->segment->generation, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < WORLD_WORKERS; i++)
		__atomic_load_n(&map->worker[i].generation, __ATOMIC_SEQ_CST);
}

static void
duel_body(void *shared, uint32_t me)
{
	struct epoch_race *r = shared;
	int32_t who;

	for (uint32_t n = 1; me < 2 && n <= DUELS; n++) {
		uint64_t g = n;

		if (me == 0)
			generation_write(&r->world, g + 1);
		duel_warm(&r->world.map);
		duel_meet(r, me, 2 * n);
		for (uint32_t wait = race_draw((n & 1) == me ? 8 : 1u << n / 2 % 8); wait; wait--)
			__asm__ volatile("" ::: "memory");
		if (me == 0) {
			tiara_epoch_publish_ctl(&r->world.map, g + 1);
			if (tiara_epoch_oldest_ctl(&r->world.map, &who) > g)
				generation_poison(&r->world, g);
		} else {
			g = tiara_epoch_enter_wk(&r->world.map, 0);
			for (int i = 0; i < 8; i++)
				generation_read(&r->world.map, g);
		}
		duel_meet(r, me, 2 * n + 1);
		if (me == 1)
			tiara_epoch_offline_wk(&r->world.map, 0);
	}
}

/*
 * However the two cross: the publisher sees the worker, or the worker sees the new generation. A
 * store that lingers in a core's store buffer is a matter of luck: with either of the two stores
 * weakened to a release, about one run in two is red.
 */
static void
test_duel(void)
{
	struct epoch_race r = {.stop = 0};

	world_make(&r.world, 2);
	generation_write(&r.world, 1);
	race_run(duel_body, &r, 99);
	world_free(&r.world);
}

/* ---- ticks ---- */

static void
tick_body(void *shared, uint32_t me)
{
	struct epoch_race *r = shared;
	uint64_t tsc = 0;

	(void)me;
	while (tsc < (uint64_t)TICKS * HZ) {
		tsc = __atomic_add_fetch(&r->tsc, 1, __ATOMIC_SEQ_CST);
		tiara_tick_advance_wk(&r->world.map, tsc, HZ);
	}
}

/* Seconds seen by all are counted once each; a stalled thread may make one late, never two of one. */
static void
test_ticks(void)
{
	struct epoch_race r = {.tsc = 0};
	uint32_t tick;

	world_make(&r.world, 2);
	tiara_tick_start_ctl(&r.world.map, 0, HZ);
	race_run(tick_body, &r, 1);
	tick = tiara_tick_now(&r.world.map);
	CHECK(tick <= TICKS && tick > 0);
	world_free(&r.world);
}

int
main(void)
{
	epoch_steps_yield = true;
	for (uint64_t seed = 0; seed < 4; seed++)
		test_nothing_in_use_is_freed(seed);
	epoch_steps_yield = false; /* the duel is about a few nanoseconds */
	test_duel();
	test_ticks();
	return 0;
}
