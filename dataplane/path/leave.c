/* SPDX-License-Identifier: Apache-2.0 */
/* The ways out of the packet path. Every frame takes exactly one and is counted once. */
#include "path/stage.h"

/* Frames that leave by one way. */
struct leave_way {
	struct tiara_frame *frame[TIARA_BURST];
	uint16_t cnt;
};

typedef uint16_t (*leave_take_fn)(void *self, struct tiara_frame *const *frame, uint16_t cnt);

static void
leave_add(struct leave_way *way, struct tiara_frame *f)
{
	way->frame[way->cnt++] = f;
}

/* What the port does not take is dropped under the verdict that says so. */
static void
leave_by(struct tiara_worker *w, const struct leave_way *way, leave_take_fn take,
	 enum tiara_verdict refused, struct leave_way *drop)
{
	uint16_t taken = way->cnt ? take(w->port.self, way->frame, way->cnt) : 0;

	for (uint16_t i = taken; i < way->cnt; i++) {
		way->frame[i]->verdict = (uint8_t)refused;
		leave_add(drop, way->frame[i]);
	}
}

static void
leave_tx(struct tiara_worker *w, const struct leave_way *tx, struct leave_way *drop)
{
	uint64_t bytes = 0;
	uint16_t sent;

	leave_by(w, tx, w->port.tx, TIARA_VERDICT_TX_FULL, drop);
	for (sent = 0; sent < tx->cnt && tx->frame[sent]->verdict != TIARA_VERDICT_TX_FULL; sent++)
		bytes += tx->frame[sent]->len_bytes;
	tiara_count_wk(&w->counters->tx_pkts, sent);
	tiara_count_wk(&w->counters->tx_bytes, bytes);
}

static void
leave_sort(struct tiara_frame *f, struct leave_way *tx, struct leave_way *kernel,
	   struct leave_way *drop)
{
	switch (f->verdict) {
	case TIARA_VERDICT_FORWARDED:
	case TIARA_VERDICT_FORWARDED_UNTRACKED:
	case TIARA_VERDICT_FORWARDED_STRAY:
	case TIARA_VERDICT_ARP_ANSWERED:
	case TIARA_VERDICT_ICMP_ANSWERED:
	case TIARA_VERDICT_INJECTED:
		leave_add(tx, f);
		break;
	case TIARA_VERDICT_TO_KERNEL:
		leave_add(kernel, f);
		break;
	default:
		leave_add(drop, f);
		break;
	}
}

void
tiara_leave_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	struct leave_way tx, kernel, drop;

	tx.cnt = kernel.cnt = drop.cnt = 0;
	for (uint16_t i = 0; i < cnt; i++)
		leave_sort(&f[i], &tx, &kernel, &drop);
	leave_tx(w, &tx, &drop);
	leave_by(w, &kernel, w->port.to_kernel, TIARA_VERDICT_KERNEL_FULL, &drop);
	if (drop.cnt > 0)
		w->port.drop(w->port.self, drop.frame, drop.cnt);
	for (uint16_t i = 0; i < cnt; i++)
		tiara_count_wk(&w->counters->verdict_pkts[f[i].verdict], 1);
}

uint16_t
tiara_inject_wk(struct tiara_worker *w)
{
	uint16_t cnt = w->port.inject(w->port.self, w->frame, TIARA_BURST);

	for (uint16_t i = 0; i < cnt; i++)
		w->frame[i].verdict = TIARA_VERDICT_INJECTED;
	if (cnt > 0)
		tiara_leave_wk(w, w->frame, cnt);
	return cnt;
}
