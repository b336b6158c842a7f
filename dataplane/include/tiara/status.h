/* SPDX-License-Identifier: Apache-2.0 */
/* What a call of libtiara says. Names are the same in C, Python and messages. */
#ifndef TIARA_STATUS_H
#define TIARA_STATUS_H

enum tiara_status {
	TIARA_OK = 0,
	TIARA_INVALID = 1, /* an argument is wrong: error.field names it; nothing was changed */
	TIARA_NOT_FOUND = 2,
	TIARA_EXISTS = 3,
	TIARA_BUSY = 4,       /* another live process holds the role */
	TIARA_LAYOUT = 5,     /* the segment or the program was built from another layout.h */
	TIARA_NO_SPACE = 6,   /* file system or heap: nothing was changed */
	TIARA_EXHAUSTED = 7,  /* roots wait for a stopped worker, or no index is free */
	TIARA_FULL = 8,       /* both buckets of the connection are full */
	TIARA_IO = 9,         /* a system call failed: error.message has it */
	TIARA_CONFLICT = 10,  /* the connection is there with another backend */
	TIARA_UNCHANGED = 11, /* a change that changes nothing: no generation was made */
};

/* Filled on every status but OK and UNCHANGED; field may be empty. */
struct tiara_error {
	enum tiara_status status;
	char field[64];
	char message[448];
};

#define TIARA_MUST_CHECK __attribute__((warn_unused_result))

#endif
