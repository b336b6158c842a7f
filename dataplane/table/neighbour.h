/* SPDX-License-Identifier: Apache-2.0 */
/* Next hops: address to MAC, one 16-byte atomic word each. Any worker reads and writes. */
#ifndef TIARA_TABLE_NEIGHBOUR_H
#define TIARA_TABLE_NEIGHBOUR_H

#include <stdbool.h>

#include "view.h"

/* Asks the memory for what tiara_neighbour_get(addr) will read. */
void tiara_neighbour_prefetch(const struct tiara_map *map, tiara_be32 addr);
/* True and the MAC when KNOWN. Otherwise marks it WANTED (if there is room) and returns false. */
bool tiara_neighbour_get(const struct tiara_map *map, tiara_be32 addr, uint8_t mac[6]);
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
