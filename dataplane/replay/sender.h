/* SPDX-License-Identifier: Apache-2.0 */
/* Sends a capture's frames through one port, at a pace, within bounds. */
#ifndef TIARA_REPLAY_SENDER_H
#define TIARA_REPLAY_SENDER_H

#include <signal.h>
#include <stdint.h>

#include "port/dpdk.h"
#include "replay/capture.h"

struct tiara_sender_config {
	uint64_t rate;  /* frames a second; 0: as fast as it goes */
	uint64_t count; /* UINT64_MAX: until the time is over */
	uint64_t duration_ns;
};

struct tiara_sender_result {
	uint64_t sent;     /* frames that the port took */
	uint64_t bytes;    /* of those */
	uint64_t dropped;  /* were due by pace or count when the time was over, and not sent */
	uint64_t refused;  /* times that the port took less than offered; offered again at once */
	uint64_t received; /* frames that came in meanwhile; not looked at */
	uint64_t took_ns;
};

/* Returns when count or time is over, or *stopping is set. The main lcore's. */
struct tiara_sender_result tiara_sender_run(struct tiara_dpdk *dpdk,
					    const struct tiara_capture *capture,
					    const struct tiara_sender_config *config,
					    const volatile sig_atomic_t *stopping);

#endif
