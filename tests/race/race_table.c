/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads on few keys in tiny tables. A backend's number says which key and which thread it was
 * inserted with, so that a word mixed from two is seen.
 */
#include "race.h"

#define TIARA_STEP(n) race_step()
#include "table/insert.c"
#include "table/move.c"

enum { KEYS = 8, ROUNDS = 1500, MIXED_OPS = 150 };

struct table_race {
	struct world world;
	uint32_t keys;
	/* by key, and by thread where threads write */
	uint32_t ok[RACE_THREADS][KEYS];
	uint32_t removed[RACE_THREADS][KEYS];
	enum tiara_status status[RACE_THREADS][KEYS];
	struct tiara_found found[RACE_THREADS][KEYS];
};

static struct tiara_writer
writer_of(const struct table_race *r, uint32_t me)
{
	/* one of them is the control plane */
	return world_writer(&r->world, (uint8_t)(me == 3 ? TIARA_OWNER_CONTROL : me), 0);
}

static union tiara_word
word_of(const struct table_race *r, uint32_t key, uint32_t me)
{
	return world_word(key, 0, key * RACE_THREADS + me, r->world.age.now);
}

static void
found_check(uint32_t key, const struct tiara_found *f)
{
	CHECK(f->word.key == world_word(key, 0, 0, 0).key);
	CHECK(tiara_word_live(&f->word));
	CHECK(f->word.entry.backend_idx / RACE_THREADS == key);
}

static void
copies_check(const struct table_race *r)
{
	for (uint32_t k = 0; k < r->keys; k++)
		CHECK(world_copies(&r->world, world_word(k, 0, 0, 0).key) <= 1);
	CHECK(world_in_state(&r->world, TIARA_STATE_TENTATIVE) == 0);
	CHECK(world_entries_off(&r->world) == 0);
}

/* ---- all insert the same keys, each another backend ---- */

static void
insert_all(void *shared, uint32_t me)
{
	struct table_race *r = shared;
	struct tiara_writer writer = writer_of(r, me);

	for (uint32_t k = 0; k < r->keys; k++) {
		union tiara_word w = word_of(r, k, me);

		r->status[me][k] = world_insert(&r->world, &writer, &w, &r->found[me][k]);
	}
}

/* One OK; everybody else was told the winner's word. With room for all: nobody was refused. */
static void
winner_check(const struct table_race *r, uint32_t key, bool room)
{
	const struct tiara_found *won = NULL;
	uint32_t told = 0;

	for (uint32_t t = 0; t < RACE_THREADS; t++)
		if (r->status[t][key] == TIARA_OK) {
			CHECK(!won);
			won = &r->found[t][key];
		}
	CHECK(won || !room);
	for (uint32_t t = 0; t < RACE_THREADS; t++) {
		if (r->status[t][key] == TIARA_FULL)
			continue;
		CHECK(won && r->found[t][key].word.all == won->word.all);
		CHECK(r->found[t][key].slot == won->slot);
		told++;
	}
	CHECK(told == RACE_THREADS || !room);
}

/*
 * Of several inserts of one key exactly one succeeds, and the others learn its backend. `old`: each
 * key has an expired entry from before. `fill`: other connections leave too little room.
 */
static void
test_one_winner(uint64_t seed, uint32_t keys, bool old, uint32_t fill)
{
	struct table_race r = {.keys = keys};
	struct tiara_writer writer;
	struct tiara_found f;

	world_make(&r.world, 2);
	writer = world_writer(&r.world, 9, 0);
	for (uint32_t k = 0; old && k < keys; k++) {
		union tiara_word w = word_of(&r, k, 0);

		CHECK(world_insert(&r.world, &writer, &w, &f) == TIARA_OK);
	}
	r.world.age.now += WORLD_TIMEOUT_TICKS + 1;
	for (uint32_t i = 0; i < fill; i++) {
		union tiara_word w = world_word(1000 + i, 0, 0, r.world.age.now);

		CHECK(world_insert(&r.world, &writer, &w, &f) == TIARA_OK);
	}
	race_run(insert_all, &r, seed);
	for (uint32_t k = 0; k < keys; k++)
		winner_check(&r, k, fill + keys + RACE_THREADS <= 8);
	copies_check(&r);
	world_free(&r.world);
}

/* ---- everything at once ---- */

static void
mixed_insert(struct table_race *r, struct tiara_writer *writer, uint32_t key, uint32_t me)
{
	union tiara_word w = word_of(r, key, me);
	struct tiara_found f;
	enum tiara_status s = world_insert(&r->world, writer, &w, &f);

	r->ok[me][key] += s == TIARA_OK;
	if (s != TIARA_FULL)
		found_check(key, &f);
	if (s == TIARA_OK)
		CHECK(f.word.all == w.all);
}

static void
mixed_found(struct table_race *r, struct tiara_writer *writer, uint32_t key, uint32_t me,
	    bool remove)
{
	struct tiara_found f = world_find(&r->world, world_word(key, 0, 0, 0).key);
	union tiara_word w = f.word;

	if (!f.slot)
		return;
	found_check(key, &f);
	race_step();
	if (remove) {
		r->removed[me][key] += tiara_table_remove(&r->world.map, writer, &f);
		return;
	}
	w.entry.state ^= TIARA_STATE_NEW ^ TIARA_STATE_ESTABLISHED; /* 3 to 2 and back */
	tiara_table_replace(&r->world.map, writer, &f, &w);
}

/* Sweeps from three ticks ahead: inserts under way look stale, and lose their tentative words. */
static void
mixed_sweep(struct table_race *r, struct tiara_writer *writer)
{
	struct tiara_age ahead = r->world.age;
	struct tiara_sweep_counts counts = {0};

	ahead.now += 3;
	tiara_sweep_slice_wk(&r->world.map, &ahead, writer, &counts);
	CHECK(counts.expired == 0 && counts.gone == 0);
}

static void
mixed_all(void *shared, uint32_t me)
{
	struct table_race *r = shared;
	struct tiara_writer writer = writer_of(r, me);

	for (int i = 0; i < MIXED_OPS; i++) {
		uint32_t key = race_draw(r->keys), what = race_draw(100);

		if (what < 45)
			mixed_insert(r, &writer, key, me);
		else if (what < 90)
			mixed_found(r, &writer, key, me, what < 70);
		else
			mixed_sweep(r, &writer);
	}
}

/*
 * Inserts, touches, removals and sweeps: what was inserted and not removed is there, once. (Two
 * successes without a removal between them would leave the account one over.)
 */
static void
test_account(uint64_t seed, uint32_t keys, uint64_t bucket_cnt)
{
	struct table_race r = {.keys = keys};

	world_make(&r.world, bucket_cnt);
	race_run(mixed_all, &r, seed);
	copies_check(&r);
	for (uint32_t k = 0; k < keys; k++) {
		uint32_t ok = 0, removed = 0;

		for (uint32_t t = 0; t < RACE_THREADS; t++) {
			ok += r.ok[t][k];
			removed += r.removed[t][k];
		}
		CHECK(ok - removed == world_copies(&r.world, world_word(k, 0, 0, 0).key));
	}
	world_free(&r.world);
}

/* ---- with time going on ---- */

static void
ageing_all(void *shared, uint32_t me)
{
	struct table_race *r = shared;
	struct tiara_writer writer = writer_of(r, me);
	struct tiara_age *age = &r->world.age;

	for (int i = 0; i < MIXED_OPS; i++) {
		struct tiara_age mine = *age;
		uint32_t key = race_draw(r->keys);
		union tiara_word w = word_of(r, key, me);
		struct tiara_found f;
		struct tiara_sweep_counts counts = {0};

		/* every thread its own idea of the tick, up to a timeout apart */
		mine.now += (uint16_t)(i / 4 + (int)race_draw(WORLD_TIMEOUT_TICKS));
		w.entry.last_seen = mine.now;
		if (race_draw(8) == 0)
			tiara_sweep_slice_wk(&r->world.map, &mine, &writer, &counts);
		else if (tiara_table_insert(&r->world.map, &mine, &writer,
					    world_hash(&r->world, w.key), &w, &f) != TIARA_FULL)
			found_check(key, &f);
	}
}

/* Entries that expire and are inserted again under everybody's hands: still never two of a key. */
static void
test_ageing(uint64_t seed)
{
	struct table_race r = {.keys = 3};

	world_make(&r.world, 2);
	race_run(ageing_all, &r, seed);
	copies_check(&r);
	world_free(&r.world);
}

int
main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? (uint64_t)atoi(argv[1]) : ROUNDS;

	for (uint64_t seed = 0; seed < rounds; seed++) {
		test_one_winner(seed, 3, seed & 1, 0);
		test_one_winner(seed, 3, seed & 1, 4);
		if (seed % 8)
			continue;
		test_account(seed, 3, 2);
		test_account(seed, KEYS, 2);
		test_ageing(seed);
	}
	return 0;
}
