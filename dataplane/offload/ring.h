/* SPDX-License-Identifier: Apache-2.0 */
/* Wishes on their way from one worker to the owner of a channel: one writer, one reader. */
#ifndef TIARA_OFFLOAD_RING_H
#define TIARA_OFFLOAD_RING_H

#include <stdbool.h>
#include <stdint.h>

enum { OFFLOAD_RING_WISHES = 256 };

/* What is to be done about a connection. A hint, each of them: who wants it still wishes it again. */
enum offload_wish_kind {
	OFFLOAD_NOTHING = 0,
	OFFLOAD_OFFER = 1,  /* the card may have it, or may have lost it */
	OFFLOAD_RECALL = 2, /* the CPU alone is to serve it */
	OFFLOAD_DUE = 3,    /* the sweep, or an operator, would end it */
};

struct offload_wish {
	uint64_t key;
	uint32_t kind; /* enum offload_wish_kind */
	uint32_t pad;
};

struct offload_ring {
	uint32_t written __attribute__((aligned(64)));
	uint32_t read __attribute__((aligned(64)));
	struct offload_wish wish[OFFLOAD_RING_WISHES] __attribute__((aligned(64)));
};

/* False: full. */
static inline bool
offload_ring_put(struct offload_ring *ring, uint64_t key, enum offload_wish_kind kind)
{
	uint32_t at = ring->written;

	/* Acquire, with the reader's release: it is done with the place. */
	if (at - __atomic_load_n(&ring->read, __ATOMIC_ACQUIRE) == OFFLOAD_RING_WISHES)
		return false;
	ring->wish[at % OFFLOAD_RING_WISHES] = (struct offload_wish){.key = key, .kind = kind};
	__atomic_store_n(&ring->written, at + 1, __ATOMIC_RELEASE);
	return true;
}

static inline bool
offload_ring_get(struct offload_ring *ring, struct offload_wish *wish)
{
	uint32_t at = ring->read;

	/* Acquire, with the writer's release: the wish is there. */
	if (at == __atomic_load_n(&ring->written, __ATOMIC_ACQUIRE))
		return false;
	*wish = ring->wish[at % OFFLOAD_RING_WISHES];
	__atomic_store_n(&ring->read, at + 1, __ATOMIC_RELEASE);
	return true;
}

#endif
