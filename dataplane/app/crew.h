/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that run the packet path: one worker on each lcore but the main one. */
#ifndef TIARA_APP_CREW_H
#define TIARA_APP_CREW_H

#include "app/arguments.h"
#include "path/worker.h"
#include "port/card.h"
#include "port/dpdk.h"
#include "tiara/status.h"

struct tiara_crew;

/*
 * Starts the workers. INVALID: fewer lcores than workers, or fewer queues of the card. `card` outlives the
 * crew; without a table (tiara_card_none) there is no offload.
 */
TIARA_MUST_CHECK enum tiara_status
tiara_crew_start_ctl(const struct tiara_arguments *arguments, const struct tiara_map *map,
		     struct tiara_dpdk *port, const struct tiara_card *card,
		     struct tiara_crew **crew, struct tiara_error *error);
/* Ends them: each goes offline after its burst. */
void tiara_crew_stop_ctl(struct tiara_crew *crew);

#endif
