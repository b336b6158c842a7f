/* SPDX-License-Identifier: Apache-2.0 */
/* A client's row of its service's selection table. */
#ifndef TIARA_PATH_ROW_H
#define TIARA_PATH_ROW_H

#include "path/stage.h"
#include "table/hash.h"

/* The backend in it. Try 0 is tiara_select_row; each other one is as if it were of another client. */
static inline const uint32_t *
tiara_row_wk(const struct tiara_worker *w, const struct tiara_frame *f, uint16_t again)
{
	const struct tiara_service *service = tiara_frame_service(w, f);
	const uint32_t *rows = (const void *)(w->view.base + service->select_off);
	tiara_be16 port = service->flags & TIARA_SERVICE_SOURCE_AFFINITY ? 0 : f->client_port;
	uint64_t hash = tiara_hash_inline(tiara_key(f->client_addr, port, again),
					  w->view.root->select_secret);

	return &rows[tiara_hash_row(hash, service->select_cnt)];
}

#endif
