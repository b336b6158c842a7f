/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the card's slots may hold, as the CPU knows it: a word of 4 bytes a slot.
 *
 *     check 30 | state 2        0: the slot is free
 *
 * The check is a mix of the key's hash whose top bits are the key's channel. So two keys that could be
 * taken for each other have one channel, hence one owner, who refuses the second: a check that is found
 * in a key's eight slots is that key's, as long as its entry is marked OFFLOADED.
 *
 * A free word may be taken by any worker (CAS); a word that is not free is changed by the owner of its
 * channel only.
 */
#ifndef TIARA_OFFLOAD_MIRROR_H
#define TIARA_OFFLOAD_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include "table/hash.h"
#include "tiara/layout.h"

#define MIRROR_NONE UINT32_MAX

enum mirror_state {
	MIRROR_FREE = 0,
	MIRROR_OFFERED = 1,  /* the card may have it */
	MIRROR_REMOVING = 2, /* until the card has answered */
};

struct mirror {
	uint32_t *word; /* slot_cnt of them */
	uint32_t slot_cnt;
	uint32_t bucket_mask;
};

static inline uint32_t
mirror_check(uint64_t hash)
{
	return (uint32_t)(hash * 0xd6e8feb86659fd93u >> 34);
}

static inline uint32_t
mirror_check_channel(uint32_t check)
{
	return check >> 26;
}

_Static_assert(TIARA_CARD_CHANNELS == 1 << 4, "a channel is the top 4 bits of a check of 30");

static inline uint32_t
mirror_channel(uint64_t hash)
{
	return mirror_check_channel(mirror_check(hash));
}

/* Place 0..7 of a key: four in each of its buckets. */
static inline uint32_t
mirror_slot(const struct mirror *m, uint64_t hash, uint32_t place)
{
	uint64_t bucket = place < TIARA_BUCKET_ENTRIES ? tiara_hash_bucket_1(hash, m->bucket_mask)
						       : tiara_hash_bucket_2(hash, m->bucket_mask);

	return (uint32_t)(bucket * TIARA_BUCKET_ENTRIES + place % TIARA_BUCKET_ENTRIES);
}

/* The words of its places, and the ticks of the first four, where most are put. */
static inline void
mirror_prefetch(const struct mirror *m, const uint16_t *used_tick, uint64_t hash)
{
	uint32_t first = mirror_slot(m, hash, 0);

	__builtin_prefetch(&m->word[first], 1);
	__builtin_prefetch(&m->word[mirror_slot(m, hash, TIARA_BUCKET_ENTRIES)]);
	__builtin_prefetch(&used_tick[first], 1);
}

/* Relaxed, here and below: the messages that follow from a word are its owner's own. */
static inline uint32_t
mirror_get(const struct mirror *m, uint32_t slot)
{
	return __atomic_load_n(&m->word[slot], __ATOMIC_RELAXED);
}

static inline enum mirror_state
mirror_state(const struct mirror *m, uint32_t slot)
{
	return mirror_get(m, slot) & 3;
}

static inline void
mirror_set(struct mirror *m, uint32_t slot, uint64_t hash, enum mirror_state state)
{
	__atomic_store_n(&m->word[slot], mirror_check(hash) << 2 | state, __ATOMIC_RELAXED);
}

/* Release, with the acquire of mirror_take: what was known of the slot ends before it begins anew. */
static inline void
mirror_free(struct mirror *m, uint32_t slot)
{
	__atomic_store_n(&m->word[slot], 0, __ATOMIC_RELEASE);
}

/* Where the key is; MIRROR_NONE: nowhere. */
static inline uint32_t
mirror_find(const struct mirror *m, uint64_t hash)
{
	for (uint32_t i = 0; i < 2 * TIARA_BUCKET_ENTRIES; i++) {
		uint32_t slot = mirror_slot(m, hash, i);
		uint32_t word = mirror_get(m, slot);

		if (word != 0 && word >> 2 == mirror_check(hash))
			return slot;
	}
	return MIRROR_NONE;
}

/* A free slot is the key's, OFFERED; MIRROR_NONE: there is none. */
static inline uint32_t
mirror_take(struct mirror *m, uint64_t hash)
{
	for (uint32_t i = 0; i < 2 * TIARA_BUCKET_ENTRIES; i++) {
		uint32_t slot = mirror_slot(m, hash, i);
		uint32_t free = 0;

		if (__atomic_compare_exchange_n(&m->word[slot], &free,
						mirror_check(hash) << 2 | MIRROR_OFFERED, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return slot;
	}
	return MIRROR_NONE;
}

#endif
