/* SPDX-License-Identifier: Apache-2.0 */
/* A packet as the path sees it: no DPDK type, so that the same code runs on a port, in memory and in
 * libtiara. */
#ifndef TIARA_PATH_FRAME_H
#define TIARA_PATH_FRAME_H

#include "table/table.h"

enum { TIARA_BURST = 32 };

/*
 * Owner: the worker whose burst it is, from rx to tx or drop. One cache line and the found entry.
 * Offsets count from data. Filled left to right by the stages.
 */
struct tiara_frame {
	/* port */
	uint8_t *data; /* Ethernet header; may move back by up to headroom_bytes */
	void *handle;  /* the port's own (an mbuf) */
	uint32_t len_bytes;
	uint16_t headroom_bytes;
	/* parse */
	uint8_t l3_off; /* behind Ethernet's header and tag */
	uint8_t l4_off; /* 0: ARP */
	tiara_be32 client_addr;
	tiara_be32 vip;
	tiara_be16 client_port;
	tiara_be16 port;
	uint8_t protocol;
	uint8_t tcp_flags;
	uint8_t verdict; /* enum tiara_verdict; NONE: still on its way */
	uint8_t fresh;   /* 1: this packet made its connection */
	/* service */
	uint16_t service_idx;
	/* port: 1: it found the IPv4 header checksum right */
	uint8_t checked;
	/* connection: what it means to the card, enum offload_wish_kind */
	uint8_t wish;
	/* select or connection */
	uint32_t backend_idx;
	/* service: hash of key */
	uint64_t key;
	uint64_t hash;
	/* connection */
	struct tiara_found found;
};

#endif
