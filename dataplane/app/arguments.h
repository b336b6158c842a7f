/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of tiara-dataplane. */
#ifndef TIARA_APP_ARGUMENTS_H
#define TIARA_APP_ARGUMENTS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tiara/layout.h"
#include "tiara/status.h"

enum tiara_io {
	TIARA_IO_EAL = 0, /* the first port that the user's EAL arguments give */
	TIARA_IO_AF_PACKET = 1,
	TIARA_IO_AF_XDP = 2,
};

enum tiara_idle {
	TIARA_IDLE_POLL = 0,
	TIARA_IDLE_SLEEP = 1,
};

enum tiara_run {
	TIARA_RUN_SERVE = 0,
	TIARA_RUN_HELP = 1,
	TIARA_RUN_VERSION = 2,
};

/* Text points into argv. */
struct tiara_arguments {
	enum tiara_run run;
	const char *instance;
	enum tiara_io io;
	char interface[IFNAMSIZ]; /* empty with TIARA_IO_EAL */
	bool take_interface;
	tiara_be32 address; /* 0: none */
	tiara_be32 netmask;
	uint8_t prefix_bits;
	tiara_be32 gateway; /* 0: none */
	uint32_t worker_cnt;
	const char *card_library; /* of the simulated card, "" for the usual one; NULL: no card */
	const char *lcores;       /* NULL: chosen from the process's CPU affinity */
	/* segment sizes; 0: not given (the default at creation, anything when adopting) */
	uint64_t connections;
	uint32_t services;
	uint32_t backends;
	uint32_t heap_mb;
	enum tiara_idle idle;
	bool idle_given;
	bool kernel; /* with the exception path */
	char kernel_interface[IFNAMSIZ];
	bool kernel_interface_given;
	bool group_given;
	gid_t group; /* of the segment's file: who may attach to it beside its owner */
	uid_t user;  /* 0: stay who we are */
	gid_t user_group;
	bool keep_capabilities;
	int eal_argc; /* what follows "--" */
	char **eal_argv;
};

enum {
	TIARA_DEFAULT_CONNECTIONS = 1048576,
	TIARA_DEFAULT_SERVICES = 4096,
	TIARA_DEFAULT_BACKENDS = 16384,
	TIARA_DEFAULT_HEAP_MB = 256,
};

/* INVALID: error.field names the argument, error.message is one sentence with the remedy. */
TIARA_MUST_CHECK enum tiara_status tiara_arguments_parse(int argc, char **argv,
							 struct tiara_arguments *arguments,
							 struct tiara_error *error);
/* Prints the help to stdout. */
void tiara_arguments_help(void);

#endif
