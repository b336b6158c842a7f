/* SPDX-License-Identifier: Apache-2.0 */
/* Next hops: asked for, heard, aged; strangers are not kept; a full table refuses quietly. */
#include "table_world.h"
#include "table/neighbour.h"

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2};

/* The slot number of an address, or -1. */
static int
slot_of(const struct world *w, tiara_be32 addr)
{
	for (uint32_t i = 0; i <= w->map.neighbour_mask; i++) {
		struct tiara_neighbour n = tiara_neighbour_read(&w->map, i);

		if (n.state != TIARA_NEIGHBOUR_FREE && n.addr == addr)
			return (int)i;
	}
	return -1;
}

/* Asking marks WANTED; an answer makes it KNOWN; a changed MAC is taken. */
static void
test_wanted_then_known(void)
{
	struct world w;
	uint8_t mac[6];

	world_make(&w, 2);
	CHECK(!tiara_neighbour_get(&w.map, 7, mac));
	CHECK(tiara_neighbour_read(&w.map, (uint32_t)slot_of(&w, 7)).state ==
	      TIARA_NEIGHBOUR_WANTED);
	CHECK(!tiara_neighbour_get(&w.map, 7, mac));
	CHECK(tiara_neighbour_heard(&w.map, 7, mac_a, 5));
	CHECK(tiara_neighbour_get(&w.map, 7, mac) && memcmp(mac, mac_a, 6) == 0);
	CHECK(tiara_neighbour_heard(&w.map, 7, mac_b, 6));
	CHECK(tiara_neighbour_get(&w.map, 7, mac) && memcmp(mac, mac_b, 6) == 0);
	CHECK(tiara_neighbour_read(&w.map, (uint32_t)slot_of(&w, 7)).heard == 6);
	world_free(&w);
}

/* Who was never asked for is not kept. */
static void
test_strangers(void)
{
	struct world w;

	world_make(&w, 2);
	CHECK(!tiara_neighbour_heard(&w.map, 8, mac_a, 5) && slot_of(&w, 8) < 0);
	tiara_neighbour_want(&w.map, 8);
	CHECK(tiara_neighbour_heard(&w.map, 8, mac_a, 5));
	world_free(&w);
}

/* The resolver's change is refused when an answer came between. */
static void
test_swap_is_exact(void)
{
	struct world w;
	struct tiara_neighbour was, aged;
	uint8_t mac[6];
	uint32_t slot;

	world_make(&w, 2);
	tiara_neighbour_want(&w.map, 9);
	slot = (uint32_t)slot_of(&w, 9);
	CHECK(tiara_neighbour_heard(&w.map, 9, mac_a, 5));
	was = aged = tiara_neighbour_read(&w.map, slot);
	aged.state = TIARA_NEIGHBOUR_WANTED;
	CHECK(tiara_neighbour_heard(&w.map, 9, mac_b, 6));
	CHECK(!tiara_neighbour_swap(&w.map, slot, &was, &aged));
	CHECK(tiara_neighbour_get(&w.map, 9, mac));
	was = tiara_neighbour_read(&w.map, slot);
	CHECK(tiara_neighbour_swap(&w.map, slot, &was, &aged) &&
	      !tiara_neighbour_get(&w.map, 9, mac));
	world_free(&w);
}

/* More than the table holds: those within keep their answers, the others are never known. */
static void
test_full(void)
{
	struct world w;
	uint8_t mac[6];
	uint32_t kept = 0;

	world_make(&w, 2);
	for (uint32_t a = 1; a <= 2 * WORLD_NEIGHBOURS; a++)
		tiara_neighbour_want(&w.map, a);
	for (uint32_t a = 1; a <= 2 * WORLD_NEIGHBOURS; a++) {
		uint8_t own[6] = {2, 0, 0, 0, 0, (uint8_t)a};

		CHECK(tiara_neighbour_heard(&w.map, a, own, 1) == (slot_of(&w, a) >= 0));
	}
	for (uint32_t a = 1; a <= 2 * WORLD_NEIGHBOURS; a++) {
		if (!tiara_neighbour_get(&w.map, a, mac))
			continue;
		CHECK(mac[5] == a);
		kept++;
	}
	CHECK(kept >= WORLD_NEIGHBOURS / 2 && kept <= WORLD_NEIGHBOURS);
	world_free(&w);
}

int
main(void)
{
	test_wanted_then_known();
	test_strangers();
	test_swap_is_exact();
	test_full();
	return 0;
}
