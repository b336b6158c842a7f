/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The DPDK port: one rx and one tx queue for each worker, and beside them the rings that join a
 * worker to the main lcore (exception path and resolver). EAL is up before and stays up after.
 * To EAL the queues may be those of one port, or each a port of its own (net_af_xdp opens no more
 * than one queue of an interface without combined channels, as veth is).
 */
#ifndef TIARA_PORT_DPDK_H
#define TIARA_PORT_DPDK_H

#include <stdbool.h>
#include <stdint.h>

#include "port/port.h"
#include "tiara/status.h"

struct rte_mbuf;
struct rte_mempool;
struct rte_ring;

enum {
	TIARA_DPDK_QUEUE_MAX = 64,
	TIARA_DPDK_RING_FRAMES = 1024, /* each way between a worker and the main lcore */
};

/*
 * Owner: its worker, but for the rings' other ends, which are the main lcore's: to_kernel's consumer
 * and inject's producer. Both are single producer, single consumer: a preempted end never stops the
 * other.
 */
struct tiara_dpdk_queue {
	uint16_t port_id;
	uint16_t queue_id;
	struct rte_ring *to_kernel; /* NULL: no exception path */
	struct rte_ring *inject;    /* NULL but for worker 0 */
};

struct tiara_dpdk_config {
	uint32_t queue_cnt;
	bool port_per_queue;
	uint32_t mbuf_cnt;
	uint32_t mbuf_bytes; /* data room with headroom */
	uint32_t mtu_bytes;  /* what the interface beneath has; 0: what the driver says */
	bool kernel;
};

struct tiara_dpdk {
	uint32_t port_cnt; /* that are open; their ids are in queue */
	uint32_t queue_cnt;
	struct rte_mempool *pool;
	uint8_t mac[6];
	uint32_t mtu_bytes;
	char driver[48];
	struct tiara_dpdk_queue queue[TIARA_DPDK_QUEUE_MAX];
};

/* Opens and starts the first port that EAL knows (the first queue_cnt, if each is a queue's). NOT_FOUND: none. error.field says which argument. */
TIARA_MUST_CHECK enum tiara_status tiara_dpdk_open_ctl(struct tiara_dpdk *self,
						       const struct tiara_dpdk_config *config,
						       struct tiara_error *error);
void tiara_dpdk_close_ctl(struct tiara_dpdk *self);
/* What a worker gets; lives as long as self. */
struct tiara_port tiara_dpdk_port(struct tiara_dpdk *self, uint32_t queue);

/* ---- main lcore only ---- */

/* Up to max frames that workers handed over; the caller frees them. */
uint32_t tiara_dpdk_kernel_take_ctl(struct tiara_dpdk *self, struct rte_mbuf **mbuf, uint32_t max);
/* Gives one frame to worker 0 to send; false: its ring is full, the frame is still the caller's. */
bool tiara_dpdk_inject_ctl(struct tiara_dpdk *self, struct rte_mbuf *mbuf);
/* The same for bytes, which are copied. */
bool tiara_dpdk_inject_bytes_ctl(struct tiara_dpdk *self, const void *bytes, uint16_t len_bytes);

#endif
