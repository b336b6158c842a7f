/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP as a balancer sees it: only the client's side, and no sequence number can be checked. So
 * nothing a blind sender can forge ends a connection; FIN and RST only shorten its timeout.
 */
#ifndef TIARA_PATH_TCP_H
#define TIARA_PATH_TCP_H

#include "path/frame.h"
#include "path/wire.h"

/* A client's first packet. */
static inline bool
tiara_tcp_opens(const struct tiara_frame *f)
{
	enum { FLAGS = TIARA_TCP_SYN | TIARA_TCP_ACK | TIARA_TCP_FIN | TIARA_TCP_RST };

	return f->protocol == TIARA_PROTOCOL_TCP && (f->tcp_flags & FLAGS) == TIARA_TCP_SYN;
}

static inline bool
tiara_tcp_closes(const struct tiara_frame *f)
{
	return f->protocol == TIARA_PROTOCOL_TCP && f->tcp_flags & (TIARA_TCP_FIN | TIARA_TCP_RST);
}

static inline bool
tiara_tcp_has_data(const struct tiara_frame *f)
{
	const struct tiara_tcp *tcp = (const void *)(f->data + f->l4_off);

	return f->len_bytes > f->l4_off + 4u * (tcp->data_offset >> 4);
}

/* The state of a connection in `state` (EMPTY: none yet) after this packet. */
static inline uint8_t
tiara_tcp_next(uint8_t state, const struct tiara_frame *f)
{
	if (f->protocol == TIARA_PROTOCOL_UDP)
		return TIARA_STATE_UDP;
	if (tiara_tcp_closes(f))
		return TIARA_STATE_CLOSING;
	if (tiara_tcp_opens(f))
		return state == TIARA_STATE_ESTABLISHED ? state : TIARA_STATE_NEW;
	/* A bare ACK may be the last one of the client's own close. */
	if (state == TIARA_STATE_CLOSING && !tiara_tcp_has_data(f))
		return TIARA_STATE_CLOSING;
	return TIARA_STATE_ESTABLISHED;
}

#endif
