/* SPDX-License-Identifier: Apache-2.0 */
/* clmul.h by PCLMULQDQ. */
#ifndef TIARA_TABLE_CLMUL_X86_H
#define TIARA_TABLE_CLMUL_X86_H

#include <smmintrin.h>
#include <wmmintrin.h>

static inline struct clmul
clmul(uint64_t a, uint64_t b)
{
	__m128i x = _mm_cvtsi64_si128((long long)a);
	__m128i y = _mm_cvtsi64_si128((long long)b);
	__m128i product = _mm_clmulepi64_si128(x, y, 0);

	return (struct clmul){.low = (uint64_t)_mm_cvtsi128_si64(product),
			      .high = (uint64_t)_mm_extract_epi64(product, 1)};
}

#endif
