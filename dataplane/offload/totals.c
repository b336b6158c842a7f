/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the card forwarded, added to seat 0's counters: the difference to what was read last (R10), once
 * a tick, in parts. Each number is added once, whenever it is read.
 */
#include "offload/internal.h"

enum { TOTALS_READ = 32 }; /* of each table, in a turn */

static void
totals_add(struct tiara_worker *w, enum tiara_card_totals which, struct tiara_flow_counter *counter,
	   struct tiara_card_total *known, const struct tiara_card_total *now)
{
	uint64_t pkts = now->pkts - known->pkts;

	if (pkts == 0)
		return;
	tiara_count_wk(&counter->pkts, pkts);
	tiara_count_wk(&counter->bytes, now->bytes - known->bytes);
	if (which == TIARA_CARD_TOTALS_SERVICE)
		tiara_count_wk(&w->counters->verdict_pkts[TIARA_VERDICT_FORWARDED_BY_CARD], pkts);
	*known = *now;
}

static void
totals_turn(struct tiara_worker *w, enum tiara_card_totals which, uint32_t cnt,
	    struct tiara_flow_counter *counter)
{
	struct tiara_offload *o = w->offload->engine;
	struct offload_pass *pass = &w->offload->total[which];
	struct tiara_card_total now[TOTALS_READ];
	uint32_t life;
	uint32_t n = cnt - pass->next < TOTALS_READ ? cnt - pass->next : TOTALS_READ;

	if (n == 0) {
		if (pass->tick != w->tick)
			*pass = (struct offload_pass){.tick = w->tick};
		return;
	}
	life = o->life;
	o->card->totals(o->card->self, which, pass->next, n, now);
	offload_look_for_reset(w);
	if (o->life != life) /* which life's totals they are is not known */
		return;
	for (uint32_t i = 0; i < n; i++, pass->next++)
		totals_add(w, which, &counter[pass->next], &o->total[which][pass->next], &now[i]);
}

void
offload_totals_turn(struct tiara_worker *w)
{
	const struct tiara_offload *o = w->offload->engine;

	totals_turn(w, TIARA_CARD_TOTALS_SERVICE, o->service_cnt, w->service_counters);
	totals_turn(w, TIARA_CARD_TOTALS_BACKEND, o->line_cnt, w->backend_counters);
}
