/* SPDX-License-Identifier: Apache-2.0 */
/* New connections are offered to the card. Only a hint: the table here is the owner. */
#include "path/stage.h"

void
tiara_offload_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	struct tiara_frame *fresh[TIARA_BURST];
	uint16_t n = 0;

	if (w->fresh_cnt == 0)
		return;
	for (uint16_t i = 0; i < cnt; i++)
		if (f[i].verdict == TIARA_VERDICT_NONE && f[i].fresh)
			fresh[n++] = &f[i];
	if (n > 0)
		w->card->install(w->card->self, fresh, n);
}
