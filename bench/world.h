/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole packet path without a driver, in the middle of a large network: 1000 services of 100
 * backends each, on 1000 real servers.
 *
 * 32,768 buffers in rotation, so that headers come from the caches that a NIC would write them to. A
 * buffer is one client address at one service; its port says which of CONNECTIONS / 32,768
 * connections it is this time, at random. The "driver" restores the headers that the path rewrote;
 * that is part of what is measured.
 */
#ifndef TIARA_BENCH_WORLD_H
#define TIARA_BENCH_WORLD_H

#include "path/worker.h"
#include "tiara/tiara.h"

enum {
	WORLD_SERVICES = 1000,
	WORLD_POOL = 100,
	WORLD_SPARE = 10, /* backends that may be added later */
	WORLD_SERVERS = 1000,
	WORLD_ROWS = 10007,
	WORLD_BUFFERS = 32768,
	WORLD_BUFFER_BYTES = 256,
	WORLD_CLIENT_PORT = 1024, /* the first */
};

struct world_buffer {
	uint8_t bytes[WORLD_BUFFER_BYTES];
} __attribute__((aligned(64)));

/* A port that hands the same buffers out again and again. */
struct world_port {
	struct world_buffer *buffer;
	uint32_t next;
	uint32_t left;      /* frames still to hand out */
	uint32_t flows;     /* connections of a buffer in use */
	uint32_t flow_base; /* number of the first */
	uint32_t buffers;   /* in rotation: 1 for one connection */
	uint64_t random;
	uint64_t sent;
	uint64_t wrong; /* sent elsewhere than to a server */
};

/* world_rx and world_tx take a pointer to one of these, or to what begins with one. */
struct world {
	struct world_port port;
	struct tiara_worker worker;
	struct tiara_handle *handle;
	struct tiara_map map;
	const char *mode;
	enum tiara_forward forward;
	struct tiara_offload *offload; /* before its start; NULL: no card */
	uint64_t connections;
	uint64_t tsc_hz;
	uint32_t idx[WORLD_SERVICES][WORLD_POOL + WORLD_SPARE]; /* of backends; 0: none */
};

typedef uint16_t world_rx_fn(void *self, struct tiara_frame *frame, uint16_t max);
typedef uint16_t world_tx_fn(void *self, struct tiara_frame *const *frame, uint16_t cnt);

/*
 * Fills a zeroed world for so many connections (over 32,768: rounded down to a multiple); the
 * segment's name is taken away again. mode: l2, ipip or vxlan.
 */
void world_open(struct world *w, const char *path, uint64_t connections, const char *mode);
/* Which functions are its port's, before the first run. */
void world_start(struct world *w, world_rx_fn *rx, world_tx_fn *tx);
uint16_t world_rx(void *self, struct tiara_frame *frame, uint16_t max);
uint16_t world_tx(void *self, struct tiara_frame *const *frame, uint16_t cnt);

/* Runs frames through the path; seconds. Dies if one was not sent to a server. */
double world_run(struct world *w, uint32_t frames);
/*
 * Each connection's first packet, in turn, then a second one: seconds that the first ones took, and in
 * *second_s, unless that is NULL, the second ones.
 */
double world_fill(struct world *w, double *second_s);
uint64_t world_counted(const struct world *w, enum tiara_event event);

/* The server that a forwarded frame goes to; a service's backend i is on server (100 service + i). */
uint32_t world_server(const struct tiara_frame *frame);
uint32_t world_backend_server(uint32_t service, uint32_t backend);
/* The service of a buffer's client. */
uint32_t world_service(const struct world *w, uint32_t buffer);

/* For changes: a backend of a service, and the service, for TCP (6) or UDP (17), with a table of these
 * backends by a seed. */
void world_put_backend(struct world *w, struct tiara_change *change, uint32_t service,
		       uint32_t backend, uint8_t use);
void world_remove_backend(struct world *w, struct tiara_change *change, uint32_t service,
			  uint32_t backend);
void world_put_service(struct world *w, struct tiara_change *change, uint32_t service,
		       uint8_t protocol, const uint32_t *idx, uint32_t idx_cnt, uint64_t seed);

/* What every row says; no braces. */
const char *world_params(const struct world *w, const char *more);

#endif
