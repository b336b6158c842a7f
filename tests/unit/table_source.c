/* SPDX-License-Identifier: Apache-2.0 */
/* The binary search of a list of sources against a plain scan of it, at and beside every edge. */
#include "table_world.h"
#include "table/source.h"

enum { LISTS = 2000, CNT_MAX = 40 };

static bool
holds_plain(const struct tiara_source *source, uint32_t cnt, uint32_t addr)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (source[i].first <= addr && addr <= source[i].last)
			return true;
	return false;
}

/* In order, none touching; some begin at 0 or end at the last address. */
static uint32_t
list_make(uint64_t *random, struct tiara_source *source)
{
	uint32_t wanted = (uint32_t)(world_random(random) % CNT_MAX), cnt = 0;
	uint64_t at = world_random(random) % 4 ? world_random(random) >> 34 : 0;

	for (; cnt < wanted; cnt++) {
		uint32_t shift = 34 + (uint32_t)(world_random(random) % 30);
		uint64_t last = at + (world_random(random) >> shift);

		if (last >= UINT32_MAX) {
			source[cnt++] = (struct tiara_source){(uint32_t)at, UINT32_MAX};
			break;
		}
		source[cnt] = (struct tiara_source){(uint32_t)at, (uint32_t)last};
		at = last + 2 + (world_random(random) >> shift);
		if (at > UINT32_MAX)
			return cnt + 1;
	}
	return cnt;
}

static void
check_at(const struct tiara_source *source, uint32_t cnt, uint32_t addr)
{
	CHECK(source_holds(source, cnt, addr) == holds_plain(source, cnt, addr));
}

int
main(void)
{
	struct tiara_source source[CNT_MAX + 1];
	uint64_t random = 1;

	for (int list = 0; list < LISTS; list++) {
		uint32_t cnt = list_make(&random, source);

		check_at(source, cnt, 0);
		check_at(source, cnt, UINT32_MAX);
		for (uint32_t i = 0; i < cnt; i++) {
			for (uint32_t beside = 0; beside < 3; beside++) {
				check_at(source, cnt, source[i].first + beside - 1);
				check_at(source, cnt, source[i].last + beside - 1);
			}
			check_at(source, cnt, (uint32_t)world_random(&random));
		}
	}
	return 0;
}
