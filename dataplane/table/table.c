/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include "hash.h"
#include "reuse.h"

enum {
	TABLE_TRIES_POLITE = 16,   /* withdrawals for a lower-numbered owner before insisting */
	TABLE_LOOKS_MAX = 1 << 16, /* looks at both buckets before an insert gives up */
};

bool
tiara_entry_expired(const struct tiara_age *age, const union tiara_word *word)
{
	uint32_t s = word->entry.service_idx;

	if (reuse_service_use(age->view, s) != TIARA_USE_ACTIVE)
		return true;
	return tiara_tick_age(age->now, word->entry.last_seen) >
	       age->view->service[s].timeout_ticks[word->entry.state % TIARA_STATE_CNT];
}

/* ---- lookup ---- */

/* Its live word, expired or not, among the entries of one bucket that `match` lets through. */
static struct tiara_found
table_bucket_find(struct tiara_bucket *bucket, uint64_t key, uint32_t match)
{
	for (; match; match &= match - 1) {
		struct tiara_found f = {.slot = &bucket->entry[__builtin_ctz(match)]};

		f.word = reuse_load(f.slot);
		if (f.word.key == key && tiara_word_live(&f.word))
			return f;
	}
	return (struct tiara_found){.slot = NULL};
}

/* The halves only filter, both buckets at once: what is accepted was read by one 16-byte load. */
static struct tiara_found
table_find(const struct tiara_map *map, const struct tiara_age *age, uint64_t key, uint64_t hash)
{
	struct tiara_bucket *bucket_1 = &map->bucket[tiara_hash_bucket_1(hash, map->bucket_mask)];
	struct tiara_bucket *bucket_2 = &map->bucket[tiara_hash_bucket_2(hash, map->bucket_mask)];
	uint32_t match_1 = word_match(bucket_1, key), match_2 = word_match(bucket_2, key);
	struct tiara_found f = table_bucket_find(match_1 ? bucket_1 : bucket_2, key,
						 match_1 ? match_1 : match_2);

	if (!f.slot && match_1)
		f = table_bucket_find(bucket_2, key, match_2);
	if (f.slot && tiara_entry_expired(age, &f.word))
		f.slot = NULL;
	return f;
}

void
tiara_table_lookup(const struct tiara_map *map, const struct tiara_age *age, const uint64_t *key,
		   const uint64_t *hash, uint32_t cnt, struct tiara_found *found)
{
	for (uint32_t i = 0; i < cnt; i++) {
		__builtin_prefetch(&map->bucket[tiara_hash_bucket_1(hash[i], map->bucket_mask)]);
		__builtin_prefetch(&map->bucket[tiara_hash_bucket_2(hash[i], map->bucket_mask)]);
	}
	for (uint32_t i = 0; i < cnt; i++)
		found[i] = table_find(map, age, key[i], hash[i]);
}

/* ---- insert (docs/design/0003: why two never both succeed) ---- */

/* One insert under way. */
struct table_insert {
	const struct tiara_map *map;
	const struct tiara_age *age;
	struct tiara_inserter *inserter;
	struct tiara_bucket *bucket[2];
	union tiara_word word; /* wanted */
	uint32_t tries;
	uint32_t looks;
};

/* What one look at both buckets says about the key. slot NULL: nothing such. */
struct table_look {
	struct tiara_found live;  /* its live word, expired or not: never more than one */
	struct tiara_found rival; /* a tentative word of somebody else for it */
	struct tiara_found room;  /* a slot to take, in the emptier bucket */
};

enum table_outcome {
	TABLE_DONE,
	TABLE_EXISTS,
	TABLE_FULL,
	TABLE_AGAIN,
};

/* May this word, of whatever key, be overwritten by an insert? */
static bool
table_reusable(const struct table_insert *in, const union tiara_word *word)
{
	uint8_t use = reuse_service_use(in->age->view, word->entry.service_idx);

	if (word->entry.state == TIARA_STATE_EMPTY)
		return true;
	if (!tiara_word_live(word))
		return reuse_stale(in->age, word);
	if (use != TIARA_USE_ACTIVE)
		return reuse_service_unused(in->map, in->age->view, word->entry.service_idx);
	return tiara_entry_expired(in->age, word);
}

/* Looks at one bucket, but not at slot `own`. Returns how many slots could be taken. */
static int
table_look_bucket(const struct table_insert *in, struct tiara_bucket *bucket,
		  const struct tiara_entry *own, struct table_look *look, struct tiara_found *room)
{
	int cnt = 0;

	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		struct tiara_found f = {.slot = &bucket->entry[i]};

		f.word = reuse_load(f.slot);
		if (f.slot == own)
			continue;
		if (f.word.key == in->word.key && tiara_word_live(&f.word))
			look->live = f;
		else if (f.word.key == in->word.key && f.word.entry.state == TIARA_STATE_TENTATIVE)
			look->rival = f;
		else if (table_reusable(in, &f.word) && cnt++ == 0)
			*room = f;
	}
	return cnt;
}

static struct table_look
table_look(struct table_insert *in, const struct tiara_entry *own)
{
	struct table_look look = {.live.slot = NULL};
	struct tiara_found room[2] = {{.slot = NULL}, {.slot = NULL}};
	int cnt_0 = table_look_bucket(in, in->bucket[0], own, &look, &room[0]);
	int cnt_1 = table_look_bucket(in, in->bucket[1], own, &look, &room[1]);

	look.room = room[cnt_1 > cnt_0];
	in->looks++;
	return look;
}

static bool
table_swap(const struct tiara_found *from, union tiara_word to)
{
	return word_cas(from->slot, from->word.all, to.all);
}

static bool
table_clear(const struct tiara_found *found)
{
	return table_swap(found, (union tiara_word){.all = 0});
}

/*
 * Ours alone: no other live process has our number, and we repeat no nonce. So a commit that finds
 * it finds what was placed, never gone in between, and a late abort by another hits no later insert.
 */
static union tiara_word
table_tentative(const struct table_insert *in)
{
	union tiara_word w = {.key = in->word.key};

	w.tentative.nonce = in->inserter->nonce++;
	w.tentative.last_seen = in->age->now;
	w.tentative.state = TIARA_STATE_TENTATIVE;
	w.tentative.owner = in->inserter->owner;
	return w;
}

/* The slot to take: the key's own expired one before any other, a rival's after enough waiting. */
static struct tiara_found
table_target(const struct table_insert *in, const struct table_look *look)
{
	if (look->live.slot)
		return look->live;
	if (!look->room.slot && in->tries > TABLE_TRIES_POLITE)
		return look->rival;
	return look->room;
}

/* The lower number goes first, but not for ever: its process may be dead or stopped. */
static bool
table_yields(const struct table_insert *in, const struct tiara_found *rival)
{
	return rival->word.tentative.owner < in->inserter->owner && in->tries <= TABLE_TRIES_POLITE;
}

/*
 * Ours is in its slot: look until a look finds nobody else, then make it live. A failed commit means
 * that a rival or the sweep took it away.
 */
static enum table_outcome
table_settle(struct table_insert *in, const struct tiara_found *own, struct tiara_found *found)
{
	for (;;) {
		struct table_look look = table_look(in, own->slot);
		bool lost = look.live.slot && !tiara_entry_expired(in->age, &look.live.word);

		TIARA_STEP(2);
		if (lost || in->looks > TABLE_LOOKS_MAX ||
		    (look.rival.slot && table_yields(in, &look.rival))) {
			table_clear(own);
			TIARA_STEP(3);
			*found = look.live;
			return lost ? TABLE_EXISTS : TABLE_AGAIN;
		}
		if (!look.live.slot && !look.rival.slot)
			break;
		table_clear(look.live.slot ? &look.live : &look.rival);
		TIARA_STEP(4);
	}
	if (!table_swap(own, in->word))
		return TABLE_AGAIN;
	TIARA_STEP(5);
	*found = (struct tiara_found){.slot = own->slot, .word = in->word};
	return TABLE_DONE;
}

static enum table_outcome
table_try(struct table_insert *in, struct tiara_found *found)
{
	struct table_look look = table_look(in, NULL);
	struct tiara_found own = table_target(in, &look);
	union tiara_word tentative;

	if (look.live.slot && !tiara_entry_expired(in->age, &look.live.word)) {
		*found = look.live;
		return TABLE_EXISTS;
	}
	if (!own.slot)
		return look.rival.slot ? TABLE_AGAIN : TABLE_FULL;
	tentative = table_tentative(in);
	TIARA_STEP(0);
	if (!table_swap(&own, tentative))
		return TABLE_AGAIN;
	TIARA_STEP(1);
	own.word = tentative;
	return table_settle(in, &own, found);
}

enum tiara_status
tiara_table_insert(const struct tiara_map *map, const struct tiara_age *age,
		   struct tiara_inserter *inserter, uint64_t hash, const union tiara_word *word,
		   struct tiara_found *found)
{
	static const enum tiara_status status[] = {
		[TABLE_DONE] = TIARA_OK,
		[TABLE_EXISTS] = TIARA_EXISTS,
		[TABLE_FULL] = TIARA_FULL,
		[TABLE_AGAIN] = TIARA_FULL,
	};
	enum table_outcome outcome = TABLE_AGAIN;
	struct table_insert in = {
		.map = map,
		.age = age,
		.inserter = inserter,
		.bucket = {&map->bucket[tiara_hash_bucket_1(hash, map->bucket_mask)],
			   &map->bucket[tiara_hash_bucket_2(hash, map->bucket_mask)]},
		.word = *word,
	};

	while (outcome == TABLE_AGAIN && in.looks <= TABLE_LOOKS_MAX) {
		outcome = table_try(&in, found);
		in.tries++;
		if (outcome == TABLE_AGAIN)
			word_pause();
	}
	if (status[outcome] == TIARA_FULL)
		found->slot = NULL;
	return status[outcome];
}

bool
tiara_table_replace(struct tiara_found *found, const union tiara_word *word)
{
	if (!table_swap(found, *word))
		return false;
	found->word = *word;
	return true;
}

bool
tiara_table_remove(const struct tiara_found *found)
{
	return table_clear(found);
}
