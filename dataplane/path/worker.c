/* SPDX-License-Identifier: Apache-2.0 */
/* The packet path's table of contents: tiara_worker_burst_wk names every stage, one file each. */
#include "path/worker.h"

#include "path/stage.h"
#include "port/clock.h"
#include "table/epoch.h"
#include "table/hash.h"

enum {
	WORKER_SWEEP_PASS_S = 10, /* one pass over the whole table, by all workers together */
	WORKER_SWEEP_BUSY = 2,    /* slices in one burst with packets: bounds what they wait */
	WORKER_SWEEP_IDLE = 16,
};

static void
worker_turn_generation(struct tiara_worker *w)
{
	uint64_t generation = tiara_epoch_enter_wk(w->map, w->number);

	if (generation == w->view.generation)
		return;
	w->view = tiara_view_of(w->map, generation);
	tiara_event_wk(w, TIARA_EVENT_GENERATION_CHANGE);
}

static void
worker_turn_tick(struct tiara_worker *w, uint64_t tsc)
{
	uint32_t tick = tiara_tick_advance_wk(w->map, tsc, w->tsc_hz);

	if (tick == w->tick)
		return;
	w->tick = tick;
	w->age.now = (uint16_t)tick;
	tiara_unconfirmed_tick_wk(w);
}

static void
worker_begin(struct tiara_worker *w, uint64_t tsc)
{
	w->tsc = tsc;
	worker_turn_generation(w);
	worker_turn_tick(w, tsc);
}

static uint16_t
worker_rx(struct tiara_worker *w)
{
	const struct tiara_card *card = w->card_port;

	if (card)
		return card->rx(card->self, w->number, &w->port, w->frame, TIARA_BURST);
	return w->port.rx(w->port.self, w->frame, TIARA_BURST);
}

static uint16_t
worker_receive(struct tiara_worker *w)
{
	uint16_t cnt = worker_rx(w);
	uint64_t bytes = 0;

	if (cnt == 0)
		return 0;
	for (uint16_t i = 0; i < cnt; i++)
		bytes += w->frame[i].len_bytes;
	tiara_count_wk(&w->counters->rx_pkts, cnt);
	tiara_count_wk(&w->counters->rx_bytes, bytes);
	return cnt;
}

static bool
worker_forwarded_any(const struct tiara_frame *f, uint16_t cnt)
{
	for (uint16_t i = 0; i < cnt; i++)
		if (f[i].verdict == TIARA_VERDICT_FORWARDED)
			return true;
	return false;
}

/* When forwarding began, asked of the clock once in a data plane's life. */
static void
worker_note_first_forward(struct tiara_worker *w, uint16_t cnt)
{
	uint64_t *first = &w->map->segment->node.first_forward_ns;

	/* Relaxed, here and below: one number for people; workers that race write almost the same. */
	if (__atomic_load_n(first, __ATOMIC_RELAXED) == 0 && worker_forwarded_any(w->frame, cnt))
		__atomic_store_n(first, tiara_clock_ns(), __ATOMIC_RELAXED);
}

/* Due entries that the card may have. Without one there are none. */
static void
worker_sweep_held(struct tiara_worker *w, const struct tiara_sweep_counts *counts)
{
	for (uint32_t i = 0; w->offload && i < counts->held_cnt; i++)
		tiara_offload_wish_wk(
			w, counts->held[i],
			tiara_hash_inline(counts->held[i], w->map->segment->table_secret),
			OFFLOAD_DUE);
}

static void
worker_sweep_slice(struct tiara_worker *w)
{
	struct tiara_sweep_counts counts;

	counts.expired = counts.gone = counts.tentative = counts.held_cnt = 0;
	tiara_sweep_slice_wk(w->map, &w->age, &w->writer, &counts);
	tiara_count_wk(&w->counters->event_cnt[TIARA_EVENT_SWEPT_EXPIRED], counts.expired);
	tiara_count_wk(&w->counters->event_cnt[TIARA_EVENT_SWEPT_GONE], counts.gone);
	tiara_count_wk(&w->counters->event_cnt[TIARA_EVENT_SWEPT_TENTATIVE], counts.tentative);
	worker_sweep_held(w, &counts);
}

/* Slices fall due evenly. What a sleeper missed is caught up, but never more than one pass. */
static void
worker_sweep(struct tiara_worker *w, uint64_t tsc, bool busy)
{
	uint32_t budget = busy ? WORKER_SWEEP_BUSY : WORKER_SWEEP_IDLE;
	int64_t late = (int64_t)(tsc - w->sweep_next_tsc);
	int64_t pass = (int64_t)(w->tsc_hz * WORKER_SWEEP_PASS_S);

	if (late > pass)
		w->sweep_next_tsc = tsc - (uint64_t)pass;
	for (; budget > 0 && (int64_t)(tsc - w->sweep_next_tsc) >= 0; budget--) {
		worker_sweep_slice(w);
		w->sweep_next_tsc += w->sweep_interval_tsc;
	}
}

/* Relaxed: each is one number, of this moment. */
static void
worker_publish(struct tiara_worker *w)
{
	__atomic_store_n(&w->slot->unconfirmed, (uint64_t)w->writer.unconfirmed, __ATOMIC_RELAXED);
	__atomic_store_n(&w->counters->event_cnt[TIARA_EVENT_MOVED], w->writer.moved_cnt,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&w->counters->event_cnt[TIARA_EVENT_RECLAIMED], w->writer.reclaimed_cnt,
			 __ATOMIC_RELAXED);
}

/* The time since the last turn is that turn's, and was busy when it had frames. */
static void
worker_end(struct tiara_worker *w, uint64_t tsc, bool busy)
{
	if (w->last_tsc != 0)
		tiara_count_wk(w->last_busy ? &w->slot->busy_cycles : &w->slot->idle_cycles,
			       tsc - w->last_tsc);
	w->last_tsc = tsc;
	w->last_busy = busy;
	if (busy)
		tiara_count_wk(&w->slot->bursts, 1);
	worker_publish(w);
}

uint32_t
tiara_worker_burst_wk(struct tiara_worker *w, uint64_t tsc)
{
	struct tiara_frame *f = w->frame;
	uint16_t injected, cnt;

	worker_begin(w, tsc); /* one generation and one time for the whole burst */
	if (w->offload)
		tiara_offload_turn_wk(w); /* what the card answers and is asked */
	injected = tiara_inject_wk(w);    /* what the kernel and the resolver want sent */
	cnt = worker_receive(w);
	tiara_parse_wk(w, f, cnt);      /* headers into fields; what is not sound ends */
	tiara_local_wk(w, f, cnt);      /* ARP and ICMP echo end, answered in place */
	tiara_service_wk(w, f, cnt);    /* VIP, protocol and port name a service */
	tiara_connection_wk(w, f, cnt); /* known connections keep their backends */
	tiara_admit_wk(w, f, cnt);      /* the others may begin one, or not */
	tiara_select_wk(w, f, cnt);     /* and get a backend */
	tiara_insert_wk(w, f, cnt);     /* and become connections */
	tiara_offload_wk(w, f, cnt);    /* offered to the card */
	tiara_forward_wk(w, f, cnt);    /* headers for the way to the backend */
	tiara_leave_wk(w, f, cnt);      /* sent, to the kernel, or dropped; counted */
	worker_note_first_forward(w, cnt);
	worker_sweep(w, tsc, cnt > 0);
	worker_end(w, tsc, injected + cnt > 0);
	return injected + cnt;
}

void
tiara_worker_offline_wk(struct tiara_worker *w)
{
	tiara_epoch_offline_wk(w->map, w->number);
}

/* Workers share a pass: each sweeps its part of the slices. */
static uint64_t
worker_sweep_interval(const struct tiara_worker *w)
{
	uint64_t workers = w->node->worker_cnt ? w->node->worker_cnt : 1;

	return w->tsc_hz * WORKER_SWEEP_PASS_S * workers / tiara_sweep_slices_per_pass(w->map);
}

/*
 * Its nonces go on where an earlier start on this segment cannot have come to, its counts where that
 * left them.
 */
static struct tiara_writer
worker_writer(const struct tiara_map *map, uint32_t number)
{
	const struct tiara_worker_counters *c = tiara_map_counters(map, number);

	return (struct tiara_writer){
		.owner = (uint8_t)number,
		.search_max = TIARA_SEARCH_PATH,
		.nonce = (uint32_t)(map->segment->node.start_cnt << 24),
		.unconfirmed = (int64_t)map->worker[number].unconfirmed,
		.moved_cnt = c->event_cnt[TIARA_EVENT_MOVED],
		.reclaimed_cnt = c->event_cnt[TIARA_EVENT_RECLAIMED],
		.backend = tiara_map_backend_counters(map, number),
		.backend_cnt = map->segment->backend_max,
	};
}

void
tiara_worker_init_ctl(struct tiara_worker *w, const struct tiara_map *map, uint32_t number,
		      const struct tiara_port *port, struct tiara_offload *offload, uint64_t tsc_hz)
{
	*w = (struct tiara_worker){
		.number = number,
		.map = map,
		.node = &map->segment->node,
		.port = *port,
		.offload = offload ? &offload->seat[number] : NULL,
		.card_port = offload && offload->card->caps.is_port ? offload->card : NULL,
		.tsc_hz = tsc_hz,
		.slot = &map->worker[number],
		.counters = tiara_map_counters(map, number),
		.service_counters = tiara_map_flow_counters(map, number),
		.view = tiara_view_of(map, 0),
		.tick = tiara_tick_now(map),
		.writer = worker_writer(map, number),
	};
	w->writer.card = offload != NULL;
	w->backend_counters = tiara_map_backend_counters(map, number);
	w->age = (struct tiara_age){.view = &w->view, .now = (uint16_t)w->tick};
	w->sweep_interval_tsc = worker_sweep_interval(w);
}

void
tiara_worker_cap_unconfirmed_ctl(struct tiara_worker *w, uint64_t *ring, uint32_t cnt)
{
	w->unconfirmed = ring;
	w->unconfirmed_cnt = cnt;
	tiara_unconfirmed_tick_wk(w);
}
