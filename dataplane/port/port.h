/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between the packet path and whatever brings packets: a DPDK port, memory, the kernel.
 * One queue, one worker. None of these blocks.
 */
#ifndef TIARA_PORT_PORT_H
#define TIARA_PORT_PORT_H

#include <stdint.h>

struct tiara_frame;

struct tiara_port {
	void *self;
	/* Up to max frames with data, handle, len_bytes and headroom_bytes set. */
	uint16_t (*rx)(void *self, struct tiara_frame *frame, uint16_t max);
	/* Sends the cnt frames pointed to; returns how many it took, from the first on. */
	uint16_t (*tx)(void *self, struct tiara_frame *const *frame, uint16_t cnt);
	/* Hands frames to the kernel side; returns how many it took, from the first on. */
	uint16_t (*to_kernel)(void *self, struct tiara_frame *const *frame, uint16_t cnt);
	/* Frees frames that nobody took. */
	void (*drop)(void *self, struct tiara_frame *const *frame, uint16_t cnt);
	/* Frames that the kernel or the resolver wants sent, ready as they are. */
	uint16_t (*inject)(void *self, struct tiara_frame *frame, uint16_t max);
};

#endif
