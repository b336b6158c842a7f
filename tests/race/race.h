/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that start together, and a step hook that makes rare interleavings common. */
#ifndef TIARA_TESTS_RACE_H
#define TIARA_TESTS_RACE_H

#include <pthread.h>
#include <sched.h>

#include "table_world.h"

enum { RACE_THREADS = 4 };

static _Thread_local uint64_t race_random = 1;

static inline uint32_t
race_draw(uint32_t below)
{
	return (uint32_t)(world_random(&race_random) >> 33) % below;
}

/* Between two steps of an algorithm: sometimes somebody else goes first. */
static inline void
race_step(void)
{
	if (race_draw(4) == 0)
		sched_yield();
}

struct race_thread {
	void *shared;
	void (*body)(void *shared, uint32_t me);
	pthread_barrier_t *start;
	pthread_t id;
	uint32_t me;
	uint64_t seed;
};

static inline void *
race_enter(void *arg)
{
	struct race_thread *t = arg;

	race_random = t->seed;
	pthread_barrier_wait(t->start);
	t->body(t->shared, t->me);
	return NULL;
}

/* Runs body(shared, 0 .. RACE_THREADS - 1) at once and waits for all. */
static inline void
race_run(void (*body)(void *, uint32_t), void *shared, uint64_t seed)
{
	struct race_thread t[RACE_THREADS];
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, RACE_THREADS);
	for (uint32_t i = 0; i < RACE_THREADS; i++) {
		t[i] = (struct race_thread){.shared = shared,
					    .body = body,
					    .start = &start,
					    .me = i,
					    .seed = seed * RACE_THREADS + i + 1};
		CHECK(pthread_create(&t[i].id, NULL, race_enter, &t[i]) == 0);
	}
	for (uint32_t i = 0; i < RACE_THREADS; i++)
		pthread_join(t[i].id, NULL);
	pthread_barrier_destroy(&start);
}

#endif
