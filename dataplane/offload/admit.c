/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which connections are offered to the card. Today's rule: those that are established (a second packet
 * has come), as long as the card has a free slot among their eight. A better rule goes here.
 */
#include "offload/internal.h"

static bool
admit_state(const union tiara_word *word)
{
	uint8_t state = word->entry.state;

	return (state == TIARA_STATE_ESTABLISHED || state == TIARA_STATE_UDP) &&
	       !(word->entry.flags & (TIARA_ENTRY_UNCONFIRMED | TIARA_ENTRY_ENDING));
}

/* The card's line says what this generation says of the backend. */
static bool
admit_line(const struct tiara_offload *o, uint32_t backend_idx)
{
	/* Acquire, with offload_line_write: the line is in the card. */
	return backend_idx < o->line_cnt &&
	       __atomic_load_n(&o->line_ready[backend_idx], __ATOMIC_ACQUIRE) != 0;
}

bool
offload_admits(const struct tiara_worker *w, const union tiara_word *word)
{
	return admit_state(word) && word->entry.service_idx < w->offload->engine->service_cnt &&
	       !tiara_entry_overdue(&w->age, word) &&
	       tiara_backend_use(&w->view, word->entry.backend_idx) == TIARA_USE_ACTIVE &&
	       admit_line(w->offload->engine, word->entry.backend_idx);
}
