/* SPDX-License-Identifier: Apache-2.0 */
/* A capture in pcap's classic format (Ethernet), whole in memory. Times are not kept. */
#ifndef TIARA_REPLAY_CAPTURE_H
#define TIARA_REPLAY_CAPTURE_H

#include <stdint.h>

#include "tiara/status.h"

struct tiara_capture_frame {
	uint8_t *data; /* into the capture's bytes; may be changed */
	uint32_t len_bytes;
};

struct tiara_capture {
	uint8_t *bytes;
	struct tiara_capture_frame *frame;
	uint32_t cnt; /* at least 1 */
	uint32_t longest_bytes;
};

/* INVALID: it cannot be read, is no such capture or has no frame. error.message names the file. */
TIARA_MUST_CHECK enum tiara_status
tiara_capture_read(const char *path, struct tiara_capture *capture, struct tiara_error *error);
void tiara_capture_free(struct tiara_capture *capture);

#endif
