/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a selection table moves. */
#include "control/internal.h"

uint32_t
tiara_rows_differ(const uint32_t *before, const uint32_t *number, const uint32_t *after,
		  const uint32_t *other, uint32_t row_cnt)
{
	uint32_t moved = 0;

	for (uint32_t i = 0; i < row_cnt; i++)
		moved += number[before[i]] != other[after[i]];
	return moved;
}
