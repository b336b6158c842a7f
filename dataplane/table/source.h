/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a list of sources holds an address. A list only allows, so of prefixes that hold an address
 * the longest says no more than any: ranges without overlap and a binary search are enough.
 */
#ifndef TIARA_TABLE_SOURCE_H
#define TIARA_TABLE_SOURCE_H

#include <stdbool.h>

#include "tiara/layout.h"

static inline bool
source_holds(const struct tiara_source *source, uint32_t cnt, uint32_t addr)
{
	uint32_t low = 0, high = cnt;

	/* Below low: begin at addr or before. From high on: begin behind it. */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (source[middle].first <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && addr <= source[low - 1].last;
}

#endif
