/* SPDX-License-Identifier: Apache-2.0 */
/* Next hops: address to MAC, one 16-byte atomic word each. Any worker reads and writes. */
#ifndef TIARA_TABLE_NEIGHBOUR_H
#define TIARA_TABLE_NEIGHBOUR_H

#include <stdbool.h>

#include <string.h>

#include "view.h"
#include "word.h"

union tiara_neighbour_word {
	struct tiara_neighbour n;
	unsigned __int128 all;
};

/* Where the search for an address begins, before the mask. Odd factor: a bijection. */
static inline uint32_t
tiara_neighbour_home(tiara_be32 addr)
{
	uint32_t x = addr * 0x9e3779b1u;

	return x ^ x >> 16;
}

/* Asks the memory for what tiara_neighbour_get(addr) will read. */
static inline void
tiara_neighbour_prefetch(const struct tiara_map *map, tiara_be32 addr)
{
	__builtin_prefetch(&map->neighbour[tiara_neighbour_home(addr) & map->neighbour_mask]);
}

/* tiara_neighbour_get of an address that is not KNOWN in the first place it could be. */
bool tiara_neighbour_search(const struct tiara_map *map, tiara_be32 addr, uint8_t mac[6]);

/* True and the MAC when KNOWN. Otherwise marks it WANTED (if there is room) and returns false. */
static inline bool
tiara_neighbour_get(const struct tiara_map *map, tiara_be32 addr, uint8_t mac[6])
{
	uint32_t home = tiara_neighbour_home(addr) & map->neighbour_mask;
	union tiara_neighbour_word w = {.all = word_load(&map->neighbour[home])};

	if (w.n.addr != addr || w.n.state != TIARA_NEIGHBOUR_KNOWN)
		return tiara_neighbour_search(map, addr, mac);
	memcpy(mac, w.n.mac, sizeof(w.n.mac));
	return true;
}

/* An ARP sender: updates a neighbour that is WANTED or KNOWN; false (nothing kept): a stranger. */
bool tiara_neighbour_heard(const struct tiara_map *map, tiara_be32 addr, const uint8_t mac[6],
			   uint32_t tick);
/* Resolver: asks for an address. */
void tiara_neighbour_want(const struct tiara_map *map, tiara_be32 addr);
/* Resolver: slot idx (0..neighbour_mask) by value; state FREE: never used. */
struct tiara_neighbour tiara_neighbour_read(const struct tiara_map *map, uint32_t idx);
/*
 * Resolver: replaces exactly *from in slot idx (count a probe, age KNOWN to WANTED); false: it
 * changed meanwhile. Keeps the address, never makes a slot FREE.
 */
bool tiara_neighbour_swap(const struct tiara_map *map, uint32_t idx,
			  const struct tiara_neighbour *from, const struct tiara_neighbour *to);

#endif
