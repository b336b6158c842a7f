/* SPDX-License-Identifier: Apache-2.0 */
/* One worker of the packet path: one core, one queue of one port, run to completion. */
#ifndef TIARA_PATH_WORKER_H
#define TIARA_PATH_WORKER_H

#include "path/frame.h"
#include "port/port.h"
#include "table/table.h"

struct tiara_offload;
struct tiara_offload_seat;

/*
 * Owner: the thread that runs the bursts; nobody else reads or writes it. What others may see of a
 * worker (counters, generation in use) is in the segment. Lives from init until the thread ends.
 */
struct tiara_worker {
	/* set once */
	uint32_t number;
	const struct tiara_map *map;
	const struct tiara_node *node;
	struct tiara_port port;
	struct tiara_offload_seat *offload; /* its own; NULL: no card */
	const struct tiara_card *card_port; /* packets come through it; NULL: from the port */
	uint64_t tsc_hz;
	struct tiara_worker_slot *slot;
	struct tiara_worker_counters *counters;
	struct tiara_flow_counter *service_counters; /* by service index */
	struct tiara_flow_counter *backend_counters; /* by backend index */
	uint64_t sweep_interval_tsc;                 /* between two slices */
	/* of this burst */
	struct tiara_view view; /* the generation it uses */
	struct tiara_age age;
	uint32_t tick;
	uint64_t tsc;
	uint16_t unchosen_cnt; /* frames whose connection gives no backend */
	uint16_t fresh_cnt;    /* of them: frames that make one, since selection */
	/* kept from burst to burst */
	struct tiara_writer writer;
	uint64_t *unconfirmed;    /* keys, a ring (path/unconfirmed.c) */
	uint32_t unconfirmed_cnt; /* 0: no cap */
	uint32_t unconfirmed_next;
	int64_t unconfirmed_limit; /* the balance that fills our half of the cap */
	uint64_t last_tsc;
	uint64_t sweep_next_tsc;
	bool last_busy;
	struct tiara_frame frame[TIARA_BURST];
};

/*
 * Before the thread runs. Keeps map and offload (NULL: no card); copies port. Node and worker_cnt are set
 * before.
 */
void tiara_worker_init_ctl(struct tiara_worker *w, const struct tiara_map *map, uint32_t number,
			   const struct tiara_port *port, struct tiara_offload *offload,
			   uint64_t tsc_hz);

/*
 * Room in keys for each of worker_cnt workers, under a cap of one in 16 of the table's slots and of
 * 2^20 in all. The worker keeps `ring` (zeroed, cnt keys) until its thread ends. Without: no cap.
 */
uint32_t tiara_unconfirmed_room_ctl(const struct tiara_map *map, uint32_t worker_cnt);
void tiara_worker_cap_unconfirmed_ctl(struct tiara_worker *w, uint64_t *ring, uint32_t cnt);

/* One turn of the worker's loop. Returns how many frames it handled; 0: idle. */
uint32_t tiara_worker_burst_wk(struct tiara_worker *w, uint64_t tsc);

/* Before it sleeps and at its end: holds no generation back until its next burst. */
void tiara_worker_offline_wk(struct tiara_worker *w);

#endif
