/* SPDX-License-Identifier: Apache-2.0 */
#include "neighbour.h"

enum { NEIGHBOUR_PROBES = 32 }; /* slots looked at before giving up: a lookup's bound */

static union tiara_neighbour_word
neighbour_load(const struct tiara_neighbour *slot)
{
	return (union tiara_neighbour_word){.all = word_load(slot)};
}

static union tiara_neighbour_word
neighbour_wanted(tiara_be32 addr)
{
	return (union tiara_neighbour_word){.n = {.addr = addr, .state = TIARA_NEIGHBOUR_WANTED}};
}

/*
 * The slot of addr and its word. With `claim`, a free slot on the way becomes WANTED. Slots are
 * never freed, so an address cannot come to sit in two: all who claim it try the same free slot
 * first, and who loses looks at that slot again. NULL: not there, and no room in reach.
 */
static struct tiara_neighbour *
neighbour_find(const struct tiara_map *map, tiara_be32 addr, bool claim,
	       union tiara_neighbour_word *word)
{
	uint32_t home = tiara_neighbour_home(addr);

	for (uint32_t i = 0; i < NEIGHBOUR_PROBES && i <= map->neighbour_mask; i++) {
		struct tiara_neighbour *slot = &map->neighbour[(home + i) & map->neighbour_mask];

		*word = neighbour_load(slot);
		if (word->n.state == TIARA_NEIGHBOUR_FREE) {
			if (!claim)
				return NULL;
			word_cas(slot, word->all, neighbour_wanted(addr).all);
			*word = neighbour_load(slot);
		}
		if (word->n.addr == addr)
			return slot;
	}
	return NULL;
}

bool
tiara_neighbour_search(const struct tiara_map *map, tiara_be32 addr, uint8_t mac[6])
{
	union tiara_neighbour_word w;

	if (!neighbour_find(map, addr, true, &w) || w.n.state != TIARA_NEIGHBOUR_KNOWN)
		return false;
	memcpy(mac, w.n.mac, 6);
	return true;
}

bool
tiara_neighbour_heard(const struct tiara_map *map, tiara_be32 addr, const uint8_t mac[6],
		      uint32_t tick)
{
	union tiara_neighbour_word was;
	union tiara_neighbour_word now = {
		.n = {.addr = addr, .state = TIARA_NEIGHBOUR_KNOWN, .heard = tick}};
	struct tiara_neighbour *slot = neighbour_find(map, addr, false, &was);

	if (!slot)
		return false;
	memcpy(now.n.mac, mac, 6);
	while (was.all != now.all && !word_cas(slot, was.all, now.all))
		was = neighbour_load(slot);
	return true;
}

void
tiara_neighbour_want(const struct tiara_map *map, tiara_be32 addr)
{
	union tiara_neighbour_word w;

	neighbour_find(map, addr, true, &w);
}

struct tiara_neighbour
tiara_neighbour_read(const struct tiara_map *map, uint32_t idx)
{
	return neighbour_load(&map->neighbour[idx]).n;
}

bool
tiara_neighbour_swap(const struct tiara_map *map, uint32_t idx, const struct tiara_neighbour *from,
		     const struct tiara_neighbour *to)
{
	union tiara_neighbour_word f = {.n = *from};
	union tiara_neighbour_word t = {.n = *to};

	return word_cas(&map->neighbour[idx], f.all, t.all);
}
