/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may begin a connection: sources that the service allows, no more of them a second than it takes
 * (docs/design/0010). Connections that are there are not asked.
 */
#include "path/stage.h"
#include "path/tcp.h"
#include "table/rate.h"
#include "table/source.h"

/* It stands at the beginning of a connection: there is no entry, or it is a SYN on one that closes. */
static bool
admit_begins(const struct tiara_frame *f)
{
	return !f->found.slot ||
	       (tiara_tcp_opens(f) && f->found.word.entry.state == TIARA_STATE_CLOSING);
}

static bool
admit_source(const struct tiara_worker *w, const struct tiara_service *service,
	     const struct tiara_frame *f)
{
	const struct tiara_source *source = (const void *)(w->view.base + service->source_off);

	return service->source_cnt == 0 ||
	       source_holds(source, service->source_cnt, __builtin_bswap32(f->client_addr));
}

/* No entry will come of it: the end of what we never saw. */
static bool
admit_is_stray(const struct tiara_frame *f)
{
	return !f->found.slot && tiara_tcp_closes(f);
}

/* A frame of the burst before this one has taken a token for the same connection. */
static bool
admit_paid(const struct tiara_frame *f, uint16_t i)
{
	for (uint16_t j = 0; j < i; j++)
		if (f[j].verdict == TIARA_VERDICT_NONE && f[j].key == f[i].key &&
		    tiara_frame_unchosen(&f[j]) && admit_begins(&f[j]) && !admit_is_stray(&f[j]))
			return true;
	return false;
}

static bool
admit_rate(const struct tiara_worker *w, const struct tiara_service *service,
	   const struct tiara_frame *f, uint16_t i)
{
	return service->new_max_per_s == 0 || admit_is_stray(&f[i]) || admit_paid(f, i) ||
	       rate_take(&w->map->rate[service->rate_idx], w->tsc, w->tsc_hz,
			 service->new_max_per_s);
}

static void
admit_one(struct tiara_worker *w, struct tiara_frame *f, uint16_t i)
{
	const struct tiara_service *service = tiara_frame_service(w, &f[i]);

	if (!admit_begins(&f[i]))
		return;
	if (!admit_source(w, service, &f[i]))
		tiara_frame_refuse_wk(w, &f[i], TIARA_VERDICT_SOURCE_DENIED);
	else if (!admit_rate(w, service, f, i))
		tiara_frame_refuse_wk(w, &f[i], TIARA_VERDICT_RATE_LIMITED);
}

void
tiara_admit_wk(struct tiara_worker *w, struct tiara_frame *f, uint16_t cnt)
{
	if (w->unchosen_cnt == 0)
		return;
	for (uint16_t i = 0; i < cnt; i++)
		if (tiara_frame_unchosen(&f[i]))
			admit_one(w, f, i);
}
