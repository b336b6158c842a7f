/* SPDX-License-Identifier: Apache-2.0 */
/* What the twin is told and what it answers, a line each: another card can be held to it. */
#include "card_twin_internal.h"

void
twin_say(const struct tiara_card_twin *t, const char *what, uint32_t number, const void *data,
	 size_t bytes)
{
	const uint8_t *byte = data;

	if (!t->config.trace)
		return;
	fprintf(t->config.trace, "%s %u ", what, number);
	for (size_t i = 0; i < bytes; i++)
		fprintf(t->config.trace, "%02x", byte[i]);
	fprintf(t->config.trace, "\n");
}

void
tiara_card_twin_say_table(const struct tiara_card_twin *twin)
{
	for (uint32_t i = 0; i < twin->config.bucket_cnt * TIARA_BUCKET_ENTRIES; i++)
		if (twin->entry[i].state != 0)
			twin_say(twin, "entry", i, &twin->entry[i], sizeof(twin->entry[i]));
	twin_say(twin, "table", 0, NULL, 0);
}
