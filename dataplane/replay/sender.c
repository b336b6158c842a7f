/* SPDX-License-Identifier: Apache-2.0 */
#include "replay/sender.h"

#include <string.h>
#include <time.h>

#include <rte_mbuf.h>

#include "path/frame.h"
#include "port/clock.h"

enum {
	SENDER_LINGER_NS = 200000000, /* the port still empties its queue, answers still come */
	SENDER_SLEEP_NS = 100000,     /* a pause shorter than this is waited out awake */
};

struct sender {
	const struct tiara_capture *capture;
	struct tiara_port port;
	struct rte_mempool *pool;
	uint32_t next;        /* of the capture */
	uint16_t waiting_cnt; /* offered to the port and not taken */
	struct rte_mbuf *waiting[TIARA_BURST];
	struct tiara_sender_result result;
};

/* A copy of the capture's next frame; NULL: no buffer is free. */
static struct rte_mbuf *
sender_next(struct sender *s)
{
	const struct tiara_capture_frame *from = &s->capture->frame[s->next];
	struct rte_mbuf *m = rte_pktmbuf_alloc(s->pool);

	if (!m)
		return NULL;
	memcpy(rte_pktmbuf_mtod(m, void *), from->data, from->len_bytes);
	m->data_len = (uint16_t)from->len_bytes;
	m->pkt_len = from->len_bytes;
	if (++s->next == s->capture->cnt)
		s->next = 0;
	return m;
}

static void
sender_fill(struct sender *s, uint64_t wanted)
{
	struct rte_mbuf *m;

	while (s->waiting_cnt < TIARA_BURST && s->waiting_cnt < wanted && (m = sender_next(s)))
		s->waiting[s->waiting_cnt++] = m;
}

static void
sender_offer(struct sender *s)
{
	struct tiara_frame frame[TIARA_BURST], *offered[TIARA_BURST];
	uint16_t took;

	for (uint16_t i = 0; i < s->waiting_cnt; i++) {
		struct rte_mbuf *m = s->waiting[i];

		frame[i].data = rte_pktmbuf_mtod(m, uint8_t *);
		frame[i].handle = m;
		frame[i].len_bytes = m->data_len;
		frame[i].headroom_bytes = rte_pktmbuf_headroom(m);
		offered[i] = &frame[i];
	}
	took = s->port.tx(s->port.self, offered, s->waiting_cnt);
	for (uint16_t i = 0; i < took; i++)
		s->result.bytes += frame[i].len_bytes;
	s->result.sent += took;
	s->result.refused += took < s->waiting_cnt;
	s->waiting_cnt -= took;
	memmove(s->waiting, s->waiting + took, s->waiting_cnt * sizeof(s->waiting[0]));
}

static void
sender_receive(struct sender *s)
{
	struct tiara_frame frame[TIARA_BURST], *each[TIARA_BURST];
	uint16_t cnt = s->port.rx(s->port.self, frame, TIARA_BURST);

	for (uint16_t i = 0; i < cnt; i++)
		each[i] = &frame[i];
	s->port.drop(s->port.self, each, cnt);
	s->result.received += cnt;
}

/* Frames that should be out after so long. */
static uint64_t
sender_due(const struct tiara_sender_config *config, uint64_t elapsed_ns)
{
	double due = (double)elapsed_ns * (double)config->rate / 1e9 + 1;

	if (config->rate == 0 || due >= (double)config->count)
		return config->count;
	return (uint64_t)due;
}

static void
sender_pause(const struct tiara_sender_config *config)
{
	struct timespec nap = {.tv_nsec = SENDER_SLEEP_NS / 2};

	if (config->rate && 1000000000 / config->rate > SENDER_SLEEP_NS)
		nanosleep(&nap, NULL);
}

static void
sender_linger(struct sender *s)
{
	uint64_t end_ns = tiara_clock_ns() + SENDER_LINGER_NS;
	struct timespec nap = {.tv_nsec = SENDER_SLEEP_NS};

	while (tiara_clock_ns() < end_ns) {
		sender_receive(s);
		nanosleep(&nap, NULL);
	}
}

struct tiara_sender_result
tiara_sender_run(struct tiara_dpdk *dpdk, const struct tiara_capture *capture,
		 const struct tiara_sender_config *config, const volatile sig_atomic_t *stopping)
{
	struct sender s = {
		.capture = capture, .port = tiara_dpdk_port(dpdk, 0), .pool = dpdk->pool};
	uint64_t start_ns = tiara_clock_ns(), elapsed_ns = 0, due = 0;

	while (s.result.sent < config->count && elapsed_ns < config->duration_ns && !*stopping) {
		due = sender_due(config, elapsed_ns);
		sender_fill(&s, due - s.result.sent);
		if (s.waiting_cnt)
			sender_offer(&s);
		else
			sender_pause(config);
		sender_receive(&s);
		elapsed_ns = tiara_clock_ns() - start_ns;
	}
	s.result.took_ns = elapsed_ns;
	/* without a pace and a count nothing was ever due */
	if (due != UINT64_MAX)
		s.result.dropped = due - s.result.sent;
	rte_pktmbuf_free_bulk(s.waiting, s.waiting_cnt);
	sender_linger(&s);
	return s.result;
}
