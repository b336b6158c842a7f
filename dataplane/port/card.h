/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam to an offload card. The CPU owns every connection; a card is a cache of them. Today there
 * is one realization: none.
 */
#ifndef TIARA_PORT_CARD_H
#define TIARA_PORT_CARD_H

#include <stdint.h>

struct tiara_frame;

struct tiara_card {
	void *self;
	const char *name;
	/* Offers the new connections of a burst. A hint: it may be lost. Never blocks. */
	void (*install)(void *self, struct tiara_frame *const *frame, uint16_t cnt);
};

extern const struct tiara_card tiara_card_none;

#endif
