/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stages of the packet path, in the order of worker.c (docs/design/0004-packet-path.md).
 *
 * A stage gets the whole burst, looks only at frames whose verdict is still NONE, fills its part of
 * struct tiara_frame, and ends a frame by giving it a verdict. Ended frames stay in place.
 */
#ifndef TIARA_PATH_STAGE_H
#define TIARA_PATH_STAGE_H

#include "offload/offload.h"
#include "path/worker.h"

/* frame.backend_idx before one is chosen; no segment has so many. */
#define TIARA_BACKEND_NONE UINT32_MAX

void tiara_parse_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);
void tiara_local_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);
void tiara_service_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);
void tiara_connection_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);
void tiara_admit_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);
void tiara_select_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);
void tiara_insert_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);
void tiara_offload_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);
void tiara_forward_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);
/* Every frame leaves by one of the port's ways and is counted by its verdict. */
void tiara_leave_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt);

/* Sends what the kernel and the resolver want sent; returns how many frames. */
uint16_t tiara_inject_wk(struct tiara_worker *w);

/* The found entry is new: keeps connections that one packet made under their cap. */
void tiara_unconfirmed_add_wk(struct tiara_worker *w, const struct tiara_frame *f);
/* Once a tick. */
void tiara_unconfirmed_tick_wk(struct tiara_worker *w);

/*
 * Which backend frame i of a burst goes to, whose row names `first`, a backend with a limit: that one,
 * or another one with room, or TIARA_BACKEND_NONE.
 */
uint32_t tiara_room_choose_wk(struct tiara_worker *w, const struct tiara_frame *f, uint16_t i,
			      uint32_t first);
/*
 * There is a card, and a packet changed its entry to `word`, at most once a tick, or with its state: what that
 * means to the card.
 */
void tiara_offload_touched_wk(const struct tiara_worker *w, struct tiara_frame *f,
			      const union tiara_word *word);
/* True: the card may have the entry, which may not change now; the frame has ended, its removal begins. */
bool tiara_offload_holds_wk(struct tiara_worker *w, struct tiara_frame *f);

/* The found entry was used now: last seen, TCP state, no longer only pushed. */
void tiara_connection_touch_wk(struct tiara_worker *w, struct tiara_frame *f);
/* The client's packet in a tunnel to the backend, whose next hop is mac; NO_ROOM, TOO_BIG or NONE. */
enum tiara_verdict tiara_ipip_encapsulate_wk(const struct tiara_worker *w, struct tiara_frame *f,
					     const struct tiara_backend *backend,
					     const uint8_t mac[6]);
enum tiara_verdict tiara_vxlan_encapsulate_wk(const struct tiara_worker *w, struct tiara_frame *f,
					      const struct tiara_backend *backend,
					      const uint8_t mac[6]);

/* Counters have one writer; relaxed, because a reader only wants some recent value of each. */
static inline void
tiara_count_wk(uint64_t *counter, uint64_t more)
{
	__atomic_store_n(counter, *counter + more, __ATOMIC_RELAXED);
}

static inline void
tiara_event_wk(struct tiara_worker *w, enum tiara_event event)
{
	tiara_count_wk(&w->counters->event_cnt[event], 1);
}

static inline bool
tiara_frame_unchosen(const struct tiara_frame *f)
{
	return f->verdict == TIARA_VERDICT_NONE && f->backend_idx == TIARA_BACKEND_NONE;
}

/* A limit of its service ends it. */
static inline void
tiara_frame_refuse_wk(struct tiara_worker *w, struct tiara_frame *f, enum tiara_verdict verdict)
{
	f->verdict = (uint8_t)verdict;
	tiara_count_wk(&w->service_counters[f->service_idx].limit_cnt, 1);
}

static inline const struct tiara_service *
tiara_frame_service(const struct tiara_worker *w, const struct tiara_frame *f)
{
	return &w->view.service[f->service_idx];
}

/* What a backend index of an entry or a row means in this generation. */
static inline enum tiara_use
tiara_backend_use(const struct tiara_view *view, uint32_t backend_idx)
{
	return backend_idx < view->backend_cnt ? view->backend[backend_idx].use : TIARA_USE_FREE;
}

/* What the next steps and forward read and write of a backend. */
static inline void
tiara_backend_prefetch(const struct tiara_worker *w, uint32_t backend_idx)
{
	__builtin_prefetch(&w->view.backend[backend_idx]);
	__builtin_prefetch(&w->backend_counters[backend_idx], 1);
}

/* Good enough to send a packet to: what is DOWN may be a false alarm. */
static inline bool
tiara_backend_exists(const struct tiara_view *view, uint32_t backend_idx)
{
	enum tiara_use use = tiara_backend_use(view, backend_idx);

	return use == TIARA_USE_ACTIVE || use == TIARA_USE_DOWN;
}

#endif
