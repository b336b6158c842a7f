/* SPDX-License-Identifier: Apache-2.0 */
/* To the backend: the client's packet as it came, under new MAC addresses or inside a tunnel. */
#include "path/next_hop.h"
#include "path/stage.h"
#include "path/tcp.h"
#include "table/neighbour.h"

static enum tiara_verdict
forward_l2(const struct tiara_worker *w, struct tiara_frame *f, const uint8_t mac[6])
{
	struct tiara_ether *ether = (void *)f->data;

	if (f->len_bytes - f->l3_off > w->node->mtu_bytes)
		return TIARA_VERDICT_TOO_BIG;
	tiara_mac_copy(ether->dst, mac);
	tiara_mac_copy(ether->src, w->node->port_mac);
	return TIARA_VERDICT_NONE;
}

/* NONE: the frame is ready to be sent. */
static enum tiara_verdict
forward_rewrite(const struct tiara_worker *w, struct tiara_frame *f)
{
	const struct tiara_backend *backend = &w->view.backend[f->backend_idx];
	tiara_be32 next_hop = tiara_next_hop(w->node, backend->addr);
	uint8_t mac[6];

	if (next_hop == 0 || !tiara_neighbour_get(w->map, next_hop, mac))
		return TIARA_VERDICT_NO_NEIGHBOUR;
	switch (backend->forward) {
	case TIARA_FORWARD_L2:
		return forward_l2(w, f, mac);
	case TIARA_FORWARD_VXLAN:
		return tiara_vxlan_encapsulate_wk(w, f, backend, mac);
	case TIARA_FORWARD_IPIP:
		return tiara_ipip_encapsulate_wk(w, f, backend, mac);
	default:
		return TIARA_VERDICT_NO_BACKEND;
	}
}

static enum tiara_verdict
forward_verdict(const struct tiara_frame *f)
{
	if (f->found.slot)
		return TIARA_VERDICT_FORWARDED;
	return tiara_tcp_closes(f) ? TIARA_VERDICT_FORWARDED_STRAY
				   : TIARA_VERDICT_FORWARDED_UNTRACKED;
}

static void
forward_count(struct tiara_flow_counter *counter, uint32_t bytes, uint8_t fresh)
{
	tiara_count_wk(&counter->pkts, 1);
	tiara_count_wk(&counter->bytes, bytes);
	if (fresh)
		tiara_count_wk(&counter->connections, 1);
}

static enum tiara_verdict
forward_one(struct tiara_worker *w, struct tiara_frame *f)
{
	uint32_t client_bytes = f->len_bytes;
	enum tiara_verdict verdict = forward_rewrite(w, f);

	if (verdict != TIARA_VERDICT_NONE)
		return verdict;
	forward_count(&w->service_counters[f->service_idx], client_bytes, f->fresh);
	forward_count(&w->backend_counters[f->backend_idx], client_bytes, f->fresh);
	return forward_verdict(f);
}

/* The next hops of the burst, and the lines that tunnels' headers go into, asked for together. */
static void
forward_prefetch(const struct tiara_worker *w, const struct tiara_frame *f, uint16_t cnt)
{
	for (uint16_t i = 0; i < cnt; i++) {
		if (f[i].verdict != TIARA_VERDICT_NONE)
			continue;
		tiara_neighbour_prefetch(
			w->map, tiara_next_hop(w->node, w->view.backend[f[i].backend_idx].addr));
		__builtin_prefetch(f[i].data - 1, 1);
	}
}

void
tiara_forward_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	forward_prefetch(w, f, cnt);
	for (uint16_t i = 0; i < cnt; i++)
		if (f[i].verdict == TIARA_VERDICT_NONE)
			f[i].verdict = (uint8_t)forward_one(w, &f[i]);
}
