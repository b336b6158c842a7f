/* SPDX-License-Identifier: Apache-2.0 */
/* The connection table, one caller: insert, lookup, replace, remove, expiry, full buckets. */
#include "table_world.h"
#include "table/word.h"

static struct tiara_writer writer = {.owner = 3};

/* Inserting makes a key visible with exactly the word given; again: EXISTS with the same word. */
static void
test_insert_then_lookup(void)
{
	struct world w;
	struct tiara_found f;
	union tiara_word a = world_word(1, 0, 7, 100), b = world_word(1, 0, 8, 100);

	world_make(&w, 16);
	CHECK(!world_find(&w, a.key).slot);
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK && f.word.all == a.all);
	CHECK(world_find(&w, a.key).slot == f.slot && world_find(&w, a.key).word.all == a.all);
	CHECK(world_insert(&w, &writer, &b, &f) == TIARA_EXISTS && f.word.all == a.all);
	CHECK(world_copies(&w, a.key) == 1);
	CHECK(world_in_state(&w, TIARA_STATE_TENTATIVE) == 0);
	world_free(&w);
}

/* Keys that differ in one field only are different connections. */
static void
test_key_is_exact(void)
{
	struct world w;
	struct tiara_found f;
	union tiara_word a = world_word(1, 0, 7, 100);
	uint64_t other[] = {tiara_key(2, 80, 0), tiara_key(1, 81, 0), tiara_key(1, 80, 1)};

	world_make(&w, 2);
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK);
	for (int i = 0; i < 3; i++)
		CHECK(!world_find(&w, other[i]).slot);
	world_free(&w);
}

/* Replace and remove act on the exact word that was found, and on nothing else. */
static void
test_replace_and_remove_need_the_exact_word(void)
{
	struct world w;
	struct tiara_found mine, late;
	union tiara_word a = world_word(1, 0, 7, 100), newer = world_word(1, 0, 7, 101);

	world_make(&w, 16);
	CHECK(world_insert(&w, &writer, &a, &mine) == TIARA_OK);
	late = mine;
	CHECK(tiara_table_replace(&w.map, &writer, &mine, &newer) && mine.word.all == newer.all);
	CHECK(!tiara_table_replace(&w.map, &writer, &late, &a) && late.word.all == a.all);
	CHECK(!tiara_table_remove(&w.map, &writer, &late));
	CHECK(world_find(&w, a.key).word.all == newer.all);
	CHECK(tiara_table_remove(&w.map, &writer, &mine) &&
	      !tiara_table_remove(&w.map, &writer, &mine));
	CHECK(!world_find(&w, a.key).slot);
	world_free(&w);
}

/* Live up to and including `timeout` ticks after last_seen, absent one tick later; over the wrap. */
static void
test_expiry_is_exact_to_a_tick(void)
{
	struct world w;
	struct tiara_found f;

	world_make(&w, 16);
	for (uint32_t seen = 65500; seen < 65536 + 40; seen++) {
		union tiara_word a = world_word(seen, 0, 7, (uint16_t)seen);

		w.age.now = (uint16_t)seen;
		CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK);
		w.age.now = (uint16_t)(seen + WORLD_TIMEOUT_TICKS);
		CHECK(world_find(&w, a.key).slot);
		w.age.now = (uint16_t)(seen + WORLD_TIMEOUT_TICKS + 1);
		CHECK(!world_find(&w, a.key).slot);
		CHECK(tiara_table_remove(&w.map, &writer, &f));
	}
	world_free(&w);
}

/* Each state has its own timeout, each service its own; the longest allowed works too. */
static void
test_expiry_by_state_and_service(void)
{
	struct world w;
	union tiara_word a = world_word(1, 2, 7, 0);

	world_make(&w, 16);
	w.service[2].timeout_ticks[TIARA_STATE_CLOSING] = 3;
	w.service[2].timeout_ticks[TIARA_STATE_ESTABLISHED] = TIARA_TIMEOUT_TICKS_MAX;
	w.age.now = 4;
	CHECK(!tiara_entry_expired(&w.age, &a));
	a.entry.state = TIARA_STATE_CLOSING;
	CHECK(tiara_entry_expired(&w.age, &a));
	a.entry.state = TIARA_STATE_ESTABLISHED;
	w.age.now = 32768;
	CHECK(!tiara_entry_expired(&w.age, &a));
	w.age.now = 32769;
	CHECK(tiara_entry_expired(&w.age, &a));
	w.age.now = 0xbfff; /* and so it stays for 2^14 ticks, in which the sweep comes by */
	CHECK(tiara_entry_expired(&w.age, &a));
	world_free(&w);
}

/* A last_seen from a newer tick than ours is age 0, not age 65535. */
static void
test_seen_in_the_future_is_fresh(void)
{
	CHECK(tiara_tick_age(100, 101) == 0 && tiara_tick_age(65535, 3) == 0);
	CHECK(tiara_tick_age(0, 16384) == 0 && tiara_tick_age(0, 16385) == 49151);
	CHECK(tiara_tick_age(3, 65535) == 4 && tiara_tick_age(7, 7) == 0);
}

/* Entries of a service that is gone, free or unknown to the view are absent. */
static void
test_expiry_by_service_use(void)
{
	struct world w;
	union tiara_word a = world_word(1, 2, 7, 100);

	world_make(&w, 16);
	CHECK(!tiara_entry_expired(&w.age, &a));
	w.service[2].use = TIARA_USE_GONE;
	CHECK(tiara_entry_expired(&w.age, &a));
	w.service[2].use = TIARA_USE_FREE;
	CHECK(tiara_entry_expired(&w.age, &a));
	a.entry.service_idx = WORLD_SERVICES;
	CHECK(tiara_entry_expired(&w.age, &a));
	world_free(&w);
}

/* Fills a table of two buckets: every key has both. */
static void
fill(struct world *w, uint16_t last_seen)
{
	struct tiara_found f;

	world_make(w, 2);
	w->age.now = last_seen;
	for (uint32_t i = 1; i <= 8; i++) {
		union tiara_word a = world_word(i, 0, i, last_seen);

		CHECK(world_insert(w, &writer, &a, &f) == TIARA_OK);
	}
}

/* The ninth of two buckets is refused and changes no entry; what is there stays findable. */
static void
test_full_is_refused(void)
{
	struct world w;
	struct tiara_found f;
	union tiara_word a = world_word(9, 0, 9, 100);

	fill(&w, 100);
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_FULL && !f.slot);
	CHECK(world_in_state(&w, TIARA_STATE_ESTABLISHED) == 8);
	for (uint32_t i = 1; i <= 8; i++)
		CHECK(world_find(&w, world_word(i, 0, 0, 0).key).word.entry.backend_idx == i);
	world_free(&w);
}

/* In a full bucket an expired entry makes room; it takes the key's own expired one if there is. */
static void
test_expired_makes_room(void)
{
	struct world w;
	struct tiara_found f;
	union tiara_word other = world_word(9, 0, 9, 111), own = world_word(5, 0, 1, 111);

	fill(&w, 100);
	w.age.now = 111;
	CHECK(world_insert(&w, &writer, &own, &f) == TIARA_OK);
	CHECK(world_copies(&w, own.key) == 1 && world_find(&w, own.key).word.all == own.all);
	CHECK(world_insert(&w, &writer, &other, &f) == TIARA_OK);
	CHECK(world_find(&w, other.key).word.all == other.all);
	CHECK(world_in_state(&w, TIARA_STATE_ESTABLISHED) == 8);
	world_free(&w);
}

/* An index that is unused in our view may be in use in a newer one: its entries are not taken. */
static void
test_newer_generation_is_respected(void)
{
	struct world w;
	struct tiara_found f;
	union tiara_word a = world_word(9, 1, 9, 100);

	fill(&w, 100);
	w.service[0].use = TIARA_USE_FREE;
	world_root(&w, 2);
	tiara_epoch_publish_ctl(&w.map, 2);
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_FULL);
	w.service[0].use = TIARA_USE_GONE;
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK);
	world_free(&w);
}

/* ---- tentative words of others ---- */

static union tiara_word
tentative(uint32_t client, uint8_t owner, uint16_t tick)
{
	union tiara_word w = {.key = tiara_key(client, 80, 0)};

	w.tentative.owner = owner;
	w.tentative.nonce = 77;
	w.tentative.tick = (uint8_t)tick;
	w.tentative.state = TIARA_STATE_TENTATIVE;
	return w;
}

/* Nobody reads a tentative word. */
static void
test_tentative_is_invisible(void)
{
	struct world w;
	union tiara_word t = tentative(1, 9, 100);

	world_make(&w, 2);
	world_plant(&w, 0, 2, t);
	CHECK(!world_find(&w, t.key).slot);
	world_free(&w);
}

/* A dead rival is not waited for for ever, whatever its number: our insert succeeds, it is gone. */
static void
test_dead_rival_is_overcome(uint8_t owner, bool full)
{
	struct world w;
	struct tiara_found f;
	union tiara_word a = world_word(1, 0, 7, 100), t = tentative(1, owner, 100);

	world_make(&w, 2);
	if (full) {
		world_free(&w);
		fill(&w, 100);
	}
	world_plant(&w, 1, 3, t);
	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) /* our key is nowhere else */
		for (int b = 0; b < 2; b++)
			if (w.map.bucket[b].entry[i].client_addr == 1 && (b != 1 || i != 3))
				w.map.bucket[b].entry[i].client_addr = 99;
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK);
	CHECK(world_in_state(&w, TIARA_STATE_TENTATIVE) == 0);
	CHECK(world_copies(&w, a.key) == 1 && world_find(&w, a.key).word.all == a.all);
	world_free(&w);
}

/* Another key's tentative word keeps its slot until it is over two ticks old. */
static void
test_stale_tentative_makes_room(void)
{
	struct world w;
	struct tiara_found f;
	union tiara_word a = world_word(9, 0, 9, 100), t = tentative(50, 0, 100);

	fill(&w, 100);
	world_plant(&w, 0, 0, t);
	w.age.now = 102;
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_FULL);
	w.age.now = 103;
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK);
	world_free(&w);
}

/* A burst gives each key its own answer, present or absent, in order; any count. */
static void
test_burst_lookup(void)
{
	enum { CNT = 100 };
	struct world w;
	struct tiara_found f, found[CNT];
	uint64_t key[CNT], hash[CNT];

	world_make(&w, 256);
	for (uint32_t i = 0; i < CNT; i++) {
		union tiara_word a = world_word(i, 0, i % WORLD_BACKENDS, 100);

		key[i] = a.key;
		hash[i] = world_hash(&w, a.key);
		if (i % 3)
			CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK);
	}
	tiara_table_lookup(&w.map, &w.age, key, hash, CNT, found);
	for (uint32_t i = 0; i < CNT; i++) {
		CHECK(!found[i].slot == !(i % 3));
		CHECK(!found[i].slot || found[i].word.entry.backend_idx == i % WORLD_BACKENDS);
	}
	world_free(&w);
}

int
main(void)
{
	test_insert_then_lookup();
	test_key_is_exact();
	test_replace_and_remove_need_the_exact_word();
	test_expiry_is_exact_to_a_tick();
	test_expiry_by_state_and_service();
	test_seen_in_the_future_is_fresh();
	test_expiry_by_service_use();
	test_full_is_refused();
	test_expired_makes_room();
	test_newer_generation_is_respected();
	test_tentative_is_invisible();
	for (int full = 0; full < 2; full++) {
		test_dead_rival_is_overcome(0, full);   /* goes first: waited for, then overcome */
		test_dead_rival_is_overcome(3, full);   /* our own number, of a killed process */
		test_dead_rival_is_overcome(255, full); /* goes last: overcome at once */
	}
	test_stale_tentative_makes_room();
	test_burst_lookup();
	return 0;
}
