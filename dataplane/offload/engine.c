/* SPDX-License-Identifier: Apache-2.0 */
#include "offload/internal.h"

enum { ENGINE_ANSWERS = 64, ENGINE_WISHES = 32 }; /* in a turn; wishes from each worker */

/* ---- memory ---- */

struct engine_memory {
	uint8_t *base; /* NULL: only counts */
	size_t bytes;
};

static void *
engine_take(struct engine_memory *memory, size_t cnt, size_t each_bytes)
{
	size_t at = memory->bytes;

	memory->bytes = (at + cnt * each_bytes + 63) / 64 * 64;
	return memory->base ? memory->base + at : NULL;
}

static uint32_t
engine_least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Says in *o what there is and where; in a base of NULL nowhere. Returns where *o itself belongs. */
static struct tiara_offload *
engine_lay_out(struct tiara_offload *o, struct engine_memory *memory)
{
	const struct tiara_card_caps *caps = &o->card->caps;
	struct tiara_offload *self = engine_take(memory, 1, sizeof(*o));

	o->line_cnt = engine_least(caps->backend_lines, o->map->segment->backend_max);
	o->service_cnt = engine_least(caps->service_lines, o->map->segment->service_max);
	o->mirror.bucket_mask = caps->bucket_cnt - 1;
	o->mirror.slot_cnt = caps->bucket_cnt * TIARA_BUCKET_ENTRIES;
	o->mirror.word = engine_take(memory, o->mirror.slot_cnt, sizeof(*o->mirror.word));
	o->used_tick = engine_take(memory, o->mirror.slot_cnt, sizeof(*o->used_tick));
	o->line_ready = engine_take(memory, o->line_cnt, sizeof(*o->line_ready));
	o->line = engine_take(memory, o->line_cnt, sizeof(*o->line));
	o->service = engine_take(memory, o->service_cnt, sizeof(*o->service));
	o->total[0] = engine_take(memory, o->service_cnt, sizeof(*o->total[0]));
	o->total[1] = engine_take(memory, o->line_cnt, sizeof(*o->total[1]));
	o->harvest_line = engine_take(memory, o->mirror.slot_cnt / 8192 + 1, sizeof(uint64_t));
	o->ring = engine_take(memory, (size_t)o->worker_cnt * o->worker_cnt, sizeof(*o->ring));
	o->seat = engine_take(memory, o->worker_cnt, sizeof(*o->seat));
	return self;
}

size_t
tiara_offload_bytes(const struct tiara_card *card, const struct tiara_map *map, uint32_t worker_cnt)
{
	struct tiara_offload o = {.card = card, .map = map, .worker_cnt = worker_cnt};
	struct engine_memory memory = {.base = NULL};

	engine_lay_out(&o, &memory);
	return memory.bytes;
}

struct tiara_offload *
tiara_offload_init_ctl(void *base, const struct tiara_card *card, const struct tiara_map *map,
		       uint32_t worker_cnt, uint64_t tsc_hz)
{
	struct tiara_offload o = {
		.card = card, .map = map, .worker_cnt = worker_cnt, .tsc_hz = tsc_hz};
	struct engine_memory memory = {.base = base};
	struct tiara_offload *self = engine_lay_out(&o, &memory);

	o.life = 1u << 16 | card->reset(card->self);
	*self = o;
	for (uint32_t i = 0; i < worker_cnt; i++)
		self->seat[i].engine = self;
	return self;
}

/* ---- a turn ---- */

static void
engine_answer(struct tiara_worker *w, const struct tiara_card_answer *answer)
{
	if (answer->epoch != (uint16_t)w->offload->life) /* R8 */
		return;
	switch (answer->kind) {
	case TIARA_CARD_KIND_REMOVED:
		offload_removed(w, answer);
		break;
	case TIARA_CARD_KIND_HARVESTED:
	case TIARA_CARD_KIND_HARVEST_END:
		offload_harvested(w, answer);
		break;
	default:
		break;
	}
}

static void
engine_answers(struct tiara_worker *w)
{
	const struct tiara_card *card = w->offload->engine->card;
	struct tiara_card_answer answer[ENGINE_ANSWERS];
	uint32_t cnt = card->poll(card->self, w->number, answer, ENGINE_ANSWERS);

	for (uint32_t i = 0; i < cnt; i++)
		engine_answer(w, &answer[i]);
}

static void
engine_wishes(struct tiara_worker *w)
{
	struct tiara_offload *o = w->offload->engine;
	struct offload_wish wish;

	for (uint32_t i = 0; i < o->worker_cnt; i++)
		for (int n = 0; n < ENGINE_WISHES &&
				offload_ring_get(&o->ring[w->number * o->worker_cnt + i], &wish);
		     n++)
			offload_do(w, wish.key,
				   tiara_hash_inline(wish.key, w->map->segment->table_secret),
				   wish.kind);
}

void
tiara_offload_turn_wk(struct tiara_worker *w)
{
	if (w->number == 0)
		offload_look_for_reset_turn(w);
	offload_follow(w);
	engine_answers(w);
	if (w->offload->engine->worker_cnt > 1)
		engine_wishes(w);
	offload_repeat(w);
	if (w->number == 0) {
		offload_tables_turn(w);
		offload_harvest_turn(w);
		offload_totals_turn(w);
	}
	tiara_offload_flush_wk(w);
}

void
tiara_offload_wish_wk(struct tiara_worker *w, uint64_t key, uint64_t hash,
		      enum offload_wish_kind kind)
{
	struct tiara_offload *o = w->offload->engine;
	uint32_t owner = tiara_offload_owner(o, hash);

	if (owner == w->number)
		offload_do(w, key, hash, kind);
	else if (!offload_ring_put(&o->ring[owner * o->worker_cnt + w->number], key, kind))
		tiara_event_wk(w, TIARA_EVENT_CARD_WISH_LOST);
}
