/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word.h for x86-64. Intel and AMD guarantee that an aligned 16-byte AVX load is one access, and no
 * x86 load is reordered with an older load or with an older locked instruction: the load below is an
 * acquire, and sequentially consistent with the locked CAS. The clobbers keep the compiler from
 * moving or dropping it.
 */
#ifndef TIARA_TABLE_WORD_X86_H
#define TIARA_TABLE_WORD_X86_H

#include <immintrin.h>

enum { WORD_LOAD_WRITES = 0 };

static inline unsigned __int128
word_load(const void *at)
{
	__m128i v;

	__asm__ volatile("vmovdqa %1, %0" : "=x"(v) : "m"(*(const __m128i *)at) : "memory");
	/* In two registers: through memory the halves would wait for the whole. */
	return (unsigned __int128)(uint64_t)_mm_extract_epi64(v, 1) << 64 |
	       (uint64_t)_mm_cvtsi128_si64(v);
}

static inline bool
word_cas(void *at, unsigned __int128 from, unsigned __int128 to)
{
	return __sync_bool_compare_and_swap((unsigned __int128 *)at, from, to);
}

/*
 * Bit i: word i of the line begins with key. Two wide loads that nobody promises to be atomic: a
 * filter. The clobbers make each call read the memory anew, before whatever is read next.
 */
static inline uint32_t
word_match(const void *line, uint64_t key)
{
	const __m256i *at = line;
	__m256i low, high, keys;

	__asm__ volatile("" ::: "memory");
	low = _mm256_load_si256(at);
	high = _mm256_load_si256(at + 1);
	__asm__ volatile("" : "+x"(low), "+x"(high)::"memory");
	keys = _mm256_permute4x64_epi64(_mm256_unpacklo_epi64(low, high), 0xd8);
	keys = _mm256_cmpeq_epi64(keys, _mm256_set1_epi64x((long long)key));
	return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(keys));
}

/*
 * Bit i: word i is older than limit[its state] (eight of them; -1: any), or between two slots. A
 * filter over entries, as word_match is over keys; last_seen is bits 32 to 47 of a value, the state 48
 * to 55, flags above. Entries of the future are let through too.
 */
static inline uint32_t
word_due(const void *line, uint16_t now, const int32_t limit[8])
{
	const __m256i low16 = _mm256_set1_epi64x(0xffff);
	const __m256i *at = line;
	__m256i low, high, values, age, state, late, moving;

	__asm__ volatile("" ::: "memory");
	low = _mm256_load_si256(at);
	high = _mm256_load_si256(at + 1);
	values = _mm256_permute4x64_epi64(_mm256_unpackhi_epi64(low, high), 0xd8);
	age = _mm256_sub_epi64(_mm256_set1_epi64x(now), _mm256_srli_epi64(values, 32));
	age = _mm256_and_si256(age, low16);
	state = _mm256_and_si256(_mm256_srli_epi64(values, 48), _mm256_set1_epi64x(7));
	late = _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i *)limit), state);
	late = _mm256_slli_epi64(_mm256_cmpgt_epi32(age, late), 32); /* to the sign bits */
	moving = _mm256_or_si256(_mm256_slli_epi64(values, 5), _mm256_slli_epi64(values, 4));
	return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_or_si256(late, moving)));
}

static inline void
word_pause(void)
{
	_mm_pause();
}

#endif
