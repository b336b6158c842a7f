/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word.h for x86-64. Intel and AMD guarantee that an aligned 16-byte AVX load is one access, and no
 * x86 load is reordered with an older load or with an older locked instruction: the load below is an
 * acquire, and sequentially consistent with the locked CAS. The clobbers keep the compiler from
 * moving or dropping it.
 */
#ifndef TIARA_TABLE_WORD_X86_H
#define TIARA_TABLE_WORD_X86_H

#include <emmintrin.h>

static inline unsigned __int128
word_load(const void *at)
{
	__m128i v;

	__asm__ volatile("vmovdqa %1, %0" : "=x"(v) : "m"(*(const __m128i *)at) : "memory");
	return (unsigned __int128)v;
}

static inline bool
word_cas(void *at, unsigned __int128 from, unsigned __int128 to)
{
	return __sync_bool_compare_and_swap((unsigned __int128 *)at, from, to);
}

static inline void
word_pause(void)
{
	_mm_pause();
}

#endif
