/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that run the packet path: one worker on each lcore but the main one. */
#ifndef TIARA_APP_CREW_H
#define TIARA_APP_CREW_H

#include "app/arguments.h"
#include "path/worker.h"
#include "port/dpdk.h"
#include "tiara/status.h"

struct tiara_crew;

/* Starts the workers. INVALID: fewer lcores than workers. */
TIARA_MUST_CHECK enum tiara_status
tiara_crew_start_ctl(const struct tiara_arguments *arguments, const struct tiara_map *map,
		     struct tiara_dpdk *port, struct tiara_crew **crew, struct tiara_error *error);
/* Ends them: each goes offline after its burst. */
void tiara_crew_stop_ctl(struct tiara_crew *crew);

#endif
