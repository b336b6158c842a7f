/* SPDX-License-Identifier: Apache-2.0 */
/* EAL's start: its arguments are made from ours, so that nobody has to write them. */
#ifndef TIARA_APP_EAL_H
#define TIARA_APP_EAL_H

#include "app/arguments.h"
#include "port/dpdk.h"
#include "tiara/status.h"

/* What the port's frames need. mtu_bytes: of the interface taken over; 0: the driver says it. */
struct tiara_dpdk_config tiara_eal_frames(const struct tiara_arguments *arguments,
					  uint32_t mtu_bytes);

TIARA_MUST_CHECK enum tiara_status tiara_eal_start_ctl(const struct tiara_arguments *arguments,
						       const struct tiara_dpdk_config *frames,
						       struct tiara_error *error);

#endif
