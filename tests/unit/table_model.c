/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on the table and on its plain twin, an array of at most one word per key: same
 * operations, same answers. What an insert had to do for room, a plain search of the whole table says
 * beforehand: take a free place, an unconfirmed connection's, move so many entries, or give up.
 * Usage: table_model golden/hash.json [steps].
 */
#include "table_world.h"

enum { MODEL_KEYS_MAX = 320, MODEL_BUCKETS_MAX = 64, MODEL_STEPS = 40000, MODEL_NO_WAY = 99 };

struct model {
	struct world world;
	struct tiara_writer writer;
	uint32_t key_cnt;
	int reach;                             /* moves that the writer's search_max allows */
	union tiara_word word[MODEL_KEYS_MAX]; /* the twin: state EMPTY is absent */
	struct tiara_bucket before[MODEL_BUCKETS_MAX]; /* the table before an insert */
	uint64_t random;
	uint32_t full_cnt;
};

static uint32_t
draw(struct model *m, uint32_t below)
{
	return (uint32_t)(world_random(&m->random) >> 33) % below;
}

static uint64_t
model_key(uint32_t k)
{
	return tiara_key(k, 80, (uint16_t)(k % WORLD_SERVICES));
}

/* ---- the twin's own ideas: plain arithmetic, no shared code ---- */

static uint16_t
model_age(const struct model *m, const struct tiara_entry *e)
{
	uint16_t age = (uint16_t)(m->world.age.now - e->last_seen);

	return age >= 0xc000 ? 0 : age;
}

static bool
model_entry_live(const struct model *m, const struct tiara_entry *e)
{
	const struct tiara_service *s = &m->world.service[e->service_idx];

	if (e->state == TIARA_STATE_EMPTY || s->use != TIARA_USE_ACTIVE)
		return false;
	return model_age(m, e) <= s->timeout_ticks[e->state];
}

/* Unconfirmed for over a tick: may give way. */
static bool
model_entry_spare(const struct model *m, const struct tiara_entry *e)
{
	return model_entry_live(m, e) && e->flags & TIARA_ENTRY_UNCONFIRMED && model_age(m, e) > 1;
}

static bool
model_live(const struct model *m, uint32_t k)
{
	return model_entry_live(m, &m->word[k].entry);
}

static bool
model_bucket_has_free(const struct model *m, uint32_t bucket)
{
	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++)
		if (!model_entry_live(m, &m->before[bucket].entry[i]))
			return true;
	return false;
}

static bool
model_bucket_has_spare(const struct model *m, uint32_t bucket)
{
	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++)
		if (model_entry_spare(m, &m->before[bucket].entry[i]))
			return true;
	return false;
}

static void
model_buckets(const struct model *m, uint64_t key, uint32_t bucket[2])
{
	uint64_t h = world_hash(&m->world, key);

	bucket[0] = (uint32_t)tiara_hash_bucket_1(h, m->world.map.bucket_mask);
	bucket[1] = (uint32_t)tiara_hash_bucket_2(h, m->world.map.bucket_mask);
}

/* The fewest moves that make room for a key: to each bucket's distance, until nothing changes. */
static int
model_distance(const struct model *m, uint64_t key)
{
	int distance[MODEL_BUCKETS_MAX], best = MODEL_NO_WAY;
	uint32_t cnt = (uint32_t)m->world.map.bucket_mask + 1, at[2];

	for (uint32_t b = 0; b < cnt; b++)
		distance[b] = MODEL_NO_WAY;
	model_buckets(m, key, at);
	distance[at[0]] = distance[at[1]] = 0;
	for (bool changed = true; changed;) {
		changed = false;
		for (uint32_t slot = 0; slot < 4 * cnt; slot++) {
			const struct tiara_entry *e = &m->before[slot / 4].entry[slot % 4];
			uint32_t from = slot / 4, to;

			model_buckets(m, tiara_key(e->client_addr, e->client_port, e->service_idx),
				      at);
			to = at[0] == from ? at[1] : at[0];
			if (!model_entry_live(m, e) || distance[to] <= distance[from] + 1)
				continue;
			distance[to] = distance[from] + 1;
			changed = true;
		}
	}
	for (uint32_t b = 0; b < cnt; b++)
		if (distance[b] < best &&
		    (model_bucket_has_free(m, b) || model_bucket_has_spare(m, b)))
			best = distance[b];
	return best;
}

/* ---- operations on both ---- */

static union tiara_word
model_word(struct model *m, uint32_t k)
{
	uint16_t seen = (uint16_t)(m->world.age.now - draw(m, 3));
	union tiara_word w = world_word(k, (uint16_t)(k % WORLD_SERVICES), draw(m, WORLD_BACKENDS),
					seen);

	w.entry.state = (uint8_t)(TIARA_STATE_NEW + draw(m, 4));
	w.entry.flags = draw(m, 16) ? 0 : TIARA_ENTRY_UNCONFIRMED;
	return w;
}

static void
model_lookup(struct model *m, uint32_t k)
{
	struct tiara_found f = world_find(&m->world, model_key(k));

	CHECK(!f.slot == !model_live(m, k));
	CHECK(!f.slot || f.word.all == m->word[k].all);
}

/* Which bucket had the live word of a key. */
static uint32_t
model_bucket_before(const struct model *m, uint64_t key)
{
	const union tiara_word *w = (const union tiara_word *)m->before;
	uint32_t slot = 0;

	while (w[slot].key != key || !model_entry_live(m, &w[slot].entry))
		CHECK(++slot < 4 * (m->world.map.bucket_mask + 1));
	return slot / TIARA_BUCKET_ENTRIES;
}

/* All is as the twin says; where `spare` gave way, it was unconfirmed, and its bucket had no room. */
static void
model_compare(struct model *m, bool spare)
{
	for (uint32_t k = 0; k < m->key_cnt; k++) {
		if (spare && model_entry_spare(m, &m->word[k].entry) &&
		    !world_find(&m->world, model_key(k)).slot) {
			CHECK(!model_bucket_has_free(m, model_bucket_before(m, model_key(k))));
			m->word[k] = (union tiara_word){.all = 0};
			spare = false;
		}
		model_lookup(m, k);
	}
	CHECK(!spare);
}

/*
 * A free place in its buckets is taken first, then an unconfirmed entry's, then that which the fewest
 * moves make; nothing is moved or taken in vain.
 */
static void
model_insert(struct model *m, uint32_t k)
{
	union tiara_word w = model_word(m, k);
	uint64_t moved = m->writer.moved_cnt, reclaimed = m->writer.reclaimed_cnt;
	bool was_live = model_live(m, k), was_free;
	struct tiara_found f;
	enum tiara_status s;
	uint32_t at[2];
	int distance;

	memcpy(m->before, m->world.map.bucket, (m->world.map.bucket_mask + 1) * sizeof *m->before);
	distance = model_distance(m, w.key);
	model_buckets(m, w.key, at);
	was_free = model_bucket_has_free(m, at[0]) || model_bucket_has_free(m, at[1]);
	s = world_insert(&m->world, &m->writer, &w, &f);
	moved = m->writer.moved_cnt - moved;
	reclaimed = m->writer.reclaimed_cnt - reclaimed;
	if (was_live) {
		CHECK(s == TIARA_EXISTS && f.word.all == m->word[k].all);
		CHECK(moved == 0 && reclaimed == 0);
	} else if (distance > m->reach) {
		CHECK(s == TIARA_FULL && !f.slot && moved == 0 && reclaimed == 0);
		m->full_cnt++;
	} else {
		CHECK(s == TIARA_OK && f.word.all == w.all && moved == (uint64_t)distance);
		CHECK(distance == 0 ? reclaimed == !was_free : reclaimed <= 1);
		m->word[k] = w;
	}
	if (moved || reclaimed || s == TIARA_FULL)
		model_compare(m, reclaimed);
}

static void
model_change(struct model *m, uint32_t k, bool remove)
{
	struct tiara_found f = world_find(&m->world, model_key(k));
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

/* A sweep of everything leaves exactly the live words; the unconfirmed ones were counted right. */
static void
model_sweep(struct model *m)
{
	struct tiara_sweep_counts counts = {0};
	uint32_t live = 0, there = 0, unconfirmed = 0;

	tiara_sweep_slice_wk(&m->world.map, &m->world.age, &m->writer, &counts);
	for (uint32_t k = 0; k < m->key_cnt; k++) {
		live += model_live(m, k);
		unconfirmed += model_live(m, k) && m->word[k].entry.flags & TIARA_ENTRY_UNCONFIRMED;
	}
	for (int s = TIARA_STATE_TENTATIVE; s < TIARA_STATE_CNT; s++)
		there += world_in_state(&m->world, (uint8_t)s);
	CHECK(there == live);
	CHECK(m->writer.unconfirmed == unconfirmed);
}

/* The more keys, the slower the clock: the table is to be full most of the time. */
static void
model_step(struct model *m)
{
	uint32_t k = draw(m, m->key_cnt), what = draw(m, 100);

	if (what < 60)
		model_insert(m, k);
	else if (what < 75)
		model_lookup(m, k);
	else if (what < 97)
		model_change(m, k, what < 85);
	else if (what < 99)
		m->world.age.now += (uint16_t)(draw(m, m->key_cnt) < 24 ? draw(m, 8) : 0);
	else
		model_sweep(m);
	CHECK(world_copies(&m->world, model_key(k)) <= 1);
}

/* `reach` moves: a search that looks into two buckets' entries, and theirs, and so on. */
static uint64_t
test_same_answers(uint64_t seed, uint64_t bucket_cnt, int reach, uint32_t steps)
{
	static const uint16_t search_max[] = {0, 2, 2 + 8, 2 + 8 + 32, 2 + 8 + 32 + 128};
	struct model m = {.random = seed, .writer = {.owner = 1, .search_max = search_max[reach]}};

	uint64_t moved;

	m.reach = reach;
	m.key_cnt = (uint32_t)(bucket_cnt * 5);
	world_make(&m.world, bucket_cnt);
	m.world.age.now = (uint16_t)(65536 - 200 * seed);
	for (int i = 0; i < WORLD_SERVICES; i++)
		for (int s = 0; s < TIARA_STATE_CNT; s++)
			m.world.service[i].timeout_ticks[s] = (uint16_t)(5 + i + 3 * s);
	for (uint32_t i = 0; i < steps; i++)
		model_step(&m);
	printf("%lu buckets, %d moves at most: %lu entries moved, %lu gave way, %u inserts refused\n",
	       bucket_cnt, reach, m.writer.moved_cnt, m.writer.reclaimed_cnt, m.full_cnt);
	CHECK(m.full_cnt > steps / 40 && m.writer.reclaimed_cnt > steps / 400);
	CHECK(reach == 0 || bucket_cnt == 2 || m.writer.moved_cnt > steps / 80);
	moved = m.writer.moved_cnt;
	world_free(&m.world);
	return moved;
}

int
main(int argc, char **argv)
{
	uint32_t steps = argc > 2 ? (uint32_t)atoi(argv[2]) : MODEL_STEPS;
	uint64_t seed = 0, moved = 0;

	for (uint64_t bucket_cnt = 2; bucket_cnt <= MODEL_BUCKETS_MAX; bucket_cnt *= 2)
		for (int reach = 0; reach <= 4; reach++)
			moved += test_same_answers(seed++, bucket_cnt, reach, steps);
	CHECK(moved > steps);
	return 0;
}
