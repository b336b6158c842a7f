/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of tiara-replay; what opens a port is read by the data plane's own parser. */
#ifndef TIARA_REPLAY_OPTIONS_H
#define TIARA_REPLAY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "app/arguments.h"
#include "tiara/status.h"

struct tiara_replay_options {
	struct tiara_arguments port;
	const char *path;
	uint64_t rate;        /* frames a second; 0: as fast as it goes */
	uint64_t count;       /* 0: each frame once, or, with a duration, until that is over */
	uint64_t duration_ns; /* the default when not given */
	bool duration_given;
	bool rewrite; /* to `to` */
	uint8_t to[6];
	bool json;
};

/* INVALID: error.message is one sentence with the remedy. port.run says whether to go on. */
TIARA_MUST_CHECK enum tiara_status tiara_replay_options_parse(int argc, char **argv,
							      struct tiara_replay_options *options,
							      struct tiara_error *error);
/* Prints the help to stdout. */
void tiara_replay_options_help(void);

#endif
