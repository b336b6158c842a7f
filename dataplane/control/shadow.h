/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A private copy of what one packet may read and write of a segment (docs/design/0011). The packet path
 * runs on it as on the segment; nothing that it writes reaches anyone.
 */
#ifndef TIARA_CONTROL_SHADOW_H
#define TIARA_CONTROL_SHADOW_H

#include "table/table.h"

/*
 * Owner: who made it, one thread. Blocks of the configuration are not in it: the view points to those of
 * the segment, which its generation keeps. The table has those buckets only that were fetched; all
 * others are empty.
 */
struct shadow {
	struct tiara_map map;
	struct tiara_view view;
	uint64_t bytes;
};

/* False: no memory; errno says more. `from` must keep its current generation until the end. */
bool shadow_make(struct shadow *shadow, const struct tiara_map *from);
void shadow_end(struct shadow *shadow);
/* All buckets that a lookup and an insert of a key with this hash can come to, moves included. */
void shadow_fetch(struct shadow *shadow, const struct tiara_map *from, uint64_t hash);

#endif
