/* SPDX-License-Identifier: Apache-2.0 */
/* What all tunnels have in common: room, and the outer Ethernet and IPv4 headers. */
#ifndef TIARA_PATH_TUNNEL_H
#define TIARA_PATH_TUNNEL_H

#include "path/worker.h"
#include "path/wire.h"

enum { TIARA_TUNNEL_TTL = 64 };

/* Whether the frame can grow by so many bytes: TOO_BIG, NO_ROOM or NONE. */
static inline enum tiara_verdict
tiara_tunnel_check(const struct tiara_worker *w, const struct tiara_frame *f, uint32_t more_bytes)
{
	if (f->len_bytes - f->l3_off + more_bytes > w->node->mtu_bytes)
		return TIARA_VERDICT_TOO_BIG;
	return f->headroom_bytes < more_bytes ? TIARA_VERDICT_NO_ROOM : TIARA_VERDICT_NONE;
}

/*
 * The frame begins so many bytes earlier, with an Ethernet header from this port to mac. Its tag, if
 * it has one, and its type are the client's. Returns where the outer packet begins.
 */
static inline void *
tiara_tunnel_open(const struct tiara_worker *w, struct tiara_frame *f, uint16_t more_bytes,
		  const uint8_t mac[6])
{
	struct tiara_ether *outer = (void *)(f->data - more_bytes);
	const struct tiara_ether *inner = (const void *)f->data;

	tiara_mac_copy(outer->dst, mac);
	tiara_mac_copy(outer->src, w->node->port_mac);
	outer->type = inner->type;
	if (f->l3_off != sizeof(*outer)) /* that was the tag's, whose rest follows */
		memcpy(outer + 1, inner + 1,
		       sizeof(struct tiara_ether_tagged) - sizeof(struct tiara_ether));
	f->data -= more_bytes;
	f->len_bytes += more_bytes;
	f->headroom_bytes -= more_bytes;
	return f->data + f->l3_off;
}

/* The outer header of all that follows in the frame. ECN and DSCP are the client's (RFC 6040); id 0:
 * never fragmented (RFC 6864). */
static inline void
tiara_tunnel_ipv4(const struct tiara_worker *w, const struct tiara_frame *f, struct tiara_ipv4 *ip,
		  tiara_be32 dst, uint8_t tos, uint8_t protocol)
{
	tiara_be16 total_bytes = TIARA_BE16(f->len_bytes - f->l3_off);
	tiara_be32 src = w->node->address;
	/* Of the fields: reading back what was just written in pieces would stall. */
	uint64_t sum = (uint64_t)TIARA_BE16(0x4500 | tos) + total_bytes +
		       TIARA_BE16(TIARA_IPV4_DONT_FRAGMENT) +
		       TIARA_BE16(TIARA_TUNNEL_TTL << 8 | protocol) + src + dst;

	*ip = (struct tiara_ipv4){
		.version_ihl = 0x45,
		.tos = tos,
		.total_bytes = total_bytes,
		.fragment = TIARA_BE16(TIARA_IPV4_DONT_FRAGMENT),
		.ttl = TIARA_TUNNEL_TTL,
		.protocol = protocol,
		.checksum = (uint16_t)~tiara_checksum_fold(sum),
		.src = src,
		.dst = dst,
	};
}

#endif
