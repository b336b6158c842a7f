/* SPDX-License-Identifier: Apache-2.0 */
/* The link between CPU and card, as bad as it is asked to be. */
#include "card_twin_internal.h"

static bool
link_chance(struct tiara_card_twin *t, uint8_t of_256)
{
	t->random ^= t->random << 13; /* xorshift64 */
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return !t->calm && (t->random >> 32 & 0xff) < of_256;
}

void
twin_link_put(struct tiara_card_twin *t, struct twin_link *link, const union twin_message *message)
{
	int copies = link_chance(t, t->config.lose) ? 0 : link_chance(t, t->config.repeat) ? 2 : 1;

	if (copies == 0)
		t->counts.lost++;
	for (; copies > 0; copies--) {
		if (link->cnt == TWIN_LINK_MESSAGES) {
			t->counts.lost++;
			return;
		}
		link->message[link->cnt++] = *message;
	}
}

/* The first that is not delayed; so a later one may come before it, and one may be under way for long. */
bool
twin_link_get(struct tiara_card_twin *t, struct twin_link *link, union twin_message *message)
{
	for (uint32_t i = 0; i < link->cnt; i++) {
		if (link_chance(t, t->config.delay))
			continue;
		*message = link->message[i];
		link->cnt--;
		for (; i < link->cnt; i++)
			link->message[i] = link->message[i + 1];
		return true;
	}
	return false;
}
