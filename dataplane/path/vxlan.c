/* SPDX-License-Identifier: Apache-2.0 */
/* VXLAN (RFC 7348) to a backend: the client's frame whole, for the backend's inner MAC address. */
#include "path/stage.h"
#include "path/wire.h"

enum {
	VXLAN_PORT_FIRST = 49152, /* the source port tells flows apart in the network between */
	VXLAN_PORT_BITS = 14,
	VXLAN_TTL = 64,
	VXLAN_IPV4_BYTES = sizeof(struct tiara_vxlan_outer) - sizeof(struct tiara_ether),
};

static void
vxlan_ether(const struct tiara_worker *w, struct tiara_ether *ether, const uint8_t mac[6])
{
	tiara_mac_copy(ether->dst, mac);
	tiara_mac_copy(ether->src, w->node->port_mac);
	ether->type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);
}

/* DSCP and ECN are the client's (RFC 6040); id 0: never fragmented (RFC 6864). */
static void
vxlan_ipv4(const struct tiara_worker *w, struct tiara_ipv4 *ip, tiara_be32 dst, uint8_t tos,
	   uint32_t total_bytes)
{
	*ip = (struct tiara_ipv4){
		.version_ihl = 0x45,
		.tos = tos,
		.total_bytes = TIARA_BE16(total_bytes),
		.fragment = TIARA_BE16(TIARA_IPV4_DONT_FRAGMENT),
		.ttl = VXLAN_TTL,
		.protocol = TIARA_PROTOCOL_UDP,
		.src = w->node->address,
		.dst = dst,
	};
	ip->checksum = tiara_checksum_words(ip, sizeof(*ip) / 4);
}

/* The port shows another mix of the hash than the table uses for its buckets. */
static void
vxlan_udp(struct tiara_udp *udp, tiara_be16 dst_port, uint64_t hash, uint32_t len_bytes)
{
	uint64_t mix = hash * 0x9e3779b97f4a7c15 >> (64 - VXLAN_PORT_BITS);

	*udp = (struct tiara_udp){
		.src_port = TIARA_BE16(VXLAN_PORT_FIRST + mix),
		.dst_port = dst_port,
		.len_bytes = TIARA_BE16(len_bytes),
	};
}

static void
vxlan_inner(const struct tiara_worker *w, struct tiara_frame *f, const uint8_t mac[6])
{
	struct tiara_ether *ether = (void *)f->data;

	tiara_mac_copy(ether->dst, mac);
	tiara_mac_copy(ether->src, w->node->port_mac);
}

static void
vxlan_outer(const struct tiara_worker *w, struct tiara_frame *f,
	    const struct tiara_backend *backend, const uint8_t mac[6])
{
	struct tiara_vxlan_outer *outer = (void *)(f->data - sizeof(*outer));
	const struct tiara_ipv4 *inner = (const void *)(f->data + sizeof(struct tiara_ether));
	uint32_t total_bytes = f->len_bytes + VXLAN_IPV4_BYTES;

	vxlan_ether(w, &outer->ether, mac);
	vxlan_ipv4(w, &outer->ip, backend->addr, inner->tos, total_bytes);
	vxlan_udp(&outer->udp, backend->tunnel_port, f->hash, total_bytes - sizeof(outer->ip));
	outer->vxlan = (struct tiara_vxlan){.flags = TIARA_VXLAN_VNI_VALID,
					    .vni = TIARA_BE32(backend->vni << 8)};
}

enum tiara_verdict
tiara_vxlan_encapsulate_wk(const struct tiara_worker *w, struct tiara_frame *f,
			   const struct tiara_backend *backend, const uint8_t mac[6])
{
	if (f->len_bytes + VXLAN_IPV4_BYTES > w->node->mtu_bytes)
		return TIARA_VERDICT_TOO_BIG;
	if (f->headroom_bytes < sizeof(struct tiara_vxlan_outer))
		return TIARA_VERDICT_NO_ROOM;
	vxlan_inner(w, f, backend->inner_mac);
	vxlan_outer(w, f, backend, mac);
	f->data -= sizeof(struct tiara_vxlan_outer);
	f->len_bytes += sizeof(struct tiara_vxlan_outer);
	f->headroom_bytes -= sizeof(struct tiara_vxlan_outer);
	return TIARA_VERDICT_NONE;
}
