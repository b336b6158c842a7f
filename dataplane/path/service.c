/* SPDX-License-Identifier: Apache-2.0 */
/* VIP, protocol and port name a service; with the client they are the connection's key. */
#include "path/stage.h"
#include "path/wire.h"
#include "table/frontend.h"
#include "table/hash.h"

/* Why no frontend matched. */
static enum tiara_verdict
service_missing(const struct tiara_worker *w, const struct tiara_frame *f)
{
	if (w->view.generation == 0)
		return TIARA_VERDICT_NOT_CONFIGURED;
	if (!tiara_frontend_find(&w->view, f->vip, 0, 0))
		return TIARA_VERDICT_NOT_FOR_US;
	if (f->protocol != TIARA_PROTOCOL_TCP && f->protocol != TIARA_PROTOCOL_UDP)
		return TIARA_VERDICT_UNSUPPORTED_PROTOCOL;
	return TIARA_VERDICT_NO_SERVICE;
}

static const struct tiara_frontend *
service_find(const struct tiara_worker *w, const struct tiara_frame *f)
{
	if (f->protocol != TIARA_PROTOCOL_TCP && f->protocol != TIARA_PROTOCOL_UDP)
		return NULL;
	return tiara_frontend_find(&w->view, f->vip, f->port, f->protocol);
}

static enum tiara_verdict
service_one(const struct tiara_worker *w, struct tiara_frame *f)
{
	const struct tiara_frontend *frontend = service_find(w, f);

	if (!frontend)
		return service_missing(w, f);
	f->service_idx = frontend->service_idx;
	f->key = tiara_key(f->client_addr, f->client_port, frontend->service_idx);
	f->hash = tiara_hash_inline(f->key, w->map->segment->table_secret);
	/* What the lookup will read, asked for as early as it is known. */
	__builtin_prefetch(&w->map->bucket[tiara_hash_bucket_1(f->hash, w->map->bucket_mask)]);
	__builtin_prefetch(&w->view.service[f->service_idx]);
	return TIARA_VERDICT_NONE;
}

void
tiara_service_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	for (uint16_t i = 0; i < cnt; i++)
		if (f[i].verdict == TIARA_VERDICT_NONE)
			f[i].verdict = (uint8_t)service_one(w, &f[i]);
}
