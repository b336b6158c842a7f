/* SPDX-License-Identifier: Apache-2.0 */
/* The DPDK port through net_ring, whose rings the test holds, and net_null, which can do RSS. */
#include <rte_eal.h>
#include <rte_dev.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path/frame.h"
#include "port/dpdk.h"
#include "check.h"

enum {
	FRAMES = 1023,
	FRAME_BYTES = 2048 + RTE_PKTMBUF_HEADROOM,
	QUEUES = 2,
};

static struct tiara_dpdk dpdk;
static struct tiara_error error;
static struct rte_ring *wire_in[QUEUES], *wire_out[QUEUES];

static bool port_per_queue;

static enum tiara_status
dpdk_open(uint32_t queue_cnt)
{
	struct tiara_dpdk_config config = {.queue_cnt = queue_cnt,
					   .port_per_queue = port_per_queue,
					   .mbuf_cnt = FRAMES,
					   .mbuf_bytes = FRAME_BYTES};

	error = (struct tiara_error){0};
	return tiara_dpdk_open_ctl(&dpdk, &config, &error);
}

static struct rte_ring *
ring_make(const char *name, int i)
{
	char text[32];
	struct rte_ring *ring;

	snprintf(text, sizeof(text), "%s_%d", name, i);
	ring = rte_ring_create(text, 64, SOCKET_ID_ANY, 0);
	CHECK(ring);
	return ring;
}

static void
wires_port(int first, int cnt)
{
	static int made;
	char name[16];

	snprintf(name, sizeof(name), "wires%d", made++); /* EAL keeps the name of a closed one */
	CHECK(rte_eth_from_rings(name, wire_in + first, (unsigned)cnt, wire_out + first,
				 (unsigned)cnt, 0) >= 0);
}

/* A port of two queues whose wires are rings, or two of one. */
static void
wires_make(void)
{
	for (int i = 0; i < QUEUES; i++) {
		wire_in[i] = ring_make("in", i);
		wire_out[i] = ring_make("out", i);
	}
	for (int i = 0; i < QUEUES; i += port_per_queue ? 1 : QUEUES)
		wires_port(i, port_per_queue ? 1 : QUEUES);
}

static void
wires_free(void)
{
	for (int i = 0; i < QUEUES; i++) {
		rte_ring_free(wire_in[i]);
		rte_ring_free(wire_out[i]);
	}
}

/* Whatever happened to frames: all buffers are back. */
static void
close_and_check(void)
{
	CHECK(rte_mempool_avail_count(dpdk.pool) == FRAMES);
	tiara_dpdk_close_ctl(&dpdk);
	wires_free();
}

/* So many bytes that count up from first. */
static struct rte_mbuf *
part_make(uint16_t bytes, uint8_t first)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dpdk.pool);
	uint8_t *data;

	CHECK(m);
	data = (uint8_t *)rte_pktmbuf_append(m, bytes);
	CHECK(data);
	for (uint16_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(first + i);
	return m;
}

static uint16_t
receive(uint32_t queue, struct tiara_frame *frame, struct rte_mbuf *m)
{
	struct tiara_port port = tiara_dpdk_port(&dpdk, queue);

	CHECK(rte_ring_enqueue(wire_in[queue], m) == 0);
	return port.rx(port.self, frame, TIARA_BURST);
}

static uint16_t
send_one(uint32_t queue, struct tiara_frame *frame)
{
	struct tiara_port port = tiara_dpdk_port(&dpdk, queue);

	return port.tx(port.self, &frame, 1);
}

static bool
counts_up(const uint8_t *data, uint32_t bytes, uint8_t first)
{
	for (uint32_t i = 0; i < bytes; i++)
		if (data[i] != (uint8_t)(first + i))
			return false;
	return true;
}

/* A frame in three buffers is one to the path, whole, and leaves as one. */
static void
test_chain_becomes_one(void)
{
	struct tiara_frame frame = {0};
	struct rte_mbuf *m = NULL;

	wires_make();
	CHECK(dpdk_open(1) == TIARA_OK);
	m = part_make(60, 0);
	CHECK(rte_pktmbuf_chain(m, part_make(1000, 60)) == 0);
	CHECK(rte_pktmbuf_chain(m, part_make(440, (uint8_t)1060)) == 0);
	CHECK(receive(0, &frame, m) == 1);
	CHECK(frame.len_bytes == 1500 && counts_up(frame.data, 1500, 0));
	CHECK(send_one(0, &frame) == 1);
	CHECK(rte_ring_dequeue(wire_out[0], (void **)&m) == 0);
	CHECK(m->nb_segs == 1 && m->pkt_len == 1500 && m->data_len == 1500);
	rte_pktmbuf_free(m);
	close_and_check();
}

/* One that fits no buffer shows its first part only, for the path to call truncated. */
static void
test_chain_too_long(void)
{
	struct tiara_port port;
	struct tiara_frame frame = {0}, *dropped = &frame;
	struct rte_mbuf *m = NULL;

	wires_make();
	CHECK(dpdk_open(1) == TIARA_OK);
	for (int way = 0; way < 2; way++) {
		m = part_make(1500, 0);
		CHECK(rte_pktmbuf_chain(m, part_make(1500, 0)) == 0);
		CHECK(receive(0, &frame, m) == 1);
		CHECK(frame.len_bytes == 1500 && counts_up(frame.data, 1500, 0));
		port = tiara_dpdk_port(&dpdk, 0);
		if (way == 0) {
			port.drop(port.self, &dropped, 1);
			continue;
		}
		CHECK(send_one(0, &frame) == 1);
		CHECK(rte_ring_dequeue(wire_out[0], (void **)&m) == 0);
		CHECK(m->nb_segs == 1 && m->pkt_len == 1500 && m->next == NULL);
		rte_pktmbuf_free(m);
	}
	close_and_check();
}

/* What the path put before and cut off behind is what is sent. */
static void
test_moved_start(void)
{
	struct tiara_frame frame = {0};
	struct rte_mbuf *m = NULL;

	wires_make();
	CHECK(dpdk_open(1) == TIARA_OK);
	CHECK(receive(0, &frame, part_make(100, 20)) == 1);
	CHECK(frame.headroom_bytes == RTE_PKTMBUF_HEADROOM);
	frame.data -= 20;
	frame.len_bytes += 10;
	for (uint8_t i = 0; i < 20; i++)
		frame.data[i] = i;
	CHECK(send_one(0, &frame) == 1);
	CHECK(rte_ring_dequeue(wire_out[0], (void **)&m) == 0);
	CHECK(m->pkt_len == 110 && m->data_len == 110);
	CHECK(counts_up(rte_pktmbuf_mtod(m, uint8_t *), 110, 0));
	rte_pktmbuf_free(m);
	close_and_check();
}

/* Only a card's word that it is right counts: unknown, none and wrong are looked at in software. */
static void
test_checksum_flag(void)
{
	static const struct {
		uint64_t flags;
		uint8_t checked;
	} said[] = {
		{RTE_MBUF_F_RX_IP_CKSUM_GOOD, 1}, {RTE_MBUF_F_RX_IP_CKSUM_BAD, 0},
		{RTE_MBUF_F_RX_IP_CKSUM_NONE, 0}, {RTE_MBUF_F_RX_IP_CKSUM_UNKNOWN, 0},
		{RTE_MBUF_F_RX_L4_CKSUM_GOOD, 0},
	};
	struct tiara_frame frame = {.checked = 7}, *dropped = &frame;

	wires_make();
	CHECK(dpdk_open(1) == TIARA_OK);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct tiara_port port = tiara_dpdk_port(&dpdk, 0);
		struct rte_mbuf *m = part_make(60, 0);

		m->ol_flags = said[i].flags;
		CHECK(receive(0, &frame, m) == 1);
		CHECK(frame.checked == said[i].checked);
		port.drop(port.self, &dropped, 1);
	}
	close_and_check();
}

/* Each worker has a queue of its own, both ways. */
static void
test_queues(void)
{
	struct tiara_frame frame = {0};
	struct rte_mbuf *m = NULL;

	wires_make();
	CHECK(dpdk_open(QUEUES) == TIARA_OK);
	for (uint32_t queue = 0; queue < QUEUES; queue++) {
		CHECK(receive(queue, &frame, part_make(60, (uint8_t)queue)) == 1);
		CHECK(frame.data[0] == queue);
		CHECK(send_one(queue, &frame) == 1);
		CHECK(rte_ring_dequeue(wire_out[1 - queue], (void **)&m) != 0);
		CHECK(rte_ring_dequeue(wire_out[queue], (void **)&m) == 0);
		rte_pktmbuf_free(m);
	}
	close_and_check();
}

/* The same when each queue is a port to EAL; a port that is missing is said. */
static void
test_port_per_queue(void)
{
	port_per_queue = true;
	test_queues();
	wires_make();
	CHECK(dpdk_open(QUEUES + 1) == TIARA_NOT_FOUND);
	CHECK(dpdk_open(QUEUES) == TIARA_OK);
	close_and_check();
	port_per_queue = false;
}

/* More workers than queues: an error that names the argument, both numbers and the remedy. */
static void
test_too_few_queues(void)
{
	wires_make();
	CHECK(dpdk_open(QUEUES + 1) == TIARA_INVALID);
	CHECK(!strcmp(error.field, "--workers"));
	CHECK(strstr(error.message, "3 workers need a queue each"));
	CHECK(strstr(error.message, "has 2; give at most that many"));
	rte_eth_dev_close((uint16_t)rte_eth_find_next(0));
	wires_free();
}

/* Where the port can, several queues get connections by their addresses and ports; one needs none. */
static void
test_rss(void)
{
	const uint64_t tuple = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP;
	static const char *const name[] = {"net_null1", "net_null2"};
	struct rte_eth_conf conf;

	for (uint32_t queue_cnt = 1; queue_cnt <= 2; queue_cnt++) {
		CHECK(rte_eal_hotplug_add("vdev", name[queue_cnt - 1], "") == 0);
		CHECK(dpdk_open(queue_cnt) == TIARA_OK);
		CHECK(rte_eth_dev_conf_get(dpdk.queue[0].port_id, &conf) == 0);
		CHECK((conf.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS) == (queue_cnt > 1));
		CHECK((conf.rx_adv_conf.rss_conf.rss_hf & tuple) == (queue_cnt > 1 ? tuple : 0));
		tiara_dpdk_close_ctl(&dpdk);
	}
}

int
main(void)
{
	char *argv[] = {
		"path-port",      "--no-huge",      "--no-shconf",         "-m", "64", "--no-pci",
		"--no-telemetry", "--iova-mode=va", "--log-level=*:error", NULL};

	CHECK(rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) >= 0);
	test_chain_becomes_one();
	test_chain_too_long();
	test_moved_start();
	test_checksum_flag();
	test_queues();
	test_port_per_queue();
	test_too_few_queues();
	test_rss();
	rte_eal_cleanup();
	return 0;
}
