/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world with a plain card before it: up to two workers, real frames of a few clients of one TCP service,
 * and what each client may expect. Every packet goes through the card; whoever forwards it, it must reach
 * its connection's backend.
 */
#ifndef TIARA_TESTS_PATH_OFFLOAD_BED_H
#define TIARA_TESTS_PATH_OFFLOAD_BED_H

#include "offload/offload.h"
#include "card_twin.h"
#include "world.h"

enum {
	BED_CLIENTS = 12,
	BED_BACKENDS = 6,
	BED_WORKERS = 2,
	BED_NONE = -1, /* no backend */
	BED_ESTABLISHED_TICKS = 8,
	BED_SHORT_TICKS = 4, /* NEW, CLOSING */
	BED_FRAME_BYTES = 256,
	BED_HEADROOM = 128,
};

enum bed_flags { BED_DATA = 0x10, BED_SYN = 0x02, BED_FIN = 0x11, BED_RST = 0x04 };

struct bed_client {
	int backend; /* its connection's; BED_NONE: none, or any will do */
	uint32_t last_tick;
	bool established; /* not NEW or CLOSING, whose timeouts are short */
	bool closing;
};

struct bed_config {
	struct tiara_card_twin_config twin;
	uint32_t worker_cnt;
	bool udp; /* the service's protocol; else TCP */
};

struct bed {
	struct world world; /* its own worker is not used */
	struct bed_config config;
	struct tiara_card_twin *twin;
	struct tiara_card card;
	void *memory;
	struct tiara_offload *offload;
	struct tiara_memory_port port[BED_WORKERS];
	struct tiara_worker worker[BED_WORKERS];
	struct bed_client client[BED_CLIENTS];
	uint8_t life[BED_BACKENDS]; /* counts an index's owners */
	uint64_t step_ns;           /* what a packet takes */
	uint64_t sent[BED_WORKERS]; /* frames that left for a backend, by who took them from the wire */
	uint8_t frame[BED_WORKERS][BED_FRAME_BYTES];
	struct tiara_memory_frame last[BED_WORKERS]; /* as the last packet left */
};

void bed_open(struct bed *b, const struct bed_config *config);
void bed_close(struct bed *b);
/* The data plane is killed and started again: all but segment and card is new. */
void bed_restart(struct bed *b);
/*
 * A packet through the card to a worker; the backend it left for, or BED_NONE. Checks it. Threads may call
 * it, each with a worker and clients of its own.
 */
int bed_packet(struct bed *b, uint32_t client, enum bed_flags flags, uint32_t worker);
/* One burst of each worker, that much later. */
void bed_turn(struct bed *b, uint64_t later_ns);
void bed_ticks(struct bed *b, uint32_t ticks);
/* The selection table is another one: rows name backends by `seed`. */
void bed_shuffle(struct bed *b, uint64_t seed);
/* The backend goes, or an index that is free again gets a new one. */
void bed_backend_gone(struct bed *b, uint32_t idx);
void bed_backend_new(struct bed *b, uint32_t idx);
uint64_t bed_key(uint32_t client);
struct tiara_found bed_find(struct bed *b, uint32_t client);
uint64_t bed_sent(const struct bed *b);
uint64_t bed_event(const struct bed *b, enum tiara_event event);
/* Packets counted to the service, by all workers. */
uint64_t bed_counted(const struct bed *b);
/* What must hold at any moment; exits where it does not. */
void bed_check(struct bed *b);

#endif
