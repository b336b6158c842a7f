/* SPDX-License-Identifier: Apache-2.0 */
/* A port without a driver, for tests and benches: frames come from an array and stay in it. */
#ifndef TIARA_PORT_MEMORY_H
#define TIARA_PORT_MEMORY_H

#include "path/frame.h"
#include "port/port.h"

enum tiara_memory_fate {
	TIARA_MEMORY_WAITING = 0,
	TIARA_MEMORY_TAKEN = 1, /* by the path, which has not let go of it yet */
	TIARA_MEMORY_SENT = 2,
	TIARA_MEMORY_KERNEL = 3,
	TIARA_MEMORY_DROPPED = 4,
};

/* A frame in memory that the caller owns. The path changes data and len_bytes; fate says its end. */
struct tiara_memory_frame {
	uint8_t *data;
	uint32_t len_bytes;
	uint16_t headroom_bytes; /* bytes before data that may be used */
	uint8_t fate;            /* enum tiara_memory_fate */
	uint8_t checked;         /* 1: as if a card had found the IPv4 header checksum right */
};

struct tiara_memory_queue {
	struct tiara_memory_frame *frame;
	uint32_t cnt;
	uint32_t next; /* the next one to hand out; == cnt: empty */
};

struct tiara_memory_port {
	struct tiara_memory_queue rx;
	struct tiara_memory_queue inject;
	uint32_t tx_room; /* frames tx will still take; UINT32_MAX: no limit */
	uint32_t kernel_room;
	uint64_t sent_cnt;
	uint64_t kernel_cnt;
	uint64_t dropped_cnt;
};

/* An empty port without limits. */
void tiara_memory_port_init(struct tiara_memory_port *self);
/* The ops table on it; lives as long as self. */
struct tiara_port tiara_memory_port_ops(struct tiara_memory_port *self);

#endif
