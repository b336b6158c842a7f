/* SPDX-License-Identifier: Apache-2.0 */
/* Headers into fields. Nothing behind this stage checks a length or a header again. */
#include "path/stage.h"
#include "path/wire.h"

static void
parse_ports(struct tiara_frame *f, tiara_be16 src, tiara_be16 dst)
{
	f->client_port = src;
	f->port = dst;
}

static enum tiara_verdict
parse_tcp(struct tiara_frame *f, uint32_t l4_bytes)
{
	const struct tiara_tcp *tcp = (const void *)(f->data + f->l4_off);
	uint32_t header_bytes;

	if (l4_bytes < sizeof(*tcp))
		return TIARA_VERDICT_TRUNCATED;
	header_bytes = 4u * (tcp->data_offset >> 4);
	if (header_bytes < sizeof(*tcp))
		return TIARA_VERDICT_BAD_HEADER;
	if (header_bytes > l4_bytes)
		return TIARA_VERDICT_TRUNCATED;
	parse_ports(f, tcp->src_port, tcp->dst_port);
	f->tcp_flags = tcp->flags;
	return TIARA_VERDICT_NONE;
}

static enum tiara_verdict
parse_udp(struct tiara_frame *f, uint32_t l4_bytes)
{
	const struct tiara_udp *udp = (const void *)(f->data + f->l4_off);

	if (l4_bytes < sizeof(*udp))
		return TIARA_VERDICT_TRUNCATED;
	parse_ports(f, udp->src_port, udp->dst_port);
	return TIARA_VERDICT_NONE;
}

static enum tiara_verdict
parse_l4(struct tiara_frame *f)
{
	uint32_t l4_bytes = f->len_bytes - f->l4_off;

	switch (f->protocol) {
	case TIARA_PROTOCOL_TCP:
		return parse_tcp(f, l4_bytes);
	case TIARA_PROTOCOL_UDP:
		return parse_udp(f, l4_bytes);
	case TIARA_PROTOCOL_ICMP:
		return l4_bytes < sizeof(struct tiara_icmp) ? TIARA_VERDICT_TRUNCATED
							    : TIARA_VERDICT_NONE;
	default:
		return TIARA_VERDICT_NONE;
	}
}

/* No host may have it: zero net, loopback, multicast, reserved, broadcast (RFC 1122 3.2.1.3). */
static bool
parse_martian(tiara_be32 addr)
{
	uint8_t first;

	memcpy(&first, &addr, sizeof(first));
	return first == 0 || first == 127 || first >= 224;
}

/* Lengths and checksum; sets l4_off and cuts off what Ethernet padded. */
static enum tiara_verdict
parse_ipv4_header(struct tiara_frame *f)
{
	const struct tiara_ipv4 *ip = (const void *)(f->data + f->l3_off);
	uint32_t room_bytes = f->len_bytes - f->l3_off;
	uint32_t header_bytes, total_bytes;

	if (room_bytes < sizeof(*ip))
		return TIARA_VERDICT_TRUNCATED;
	header_bytes = 4u * (ip->version_ihl & 0x0f);
	total_bytes = TIARA_BE16(ip->total_bytes);
	if (ip->version_ihl >> 4 != 4 || header_bytes < sizeof(*ip) || total_bytes < header_bytes)
		return TIARA_VERDICT_BAD_HEADER;
	if (total_bytes > room_bytes)
		return TIARA_VERDICT_TRUNCATED;
	if (!f->checked && tiara_checksum_words(ip, header_bytes / 4) != 0)
		return TIARA_VERDICT_BAD_CHECKSUM;
	f->l4_off = (uint8_t)(f->l3_off + header_bytes);
	f->len_bytes = f->l3_off + total_bytes;
	return TIARA_VERDICT_NONE;
}

/* The kernel takes only what carries its own MAC address. */
static enum tiara_verdict
parse_to_kernel(const struct tiara_worker *w, struct tiara_frame *f)
{
	struct tiara_ether *ether = (void *)f->data;

	tiara_mac_copy(ether->dst, w->node->kernel_mac);
	return TIARA_VERDICT_TO_KERNEL;
}

static enum tiara_verdict
parse_ipv4(const struct tiara_worker *w, struct tiara_frame *f)
{
	const struct tiara_ipv4 *ip = (const void *)(f->data + f->l3_off);
	enum tiara_verdict verdict = parse_ipv4_header(f);

	if (verdict != TIARA_VERDICT_NONE)
		return verdict;
	if (ip->dst == w->node->address && ip->dst != 0)
		return parse_to_kernel(w, f);
	if (parse_martian(ip->src))
		return TIARA_VERDICT_MARTIAN;
	if (ip->fragment & TIARA_BE16(TIARA_IPV4_FRAGMENT))
		return TIARA_VERDICT_FRAGMENT;
	if (ip->ttl <= 1)
		return TIARA_VERDICT_TTL_EXPIRED;
	f->client_addr = ip->src;
	f->vip = ip->dst;
	f->protocol = ip->protocol;
	return parse_l4(f);
}

/* Answers must be able to go to the sender, so it has to be one host. */
static enum tiara_verdict
parse_arp(const struct tiara_frame *f)
{
	const struct tiara_arp *arp = (const void *)(f->data + f->l3_off);

	if (f->len_bytes < f->l3_off + sizeof(*arp))
		return TIARA_VERDICT_TRUNCATED;
	if (arp->hardware != TIARA_BE16(TIARA_ARP_ETHERNET) || arp->hardware_bytes != 6 ||
	    arp->protocol != TIARA_BE16(TIARA_ETHERTYPE_IPV4) || arp->protocol_bytes != 4)
		return TIARA_VERDICT_BAD_HEADER;
	return arp->sender_mac[0] & TIARA_MAC_GROUP ? TIARA_VERDICT_MARTIAN : TIARA_VERDICT_NONE;
}

/* What the Ethernet header, with up to one tag, says that it carries; sets l3_off. */
static enum tiara_verdict
parse_ether(struct tiara_frame *f, tiara_be16 *type)
{
	const struct tiara_ether_tagged *tagged = (const void *)f->data;
	const struct tiara_ether *ether = (const void *)f->data;

	if (f->len_bytes < sizeof(*ether))
		return TIARA_VERDICT_TRUNCATED;
	f->l3_off = sizeof(*ether);
	*type = ether->type;
	if (ether->type != TIARA_BE16(TIARA_ETHERTYPE_VLAN))
		return TIARA_VERDICT_NONE;
	if (f->len_bytes < sizeof(*tagged))
		return TIARA_VERDICT_TRUNCATED;
	f->l3_off = sizeof(*tagged);
	*type = tagged->type;
	return TIARA_VERDICT_NONE;
}

/* Of another tag, or of a provider's. */
static bool
parse_is_tag(tiara_be16 type)
{
	return type == TIARA_BE16(TIARA_ETHERTYPE_VLAN) || type == TIARA_BE16(TIARA_ETHERTYPE_QINQ);
}

/* The port is promiscuous: what a switch floods is none of ours. */
static enum tiara_verdict
parse_one(const struct tiara_worker *w, struct tiara_frame *f)
{
	const struct tiara_ether *ether = (const void *)f->data;
	tiara_be16 type;
	enum tiara_verdict verdict = parse_ether(f, &type);

	f->l4_off = 0; /* stays 0 for ARP */
	f->protocol = 0;
	f->tcp_flags = 0;
	if (verdict != TIARA_VERDICT_NONE)
		return verdict;
	if (type == TIARA_BE16(TIARA_ETHERTYPE_ARP))
		return parse_arp(f);
	if (tiara_mac_equal(ether->dst, w->node->kernel_mac))
		return TIARA_VERDICT_TO_KERNEL;
	if (parse_is_tag(type))
		return TIARA_VERDICT_VLAN;
	if (type != TIARA_BE16(TIARA_ETHERTYPE_IPV4))
		return TIARA_VERDICT_NOT_IPV4;
	if (!tiara_mac_equal(ether->dst, w->node->port_mac))
		return TIARA_VERDICT_NOT_FOR_US;
	return parse_ipv4(w, f);
}

/* What most packets are: no tag, no options, one of the balanced protocols. */
struct parse_common {
	struct tiara_ether ether;
	struct tiara_ipv4 ip;
	union {
		struct tiara_tcp tcp;
		struct tiara_udp udp;
	};
} __attribute__((packed));

static bool
parse_common_l4(const struct parse_common *p, uint32_t l4_bytes)
{
	uint32_t header_bytes = 4u * (p->tcp.data_offset >> 4);

	if (p->ip.protocol == TIARA_PROTOCOL_TCP)
		return l4_bytes >= sizeof(p->tcp) && header_bytes >= sizeof(p->tcp) &&
		       header_bytes <= l4_bytes;
	return p->ip.protocol == TIARA_PROTOCOL_UDP && l4_bytes >= sizeof(p->udp);
}

/*
 * The short way for those: true when nothing about the packet is remarkable, and its fields are set.
 * False: nothing was done, parse_one has the last word. All is read before anything is written.
 */
static bool
parse_common(const struct tiara_node *node, struct tiara_frame *f)
{
	const struct parse_common *p = (const void *)f->data;
	uint32_t len_bytes = f->len_bytes, total_bytes;

	if (len_bytes < sizeof(*p) || p->ether.type != TIARA_BE16(TIARA_ETHERTYPE_IPV4) ||
	    !tiara_mac_equal(p->ether.dst, node->port_mac) || p->ip.version_ihl != 0x45 ||
	    p->ip.fragment & TIARA_BE16(TIARA_IPV4_FRAGMENT) || p->ip.ttl <= 1 ||
	    p->ip.dst == node->address || parse_martian(p->ip.src) ||
	    tiara_mac_equal(p->ether.dst, node->kernel_mac))
		return false;
	total_bytes = TIARA_BE16(p->ip.total_bytes);
	if (total_bytes < sizeof(p->ip) || total_bytes > len_bytes - sizeof(p->ether) ||
	    !parse_common_l4(p, total_bytes - (uint32_t)sizeof(p->ip)) ||
	    (!f->checked && tiara_checksum_words(&p->ip, sizeof(p->ip) / 4) != 0))
		return false;
	f->client_addr = p->ip.src;
	f->vip = p->ip.dst;
	f->client_port = p->tcp.src_port;
	f->port = p->tcp.dst_port;
	f->protocol = p->ip.protocol;
	f->tcp_flags = p->ip.protocol == TIARA_PROTOCOL_TCP ? p->tcp.flags : 0;
	f->l3_off = sizeof(p->ether);
	f->l4_off = sizeof(p->ether) + sizeof(p->ip);
	f->len_bytes = (uint32_t)sizeof(p->ether) + total_bytes;
	return true;
}

static void
parse_clear(struct tiara_frame *f)
{
	f->fresh = 0;
	f->backend_idx = TIARA_BACKEND_NONE;
	f->found.slot = NULL;
}

void
tiara_parse_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	for (uint16_t i = 0; i < cnt; i++)
		__builtin_prefetch(f[i].data);
	for (uint16_t i = 0; i < cnt; i++) {
		parse_clear(&f[i]);
		f[i].verdict = parse_common(w->node, &f[i]) ? TIARA_VERDICT_NONE
							    : (uint8_t)parse_one(w, &f[i]);
	}
}
