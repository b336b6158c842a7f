/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries that move (docs/design/0007), one caller: what is seen at each step of a move, what becomes
 * of moves that somebody left at any step, and which entries stay where they are.
 */
#include "table_world.h"

static void step(int n);
#define TIARA_STEP(n) step(n)
#include "table/insert.c"
#include "table/move.c"

enum {
	BACKEND_LAST = TIARA_BACKEND_LIMIT - 1,
	MOVER = 9, /* who left a move half done */
	STEP_CNT = 21,
};

static struct tiara_writer writer = {.owner = 3, .search_max = TIARA_SEARCH_PATH};

/* What a test does at each step; not again while it does. */
static struct {
	void (*act)(int n);
	struct world *world;
	uint32_t key_cnt;
	uint32_t hits[STEP_CNT];
} at_step;

static void
step(int n)
{
	void (*act)(int) = at_step.act;

	if (!act || n >= STEP_CNT)
		return;
	at_step.act = NULL;
	at_step.hits[n]++;
	act(n);
	at_step.act = act;
}

static void
key_buckets(const struct world *w, uint64_t key, uint64_t bucket[2])
{
	uint64_t hash = world_hash(w, key);

	bucket[0] = tiara_hash_bucket_1(hash, w->map.bucket_mask);
	bucket[1] = tiara_hash_bucket_2(hash, w->map.bucket_mask);
}

/* The next client after `client` whose buckets of service 0 are these. */
static uint32_t
client_of(const struct world *w, uint32_t client, uint64_t first, uint64_t second)
{
	uint64_t bucket[2];

	do
		key_buckets(w, tiara_key(++client, 80, 0), bucket);
	while (bucket[0] != first || bucket[1] != second);
	return client;
}

/* Four entries whose first bucket is `first` and whose other one is `second`, put there. */
static void
fill_bucket(struct world *w, uint64_t first, uint64_t second, uint32_t backend_idx)
{
	uint32_t client = 0;

	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		client = client_of(w, client, first, second);
		world_plant(w, first, i, world_word(client, 0, backend_idx, w->age.now));
	}
}

static uint32_t
words_in_transit(const struct world *w)
{
	const union tiara_word *word = (const union tiara_word *)w->map.bucket;
	uint32_t cnt = 0;

	for (uint64_t i = 0; i < 4 * (w->map.bucket_mask + 1); i++)
		cnt += tiara_word_live(&word[i]) && reuse_in_transit(&word[i]);
	return cnt;
}

/* ---- at each step ---- */

/* Client n's connection: backend n. */
static union tiara_word
fill_word(uint32_t client)
{
	return world_word(client, 0, client % WORLD_BACKENDS, 100);
}

/* Whoever is in a second bucket: the first one's mark was set before. */
static void
check_marks(const struct world *w)
{
	const union tiara_word *word = (const union tiara_word *)w->map.bucket;

	for (uint64_t i = 0; i < 4 * (w->map.bucket_mask + 1); i++) {
		uint64_t bucket[2];

		if (word[i].entry.state == TIARA_STATE_EMPTY)
			continue;
		key_buckets(w, word[i].key, bucket);
		CHECK(bucket[0] == i / 4 || slot_bucket_marked(&w->map.bucket[bucket[0]]));
	}
}

static void
check_all_found(int n)
{
	(void)n;
	for (uint32_t i = 1; i <= at_step.key_cnt; i++) {
		uint64_t key = fill_word(i).key;
		struct tiara_found f = world_find(at_step.world, key);

		CHECK(f.slot && f.word.all == fill_word(i).all);
		f = tiara_table_find(&at_step.world->map, key, world_hash(at_step.world, key));
		CHECK(f.slot && f.word.all == fill_word(i).all);
		CHECK(world_copies(at_step.world, key) <= 2);
	}
	check_marks(at_step.world);
}

/*
 * Between any two steps of an insert that moves others, every connection is found with its word, and
 * no second bucket is used whose first is not marked. What is moved is logged and counted.
 */
static void
test_found_at_every_step(void)
{
	struct world w;
	struct tiara_found f;
	uint64_t moved = writer.moved_cnt, counted = 0;

	world_make(&w, 32);
	at_step.world = &w;
	for (at_step.key_cnt = 0;; at_step.key_cnt++) {
		union tiara_word word = fill_word(at_step.key_cnt + 1);
		enum tiara_status status;

		at_step.act = check_all_found;
		status = world_insert(&w, &writer, &word, &f);
		at_step.act = NULL;
		if (status == TIARA_FULL)
			break;
		CHECK(status == TIARA_OK && words_in_transit(&w) == 0);
	}
	check_all_found(0);
	moved = writer.moved_cnt - moved;
	for (int n = 10; n <= 15; n++)
		CHECK(at_step.hits[n] == moved);
	for (int i = 0; i < TIARA_MOVE_STRIPES; i++)
		counted += w.map.move[i];
	CHECK(moved > 10 && counted == moved && w.map.move_log[writer.owner].cnt == moved);
	for (uint64_t i = 0; i < moved; i++)
		CHECK(world_find(&w, w.map.move_log[writer.owner].key[i]).slot);
	world_free(&w);
}

/* ---- moves that somebody left half done ---- */

/* How far he came: docs/design/0007. */
enum left {
	LEFT_FROZEN,    /* M2: moving, and a claim */
	LEFT_UNCLAIMED, /* the same, and the claim was taken away */
	LEFT_PUBLISHED, /* M3: moving and arriving */
	LEFT_CLEARED,   /* M4: arriving */
	LEFT_CNT,
};

static union tiara_word
in_transit(union tiara_word word, uint8_t flag, uint8_t owner)
{
	word.entry.flags |= flag;
	word.entry.backend_idx |= (uint32_t)owner << 24;
	return word;
}

/* From the first bucket to the second, or back. */
static void
leave(struct world *w, union tiara_word word, enum left left, bool back, uint8_t owner)
{
	union tiara_word claim = {.key = word.key};
	uint64_t bucket[2];

	claim.tentative.owner = owner;
	claim.tentative.state = TIARA_STATE_TENTATIVE;
	claim.tentative.tick = (uint8_t)w->age.now;
	key_buckets(w, word.key, bucket);
	if (left == LEFT_FROZEN)
		world_plant(w, bucket[!back], 3, claim);
	if (left >= LEFT_PUBLISHED)
		world_plant(w, bucket[!back], 3, in_transit(word, TIARA_ENTRY_ARRIVING, owner));
	if (left <= LEFT_PUBLISHED)
		world_plant(w, bucket[back], 3, in_transit(word, TIARA_ENTRY_MOVING, owner));
	slot_mark_bucket(&w->map.bucket[bucket[0]]);
}

/* Once, in one place, settled, and where the last one found it. */
static void
check_settled(const struct world *w, const struct tiara_found *f, union tiara_word word)
{
	CHECK(world_copies(w, word.key) == 1 && words_in_transit(w) == 0);
	CHECK(world_in_state(w, TIARA_STATE_TENTATIVE) == 0);
	CHECK(world_find(w, word.key).slot == f->slot);
	CHECK(f->word.all == word.all && world_find(w, word.key).word.all == word.all);
}

/* It is read as its connection, whatever its backend; who changes it ends the move first. */
static void
test_left_move_is_ended_by_a_change(enum left left, bool back, uint8_t owner)
{
	union tiara_word a = world_word(1, 0, BACKEND_LAST, 100), b = world_word(1, 0, 5, 101);
	struct tiara_found f;
	struct world w;

	world_make(&w, 16);
	leave(&w, a, left, back, owner);
	f = world_find(&w, a.key);
	CHECK(f.slot && f.word.all == a.all);
	CHECK(world_insert(&w, &writer, &b, &f) == TIARA_EXISTS && f.word.all == a.all);
	CHECK(tiara_table_replace(&w.map, &writer, &f, &b));
	check_settled(&w, &f, b);

	CHECK(tiara_table_remove(&w.map, &writer, &f));
	leave(&w, a, left, back, owner);
	f = world_find(&w, a.key);
	CHECK(tiara_table_remove(&w.map, &writer, &f));
	CHECK(world_copies(&w, a.key) == 0 && world_in_state(&w, TIARA_STATE_TENTATIVE) == 0);
	world_free(&w);
}

/* The sweep leaves it settled, or clears and counts it once when it has expired. */
static void
test_left_move_is_ended_by_the_sweep(enum left left, bool back, uint8_t owner)
{
	union tiara_word a = world_word(1, 0, 7, 100);
	struct tiara_sweep_counts counts = {0};
	struct tiara_found f;
	struct world w;

	world_make(&w, 16);
	leave(&w, a, left, back, owner);
	tiara_sweep_slice_wk(&w.map, &w.age, &writer, &counts);
	f = world_find(&w, a.key);
	check_settled(&w, &f, a);
	CHECK(tiara_table_remove(&w.map, &writer, &f));

	leave(&w, a, left, back, owner);
	w.age.now += WORLD_TIMEOUT_TICKS + 1;
	tiara_sweep_slice_wk(&w.map, &w.age, &writer, &counts);
	CHECK(world_copies(&w, a.key) == 0 && world_in_state(&w, TIARA_STATE_TENTATIVE) == 0);
	CHECK(counts.expired == 1 && counts.gone == 0);
	CHECK(counts.tentative <= (left == LEFT_FROZEN));
	world_free(&w);
}

/* Expired in transit: absent; its own key's insert ends the move and takes its place. */
static void
test_left_move_that_expired(enum left left, bool back, uint8_t owner)
{
	union tiara_word a = world_word(1, 0, 7, 100), b = world_word(1, 0, 8, 111);
	struct tiara_found f;
	struct world w;

	world_make(&w, 16);
	leave(&w, a, left, back, owner);
	w.age.now += WORLD_TIMEOUT_TICKS + 1;
	CHECK(!world_find(&w, a.key).slot);
	CHECK(world_insert(&w, &writer, &b, &f) == TIARA_OK);
	check_settled(&w, &f, b);
	world_free(&w);
}

/* Another key's insert does not take an expired entry's place while it moves; the sweep frees it. */
static void
test_transit_keeps_its_place(void)
{
	union tiara_word moving = world_word(1, 0, 7, 89), other;
	struct tiara_sweep_counts counts = {0};
	struct tiara_writer still = {.owner = 2};
	struct tiara_found f;
	struct world w;

	world_make(&w, 2);
	fill_bucket(&w, 0, 1, 1);
	fill_bucket(&w, 1, 0, 1);
	other = world_word(client_of(&w, 1000, 0, 1), 0, 2, 100);
	world_plant(&w, 0, 0, in_transit(moving, TIARA_ENTRY_MOVING, MOVER));
	CHECK(world_insert(&w, &still, &other, &f) == TIARA_FULL);
	tiara_sweep_slice_wk(&w.map, &w.age, &writer, &counts);
	CHECK(counts.expired == 1 && world_insert(&w, &still, &other, &f) == TIARA_OK);
	world_free(&w);
}

/* ---- after a move ---- */

/* A table of 16 buckets: bucket 2 is full of key `client`'s (slot 0) and others; then it is moved. */
static struct tiara_found
moved_entry(struct world *w, uint32_t backend_idx)
{
	uint64_t moved = writer.moved_cnt;
	struct tiara_found f, fresh;
	union tiara_word word;

	world_make(w, 16);
	fill_bucket(w, 2, 9, backend_idx);
	fill_bucket(w, 3, 2, 1);
	f = world_find(w, world_word(client_of(w, 0, 2, 9), 0, 0, 0).key);
	CHECK(f.slot == &w->map.bucket[2].entry[0]);
	word = world_word(client_of(w, 5000, 2, 3), 0, 1, 100);
	CHECK(world_insert(w, &writer, &word, &fresh) == TIARA_OK);
	CHECK(writer.moved_cnt == moved + 1 && fresh.slot == f.slot);
	CHECK(world_find(w, f.word.key).slot == &w->map.bucket[9].entry[0]);
	return f;
}

/* Replace and remove follow an entry that has moved since it was found, and tell where to. */
static void
test_changes_follow_a_move(void)
{
	struct tiara_found f, late;
	union tiara_word newer;
	struct world w;

	f = late = moved_entry(&w, 1);
	newer = f.word;
	newer.entry.last_seen++;
	CHECK(tiara_table_replace(&w.map, &writer, &f, &newer));
	CHECK(f.slot == &w.map.bucket[9].entry[0] && f.word.all == newer.all);
	CHECK(world_find(&w, newer.key).word.all == newer.all);
	CHECK(!tiara_table_replace(&w.map, &writer, &late, &newer)); /* moved and changed */
	CHECK(!tiara_table_remove(&w.map, &writer, &late));
	CHECK(world_copies(&w, newer.key) == 1);
	world_free(&w);

	f = moved_entry(&w, 1);
	CHECK(tiara_table_remove(&w.map, &writer, &f) && world_copies(&w, f.word.key) == 0);
	CHECK(!tiara_table_remove(&w.map, &writer, &f));
	world_free(&w);
}

/* A moved entry is the same word, up to the last backend there can be, whoever moves it. */
static void
test_every_backend_survives_a_move(uint8_t owner, uint32_t backend_idx)
{
	size_t bytes = TIARA_BACKEND_LIMIT * sizeof(struct tiara_backend);
	struct tiara_backend *backend = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct tiara_writer mover = {.owner = owner, .search_max = TIARA_SEARCH_PATH};
	union tiara_word fresh;
	struct tiara_found f;
	struct world w;

	CHECK(backend != MAP_FAILED);
	backend[1].use = backend[backend_idx].use = TIARA_USE_ACTIVE;
	world_make(&w, 16);
	w.view.backend = backend;
	w.view.backend_cnt = TIARA_BACKEND_LIMIT;
	fill_bucket(&w, 2, 9, backend_idx);
	fill_bucket(&w, 3, 2, 1);
	fresh = world_word(client_of(&w, 5000, 2, 3), 0, 1, 100);
	CHECK(world_insert(&w, &mover, &fresh, &f) == TIARA_OK && mover.moved_cnt == 1);
	CHECK(w.map.bucket[9].entry[0].backend_idx == backend_idx);
	f = world_find(&w, world_word(client_of(&w, 0, 2, 9), 0, 0, 0).key);
	CHECK(f.slot && f.word.entry.backend_idx == backend_idx && f.word.entry.flags == 0);
	munmap(backend, bytes);
	world_free(&w);
}

/* ---- what stays ---- */

/*
 * Two full buckets whose entries could all move, but for `use` of their backend in the mover's view:
 * is one moved?
 */
static uint64_t
moves_entries_of(uint8_t use, uint32_t backend_idx)
{
	struct tiara_writer mover = {.owner = 1, .search_max = TIARA_SEARCH_BULK};
	struct tiara_found f;
	union tiara_word fresh;
	enum tiara_status status;
	struct world w;

	world_make(&w, 16);
	if (backend_idx < WORLD_BACKENDS)
		w.backend[backend_idx].use = use;
	fill_bucket(&w, 2, 9, backend_idx);
	fill_bucket(&w, 3, 8, backend_idx);
	fresh = world_word(client_of(&w, 5000, 2, 3), 0, 1, 100);
	status = world_insert(&w, &mover, &fresh, &f);
	CHECK(status == (mover.moved_cnt ? TIARA_OK : TIARA_FULL));
	world_free(&w);
	return mover.moved_cnt;
}

/* An entry of a removed backend must not jump over the pass that ends its quarantine: it stays. */
static void
test_removed_backends_stay(void)
{
	CHECK(moves_entries_of(TIARA_USE_ACTIVE, 4) == 1);
	CHECK(moves_entries_of(TIARA_USE_DOWN, 4) == 1);
	CHECK(moves_entries_of(TIARA_USE_GONE, 4) == 0);
	CHECK(moves_entries_of(TIARA_USE_FREE, 4) == 0);
	CHECK(moves_entries_of(TIARA_USE_ACTIVE, WORLD_BACKENDS) == 0); /* unknown to the view */
}

/* What stays does not hide the way through its neighbours. */
static void
test_others_move_instead(void)
{
	uint64_t moved = writer.moved_cnt;
	struct tiara_found f;
	union tiara_word fresh;
	struct world w;

	world_make(&w, 16);
	w.backend[4].use = TIARA_USE_GONE;
	fill_bucket(&w, 2, 9, 4);
	fill_bucket(&w, 3, 2, 4);
	w.map.bucket[2].entry[3].backend_idx = 1;
	fresh = world_word(client_of(&w, 5000, 2, 3), 0, 1, 100);
	CHECK(world_insert(&w, &writer, &fresh, &f) == TIARA_OK);
	CHECK(writer.moved_cnt == moved + 1 && f.slot == &w.map.bucket[2].entry[3]);
	world_free(&w);
}

int
main(void)
{
	static const uint8_t owner[] = {0, MOVER, 3, TIARA_OWNER_CONTROL};

	test_found_at_every_step();
	for (uint32_t i = 0; i < sizeof owner; i++) {
		for (int left = 0; left < LEFT_CNT; left++)
			for (int back = 0; back < 2; back++) {
				test_left_move_is_ended_by_a_change((enum left)left, back,
								    owner[i]);
				test_left_move_is_ended_by_the_sweep((enum left)left, back,
								     owner[i]);
				test_left_move_that_expired((enum left)left, back, owner[i]);
			}
		for (uint32_t backend_idx = 2; backend_idx < TIARA_BACKEND_LIMIT;
		     backend_idx *= 2) {
			test_every_backend_survives_a_move(owner[i], backend_idx);
			test_every_backend_survives_a_move(owner[i],
							   TIARA_BACKEND_LIMIT - backend_idx / 2);
		}
	}
	test_transit_keeps_its_place();
	test_changes_follow_a_move();
	test_removed_backends_stay();
	test_others_move_instead();
	return 0;
}
