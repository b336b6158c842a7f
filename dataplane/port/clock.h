/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIARA_PORT_CLOCK_H
#define TIARA_PORT_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC. The packet path asks once in a data plane's life: see tiara_node. */
uint64_t tiara_clock_ns(void);
/* The counter that DPDK's workers run by. */
uint64_t tiara_clock_tsc(void);

#endif
