/* SPDX-License-Identifier: Apache-2.0 */
/* Commands, answers and tables of the plain card, as docs/design/0016 says. */
#include "card_twin.h"

#include <stdlib.h>
#include <string.h>

#include "card_twin_internal.h"
#include "table/hash.h"

enum { TWIN_LINE_SLOTS = 128 };

static uint32_t
twin_slot_cnt(const struct tiara_card_twin *t)
{
	return t->config.bucket_cnt * TIARA_BUCKET_ENTRIES;
}

static size_t
twin_bank_bytes(const struct tiara_card_twin *t)
{
	return (size_t)(twin_slot_cnt(t) + TWIN_LINE_SLOTS - 1) / TWIN_LINE_SLOTS * 16;
}

static void
twin_enter(struct tiara_card_twin *t)
{
	/* Acquire and release: one thread's work is seen by the next. */
	while (__atomic_exchange_n(&t->busy, 1, __ATOMIC_ACQUIRE))
		;
}

static void
twin_leave(struct tiara_card_twin *t)
{
	__atomic_store_n(&t->busy, 0, __ATOMIC_RELEASE);
}

uint64_t
twin_key(const struct tiara_card_entry *entry)
{
	return tiara_key(entry->client_addr, entry->client_port, entry->service_idx);
}

uint32_t
twin_find(const struct tiara_card_twin *t, uint64_t key)
{
	uint64_t hash = tiara_hash_inline(key, t->config.secret);
	uint64_t bucket[2] = {tiara_hash_bucket_1(hash, t->config.bucket_cnt - 1),
			      tiara_hash_bucket_2(hash, t->config.bucket_cnt - 1)};

	for (uint32_t i = 0; i < 2 * TIARA_BUCKET_ENTRIES; i++) {
		uint32_t slot = (uint32_t)bucket[i / 4] * TIARA_BUCKET_ENTRIES + i % 4;

		if (t->entry[slot].state != 0 && twin_key(&t->entry[slot]) == key)
			return slot;
	}
	return UINT32_MAX;
}

/* ---- commands ---- */

static void
twin_answer(struct tiara_card_twin *t, const struct tiara_card_command *c,
	    enum tiara_card_kind kind, uint32_t slot, const uint64_t seen[2])
{
	union twin_message m = {.answer = {.kind = (uint8_t)kind,
					   .channel = c->channel,
					   .epoch = t->epoch,
					   .number = c->number,
					   .slot = slot,
					   .harvest = c->harvest,
					   .seen = {seen[0], seen[1]}}};

	struct twin_link *up = &t->up[c->channel % t->config.queue_cnt];

	if (up->cnt < TWIN_LINK_MESSAGES)
		t->about[c->channel % t->config.queue_cnt][up->cnt] = twin_key(&c->entry);
	twin_link_put(t, up, &m);
	twin_say(t, "answer", 0, &m.answer, sizeof(m.answer));
}

static bool
twin_bit(const struct tiara_card_twin *t, uint32_t slot)
{
	return (t->seen[0][slot / 64] | t->seen[1][slot / 64]) >> slot % 64 & 1;
}

static void
twin_remove(struct tiara_card_twin *t, const struct tiara_card_command *c)
{
	struct tiara_card_entry *e = &t->entry[c->slot];
	uint64_t said[2] = {0, 0};

	if (e->state != 0 && twin_key(e) == twin_key(&c->entry)) {
		said[0] = TIARA_CARD_REMOVED_FOUND;
		if (twin_bit(t, c->slot))
			said[0] |= TIARA_CARD_REMOVED_SEEN;
		e->state = 0;
	}
	t->counts.removals++;
	twin_answer(t, c, TIARA_CARD_KIND_REMOVED, c->slot, said);
}

/* The reported bank stays as it is until the next harvest. */
static void
twin_harvest(struct tiara_card_twin *t, const struct tiara_card_command *c)
{
	const uint64_t nothing[2] = {0, 0};
	const uint64_t *bits;
	uint32_t lines = 0;

	if (c->harvest == t->harvest + 1) {
		t->harvest++;
		t->bank ^= 1;
		memset(t->seen[t->bank], 0, twin_bank_bytes(t));
	}
	if (c->harvest != t->harvest)
		return;
	bits = t->seen[t->bank ^ 1];
	for (uint32_t slot = 0; slot < twin_slot_cnt(t); slot += TWIN_LINE_SLOTS, bits += 2)
		if (bits[0] | bits[1]) {
			twin_answer(t, c, TIARA_CARD_KIND_HARVESTED, slot, bits);
			lines++;
		}
	twin_answer(t, c, TIARA_CARD_KIND_HARVEST_END, lines, nothing);
}

static void
twin_command(struct tiara_card_twin *t, const struct tiara_card_command *c)
{
	uint32_t *newest = &t->newest[c->channel % TIARA_CARD_CHANNELS];

	twin_say(t, "command", 0, c, sizeof(*c));
	if (c->epoch != t->epoch || (int32_t)(c->number - *newest) <= 0 ||
	    c->slot >= twin_slot_cnt(t)) {
		t->counts.dropped++;
		return;
	}
	*newest = c->number;
	switch (c->kind) {
	case TIARA_CARD_KIND_INSTALL:
		t->entry[c->slot] = c->entry;
		t->counts.installs++;
		break;
	case TIARA_CARD_KIND_REMOVE:
		twin_remove(t, c);
		break;
	case TIARA_CARD_KIND_HARVEST:
		twin_harvest(t, c);
		break;
	default:
		break;
	}
}

static void
twin_hear(struct tiara_card_twin *t, uint32_t queue)
{
	union twin_message m;

	while (!t->silent && !t->config.held && twin_link_get(t, &t->down[queue], &m))
		twin_command(t, &m.command);
}

/* ---- the ops ---- */

static uint32_t
twin_post(void *self, uint32_t queue, const struct tiara_card_command *command, uint32_t cnt)
{
	struct tiara_card_twin *t = self;

	twin_enter(t);
	for (uint32_t i = 0; i < cnt; i++) {
		union twin_message m = {.command = command[i]};

		twin_link_put(t, &t->down[queue], &m);
	}
	twin_hear(t, queue);
	twin_leave(t);
	return cnt;
}

static uint32_t
twin_poll(void *self, uint32_t queue, struct tiara_card_answer *answer, uint32_t max)
{
	struct tiara_card_twin *t = self;
	struct twin_link *up = t->config.held ? &t->ready[queue] : &t->up[queue];
	union twin_message m;
	uint32_t cnt = 0;

	twin_enter(t);
	twin_hear(t, queue);
	while (!t->silent && cnt < max && twin_link_get(t, up, &m))
		answer[cnt++] = m.answer;
	twin_leave(t);
	return cnt;
}

/* What the wire's tx does not take is lost, as a port's own loss is. */
static uint16_t
twin_rx(void *self, uint32_t queue, const struct tiara_port *wire, struct tiara_frame *frame,
	uint16_t max)
{
	struct tiara_card_twin *t = self;
	uint16_t cnt = wire->rx(wire->self, frame, max);
	uint16_t up = 0;

	(void)queue;
	twin_enter(t);
	for (uint16_t i = 0; i < cnt; i++) {
		struct tiara_frame *f = &frame[i];

		twin_say(t, "frame", 0, f->data, f->len_bytes);
		if (!twin_packet(t, f)) {
			twin_say(t, "cpu", 0, f->data, f->len_bytes);
			frame[up++] = *f;
			continue;
		}
		twin_say(t, "sent", 0, f->data, f->len_bytes);
		if (wire->tx(wire->self, &f, 1) == 0)
			wire->drop(wire->self, &f, 1);
	}
	t->counts.handed_up += up;
	twin_leave(t);
	return up;
}

/* Everything but the epoch; messages on their way stay on it. */
static void
twin_empty(struct tiara_card_twin *t)
{
	const struct tiara_card_twin_config *c = &t->config;

	t->epoch++;
	memset(t->newest, 0, sizeof(t->newest));
	memset(t->entry, 0, twin_slot_cnt(t) * sizeof(*t->entry));
	memset(t->backend, 0, c->backend_lines * sizeof(*t->backend));
	memset(t->service, 0, c->service_lines * sizeof(*t->service));
	memset(t->total[0], 0, c->service_lines * sizeof(*t->total[0]));
	memset(t->total[1], 0, c->backend_lines * sizeof(*t->total[1]));
	memset(t->seen[0], 0, twin_bank_bytes(t));
	memset(t->seen[1], 0, twin_bank_bytes(t));
	t->harvest = 0;
}

static uint16_t
twin_reset(void *self)
{
	struct tiara_card_twin *t = self;
	uint16_t epoch;

	twin_enter(t);
	twin_empty(t);
	epoch = t->epoch;
	twin_say(t, "reset", epoch, NULL, 0);
	twin_leave(t);
	return epoch;
}

static uint16_t
twin_epoch(void *self)
{
	struct tiara_card_twin *t = self;
	uint16_t epoch;

	twin_enter(t);
	epoch = t->epoch;
	twin_leave(t);
	return epoch;
}

static void
twin_backend_write(void *self, uint32_t line, const struct tiara_card_backend *backend)
{
	struct tiara_card_twin *t = self;

	twin_enter(t);
	t->backend[line] = *backend;
	twin_say(t, "backend", line, backend, sizeof(*backend));
	twin_leave(t);
}

/* Its place, else a free one, else NULL. */
static struct tiara_card_service *
twin_service_place(struct tiara_card_twin *t, const struct tiara_card_service *service)
{
	struct tiara_card_service *place = NULL;

	for (uint32_t i = 0; i < t->config.service_lines; i++) {
		struct tiara_card_service *s = &t->service[i];

		if (s->valid && s->vip == service->vip && s->port == service->port &&
		    s->protocol == service->protocol)
			return s;
		if (!s->valid && !place)
			place = s;
	}
	return place;
}

static bool
twin_service_write(void *self, const struct tiara_card_service *service)
{
	struct tiara_card_twin *t = self;
	struct tiara_card_service *place;

	twin_enter(t);
	place = service->service_idx < t->config.service_lines ? twin_service_place(t, service)
							       : NULL;
	if (place)
		*place = *service;
	twin_say(t, "service", place != NULL, service, sizeof(*service));
	twin_leave(t);
	return place != NULL;
}

static void
twin_totals(void *self, enum tiara_card_totals which, uint32_t first, uint32_t cnt,
	    struct tiara_card_total *total)
{
	struct tiara_card_twin *t = self;
	uint32_t lines = which == TIARA_CARD_TOTALS_SERVICE ? t->config.service_lines
							    : t->config.backend_lines;

	twin_enter(t);
	for (uint32_t i = 0; i < cnt; i++)
		total[i] = first + i < lines ? t->total[which][first + i]
					     : (struct tiara_card_total){0, 0};
	for (uint32_t i = 0; i < cnt && first + i < lines; i++)
		twin_say(t, which == TIARA_CARD_TOTALS_SERVICE ? "service_total" : "backend_total",
			 first + i, &total[i], sizeof(total[i]));
	twin_leave(t);
}

struct tiara_card
tiara_card_twin_ops(struct tiara_card_twin *twin)
{
	return (struct tiara_card){
		.self = twin,
		.name = "twin",
		.caps = {.forwards = 1u << TIARA_FORWARD_L2 | 1u << TIARA_FORWARD_IPIP |
				     1u << TIARA_FORWARD_VXLAN,
			 .bucket_cnt = twin->config.bucket_cnt,
			 .service_lines = twin->config.service_lines,
			 .backend_lines = twin->config.backend_lines,
			 .queue_cnt = twin->config.queue_cnt,
			 .is_port = twin->config.is_port},
		.post = twin_post,
		.poll = twin_poll,
		.rx = twin->config.is_port ? twin_rx : NULL,
		.epoch = twin_epoch,
		.reset = twin_reset,
		.backend_write = twin_backend_write,
		.service_write = twin_service_write,
		.totals = twin_totals,
	};
}

/* ---- for tests ---- */

void
tiara_card_twin_reset(struct tiara_card_twin *twin)
{
	(void)twin_reset(twin);
}

void
tiara_card_twin_silence(struct tiara_card_twin *twin, bool silent)
{
	twin_enter(twin);
	twin->silent = silent;
	twin_leave(twin);
}

void
tiara_card_twin_calm(struct tiara_card_twin *twin, bool calm)
{
	twin_enter(twin);
	twin->calm = calm;
	twin_leave(twin);
}

struct tiara_card_twin_counts
tiara_card_twin_counts(const struct tiara_card_twin *twin)
{
	return twin->counts;
}

struct tiara_card_entry
tiara_card_twin_slot(const struct tiara_card_twin *twin, uint32_t slot)
{
	return twin->entry[slot];
}

struct tiara_card_entry
tiara_card_twin_entry(const struct tiara_card_twin *twin, uint64_t key)
{
	uint32_t slot = twin_find(twin, key);

	return slot == UINT32_MAX ? (struct tiara_card_entry){.state = 0} : twin->entry[slot];
}

static bool
twin_deliver_down(struct tiara_card_twin *t, enum tiara_card_kind kind, uint64_t key, uint32_t nth)
{
	for (uint32_t q = 0; q < t->config.queue_cnt; q++)
		for (uint32_t i = 0; i < t->down[q].cnt; i++) {
			struct tiara_card_command c = t->down[q].message[i].command;

			if (c.kind != kind || twin_key(&c.entry) != key || nth-- > 0)
				continue;
			twin_command(t, &c);
			return true;
		}
	return false;
}

static bool
twin_deliver_up(struct tiara_card_twin *t, enum tiara_card_kind kind, uint64_t key, uint32_t nth)
{
	for (uint32_t q = 0; q < t->config.queue_cnt; q++)
		for (uint32_t i = 0; i < t->up[q].cnt; i++) {
			union twin_message m = t->up[q].message[i];

			if (m.answer.kind != kind || t->about[q][i] != key || nth-- > 0)
				continue;
			twin_link_put(t, &t->ready[q], &m);
			return true;
		}
	return false;
}

bool
tiara_card_twin_deliver(struct tiara_card_twin *twin, enum tiara_card_kind kind, uint64_t key,
			uint32_t nth)
{
	bool done;

	twin_enter(twin);
	done = kind >= TIARA_CARD_KIND_REMOVED ? twin_deliver_up(twin, kind, key, nth)
					       : twin_deliver_down(twin, kind, key, nth);
	twin_leave(twin);
	return done;
}

/* ---- made and unmade ---- */

void
tiara_card_twin_free(struct tiara_card_twin *twin)
{
	if (!twin)
		return;
	free(twin->seen[0]);
	free(twin->seen[1]);
	free(twin->entry);
	free(twin->backend);
	free(twin->service);
	free(twin->total[0]);
	free(twin->total[1]);
	free(twin);
}

struct tiara_card_twin *
tiara_card_twin_new(const struct tiara_card_twin_config *config)
{
	struct tiara_card_twin *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->config = *config;
	t->random = config->seed * 2 + 1;
	for (int i = 0; i < 2; i++)
		t->seen[i] = calloc(1, twin_bank_bytes(t));
	t->entry = calloc(twin_slot_cnt(t), sizeof(*t->entry));
	t->backend = calloc(config->backend_lines, sizeof(*t->backend));
	t->service = calloc(config->service_lines, sizeof(*t->service));
	t->total[0] = calloc(config->service_lines, sizeof(*t->total[0]));
	t->total[1] = calloc(config->backend_lines, sizeof(*t->total[1]));
	twin_say(t, "secret", 0, config->secret, sizeof(config->secret));
	if (t->seen[0] && t->seen[1] && t->entry && t->backend && t->service && t->total[0] &&
	    t->total[1])
		return t;
	tiara_card_twin_free(t);
	return NULL;
}
