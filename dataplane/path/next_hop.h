/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIARA_PATH_NEXT_HOP_H
#define TIARA_PATH_NEXT_HOP_H

#include "tiara/layout.h"

/* Whose MAC a packet for addr gets. 0: there is no way. */
static inline tiara_be32
tiara_next_hop(const struct tiara_node *node, tiara_be32 addr)
{
	return ((addr ^ node->address) & node->netmask) == 0 ? addr : node->gateway;
}

#endif
