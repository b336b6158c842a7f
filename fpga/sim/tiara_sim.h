/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The card's RTL (fpga/rtl/tiara_card.sv), Verilated, behind a C ABI. Parse, hash, lookup and rewrite
 * are the RTL; what is simulated around it is memory behind its AXI ports and the ends of its streams.
 * One thread at a time for one simulation. Same configuration, same calls: same cycles.
 */
#ifndef TIARA_SIM_H
#define TIARA_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "tiara/layout.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tiara_sim;

/* All zero: memory that answers in the next cycle, streams that never wait. */
struct tiara_sim_config {
	uint64_t seed;
	uint32_t latency_cycles; /* of memory, from an address to its first data */
	uint32_t jitter_cycles;  /* up to so many more, drawn for each address */
	uint32_t reorder_pct; /* how often a later answer of another AXI ID goes first, if it can */
	uint32_t refresh_every_cycles; /* how often a port answers nothing for a while; 0: never */
	uint32_t refresh_cycles;       /* how long then */
	uint32_t idle_pct;             /* cycles in which sources of streams have nothing */
	uint32_t stall_pct;     /* cycles in which sinks, and memory's addresses, take nothing */
	uint32_t cpu_stall_pct; /* cycles in which the CPU takes no packet, beside those */
};

enum tiara_sim_way {
	TIARA_SIM_TX = 1,  /* forwarded */
	TIARA_SIM_CPU = 2, /* handed up */
};

/* A frame that left the card. */
struct tiara_sim_frame {
	uint64_t cycle; /* of its last beat */
	uint32_t bytes;
	uint32_t way; /* enum tiara_sim_way */
	uint32_t pipe;
	uint32_t pad;
	struct tiara_card_meta meta; /* CPU */
};

/* What memory has seen, over all ports. */
struct tiara_sim_memory_stats {
	uint64_t reads;       /* bursts */
	uint64_t writes;      /* bursts */
	uint64_t reordered;   /* bursts that overtook another one of their port */
	uint32_t waiting_max; /* bursts asked for and not answered, of one port */
	uint32_t pad;
};

enum {
	TIARA_SIM_FRAME_BYTES = 16384, /* the longest frame */
	TIARA_SIM_OK = 0,
	/* a register answered SLVERR; a frame of no or of too many bytes, for a pipe that is not there */
	TIARA_SIM_REFUSED = 1,
	TIARA_SIM_SILENT = 2, /* no answer within a million cycles */
};

/* After tiara_sim_reset. NULL: no memory. */
struct tiara_sim *tiara_sim_create(const struct tiara_sim_config *config);
void tiara_sim_destroy(struct tiara_sim *sim);

/* rst_ni for some cycles, in the midst of whatever goes on. Queues are emptied, memory holds anything. */
void tiara_sim_reset(struct tiara_sim *sim);

/* From the next cycle on other numbers, but no other seed. */
void tiara_sim_configure(struct tiara_sim *sim, const struct tiara_sim_config *config);

/* Queues a frame for s_axis_rx of a pipe, without a number the first one's. Copied. */
int tiara_sim_rx_pipe(struct tiara_sim *sim, uint32_t pipe, const uint8_t *frame, uint32_t bytes);
int tiara_sim_rx(struct tiara_sim *sim, const uint8_t *frame, uint32_t bytes);

/* The next frame that left, in the order of the streams' last beats: that in which frames came in while
 * the CPU takes every beat at once, else each stream's own. False: none. Of a frame longer than room only
 * the beginning is copied. One that was not bad leaves, unless the CPU has not taken so many beats that
 * the card's room for them is full: then it is dropped and counted (CPU_DROPPED). */
bool tiara_sim_tx(struct tiara_sim *sim, struct tiara_sim_frame *info, uint8_t *frame,
		  uint32_t room);

void tiara_sim_command(struct tiara_sim *sim, const struct tiara_card_command *command);
/* How many of them the card has not taken yet. */
uint32_t tiara_sim_commands(const struct tiara_sim *sim);
bool tiara_sim_answer(struct tiara_sim *sim, struct tiara_card_answer *answer);

/* A register, by its offset (tiara/card_regs.h). Cycles pass. */
int tiara_sim_write(struct tiara_sim *sim, uint32_t offset, uint32_t value);
int tiara_sim_write_bytes(struct tiara_sim *sim, uint32_t offset, uint32_t value, uint32_t strobes);
int tiara_sim_read(struct tiara_sim *sim, uint32_t offset, uint32_t *value);

void tiara_sim_step(struct tiara_sim *sim, uint64_t cycles);

/* Until nothing is queued and nothing is inside. False: not within so many cycles. */
bool tiara_sim_run(struct tiara_sim *sim, uint64_t cycles_max);

uint64_t tiara_sim_cycles(const struct tiara_sim *sim);
void tiara_sim_memory(const struct tiara_sim *sim, struct tiara_sim_memory_stats *stats);

/* A bucket as memory has it, beside the card's back. */
void tiara_sim_peek(struct tiara_sim *sim, uint32_t bucket, struct tiara_bucket *value);
void tiara_sim_poke(struct tiara_sim *sim, uint32_t bucket, const struct tiara_bucket *value);

#ifdef __cplusplus
}
#endif

#endif
