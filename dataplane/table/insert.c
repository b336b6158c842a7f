/* SPDX-License-Identifier: Apache-2.0 */
/* Insert, replace, remove. docs/design/0003: why two inserts of one key never both stay. */
#include "hash.h"
#include "move.h"
#include "reuse.h"

enum {
	INSERT_TRIES_POLITE = 16,   /* withdrawals for a lower-numbered owner before insisting */
	INSERT_LOOKS_MAX = 1 << 16, /* looks at the buckets before an insert gives up */
	INSERT_SEARCHES_MAX = 8, /* searches for room: more only when others take what was found */
};

/* One insert under way. */
struct insert {
	const struct tiara_map *map;
	const struct tiara_age *age;
	struct tiara_writer *writer;
	uint64_t bucket[2];
	uint64_t hash;
	union tiara_word word; /* wanted */
	uint32_t tries;
	uint32_t looks;
	uint32_t searches;
};

/* What one look at the buckets says about the key. slot NULL: nothing such. */
struct insert_look {
	struct tiara_found live;  /* its live word, expired or not: one of two when it is moving */
	struct tiara_found rival; /* a tentative word of somebody else for it */
	struct tiara_found room;  /* a slot to take, in the first bucket if it has one */
	struct tiara_found spare; /* an unconfirmed connection's */
	bool second;              /* the second bucket was looked at: the first is marked */
};

enum insert_outcome {
	INSERT_DONE,
	INSERT_EXISTS,
	INSERT_FULL,
	INSERT_AGAIN,
};

static struct tiara_bucket *
insert_bucket(const struct insert *in, int i)
{
	return &in->map->bucket[in->bucket[i]];
}

static struct tiara_found
insert_load(struct tiara_bucket *bucket, uint32_t slot)
{
	struct tiara_entry *at = &bucket->entry[slot];
	union tiara_word w = slot_load(at);

	return (struct tiara_found){.slot = at, .word = {.key = w.key, .value = w.value}};
}

/* The key's own words in one bucket, but not slot `own`. */
static void
insert_look_key(const struct insert *in, struct tiara_bucket *bucket, const struct tiara_entry *own,
		struct insert_look *look)
{
	uint32_t match = word_match(bucket, in->word.key);

	if (own >= bucket->entry && own < bucket->entry + TIARA_BUCKET_ENTRIES)
		match &= ~(1u << (own - bucket->entry));
	for (; match; match &= match - 1) {
		struct tiara_found f = insert_load(bucket, (uint32_t)__builtin_ctz(match));

		if (f.word.key != in->word.key)
			continue;
		if (f.word.entry.state == TIARA_STATE_TENTATIVE)
			look->rival = f;
		else if (tiara_word_live(&f.word))
			look->live = f;
	}
}

/* Which of a bucket's words may be overwritten: an empty one, whose key is 0, before any other. */
static void
insert_look_room(const struct insert *in, struct tiara_bucket *bucket, struct insert_look *look)
{
	uint32_t empty = word_match(bucket, 0);

	if (empty) {
		look->room = insert_load(bucket, (uint32_t)__builtin_ctz(empty));
		if (look->room.word.all == 0)
			return;
		look->room.slot = NULL; /* taken since */
	}
	for (uint32_t i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		struct tiara_found f = insert_load(bucket, i);
		enum reuse reuse = f.word.key == in->word.key && f.word.all != 0
					   ? REUSE_LEAVE
					   : reuse_judge(in->map, in->age, &f.word);

		if (reuse == REUSE_TAKE)
			look->room = f;
		else if (reuse == REUSE_SPARE)
			look->spare = f;
	}
}

/* `own`: our claim, which is not looked at; without one, where it could go. */
static void
insert_look_bucket(const struct insert *in, int i, const struct tiara_entry *own,
		   struct insert_look *look)
{
	struct tiara_bucket *bucket = insert_bucket(in, i);

	insert_look_key(in, bucket, own, look);
	if (!own && !look->room.slot)
		insert_look_room(in, bucket, look);
}

/*
 * The second bucket only if the first is marked, which is read after the first's slots. Both: again
 * until no move came between, so that an entry that went from one to the other is not missed.
 */
static void
insert_look(struct insert *in, const struct tiara_entry *own, struct insert_look *look)
{
	uint32_t moves;

	do {
		look->live.slot = look->rival.slot = look->room.slot = look->spare.slot = NULL;
		moves = tiara_move_count(in->map, in->hash);
		insert_look_bucket(in, 0, own, look);
		TIARA_STEP(19);
		look->second = slot_bucket_marked(insert_bucket(in, 0));
		if (look->second)
			insert_look_bucket(in, 1, own, look);
		in->looks++;
	} while (look->second && tiara_move_count(in->map, in->hash) != moves &&
		 in->looks <= INSERT_LOOKS_MAX);
}

static bool
insert_exists(const struct insert *in, const struct insert_look *look)
{
	return look->live.slot && !tiara_entry_expired(in->age, &look->live.word);
}

/* The slot to take: the key's own expired one before any other, a rival's after enough waiting. */
static const struct tiara_found *
insert_target(const struct insert *in, const struct insert_look *look)
{
	if (look->live.slot)
		return &look->live;
	if (!look->room.slot && in->tries > INSERT_TRIES_POLITE && look->rival.slot)
		return &look->rival;
	return look->room.slot || !look->second ? &look->room : &look->spare;
}

/* Both buckets are full: the second one becomes the key's too, then entries are moved. */
static enum insert_outcome
insert_make_room(struct insert *in, const struct insert_look *look)
{
	if (look->rival.slot)
		return INSERT_AGAIN;
	if (!look->second) {
		slot_mark_bucket(insert_bucket(in, 0));
		return INSERT_AGAIN;
	}
	if (in->searches++ < INSERT_SEARCHES_MAX &&
	    tiara_move_make_room(in->map, in->age, in->writer, in->bucket))
		return INSERT_AGAIN;
	return INSERT_FULL;
}

/* The lower number goes first, but not for ever: its process may be dead or stopped. */
static bool
insert_yields(const struct insert *in, const struct tiara_found *rival)
{
	return rival->word.tentative.owner < in->writer->owner && in->tries <= INSERT_TRIES_POLITE;
}

/* The key's own dead word, or a rival's claim, is in the way. */
static void
insert_clear_way(const struct insert *in, const struct insert_look *look)
{
	if (!look->live.slot)
		reuse_clear(in->writer, &look->rival);
	else if (reuse_in_transit(&look->live.word))
		tiara_move_help(in->map, in->writer, in->word.key);
	else
		reuse_clear(in->writer, &look->live);
}

/*
 * Ours is in its slot: look until a look finds nobody else, then make it live. A failed commit means
 * that a rival or the sweep took it away.
 */
static enum insert_outcome
insert_settle(struct insert *in, const struct tiara_found *own, struct tiara_found *found)
{
	struct insert_look look;

	for (;;) {
		bool lost;

		insert_look(in, own->slot, &look);
		lost = insert_exists(in, &look);
		TIARA_STEP(2);
		if (lost || in->looks > INSERT_LOOKS_MAX ||
		    (look.rival.slot && insert_yields(in, &look.rival))) {
			reuse_clear(in->writer, own);
			TIARA_STEP(3);
			if (!lost)
				return INSERT_AGAIN;
			tiara_found_set(found, look.live.slot, tiara_word_plain(look.live.word));
			return INSERT_EXISTS;
		}
		if (!look.live.slot && !look.rival.slot)
			break;
		insert_clear_way(in, &look);
		TIARA_STEP(4);
	}
	if (!reuse_swap_uncounted(in->writer, own, in->word))
		return INSERT_AGAIN;
	TIARA_STEP(5);
	tiara_found_set(found, own->slot, in->word);
	return INSERT_DONE;
}

static enum insert_outcome
insert_try(struct insert *in, struct tiara_found *found)
{
	struct insert_look look;
	const struct tiara_found *target;
	struct tiara_found own;

	insert_look(in, NULL, &look);
	if (insert_exists(in, &look)) {
		tiara_found_set(found, look.live.slot, tiara_word_plain(look.live.word));
		return INSERT_EXISTS;
	}
	if (look.live.slot && reuse_in_transit(&look.live.word)) {
		tiara_move_help(in->map, in->writer, in->word.key);
		return INSERT_AGAIN;
	}
	target = insert_target(in, &look);
	if (!target->slot)
		return insert_make_room(in, &look);
	own.slot = target->slot;
	own.word = reuse_tentative(in->age, in->writer, in->word.key);
	TIARA_STEP(0);
	if (!reuse_swap(in->writer, target, own.word))
		return INSERT_AGAIN;
	TIARA_STEP(1);
	in->writer->reclaimed_cnt += target == &look.spare;
	return insert_settle(in, &own, found);
}

/* Whoever calls it counts the new entry. */
static enum tiara_status
insert_uncounted(const struct tiara_map *map, const struct tiara_age *age,
		 struct tiara_writer *writer, uint64_t hash, const union tiara_word *word,
		 struct tiara_found *found)
{
	static const enum tiara_status status[] = {
		[INSERT_DONE] = TIARA_OK,
		[INSERT_EXISTS] = TIARA_EXISTS,
		[INSERT_FULL] = TIARA_FULL,
		[INSERT_AGAIN] = TIARA_FULL,
	};
	enum insert_outcome outcome = INSERT_AGAIN;
	struct insert in = {
		.map = map,
		.age = age,
		.writer = writer,
		.bucket = {tiara_hash_bucket_1(hash, map->bucket_mask),
			   tiara_hash_bucket_2(hash, map->bucket_mask)},
		.hash = hash,
		.word = *word,
	};

	while (outcome == INSERT_AGAIN && in.looks <= INSERT_LOOKS_MAX) {
		outcome = insert_try(&in, found);
		in.tries++;
		if (outcome == INSERT_AGAIN)
			word_pause();
	}
	if (status[outcome] == TIARA_FULL)
		found->slot = NULL;
	return status[outcome];
}

enum tiara_status
tiara_table_insert(const struct tiara_map *map, const struct tiara_age *age,
		   struct tiara_writer *writer, uint64_t hash, const union tiara_word *word,
		   struct tiara_found *found)
{
	enum tiara_status status = insert_uncounted(map, age, writer, hash, word, found);

	if (status == TIARA_OK)
		entries_count(writer, word, 1);
	return status;
}

/* Counts last: a store that waits for its line would hold up the next locked instruction. */
void
tiara_table_insert_burst(const struct tiara_map *map, const struct tiara_age *age,
			 struct tiara_writer *writer, const uint64_t *hash,
			 const union tiara_word *word, uint32_t cnt, struct tiara_found *found,
			 enum tiara_status *status)
{
	for (uint32_t i = 0; i < cnt && i < TIARA_TABLE_AHEAD; i++)
		__builtin_prefetch(&map->bucket[tiara_hash_bucket_1(hash[i], map->bucket_mask)], 1);
	for (uint32_t i = 0; i < cnt; i++) {
		if (i + TIARA_TABLE_AHEAD < cnt)
			__builtin_prefetch(&map->bucket[tiara_hash_bucket_1(
						   hash[i + TIARA_TABLE_AHEAD], map->bucket_mask)],
					   1);
		status[i] = insert_uncounted(map, age, writer, hash[i], &word[i], &found[i]);
	}
	for (uint32_t i = 0; i < cnt; i++)
		if (status[i] == TIARA_OK)
			entries_count(writer, &word[i], 1);
}

/* ---- replace, remove ---- */

/*
 * Exactly found->word by `to`. Where it is not there any more it may have moved, or be moving: it is
 * helped to its place and looked for there.
 */
static bool
insert_exchange(const struct tiara_map *map, struct tiara_writer *writer, struct tiara_found *found,
		union tiara_word to)
{
	uint64_t key = found->word.key;
	uint64_t hash;

	if (reuse_swap(writer, found, to))
		return true;
	hash = tiara_hash_inline(key, map->segment->table_secret);
	for (int i = 0; i < INSERT_TRIES_POLITE; i++) {
		struct tiara_found now;

		tiara_move_help(map, writer, key);
		now = tiara_table_find(map, key, hash);
		if (!now.slot || now.word.all != found->word.all)
			return false;
		found->slot = now.slot;
		if (reuse_swap(writer, found, to))
			return true;
	}
	return false;
}

bool
tiara_table_replace(const struct tiara_map *map, struct tiara_writer *writer,
		    struct tiara_found *found, const union tiara_word *word)
{
	if (!insert_exchange(map, writer, found, *word))
		return false;
	found->word = *word;
	return true;
}

bool
tiara_table_remove(const struct tiara_map *map, struct tiara_writer *writer,
		   struct tiara_found *found)
{
	return insert_exchange(map, writer, found, (union tiara_word){.all = 0});
}
