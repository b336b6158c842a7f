/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the neighbour table answered (ARP, RFC 826) and tells the link of new VIPs (RFC 5227,
 * section 3). Runs on the main lcore; what it sends goes out through worker 0, what is answered is
 * heard by the workers.
 */
#ifndef TIARA_PORT_RESOLVER_H
#define TIARA_PORT_RESOLVER_H

#include <stdint.h>

#include "port/dpdk.h"
#include "table/view.h"
#include "tiara/status.h"

enum { TIARA_RESOLVER_INTERVAL_NS = 20000000 };

struct tiara_resolver;

/* worker: the slot of the segment through which it reads generations, its own alone. */
TIARA_MUST_CHECK enum tiara_status
tiara_resolver_start_ctl(const struct tiara_map *map, uint32_t worker, struct tiara_dpdk *port,
			 struct tiara_resolver **resolver, struct tiara_error *error);
/* One turn; call it every TIARA_RESOLVER_INTERVAL_NS. now_ns: CLOCK_MONOTONIC. */
void tiara_resolver_turn_ctl(struct tiara_resolver *self, uint64_t now_ns);
void tiara_resolver_stop_ctl(struct tiara_resolver *self);

#endif
