/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "tiara/tiara.h"

bool
tiara_source_allowed(const struct tiara_source *source, uint32_t cnt, tiara_be32 addr)
{
	return cnt == 0 || source_holds(source, cnt, __builtin_bswap32(addr));
}
