/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exact-match table of (VIP, protocol, port): open addressing, linear probing, at most half
 * full. The control plane fills it, workers read it; both start a probe at tiara_frontend_hash.
 */
#ifndef TIARA_TABLE_FRONTEND_H
#define TIARA_TABLE_FRONTEND_H

#include "view.h"

/*
 * Where a probe begins, before the mask. A VIP's own slot has port 0 and protocol 0. Operators number
 * VIPs and ports in a row: each bit of both must reach the low bits, or probes grow long.
 */
static inline uint32_t
tiara_frontend_hash(tiara_be32 vip, tiara_be16 port, uint8_t protocol)
{
	uint64_t x = (uint64_t)vip << 32 | (uint64_t)port << 8 | protocol;

	x *= 0x9e3779b97f4a7c15;
	x ^= x >> 32;
	return (uint32_t)(x * 0x9e3779b97f4a7c15 >> 32);
}

/* The slot of an exact match, or NULL. The VIP's own slot: port 0, protocol 0. */
static inline const struct tiara_frontend *
tiara_frontend_find(const struct tiara_view *view, tiara_be32 vip, tiara_be16 port,
		    uint8_t protocol)
{
	const struct tiara_frontend *slot;

	if (!view->frontend)
		return NULL;
	for (uint32_t i = tiara_frontend_hash(vip, port, protocol);; i++) {
		slot = &view->frontend[i & view->frontend_mask];
		if (slot->use == TIARA_USE_FREE)
			return NULL;
		if (slot->vip == vip && slot->port == port && slot->protocol == protocol)
			return slot;
	}
}

#endif
