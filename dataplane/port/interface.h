/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network interface of Linux that the data plane takes over: af_packet and af_xdp still go through
 * the kernel, which must stay silent and deaf on it (docs/design/0005).
 */
#ifndef TIARA_PORT_INTERFACE_H
#define TIARA_PORT_INTERFACE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "tiara/status.h"

struct tiara_interface {
	char name[IFNAMSIZ];
	uint8_t mac[6];
	uint32_t mtu_bytes;
};

/* Reads MAC and MTU. INVALID: no such interface. error.field is left to the caller. */
TIARA_MUST_CHECK enum tiara_status tiara_interface_read(const char *name,
							struct tiara_interface *interface,
							struct tiara_error *error);
/* INVALID: the interface carries the default route or has an IPv4 address. */
TIARA_MUST_CHECK enum tiara_status tiara_interface_check_unused(const char *name,
								struct tiara_error *error);
/*
 * Up, no ARP, no IPv6, no forwarding, no merged frames, nothing left of an earlier XDP program.
 * What it sets stays after the data plane's end.
 */
TIARA_MUST_CHECK enum tiara_status tiara_interface_take(const char *name,
							struct tiara_error *error);
/* Pairs of rx and tx queues, as ethtool -l shows them; 1 when the driver does not say. */
uint32_t tiara_interface_queues(const char *name);
/* Does IPv4 of this network namespace have a default route by this interface; NULL: by any. */
bool tiara_interface_default_route(const char *name);

#endif
