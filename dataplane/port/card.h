/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam to an offload card (docs/design/0016). The CPU owns every connection; a card is a cache of
 * them. Realizations: none, the RTL simulated (card_sim.h), a plain one in software for tests
 * (tests/path/card_twin.h), and whatever speaks the same.
 *
 * Threads: a queue is one worker's, as a port's is. A channel's commands go down in the queue that
 * `channel % queue_cnt` names, and its answers come up there. What has no queue is called by the worker
 * of queue 0 only. None of these waits, locks for long or allocates.
 */
#ifndef TIARA_PORT_CARD_H
#define TIARA_PORT_CARD_H

#include <stdbool.h>
#include <stdint.h>

#include "tiara/layout.h"

struct tiara_frame;
struct tiara_port;

/* What it can do; constant. */
struct tiara_card_caps {
	uint32_t forwards;   /* 1 << enum tiara_forward for each that it can */
	uint32_t bucket_cnt; /* of its connection table, a power of two, at least 2; 0: no card */
	uint32_t service_lines; /* of its service table, and totals; a service's index is below */
	uint32_t backend_lines; /* of its backend table; line i is backend index i's */
	uint32_t queue_cnt;     /* workers that may use it at once */
	bool is_port;           /* packets go through it: rx */
};

/* Since the card's last reset; only grows. */
struct tiara_card_total {
	uint64_t pkts;
	uint64_t bytes; /* of client frames as received */
};

enum tiara_card_totals {
	TIARA_CARD_TOTALS_SERVICE = 0, /* by service index */
	TIARA_CARD_TOTALS_BACKEND = 1, /* by backend line */
};

struct tiara_card {
	void *self;
	const char *name;
	struct tiara_card_caps caps;
	/* Commands of the queue's channels, in order; returns how many it took, from the first on. */
	uint32_t (*post)(void *self, uint32_t queue, const struct tiara_card_command *command,
			 uint32_t cnt);
	/* Up to max answers of the queue's channels. */
	uint32_t (*poll)(void *self, uint32_t queue, struct tiara_card_answer *answer,
			 uint32_t max);
	/*
	 * is_port: takes frames from `wire`, sends what it forwards there, and hands up the others. Else
	 * NULL.
	 */
	uint16_t (*rx)(void *self, uint32_t queue, const struct tiara_port *wire,
		       struct tiara_frame *frame, uint16_t max);
	/* The card's epoch as a register says it; 0: it is of no use at the moment. Any thread. */
	uint16_t (*epoch)(void *self);
	/* Empties it: connections, tables, totals, numbers; returns the epoch that begins. */
	uint16_t (*reset)(void *self);
	/* No packet that comes after its return is forwarded by the line's old contents. */
	void (*backend_write)(void *self, uint32_t line, const struct tiara_card_backend *backend);
	/* Adds, replaces or (valid 0) takes out the service of this VIP, port and protocol; false: no room. */
	bool (*service_write)(void *self, const struct tiara_card_service *service);
	void (*totals)(void *self, enum tiara_card_totals which, uint32_t first, uint32_t cnt,
		       struct tiara_card_total *total);
};

extern const struct tiara_card tiara_card_none;

#endif
