/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection table, one caller: insert, lookup, replace, remove, expiry, full buckets, marks. What
 * moves is in table_move.c.
 */
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

/* ---- bursts of inserts ---- */

enum { BURST_MAX = 150, BURST_BUCKETS = 16 };

/* Few clients, so that some come twice; more than there is room for. */
static void
burst_words(struct world *w, uint64_t *random, uint32_t cnt, union tiara_word *word, uint64_t *hash)
{
	for (uint32_t i = 0; i < cnt; i++) {
		word[i] = world_word((uint32_t)world_random(random) % 90, 0, i % WORLD_BACKENDS,
				     w->age.now);
		hash[i] = world_hash(w, word[i].key);
	}
}

/*
 * A burst of inserts leaves the table and says what the same inserts do one by one: with a key twice
 * in one burst, the first wins; what finds no room is refused, what comes after it is not.
 */
static void
test_burst_insert(uint32_t cnt, uint16_t search_max)
{
	struct world burst, single;
	struct tiara_writer a = {.owner = 1, .search_max = search_max}, b = a;
	union tiara_word word[BURST_MAX];
	struct tiara_found found[BURST_MAX], f;
	enum tiara_status status[BURST_MAX];
	uint64_t hash[BURST_MAX], random = 9;
	uint32_t seen[3] = {0};

	world_make(&burst, BURST_BUCKETS);
	world_make(&single, BURST_BUCKETS);
	for (uint32_t done = 0; done < BURST_MAX; done += cnt) {
		burst_words(&burst, &random, cnt, word, hash);
		tiara_table_insert_burst(&burst.map, &burst.age, &a, hash, word, cnt, found,
					 status);
		for (uint32_t i = 0; i < cnt; i++) {
			CHECK(world_insert(&single, &b, &word[i], &f) == status[i]);
			CHECK(!found[i].slot == !f.slot && !f.slot == (status[i] == TIARA_FULL));
			CHECK(!f.slot || found[i].word.all == f.word.all);
			CHECK(status[i] != TIARA_OK || f.word.all == word[i].all);
			seen[status[i] == TIARA_OK ? 0 : status[i] == TIARA_EXISTS ? 1 : 2]++;
		}
	}
	CHECK(memcmp(burst.map.bucket, single.map.bucket,
		     BURST_BUCKETS * sizeof *burst.map.bucket) == 0);
	CHECK(a.moved_cnt == b.moved_cnt && !a.moved_cnt == !search_max);
	CHECK(seen[0] > 50 && seen[1] > 10 && seen[2] > 10);
	world_free(&burst);
	world_free(&single);
}

/* ---- the second bucket, and the mark that leads to it ---- */

/* The next client whose two buckets are these. */
static uint32_t
client_of(const struct world *w, uint32_t client, uint64_t first, uint64_t second)
{
	uint64_t hash;

	do
		hash = world_hash(w, tiara_key(++client, 80, 0));
	while (tiara_hash_bucket_1(hash, w->map.bucket_mask) != first ||
	       tiara_hash_bucket_2(hash, w->map.bucket_mask) != second);
	return client;
}

static uint32_t
insert_of(struct world *w, uint32_t client, uint64_t first, uint64_t second)
{
	struct tiara_found f;
	union tiara_word a;

	client = client_of(w, client, first, second);
	a = world_word(client, 0, 7, w->age.now);
	CHECK(world_insert(w, &writer, &a, &f) == TIARA_OK && f.word.all == a.all);
	return client;
}

/* The fifth of one first bucket goes to its second one and is found there, alone or in a burst. */
static void
test_second_bucket(void)
{
	enum { CNT = 70 };
	struct world w;
	struct tiara_found found[CNT];
	uint64_t key[CNT], hash[CNT];
	uint32_t client = 0;

	world_make(&w, 16);
	for (int i = 0; i < 4; i++)
		client = insert_of(&w, client, 2, 9);
	CHECK(!slot_bucket_marked(&w.map.bucket[2]));
	client = insert_of(&w, client, 2, 9);
	CHECK(slot_bucket_marked(&w.map.bucket[2]) && !slot_bucket_marked(&w.map.bucket[9]));
	for (uint32_t i = 0; i < CNT;
	     i++) { /* every third: this one; between them: others, absent */
		key[i] = tiara_key(i % 3 ? 900000 + i : client, 80, 0);
		hash[i] = world_hash(&w, key[i]);
	}
	CHECK(tiara_table_find(&w.map, key[0], hash[0]).slot == &w.map.bucket[9].entry[0]);
	tiara_table_lookup(&w.map, &w.age, key, hash, CNT, found);
	for (uint32_t i = 0; i < CNT; i++) {
		CHECK(found[i].slot == (i % 3 ? NULL : &w.map.bucket[9].entry[0]));
		CHECK(!found[i].slot || found[i].word.all == world_word(client, 0, 7, 100).all);
	}
	world_free(&w);
}

/*
 * A key whose first bucket is unmarked has that line only: not found, found and inserted, while the
 * memory of its second bucket cannot even be read.
 */
static void
test_unmarked_costs_one_line(void)
{
	enum { BUCKETS = 1024, PAGE = 4096 };
	struct world w;
	uintptr_t page;
	uint32_t client;

	world_make(&w, BUCKETS);
	page = ((uintptr_t)&w.map.bucket[BUCKETS / 2] + PAGE - 1) / PAGE * PAGE;
	client = client_of(&w, 0, 3, (page - (uintptr_t)w.map.bucket) / sizeof *w.map.bucket);
	CHECK(mprotect((void *)page, PAGE, PROT_NONE) == 0);
	CHECK(!world_find(&w, tiara_key(client, 80, 0)).slot);
	CHECK(!tiara_table_find(&w.map, tiara_key(client, 80, 0),
				world_hash(&w, tiara_key(client, 80, 0)))
		       .slot);
	client = insert_of(&w, client - 1, 3, (page - (uintptr_t)w.map.bucket) / 64);
	CHECK(world_find(&w, tiara_key(client, 80, 0)).slot);
	world_free(&w);
}

/* Not in the word: what is found and what is inserted, replaced and removed is without the mark. */
static void
check_marked(const struct world *w, const struct tiara_found *f)
{
	CHECK(slot_bucket_marked(&w->map.bucket[2]));
	CHECK(!f->slot || !(f->word.entry.flags & TIARA_ENTRY_OVERFLOW));
}

/* A bucket's mark stays through every change of the word that carries it, and is never seen in it. */
static void
test_mark_survives(void)
{
	struct tiara_sweep_counts counts = {0};
	struct world w;
	struct tiara_found f, again;
	union tiara_word a, b;

	world_make(&w, 16);
	slot_mark_bucket(&w.map.bucket[2]);
	a = world_word(client_of(&w, 0, 2, 9), 0, 7, 100);
	b = world_word(a.entry.client_addr, 0, 8, 101);
	for (int i = 0; i < 3; i++) /* so that slot 3 is its place */
		insert_of(&w, a.entry.client_addr + (uint32_t)i * 4096, 2, 9);
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK);
	CHECK(f.slot == &w.map.bucket[2].entry[3] && f.word.all == a.all);
	check_marked(&w, &f);
	again = world_find(&w, a.key);
	CHECK(again.word.all == a.all);
	CHECK(world_insert(&w, &writer, &b, &again) == TIARA_EXISTS && again.word.all == a.all);
	CHECK(tiara_table_replace(&w.map, &writer, &f, &b) && f.word.all == b.all);
	check_marked(&w, &f);
	CHECK(!tiara_table_remove(&w.map, &writer, &again));
	CHECK(tiara_table_remove(&w.map, &writer, &f));
	check_marked(&w, &f);
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK);
	w.age.now += WORLD_TIMEOUT_TICKS + 1;
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK); /* in its own expired place */
	check_marked(&w, &f);
	tiara_sweep_slice_wk(&w.map, &w.age, &writer, &counts);
	CHECK(counts.expired == 4 && w.map.bucket[2].entry[3].state == TIARA_STATE_EMPTY);
	check_marked(&w, &f);
	world_free(&w);
}

/* ---- who gives way ---- */

/* A full table of two buckets in which client 5 is unconfirmed, seen at tick 100. */
static struct tiara_found
fill_unconfirmed(struct world *w)
{
	struct tiara_found f;
	union tiara_word a = world_word(5, 0, 5, 100);

	fill(w, 100);
	f = world_find(w, a.key);
	a.entry.flags = TIARA_ENTRY_UNCONFIRMED;
	CHECK(tiara_table_replace(&w->map, &writer, &f, &a));
	return f;
}

/* Unconfirmed for over a tick, it gives way in a full bucket and is counted; once confirmed, never. */
static void
test_unconfirmed_gives_way(void)
{
	uint64_t reclaimed = writer.reclaimed_cnt;
	struct world w;
	struct tiara_found f, old;
	union tiara_word a = world_word(9, 0, 9, 100), confirmed = world_word(5, 0, 5, 100);

	old = fill_unconfirmed(&w);
	w.age.now = 101;
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_FULL);
	w.age.now = 102;
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK && f.slot == old.slot);
	CHECK(writer.reclaimed_cnt == reclaimed + 1);
	CHECK(!world_find(&w, old.word.key).slot && world_copies(&w, old.word.key) == 0);
	CHECK(!tiara_table_replace(&w.map, &writer, &old, &confirmed)); /* it came too late */
	world_free(&w);

	old = fill_unconfirmed(&w);
	CHECK(tiara_table_replace(&w.map, &writer, &old, &confirmed));
	w.age.now = 100 + WORLD_TIMEOUT_TICKS;
	CHECK(world_insert(&w, &writer, &a, &f) == TIARA_FULL);
	CHECK(writer.reclaimed_cnt == reclaimed + 1);
	world_free(&w);
}

/* Expired and empty places go before it. */
static void
test_unconfirmed_goes_last(void)
{
	uint64_t reclaimed = writer.reclaimed_cnt;
	struct world w;
	struct tiara_found f, old, gone;
	union tiara_word a = world_word(9, 0, 9, 102), b = world_word(10, 0, 9, 102), expired;

	for (uint32_t client = 1; client <= 8; client++) {
		if (client == 5)
			continue;
		old = fill_unconfirmed(&w);
		gone = world_find(&w, world_word(client, 0, 0, 0).key);
		expired = world_word(client, 0, 0, 80);
		CHECK(tiara_table_replace(&w.map, &writer, &gone, &expired));
		w.age.now = 102;
		CHECK(world_insert(&w, &writer, &a, &f) == TIARA_OK && f.slot == gone.slot);
		CHECK(tiara_table_remove(&w.map, &writer, &f));
		CHECK(world_insert(&w, &writer, &b, &f) == TIARA_OK && f.slot == gone.slot);
		CHECK(writer.reclaimed_cnt == reclaimed);
		CHECK(world_find(&w, old.word.key).slot == old.slot);
		world_free(&w);
	}
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
	for (uint32_t cnt = 1; cnt <= BURST_MAX; cnt += 1 + cnt / 4) {
		test_burst_insert(cnt, 0);
		test_burst_insert(cnt, TIARA_SEARCH_PATH);
	}
	test_second_bucket();
	test_unmarked_costs_one_line();
	test_mark_survives();
	test_unconfirmed_gives_way();
	test_unconfirmed_goes_last();
	return 0;
}
