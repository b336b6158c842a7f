/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on the table and on its plain twin, an array of at most one word per key: same
 * operations, same answers. The table is large enough that nothing is refused but for real: a FULL
 * is believed only when all eight slots hold live words.
 */
#include "table_world.h"

enum { MODEL_KEYS = 24, MODEL_STEPS = 40000 };

struct model {
	struct world world;
	struct tiara_writer writer;
	union tiara_word word[MODEL_KEYS]; /* the twin: state EMPTY is absent */
	uint64_t random;
};

static uint32_t
draw(struct model *m, uint32_t below)
{
	return (uint32_t)(world_random(&m->random) >> 33) % below;
}

/* The twin's own idea of expiry: plain arithmetic on the age, no shared code. */
static bool
model_live(const struct model *m, uint32_t k)
{
	const struct tiara_entry *e = &m->word[k].entry;
	uint16_t age = (uint16_t)(m->world.age.now - e->last_seen);
	const struct tiara_service *s = &m->world.service[e->service_idx];

	if (e->state == TIARA_STATE_EMPTY || s->use != TIARA_USE_ACTIVE)
		return false;
	return age >= 0xc000 || age <= s->timeout_ticks[e->state];
}

static union tiara_word
model_word(struct model *m, uint32_t k)
{
	uint16_t seen = (uint16_t)(m->world.age.now - draw(m, 3));
	union tiara_word w = world_word(k, (uint16_t)(k % WORLD_SERVICES), draw(m, WORLD_BACKENDS),
					seen);

	w.entry.state = (uint8_t)(TIARA_STATE_NEW + draw(m, 4));
	return w;
}

/* Both buckets of a key hold nothing but live words. */
static bool
model_full(const struct model *m, uint64_t key)
{
	const struct world *w = &m->world;
	uint64_t h = world_hash(w, key);
	uint64_t at[2] = {tiara_hash_bucket_1(h, w->map.bucket_mask),
			  tiara_hash_bucket_2(h, w->map.bucket_mask)};

	for (int i = 0; i < 2 * TIARA_BUCKET_ENTRIES; i++) {
		union tiara_word e = {.entry = w->map.bucket[at[i / 4]].entry[i % 4]};

		if (e.entry.state == TIARA_STATE_EMPTY || tiara_entry_expired(&w->age, &e))
			return false;
	}
	return true;
}

static void
model_insert(struct model *m, uint32_t k)
{
	union tiara_word w = model_word(m, k);
	bool was_live = model_live(m, k), was_full = model_full(m, w.key);
	struct tiara_found f;
	enum tiara_status s = world_insert(&m->world, &m->writer, &w, &f);

	if (was_live) {
		CHECK(s == TIARA_EXISTS && f.word.all == m->word[k].all);
	} else if (was_full) {
		CHECK(s == TIARA_FULL && !f.slot);
	} else {
		CHECK(s == TIARA_OK && f.word.all == w.all);
		m->word[k] = w;
	}
}

static void
model_lookup(struct model *m, uint32_t k)
{
	struct tiara_found f = world_find(&m->world,
					  world_word(k, (uint16_t)(k % WORLD_SERVICES), 0, 0).key);

	CHECK(!f.slot == !model_live(m, k));
	CHECK(!f.slot || f.word.all == m->word[k].all);
}

static void
model_change(struct model *m, uint32_t k, bool remove)
{
	struct tiara_found f = world_find(&m->world,
					  world_word(k, (uint16_t)(k % WORLD_SERVICES), 0, 0).key);
	union tiara_word w = model_word(m, k);

	if (!f.slot)
		return;
	if (remove) {
		CHECK(tiara_table_remove(&m->world.map, &m->writer, &f));
		m->word[k] = (union tiara_word){.all = 0};
	} else {
		CHECK(tiara_table_replace(&m->world.map, &m->writer, &f, &w));
		m->word[k] = w;
	}
}

/* A sweep of everything leaves exactly the live words. */
static void
model_sweep(struct model *m)
{
	struct tiara_sweep_counts counts = {0};
	uint32_t live = 0, there = 0;

	tiara_sweep_slice_wk(&m->world.map, &m->world.age, &m->writer, &counts);
	for (uint32_t k = 0; k < MODEL_KEYS; k++)
		live += model_live(m, k);
	for (int s = TIARA_STATE_TENTATIVE; s < TIARA_STATE_CNT; s++)
		there += world_in_state(&m->world, (uint8_t)s);
	CHECK(there == live);
}

static void
model_step(struct model *m)
{
	uint32_t k = draw(m, MODEL_KEYS), what = draw(m, 100);

	if (what < 40)
		model_insert(m, k);
	else if (what < 70)
		model_lookup(m, k);
	else if (what < 90)
		model_change(m, k, what < 75);
	else if (what < 97)
		m->world.age.now += (uint16_t)draw(m, 8);
	else
		model_sweep(m);
	CHECK(world_copies(&m->world, world_word(k, (uint16_t)(k % WORLD_SERVICES), 0, 0).key) <=
	      1);
}

static void
test_same_answers(uint64_t seed, uint64_t bucket_cnt)
{
	struct model m = {.random = seed, .writer.owner = 1};

	world_make(&m.world, bucket_cnt);
	m.world.view = tiara_view_of(&m.world.map, 1);
	m.world.age.view = &m.world.view;
	m.world.age.now = (uint16_t)(65536 - 200 * seed);
	for (int i = 0; i < WORLD_SERVICES; i++)
		for (int s = 0; s < TIARA_STATE_CNT; s++)
			m.world.service[i].timeout_ticks[s] = (uint16_t)(5 + i + 3 * s);
	for (int i = 0; i < MODEL_STEPS; i++)
		model_step(&m);
	world_free(&m.world);
}

int
main(void)
{
	static const uint64_t bucket_cnt[] = {2, 4, 8, 64};

	for (uint64_t seed = 0; seed < 8; seed++)
		test_same_answers(seed, bucket_cnt[seed % 4]);
	return 0;
}
