/* SPDX-License-Identifier: Apache-2.0 */
/* fpga/sim/tiara_sim.h in a shared library that is loaded when it is asked for. */
#ifndef TIARA_PORT_CARD_SIM_LIBRARY_H
#define TIARA_PORT_CARD_SIM_LIBRARY_H

#include "fpga/sim/tiara_sim.h"
#include "tiara/status.h"

struct tiara_card_sim_library {
	void *handle;
	__typeof__(tiara_sim_create) *create;
	__typeof__(tiara_sim_destroy) *destroy;
	__typeof__(tiara_sim_reset) *reset;
	__typeof__(tiara_sim_rx) *rx;
	__typeof__(tiara_sim_tx) *tx;
	__typeof__(tiara_sim_command) *command;
	__typeof__(tiara_sim_commands) *commands;
	__typeof__(tiara_sim_answer) *answer;
	__typeof__(tiara_sim_write) *write;
	__typeof__(tiara_sim_read) *read;
	__typeof__(tiara_sim_run) *run;
};

/* name "": that of ../lib, seen from where the program is. INVALID: there is none, or it is another one. */
TIARA_MUST_CHECK enum tiara_status
tiara_card_sim_library_open_ctl(struct tiara_card_sim_library *library, const char *name,
				struct tiara_error *error);
void tiara_card_sim_library_close_ctl(struct tiara_card_sim_library *library);

#endif
