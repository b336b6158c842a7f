/* SPDX-License-Identifier: Apache-2.0 */
/* What the card does with a packet: parse, match, look up, rewrite; else up to the CPU. */
#include <string.h>

#include "path/wire.h"
#include "card_twin_internal.h"
#include "table/hash.h"

enum { PACKET_TTL = 64, PACKET_VXLAN_PORT_FIRST = 49152 };

/* A packet's fields; reason NONE: it may be looked up. */
struct packet {
	struct tiara_ipv4 *ip;
	uint32_t l3_off;
	tiara_be16 src_port;
	tiara_be16 dst_port;
	enum tiara_card_reason reason;
};

static uint32_t
packet_l3_off(const struct tiara_frame *f)
{
	tiara_be16 type;

	memcpy(&type, f->data + 12, 2);
	if (type == TIARA_BE16(TIARA_ETHERTYPE_IPV4))
		return 14;
	if (type != TIARA_BE16(0x8100) || f->len_bytes < 18 + 20)
		return 0;
	memcpy(&type, f->data + 16, 2);
	return type == TIARA_BE16(TIARA_ETHERTYPE_IPV4) ? 18 : 0;
}

/* Of the header's ten 16-bit words: 0xffff when its checksum is right. */
static uint16_t
packet_sum(const struct tiara_ipv4 *ip)
{
	const uint8_t *b = (const void *)ip;
	uint32_t sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(b[i] << 8 | b[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static enum tiara_card_reason
packet_tcp(const uint8_t *l4)
{
	uint8_t flags = l4[13];

	if (flags & TIARA_TCP_SYN)
		return TIARA_CARD_REASON_OPENS;
	return flags & (TIARA_TCP_FIN | TIARA_TCP_RST) ? TIARA_CARD_REASON_CLOSES
						       : TIARA_CARD_REASON_NONE;
}

static enum tiara_card_reason
packet_ipv4(const struct tiara_frame *f, struct packet *p)
{
	const struct tiara_ipv4 *ip = p->ip;
	uint32_t total = TIARA_BE16(ip->total_bytes);
	uint32_t l4_bytes = ip->protocol == TIARA_PROTOCOL_TCP ? 20 : 8;
	const uint8_t *l4 = (const uint8_t *)(ip + 1);

	if (ip->version_ihl >> 4 != 4 || (ip->version_ihl & 15) < 5)
		return TIARA_CARD_REASON_OTHER;
	if (ip->version_ihl != 0x45)
		return TIARA_CARD_REASON_OPTIONS;
	if (packet_sum(ip) != 0xffff || p->l3_off + total > f->len_bytes || total < 20)
		return TIARA_CARD_REASON_OTHER;
	if (ip->fragment & TIARA_BE16(0x3fff))
		return TIARA_CARD_REASON_FRAGMENT;
	if (ip->ttl <= 1)
		return TIARA_CARD_REASON_TTL;
	if ((ip->protocol != TIARA_PROTOCOL_TCP && ip->protocol != TIARA_PROTOCOL_UDP) ||
	    total < 20 + l4_bytes)
		return TIARA_CARD_REASON_OTHER;
	memcpy(&p->src_port, l4, 2);
	memcpy(&p->dst_port, l4 + 2, 2);
	return ip->protocol == TIARA_PROTOCOL_TCP ? packet_tcp(l4) : TIARA_CARD_REASON_NONE;
}

static struct packet
packet_parse(struct tiara_frame *f)
{
	struct packet p = {.reason = TIARA_CARD_REASON_OTHER};

	if (f->len_bytes < 14 + 20)
		return p;
	p.l3_off = packet_l3_off(f);
	if (p.l3_off == 0)
		return p;
	p.ip = (void *)(f->data + p.l3_off);
	p.reason = packet_ipv4(f, &p);
	return p;
}

static const struct tiara_card_service *
packet_service(const struct tiara_card_twin *t, const struct packet *p)
{
	for (uint32_t i = 0; i < t->config.service_lines; i++) {
		const struct tiara_card_service *s = &t->service[i];

		if (s->valid && s->vip == p->ip->dst && s->port == p->dst_port &&
		    s->protocol == p->ip->protocol)
			return s;
	}
	return NULL;
}

/* ---- the way out ---- */

static uint32_t
packet_more_bytes(const struct tiara_card_backend *b)
{
	switch (b->forward) {
	case TIARA_FORWARD_IPIP:
		return 20;
	case TIARA_FORWARD_VXLAN:
		return 50;
	default:
		return 0;
	}
}

static void
packet_outer_ipv4(struct tiara_ipv4 *ip, const struct tiara_card_backend *b, uint8_t tos,
		  uint8_t protocol, uint32_t total_bytes)
{
	memset(ip, 0, sizeof(*ip));
	ip->version_ihl = 0x45;
	ip->tos = tos;
	ip->total_bytes = TIARA_BE16(total_bytes);
	ip->fragment = TIARA_BE16(0x4000);
	ip->ttl = PACKET_TTL;
	ip->protocol = protocol;
	ip->src = b->local_addr;
	ip->dst = b->addr;
	ip->checksum = TIARA_BE16((uint16_t)~packet_sum(ip));
}

/* Behind the outer IPv4 header: UDP, VXLAN, the inner Ethernet header. */
static void
packet_vxlan(uint8_t *at, const struct tiara_card_backend *b, uint64_t hash, uint32_t udp_bytes)
{
	uint16_t source = (uint16_t)(PACKET_VXLAN_PORT_FIRST + (hash * 0x9e3779b97f4a7c15 >> 50));
	tiara_be16 half[4] = {TIARA_BE16(source), b->tunnel_port, TIARA_BE16(udp_bytes), 0};
	tiara_be32 word[2] = {TIARA_BE32(0x08000000), TIARA_BE32(b->vni << 8)};
	tiara_be16 type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);

	memcpy(at, half, 8);
	memcpy(at + 8, word, 8);
	memcpy(at + 16, b->inner_mac, 6);
	memcpy(at + 22, b->port_mac, 6);
	memcpy(at + 28, &type, 2);
}

static void
packet_rewrite(struct tiara_frame *f, const struct packet *p, const struct tiara_card_backend *b,
	       uint64_t hash)
{
	uint32_t more = packet_more_bytes(b);
	uint32_t ip_bytes = f->len_bytes - p->l3_off;
	uint8_t tos = p->ip->tos;

	memmove(f->data - more, f->data, p->l3_off);
	f->data -= more;
	f->len_bytes += more;
	f->headroom_bytes -= (uint16_t)more;
	memcpy(f->data, b->next_hop_mac, 6);
	memcpy(f->data + 6, b->port_mac, 6);
	if (more == 0)
		return;
	packet_outer_ipv4((void *)(f->data + p->l3_off), b, tos,
			  b->forward == TIARA_FORWARD_IPIP ? 4 : TIARA_PROTOCOL_UDP,
			  ip_bytes + more);
	if (b->forward == TIARA_FORWARD_VXLAN)
		packet_vxlan(f->data + p->l3_off + 20, b, hash, ip_bytes + more - 20);
}

static void
packet_count(struct tiara_card_twin *t, const struct tiara_card_entry *e, uint32_t slot,
	     uint32_t bytes)
{
	struct tiara_card_total *service = &t->total[TIARA_CARD_TOTALS_SERVICE][e->service_idx];
	struct tiara_card_total *backend = &t->total[TIARA_CARD_TOTALS_BACKEND][e->backend_line];

	service->pkts++;
	service->bytes += bytes;
	backend->pkts++;
	backend->bytes += bytes;
	t->seen[t->bank][slot / 64] |= 1ull << slot % 64;
	t->counts.forwarded++;
}

bool
twin_packet(struct tiara_card_twin *t, struct tiara_frame *f)
{
	struct packet p = packet_parse(f);
	const struct tiara_card_service *service;
	const struct tiara_card_backend *b;
	uint64_t key;
	uint32_t slot;

	if (p.reason != TIARA_CARD_REASON_NONE)
		return false;
	service = packet_service(t, &p);
	if (!service)
		return false; /* NO_SERVICE */
	key = tiara_key(p.ip->src, p.src_port, service->service_idx);
	slot = twin_find(t, key);
	if (slot == UINT32_MAX)
		return false; /* MISS */
	b = &t->backend[t->entry[slot].backend_line % t->config.backend_lines];
	if (!b->valid)
		return false;                                    /* NO_BACKEND */
	f->len_bytes = p.l3_off + TIARA_BE16(p.ip->total_bytes); /* without Ethernet's padding */
	if (f->len_bytes - p.l3_off + packet_more_bytes(b) > b->mtu_bytes ||
	    f->headroom_bytes < packet_more_bytes(b))
		return false; /* TOO_BIG */
	if (memcmp(f->data, b->port_mac, 6) != 0)
		return false; /* for another machine: OTHER */
	packet_count(t, &t->entry[slot], slot, f->len_bytes);
	packet_rewrite(f, &p, b, tiara_hash_inline(key, t->config.secret));
	return true;
}
