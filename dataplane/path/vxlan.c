/* SPDX-License-Identifier: Apache-2.0 */
/* VXLAN (RFC 7348) to a backend: the client's frame, without its tag, for the backend's inner MAC. */
#include "path/stage.h"
#include "path/tunnel.h"

enum {
	VXLAN_PORT_FIRST = 49152, /* the source port tells flows apart in the network between */
	VXLAN_PORT_BITS = 14,
	VXLAN_BYTES = sizeof(struct tiara_vxlan_outer) + sizeof(struct tiara_ether),
};

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
vxlan_inner(const struct tiara_worker *w, struct tiara_ether *ether, const uint8_t mac[6])
{
	tiara_mac_copy(ether->dst, mac);
	tiara_mac_copy(ether->src, w->node->port_mac);
	ether->type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);
}

enum tiara_verdict
tiara_vxlan_encapsulate_wk(const struct tiara_worker *w, struct tiara_frame *f,
			   const struct tiara_backend *backend, const uint8_t mac[6])
{
	const struct tiara_ipv4 *inner = (const void *)(f->data + f->l3_off);
	struct tiara_vxlan_outer *outer;
	enum tiara_verdict verdict = tiara_tunnel_check(w, f, VXLAN_BYTES);

	if (verdict != TIARA_VERDICT_NONE)
		return verdict;
	outer = tiara_tunnel_open(w, f, VXLAN_BYTES, mac);
	tiara_tunnel_ipv4(w, f, &outer->ip, backend->addr, inner->tos, TIARA_PROTOCOL_UDP);
	vxlan_udp(&outer->udp, backend->tunnel_port, f->hash,
		  f->len_bytes - f->l3_off - sizeof(outer->ip));
	outer->vxlan = (struct tiara_vxlan){.flags = TIARA_VXLAN_VNI_VALID,
					    .vni = TIARA_BE32(backend->vni << 8)};
	vxlan_inner(w, (void *)(outer + 1), backend->inner_mac);
	return TIARA_VERDICT_NONE;
}
