/* SPDX-License-Identifier: Apache-2.0 */
/* clmul.h by PMULL. */
#ifndef TIARA_TABLE_CLMUL_ARM_H
#define TIARA_TABLE_CLMUL_ARM_H

#include <arm_neon.h>

static inline struct clmul
clmul(uint64_t a, uint64_t b)
{
	uint64x2_t product = vreinterpretq_u64_p128(vmull_p64((poly64_t)a, (poly64_t)b));

	return (struct clmul){.low = vgetq_lane_u64(product, 0),
			      .high = vgetq_lane_u64(product, 1)};
}

#endif
