/* SPDX-License-Identifier: Apache-2.0 */
/* Which generation a worker uses, and time (docs/design/0002). */
#ifndef TIARA_TABLE_EPOCH_H
#define TIARA_TABLE_EPOCH_H

#include <stdbool.h>

#include "view.h"

/*
 * Once a burst: reports and returns the current generation. Cheap when nothing changed. After it the
 * worker may use tiara_view_of(that generation) until its next call or until it goes offline.
 */
uint64_t tiara_epoch_enter_wk(const struct tiara_map *map, uint32_t worker);
void tiara_epoch_offline_wk(const struct tiara_map *map, uint32_t worker);
/* The oldest generation any online worker may use; UINT64_MAX: all offline. *worker: who. */
uint64_t tiara_epoch_oldest_ctl(const struct tiara_map *map, int32_t *worker);
/* The one release store of a publication. */
void tiara_epoch_publish_ctl(const struct tiara_map *map, uint64_t generation);

/* Data-plane start, before any worker: the slots of a killed one are offline. */
void tiara_epoch_start_ctl(const struct tiara_map *map);

/* Seconds counted by workers; while no worker runs, time stands still. */
uint32_t tiara_tick_now(const struct tiara_map *map);
/* Called by workers often enough; returns the tick. Whoever first sees a second gone counts it. */
uint32_t tiara_tick_advance_wk(const struct tiara_map *map, uint64_t tsc, uint64_t tsc_hz);
/* Data-plane start, before any worker: the next second begins now. */
void tiara_tick_start_ctl(const struct tiara_map *map, uint64_t tsc, uint64_t tsc_hz);

#endif
