/* SPDX-License-Identifier: Apache-2.0 */
#include "port/dpdk.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "path/frame.h"

enum {
	DPDK_DESCRIPTORS = 1024,
	DPDK_MBUF_CACHE = 256,
};

static enum tiara_status __attribute__((format(printf, 4, 5)))
dpdk_fail(struct tiara_error *error, enum tiara_status status, const char *field,
	  const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(error->message, sizeof(error->message), format, list);
	va_end(list);
	snprintf(error->field, sizeof(error->field), "%s", field);
	return error->status = status;
}

/* ---- frames and mbufs ---- */

/* A chain that does not fit one buffer keeps its first part: the path calls it truncated. */
static void
dpdk_frame_set(struct tiara_frame *frame, struct rte_mbuf *m)
{
	if (m->nb_segs > 1)
		(void)!rte_pktmbuf_linearize(m);
	frame->data = rte_pktmbuf_mtod(m, uint8_t *);
	frame->handle = m;
	frame->len_bytes = rte_pktmbuf_data_len(m);
	frame->headroom_bytes = rte_pktmbuf_headroom(m);
	frame->checked = (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD;
}

/* What the path did to the frame, told to the mbuf. */
static struct rte_mbuf *
dpdk_frame_mbuf(const struct tiara_frame *frame)
{
	struct rte_mbuf *m = frame->handle;

	if (m->nb_segs > 1) {
		rte_pktmbuf_free(m->next);
		m->next = NULL;
		m->nb_segs = 1;
	}
	m->data_off = (uint16_t)(frame->data - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)frame->len_bytes;
	m->pkt_len = frame->len_bytes;
	return m;
}

static uint16_t
dpdk_frames_set(struct tiara_frame *frame, struct rte_mbuf **m, uint16_t cnt)
{
	for (uint16_t i = 0; i < cnt; i++)
		dpdk_frame_set(&frame[i], m[i]);
	return cnt;
}

/* Up to a burst of them. */
static uint16_t
dpdk_frames_mbufs(struct tiara_frame *const *frame, uint16_t cnt, struct rte_mbuf *m[TIARA_BURST])
{
	if (cnt > TIARA_BURST)
		cnt = TIARA_BURST;
	for (uint16_t i = 0; i < cnt; i++)
		m[i] = dpdk_frame_mbuf(frame[i]);
	return cnt;
}

/* ---- what the path calls ---- */

static uint16_t
dpdk_rx(void *self, struct tiara_frame *frame, uint16_t max)
{
	const struct tiara_dpdk_queue *q = self;
	struct rte_mbuf *m[TIARA_BURST];

	return dpdk_frames_set(frame, m,
			       rte_eth_rx_burst(q->port_id, q->queue_id, m,
						max < TIARA_BURST ? max : TIARA_BURST));
}

static uint16_t
dpdk_tx(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	const struct tiara_dpdk_queue *q = self;
	struct rte_mbuf *m[TIARA_BURST];

	cnt = dpdk_frames_mbufs(frame, cnt, m);
	return rte_eth_tx_burst(q->port_id, q->queue_id, m, cnt);
}

static uint16_t
dpdk_to_kernel(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	const struct tiara_dpdk_queue *q = self;
	struct rte_mbuf *m[TIARA_BURST];

	if (!q->to_kernel)
		return 0;
	cnt = dpdk_frames_mbufs(frame, cnt, m);
	return (uint16_t)rte_ring_sp_enqueue_burst(q->to_kernel, (void **)m, cnt, NULL);
}

static void
dpdk_drop(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	(void)self;
	for (uint16_t i = 0; i < cnt; i++)
		rte_pktmbuf_free(frame[i]->handle);
}

static uint16_t
dpdk_inject(void *self, struct tiara_frame *frame, uint16_t max)
{
	const struct tiara_dpdk_queue *q = self;
	struct rte_mbuf *m[TIARA_BURST];

	if (!q->inject)
		return 0;
	return dpdk_frames_set(
		frame, m,
		(uint16_t)rte_ring_sc_dequeue_burst(q->inject, (void **)m,
						    max < TIARA_BURST ? max : TIARA_BURST, NULL));
}

struct tiara_port
tiara_dpdk_port(struct tiara_dpdk *self, uint32_t queue)
{
	return (struct tiara_port){
		.self = &self->queue[queue],
		.rx = dpdk_rx,
		.tx = dpdk_tx,
		.to_kernel = dpdk_to_kernel,
		.drop = dpdk_drop,
		.inject = dpdk_inject,
	};
}

/* ---- the main lcore's ends of the rings ---- */

uint32_t
tiara_dpdk_kernel_take_ctl(struct tiara_dpdk *self, struct rte_mbuf **mbuf, uint32_t max)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < self->queue_cnt && cnt < max; i++)
		cnt += rte_ring_sc_dequeue_burst(self->queue[i].to_kernel, (void **)&mbuf[cnt],
						 max - cnt, NULL);
	return cnt;
}

bool
tiara_dpdk_inject_ctl(struct tiara_dpdk *self, struct rte_mbuf *mbuf)
{
	return rte_ring_sp_enqueue(self->queue[0].inject, mbuf) == 0;
}

bool
tiara_dpdk_inject_bytes_ctl(struct tiara_dpdk *self, const void *bytes, uint16_t len_bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(self->pool);
	char *data = m ? rte_pktmbuf_append(m, len_bytes) : NULL;

	if (data) {
		memcpy(data, bytes, len_bytes);
		if (tiara_dpdk_inject_ctl(self, m))
			return true;
	}
	rte_pktmbuf_free(m);
	return false;
}

/* ---- start and end ---- */

static enum tiara_status
dpdk_rings_make(struct tiara_dpdk *self, bool kernel, struct tiara_error *error)
{
	char name[RTE_RING_NAMESIZE];

	for (uint32_t i = 0; i < self->queue_cnt; i++) {
		snprintf(name, sizeof(name), "to_kernel_%u", i);
		self->queue[i].to_kernel = kernel ? rte_ring_create(name, TIARA_DPDK_RING_FRAMES,
								    SOCKET_ID_ANY,
								    RING_F_SP_ENQ | RING_F_SC_DEQ)
						  : NULL;
		if (kernel && !self->queue[i].to_kernel)
			return dpdk_fail(error, TIARA_NO_SPACE, "",
					 "no memory for the ring of worker %u "
					 "to the kernel: %s",
					 i, rte_strerror(rte_errno));
	}
	self->queue[0].inject = rte_ring_create("inject", TIARA_DPDK_RING_FRAMES, SOCKET_ID_ANY,
						RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!self->queue[0].inject)
		return dpdk_fail(error, TIARA_NO_SPACE, "",
				 "no memory for the ring to worker 0: %s", rte_strerror(rte_errno));
	return TIARA_OK;
}

static void
dpdk_rings_free(struct tiara_dpdk *self)
{
	for (uint32_t i = 0; i < self->queue_cnt; i++) {
		rte_ring_free(self->queue[i].to_kernel);
		rte_ring_free(self->queue[i].inject);
	}
}

/* The ids of the ports into the queues; all are of one driver. */
static enum tiara_status
dpdk_find(struct tiara_dpdk *self, uint32_t port_cnt, struct rte_eth_dev_info *info,
	  struct tiara_error *error)
{
	uint32_t queues = self->queue_cnt / port_cnt;
	uint16_t port_id = 0;

	for (uint32_t i = 0; i < self->queue_cnt; i++) {
		if (i % queues == 0)
			port_id = (uint16_t)rte_eth_find_next(i ? port_id + 1u : 0);
		if (port_id == RTE_MAX_ETHPORTS)
			return dpdk_fail(
				error, TIARA_NOT_FOUND, "--io",
				"--io: EAL found no port; bind a NIC to a DPDK driver, give "
				"a virtual one after -- (as -- --vdev net_tap0), or use "
				"--io af_packet:IFACE");
		self->queue[i] = (struct tiara_dpdk_queue){.port_id = port_id,
							   .queue_id = (uint16_t)(i % queues)};
	}
	if (rte_eth_dev_info_get(self->queue[0].port_id, info))
		return dpdk_fail(error, TIARA_IO, "--io",
				 "--io: port %u tells nothing about itself",
				 self->queue[0].port_id);
	snprintf(self->driver, sizeof(self->driver), "%s", info->driver_name);
	return TIARA_OK;
}

static enum tiara_status
dpdk_check_queues(const struct tiara_dpdk *self, uint32_t queue_cnt,
		  const struct rte_eth_dev_info *info, struct tiara_error *error)
{
	uint32_t most = info->max_rx_queues < info->max_tx_queues ? info->max_rx_queues
								  : info->max_tx_queues;

	if (queue_cnt > most)
		return dpdk_fail(
			error, TIARA_INVALID, "--workers",
			"--workers: %u workers need a queue each, but the port (%s) has %u; "
			"give at most that many",
			queue_cnt, self->driver, most);
	return TIARA_OK;
}

static struct rte_eth_conf
dpdk_conf(const struct rte_eth_dev_info *info, uint32_t queue_cnt)
{
	uint64_t rss = (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP) &
		       info->flow_type_rss_offloads;
	struct rte_eth_conf conf = {
		.rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM,
		/* every buffer comes whole from the one pool */
		.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE,
	};

	if (queue_cnt > 1 && rss) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = rss;
	}
	return conf;
}

static int
dpdk_queues_set_up(const struct tiara_dpdk *self, uint16_t port_id, uint32_t queue_cnt)
{
	uint16_t rx_cnt = DPDK_DESCRIPTORS, tx_cnt = DPDK_DESCRIPTORS;
	unsigned socket = (unsigned)rte_eth_dev_socket_id(port_id);
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port_id, &rx_cnt, &tx_cnt);

	for (uint16_t i = 0; i < queue_cnt && rc == 0; i++) {
		rc = rte_eth_rx_queue_setup(port_id, i, rx_cnt, socket, NULL, self->pool);
		if (rc == 0)
			rc = rte_eth_tx_queue_setup(port_id, i, tx_cnt, socket, NULL);
	}
	return rc;
}

/* Promiscuous: the own address has a MAC of its own. */
static int
dpdk_start(struct tiara_dpdk *self, uint16_t port_id)
{
	struct rte_ether_addr mac;
	uint16_t mtu;
	int rc = rte_eth_dev_start(port_id);

	if (rc == 0)
		rc = rte_eth_promiscuous_enable(port_id);
	if (rc == 0)
		rc = rte_eth_macaddr_get(port_id, &mac);
	if (rc == 0)
		rc = rte_eth_dev_get_mtu(port_id, &mtu);
	if (rc)
		return rc;
	memcpy(self->mac, mac.addr_bytes, sizeof(self->mac));
	if (self->mtu_bytes == 0)
		self->mtu_bytes = mtu;
	return 0;
}

static enum tiara_status
dpdk_bring_up(struct tiara_dpdk *self, uint16_t port_id, uint32_t queue_cnt,
	      const struct rte_eth_dev_info *info, struct tiara_error *error)
{
	struct rte_eth_conf conf = dpdk_conf(info, queue_cnt);
	const char *step = "configured";
	int rc = rte_eth_dev_configure(port_id, (uint16_t)queue_cnt, (uint16_t)queue_cnt, &conf);

	if (rc == 0) {
		step = "given its queues";
		rc = dpdk_queues_set_up(self, port_id, queue_cnt);
	}
	if (rc == 0) {
		step = "started";
		rc = dpdk_start(self, port_id);
	}
	if (rc)
		return dpdk_fail(error, TIARA_IO, "--io", "--io: the port (%s) could not be %s: %s",
				 self->driver, step, rte_strerror(-rc));
	return TIARA_OK;
}

static enum tiara_status
dpdk_bring_all_up(struct tiara_dpdk *self, const struct rte_eth_dev_info *info,
		  struct tiara_error *error)
{
	uint32_t queues = self->queue_cnt / self->port_cnt;
	enum tiara_status status = TIARA_OK;

	for (uint32_t i = 0; i < self->queue_cnt && status == TIARA_OK; i += queues)
		status = dpdk_bring_up(self, self->queue[i].port_id, queues, info, error);
	return status;
}

enum tiara_status
tiara_dpdk_open_ctl(struct tiara_dpdk *self, const struct tiara_dpdk_config *config,
		    struct tiara_error *error)
{
	uint32_t port_cnt = config->port_per_queue ? config->queue_cnt : 1;
	struct rte_eth_dev_info info;
	enum tiara_status status;

	*self = (struct tiara_dpdk){.queue_cnt = config->queue_cnt, .mtu_bytes = config->mtu_bytes};
	status = dpdk_find(self, port_cnt, &info, error);
	if (status == TIARA_OK)
		status = dpdk_check_queues(self, self->queue_cnt / port_cnt, &info, error);
	if (status != TIARA_OK)
		return status;
	self->port_cnt = port_cnt;
	self->pool = rte_pktmbuf_pool_create("frames", config->mbuf_cnt, DPDK_MBUF_CACHE, 0,
					     (uint16_t)config->mbuf_bytes, SOCKET_ID_ANY);
	if (!self->pool)
		return dpdk_fail(error, TIARA_NO_SPACE, "",
				 "no memory for %u frames of %u bytes: %s", config->mbuf_cnt,
				 config->mbuf_bytes, rte_strerror(rte_errno));
	status = dpdk_rings_make(self, config->kernel, error);
	if (status == TIARA_OK)
		status = dpdk_bring_all_up(self, &info, error);
	if (status != TIARA_OK)
		tiara_dpdk_close_ctl(self);
	return status;
}

void
tiara_dpdk_close_ctl(struct tiara_dpdk *self)
{
	for (uint32_t i = 0; i < self->queue_cnt; i += self->queue_cnt / self->port_cnt) {
		(void)!rte_eth_dev_stop(self->queue[i].port_id);
		(void)!rte_eth_dev_close(self->queue[i].port_id);
	}
	dpdk_rings_free(self);
	rte_mempool_free(self->pool);
}
