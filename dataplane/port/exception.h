/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exception path: a TAP through which the kernel has the own address on a port that DPDK owns
 * (docs/design/0005 says why not DPDK's net_tap). Runs on the main lcore.
 */
#ifndef TIARA_PORT_EXCEPTION_H
#define TIARA_PORT_EXCEPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "port/dpdk.h"
#include "tiara/layout.h"
#include "tiara/status.h"

struct tiara_exception_config {
	const char *interface; /* name of the TAP */
	uint8_t mac[6];
	uint32_t mtu_bytes;
	tiara_be32 address; /* 0: none */
	tiara_be32 netmask;
	tiara_be32 gateway; /* 0: none */
};

struct tiara_exception {
	int fd; /* -1: there is none */
	struct tiara_dpdk *port;
};

/* Makes the TAP. BUSY: its name is taken. The TAP ends with the process. */
TIARA_MUST_CHECK enum tiara_status
tiara_exception_open_ctl(struct tiara_exception *self, const struct tiara_exception_config *config,
			 struct tiara_dpdk *port, struct tiara_error *error);
void tiara_exception_close_ctl(struct tiara_exception *self);
/* Moves what waits, both ways. Returns how many frames. Never blocks. */
uint32_t tiara_exception_turn_ctl(struct tiara_exception *self);

#endif
