/* SPDX-License-Identifier: Apache-2.0 */
/* The card of a machine without one: every offer is lost, which an offer may be. */
#include "port/card.h"

static void
card_none_install(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	(void)self;
	(void)frame;
	(void)cnt;
}

const struct tiara_card tiara_card_none = {.name = "none", .install = card_none_install};
