/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"
#include "move.h"
#include "slot.h"
#include "step.h"
#include "table.h"

enum { LOOKUP_BLOCK = 64 };

/* Its live word, expired or not, in one bucket. The halves only filter, a line at once: what is
 * accepted was read by one 16-byte load. */
static inline bool
lookup_bucket(struct tiara_bucket *bucket, uint64_t key, struct tiara_found *found)
{
	for (uint32_t match = word_match(bucket, key); match; match &= match - 1) {
		struct tiara_entry *slot = &bucket->entry[__builtin_ctz(match)];
		union tiara_word w = {.all = word_load(slot)};

		if (w.key != key || !tiara_word_live(&w))
			continue;
		tiara_found_set(found, slot, tiara_word_plain(w));
		return true;
	}
	found->slot = NULL;
	return false;
}

/*
 * Of a key that may be in its second bucket. Absent only if no entry of its stripe moved meanwhile:
 * a move makes the new word first, then counts, then clears the old one; so who saw neither (the new
 * one not yet, the old one no longer) sees the count change (acquire, with move_note).
 */
struct tiara_found
tiara_table_find(const struct tiara_map *map, uint64_t key, uint64_t hash)
{
	struct tiara_bucket *first = &map->bucket[tiara_hash_bucket_1(hash, map->bucket_mask)];
	struct tiara_bucket *second = &map->bucket[tiara_hash_bucket_2(hash, map->bucket_mask)];
	struct tiara_found f;
	uint32_t moves;

	do {
		moves = tiara_move_count(map, hash);
		if (lookup_bucket(first, key, &f))
			return f;
		TIARA_STEP(18);
		if (slot_bucket_marked(first) && lookup_bucket(second, key, &f))
			return f;
	} while (tiara_move_count(map, hash) != moves);
	return f;
}

static inline void
lookup_judge(const struct tiara_age *age, struct tiara_found *f)
{
	if (f->slot && tiara_entry_expired(age, &f->word))
		f->slot = NULL;
}

static inline void
lookup_prefetch(const struct tiara_map *map, uint64_t bucket)
{
	__builtin_prefetch(&map->bucket[bucket]);
}

/* Most keys end with one line; the second lines of the others are asked for together. */
static void
lookup_block(const struct tiara_map *map, const struct tiara_age *age, const uint64_t *key,
	     const uint64_t *hash, uint32_t cnt, uint32_t ahead, struct tiara_found *found)
{
	uint8_t later[LOOKUP_BLOCK];
	uint32_t n = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		struct tiara_bucket *first;

		if (i < ahead)
			lookup_prefetch(map, tiara_hash_bucket_1(hash[i + TIARA_TABLE_AHEAD],
								 map->bucket_mask));
		first = &map->bucket[tiara_hash_bucket_1(hash[i], map->bucket_mask)];
		if (lookup_bucket(first, key[i], &found[i])) {
			lookup_judge(age, &found[i]);
		} else if (slot_bucket_marked(first)) {
			lookup_prefetch(map, tiara_hash_bucket_2(hash[i], map->bucket_mask));
			later[n++] = (uint8_t)i;
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		found[later[i]] = tiara_table_find(map, key[later[i]], hash[later[i]]);
		lookup_judge(age, &found[later[i]]);
	}
}

void
tiara_table_lookup(const struct tiara_map *map, const struct tiara_age *age, const uint64_t *key,
		   const uint64_t *hash, uint32_t cnt, struct tiara_found *found)
{
	for (uint32_t i = 0; i < cnt && i < TIARA_TABLE_AHEAD; i++)
		lookup_prefetch(map, tiara_hash_bucket_1(hash[i], map->bucket_mask));
	for (uint32_t i = 0; i < cnt; i += LOOKUP_BLOCK)
		lookup_block(map, age, key + i, hash + i,
			     cnt - i < LOOKUP_BLOCK ? cnt - i : LOOKUP_BLOCK,
			     cnt - i < TIARA_TABLE_AHEAD ? 0 : cnt - i - TIARA_TABLE_AHEAD,
			     found + i);
}
