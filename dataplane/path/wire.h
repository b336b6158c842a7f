/* SPDX-License-Identifier: Apache-2.0 */
/* Headers as they are on the wire. Packed: frames need no alignment. */
#ifndef TIARA_PATH_WIRE_H
#define TIARA_PATH_WIRE_H

#include <string.h>

#include "tiara/layout.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the key's and the wire's order differ");

/* Host to network byte order, and back. */
#define TIARA_BE16(x) ((tiara_be16)__builtin_bswap16((uint16_t)(x)))
#define TIARA_BE32(x) ((tiara_be32)__builtin_bswap32((uint32_t)(x)))

enum tiara_wire {
	TIARA_ETHERTYPE_IPV4 = 0x0800,
	TIARA_ETHERTYPE_ARP = 0x0806,
	TIARA_ETHERTYPE_VLAN = 0x8100,
	TIARA_ETHERTYPE_QINQ = 0x88a8,
	TIARA_PROTOCOL_ICMP = 1,
	TIARA_PROTOCOL_IPIP = 4,
	TIARA_PROTOCOL_TCP = 6,
	TIARA_PROTOCOL_UDP = 17,
	TIARA_IPV4_DONT_FRAGMENT = 0x4000,
	TIARA_IPV4_FRAGMENT = 0x3fff, /* more fragments, or an offset */
	TIARA_TCP_FIN = 0x01,
	TIARA_TCP_SYN = 0x02,
	TIARA_TCP_RST = 0x04,
	TIARA_TCP_ACK = 0x10,
	TIARA_ICMP_ECHO_REPLY = 0,
	TIARA_ICMP_ECHO_REQUEST = 8,
	TIARA_ARP_ETHERNET = 1,
	TIARA_ARP_REQUEST = 1,
	TIARA_ARP_REPLY = 2,
	TIARA_VXLAN_VNI_VALID = 0x08,
	TIARA_MAC_BYTES = 6,
	TIARA_MAC_GROUP = 0x01, /* first byte: multicast or broadcast */
};

struct tiara_ether {
	uint8_t dst[6];
	uint8_t src[6];
	tiara_be16 type;
} __attribute__((packed));

/* Ethernet's header with one 802.1Q tag. */
struct tiara_ether_tagged {
	uint8_t dst[6];
	uint8_t src[6];
	tiara_be16 tag_type;
	tiara_be16 tag;
	tiara_be16 type;
} __attribute__((packed));

struct tiara_ipv4 {
	uint8_t version_ihl;
	uint8_t tos;
	tiara_be16 total_bytes;
	tiara_be16 id;
	tiara_be16 fragment;
	uint8_t ttl;
	uint8_t protocol;
	uint16_t checksum;
	tiara_be32 src;
	tiara_be32 dst;
} __attribute__((packed));

struct tiara_tcp {
	tiara_be16 src_port;
	tiara_be16 dst_port;
	tiara_be32 seq;
	tiara_be32 ack;
	uint8_t data_offset; /* high half: header length in words */
	uint8_t flags;
	tiara_be16 window;
	uint16_t checksum;
	tiara_be16 urgent;
} __attribute__((packed));

struct tiara_udp {
	tiara_be16 src_port;
	tiara_be16 dst_port;
	tiara_be16 len_bytes;
	uint16_t checksum;
} __attribute__((packed));

struct tiara_icmp {
	uint8_t type;
	uint8_t code;
	uint16_t checksum;
	tiara_be16 id;
	tiara_be16 seq;
} __attribute__((packed));

struct tiara_arp {
	tiara_be16 hardware;
	tiara_be16 protocol;
	uint8_t hardware_bytes;
	uint8_t protocol_bytes;
	tiara_be16 op;
	uint8_t sender_mac[6];
	tiara_be32 sender_addr;
	uint8_t target_mac[6];
	tiara_be32 target_addr;
} __attribute__((packed));

struct tiara_vxlan {
	uint8_t flags;
	uint8_t reserved1[3];
	tiara_be32 vni; /* in the upper 24 bits */
} __attribute__((packed));

/* What VXLAN puts between the outer Ethernet header and the client's frame. */
struct tiara_vxlan_outer {
	struct tiara_ipv4 ip;
	struct tiara_udp udp;
	struct tiara_vxlan vxlan;
} __attribute__((packed));

_Static_assert(sizeof(struct tiara_vxlan_outer) == 36, "VXLAN over IPv4: 20, 8 and 8 bytes");

/* ---- Internet checksum (RFC 1071); sums are of 16-bit words in memory order ---- */

static inline uint16_t
tiara_checksum_fold(uint64_t sum)
{
	/* At most 33, 18, 17 and 16 bits are left. */
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}

/* Of a header whose length is a multiple of four. 0 when the header holds its right checksum. */
static inline uint16_t
tiara_checksum_words(const void *header, uint32_t word_cnt)
{
	const uint8_t *p = header;
	uint64_t sum = 0;
	uint32_t word;

#pragma GCC unroll 5
	for (uint32_t i = 0; i < word_cnt; i++, p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	return (uint16_t)~tiara_checksum_fold(sum);
}

/* The checksum after one 16-bit word changed (RFC 1624, equation 3). */
static inline uint16_t
tiara_checksum_update(uint16_t checksum, uint16_t from, uint16_t to)
{
	uint64_t sum = (uint16_t)~checksum;

	sum += (uint16_t)~from;
	sum += to;
	return (uint16_t)~tiara_checksum_fold(sum);
}

static inline void
tiara_mac_copy(uint8_t dst[TIARA_MAC_BYTES], const uint8_t src[TIARA_MAC_BYTES])
{
	memcpy(dst, src, TIARA_MAC_BYTES);
}

static inline int
tiara_mac_equal(const uint8_t a[TIARA_MAC_BYTES], const uint8_t b[TIARA_MAC_BYTES])
{
	return memcmp(a, b, TIARA_MAC_BYTES) == 0;
}

#endif
