/* SPDX-License-Identifier: Apache-2.0 */
#include "epoch.h"

#include "step.h"

/*
 * Why no generation is freed while a worker uses it. Four accesses are sequentially consistent:
 *   worker:    W1 slot = g        W2 load current
 *   publisher: P1 current = g+1   P2 load slot
 * A worker uses g only when a W2 that follows its W1 still returned g. Then W2 stands before P1 in
 * the single order of these accesses, so W1 stands before P2: the publisher sees g (or a later
 * store of that worker) and keeps it. If P2 came first and saw 0, W2 returns g+1 and the worker
 * stores again before it uses anything.
 * Contents: P1 releases what the roots say, the load in enter acquires it; a worker's later store
 * (or offline) releases its last read of g, P2 acquires it before g is overwritten.
 */
uint64_t
tiara_epoch_enter_wk(const struct tiara_map *map, uint32_t worker)
{
	uint64_t *slot = &map->worker[worker].generation;
	uint64_t *current = &map->segment->generation;
	uint64_t used = __atomic_load_n(slot, __ATOMIC_RELAXED); /* only we write it */
	/* Acquire, with the store in tiara_epoch_publish_ctl. */
	uint64_t now = __atomic_load_n(current, __ATOMIC_SEQ_CST);

	while (used != now) {
		used = now;
		TIARA_STEP(9);
		__atomic_store_n(slot, used, __ATOMIC_SEQ_CST);   /* W1 */
		now = __atomic_load_n(current, __ATOMIC_SEQ_CST); /* W2 */
	}
	return used;
}

void
tiara_epoch_offline_wk(const struct tiara_map *map, uint32_t worker)
{
	/* Release, with P2: our last use is over. */
	__atomic_store_n(&map->worker[worker].generation, 0, __ATOMIC_RELEASE);
}

uint64_t
tiara_epoch_oldest_ctl(const struct tiara_map *map, int32_t *worker)
{
	uint64_t oldest = UINT64_MAX;

	*worker = -1;
	for (uint32_t i = 0; i < map->segment->worker_max; i++) {
		uint64_t g = __atomic_load_n(&map->worker[i].generation, __ATOMIC_SEQ_CST); /* P2 */

		if (g == 0 || g >= oldest)
			continue;
		oldest = g;
		*worker = (int32_t)i;
	}
	return oldest;
}

void
tiara_epoch_publish_ctl(const struct tiara_map *map, uint64_t generation)
{
	__atomic_store_n(&map->segment->generation, generation, __ATOMIC_SEQ_CST); /* P1 */
}

void
tiara_epoch_start_ctl(const struct tiara_map *map)
{
	for (uint32_t i = 0; i < map->segment->worker_max; i++)
		tiara_epoch_offline_wk(map, i);
}

uint32_t
tiara_tick_now(const struct tiara_map *map)
{
	/* Relaxed: a number, nothing hangs on it. */
	return __atomic_load_n(&map->segment->tick, __ATOMIC_RELAXED);
}

uint32_t
tiara_tick_advance_wk(const struct tiara_map *map, uint64_t tsc, uint64_t tsc_hz)
{
	uint64_t *next = &map->segment->tick_next_tsc;
	uint64_t due = __atomic_load_n(next, __ATOMIC_RELAXED);
	int64_t late = (int64_t)(tsc - due);
	uint64_t after;

	if (late < 0)
		return tiara_tick_now(map);
	/* Nobody ran for a second or more: that time is not counted, the clock starts anew from here. */
	after = (uint64_t)late < tsc_hz ? due + tsc_hz : tsc + tsc_hz;
	/* Relaxed: whoever moves the deadline counts the tick, once; no other memory is passed on. */
	if (__atomic_compare_exchange_n(next, &due, after, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		return __atomic_add_fetch(&map->segment->tick, 1, __ATOMIC_RELAXED);
	return tiara_tick_now(map);
}

void
tiara_tick_start_ctl(const struct tiara_map *map, uint64_t tsc, uint64_t tsc_hz)
{
	/* Whatever was there may be of another boot's counter. */
	__atomic_store_n(&map->segment->tick_next_tsc, tsc + tsc_hz, __ATOMIC_RELAXED);
}
