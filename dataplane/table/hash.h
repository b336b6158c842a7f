/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keyed hash (docs/design/0003): 64-bit Toeplitz by two carry-less multiplies, then a non-linear
 * fold. tiara_hash and tiara_hash_plain are declared in tiara.h; here are the inline forms for the
 * packet path and what is made of a hash.
 */
#ifndef TIARA_TABLE_HASH_H
#define TIARA_TABLE_HASH_H

#include "clmul.h"
#include "tiara/layout.h"

static inline uint32_t
hash_rotl(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static inline uint32_t
hash_round(uint32_t x)
{
	return (hash_rotl(x, 1) & hash_rotl(x, 8)) ^ hash_rotl(x, 2);
}

/*
 * Three Feistel rounds of AND-rotate on the halves: a bijection (no two Toeplitz values meet), so
 * universality survives, and non-linear, so no collision difference works for every key. With two
 * rounds the high half is folded once only: selection rows were then uneven for one secret in ten.
 */
static inline uint64_t
tiara_hash_fold(uint64_t t)
{
	uint32_t lo = (uint32_t)t, hi = (uint32_t)(t >> 32);

	hi ^= hash_round(lo);
	lo ^= hash_round(hi);
	hi ^= hash_round(lo);
	return (uint64_t)hi << 32 | lo;
}

/*
 * Toeplitz: output bit i is the parity over j of key bit j and secret bit i + 63 - j, for a secret of
 * 127 bits (secret[0] low). That is bits 63..126 of the carry-less product key x secret.
 */
static inline uint64_t
tiara_hash_inline(uint64_t key, const uint64_t secret[2])
{
	struct clmul low = clmul(key, secret[0]);
	struct clmul high = clmul(key, secret[1]);

	return tiara_hash_fold((low.high << 1 | low.low >> 63) ^ high.low << 1);
}

/* The two candidate buckets: low and high half; never the same one. */
static inline uint64_t
tiara_hash_bucket_1(uint64_t hash, uint64_t mask)
{
	return (uint32_t)hash & mask;
}

static inline uint64_t
tiara_hash_bucket_2(uint64_t hash, uint64_t mask)
{
	uint64_t b = (hash >> 32) & mask;

	return b == ((uint32_t)hash & mask) ? b ^ 1 : b;
}

/* A row of a selection table: the high half scaled to row_cnt, no division. */
static inline uint32_t
tiara_hash_row(uint64_t hash, uint32_t row_cnt)
{
	return (uint32_t)((hash >> 32) * row_cnt >> 32);
}

#endif
