/* SPDX-License-Identifier: Apache-2.0 */
/* What ends here: ARP, and ICMP echo to a VIP. Answers are written over the question. */
#include "path/stage.h"
#include "path/wire.h"
#include "table/frontend.h"
#include "table/neighbour.h"

enum { LOCAL_ANSWER_TTL = 64 };

static bool
local_is_vip(const struct tiara_worker *w, tiara_be32 addr)
{
	return tiara_frontend_find(&w->view, addr, 0, 0) != NULL;
}

static void
local_turn_ether(const struct tiara_worker *w, struct tiara_frame *f, const uint8_t dst[6])
{
	struct tiara_ether *ether = (void *)f->data;

	tiara_mac_copy(ether->dst, dst);
	tiara_mac_copy(ether->src, w->node->port_mac);
}

/* ---- ARP (RFC 826) ---- */

static enum tiara_verdict
local_arp_answer(const struct tiara_worker *w, struct tiara_frame *f, struct tiara_arp *arp)
{
	tiara_be32 vip = arp->target_addr;

	local_turn_ether(w, f, arp->sender_mac);
	arp->op = TIARA_BE16(TIARA_ARP_REPLY);
	arp->target_addr = arp->sender_addr;
	tiara_mac_copy(arp->target_mac, arp->sender_mac);
	arp->sender_addr = vip;
	tiara_mac_copy(arp->sender_mac, w->node->port_mac);
	return TIARA_VERDICT_ARP_ANSWERED;
}

/* Everything sent to the own MAC address, and the questions for the own address. */
static bool
local_arp_for_kernel(const struct tiara_worker *w, const struct tiara_ether *ether,
		     const struct tiara_arp *arp)
{
	return tiara_mac_equal(ether->dst, w->node->kernel_mac) ||
	       (arp->target_addr == w->node->address && arp->target_addr != 0 &&
		arp->op == TIARA_BE16(TIARA_ARP_REQUEST));
}

/* An announcement asks for the sender's own address: nobody answers it. */
static bool
local_arp_asks_vip(const struct tiara_worker *w, const struct tiara_arp *arp)
{
	return arp->op == TIARA_BE16(TIARA_ARP_REQUEST) && arp->sender_addr != arp->target_addr &&
	       local_is_vip(w, arp->target_addr);
}

static enum tiara_verdict
local_arp(const struct tiara_worker *w, struct tiara_frame *f)
{
	const struct tiara_ether *ether = (const void *)f->data;
	struct tiara_arp *arp = (void *)(f->data + f->l3_off);
	bool learned = tiara_neighbour_heard(w->map, arp->sender_addr, arp->sender_mac, w->tick);

	if (local_arp_for_kernel(w, ether, arp))
		return TIARA_VERDICT_TO_KERNEL;
	if (local_arp_asks_vip(w, arp))
		return local_arp_answer(w, f, arp);
	return learned ? TIARA_VERDICT_ARP_LEARNED : TIARA_VERDICT_NOT_FOR_US;
}

/* ---- ICMP echo (RFC 792) ---- */

static bool
local_is_echo(const struct tiara_worker *w, const struct tiara_frame *f)
{
	const struct tiara_icmp *icmp = (const void *)(f->data + f->l4_off);

	return f->protocol == TIARA_PROTOCOL_ICMP && icmp->type == TIARA_ICMP_ECHO_REQUEST &&
	       icmp->code == 0 && local_is_vip(w, f->vip);
}

/* The ICMP checksum is carried over, not made new: what was broken before stays so. */
static void
local_echo_icmp(struct tiara_icmp *icmp)
{
	icmp->type = TIARA_ICMP_ECHO_REPLY;
	icmp->checksum = tiara_checksum_update(icmp->checksum,
					       TIARA_BE16(TIARA_ICMP_ECHO_REQUEST << 8),
					       TIARA_BE16(TIARA_ICMP_ECHO_REPLY << 8));
}

static void
local_echo_ipv4(struct tiara_ipv4 *ip)
{
	tiara_be32 vip = ip->dst;

	ip->dst = ip->src;
	ip->src = vip;
	ip->ttl = LOCAL_ANSWER_TTL;
	ip->checksum = 0;
	ip->checksum = tiara_checksum_words(ip, ip->version_ihl & 0x0f);
}

static enum tiara_verdict
local_echo_answer(const struct tiara_worker *w, struct tiara_frame *f)
{
	const struct tiara_ether *ether = (const void *)f->data;
	uint8_t client_mac[6];

	tiara_mac_copy(client_mac, ether->src);
	local_turn_ether(w, f, client_mac);
	local_echo_ipv4((void *)(f->data + f->l3_off));
	local_echo_icmp((void *)(f->data + f->l4_off));
	return TIARA_VERDICT_ICMP_ANSWERED;
}

void
tiara_local_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	for (uint16_t i = 0; i < cnt; i++) {
		if (f[i].verdict != TIARA_VERDICT_NONE)
			continue;
		if (f[i].l4_off == 0)
			f[i].verdict = (uint8_t)local_arp(w, &f[i]);
		else if (local_is_echo(w, &f[i]))
			f[i].verdict = (uint8_t)local_echo_answer(w, &f[i]);
	}
}
