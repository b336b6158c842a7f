/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The card's RTL as a card: the Verilated model (fpga/sim), in a library of its own that is loaded when
 * it is asked for. Packets go through it. It simulates a clock cycle in about a microsecond; workers share
 * it by a lock, and each lets it run on while it waits for its packets.
 */
#ifndef TIARA_PORT_CARD_SIM_H
#define TIARA_PORT_CARD_SIM_H

#include "port/card.h"
#include "tiara/status.h"

struct tiara_card_sim;

/* library "": that of ../lib, seen from where the program is. INVALID: no such library, or of another layout; NO_SPACE. The segment's node is filled; kept. */
TIARA_MUST_CHECK enum tiara_status
tiara_card_sim_open_ctl(const char *library, const struct tiara_segment *segment,
			uint32_t queue_cnt, struct tiara_card_sim **sim, struct tiara_error *error);
/* After the last worker. NULL: nothing. */
void tiara_card_sim_close_ctl(struct tiara_card_sim *sim);
/* The ops table on it; lives as long as it. */
struct tiara_card tiara_card_sim_ops(struct tiara_card_sim *sim);
/* The card loses its power for a moment, and all it has. */
void tiara_card_sim_power_cycle_ctl(struct tiara_card_sim *sim);

#endif
