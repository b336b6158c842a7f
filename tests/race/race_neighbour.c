/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbours asked for and heard by all at once: one slot each, never a mixed word. */
#include "race.h"
#include "table/neighbour.h"

enum { ADDRS = 48, OPS = 4000 };

/* A MAC that says whose it is; its last byte changes. */
static void
mac_of(tiara_be32 addr, uint8_t last, uint8_t mac[6])
{
	const uint8_t m[6] = {2, (uint8_t)addr, (uint8_t)~addr, last, (uint8_t)~last, last};

	memcpy(mac, m, 6);
}

static void
mac_check(tiara_be32 addr, const uint8_t mac[6])
{
	uint8_t expected[6];

	mac_of(addr, mac[5], expected);
	CHECK(memcmp(mac, expected, 6) == 0);
}

static void
age(const struct tiara_map *map)
{
	uint32_t slot = race_draw(WORLD_NEIGHBOURS);
	struct tiara_neighbour was = tiara_neighbour_read(map, slot), aged = was;

	if (was.state != TIARA_NEIGHBOUR_KNOWN)
		return;
	aged.state = TIARA_NEIGHBOUR_WANTED;
	tiara_neighbour_swap(map, slot, &was, &aged);
}

static void
body(void *shared, uint32_t me)
{
	struct world *w = shared;

	for (uint32_t i = 0; i < OPS; i++) {
		tiara_be32 addr = 1 + race_draw(ADDRS);
		uint8_t mac[6];

		mac_of(addr, (uint8_t)(i * RACE_THREADS + me), mac);
		if (race_draw(3) == 0)
			tiara_neighbour_heard(&w->map, addr, mac, i);
		else if (race_draw(16) == 0)
			age(&w->map);
		else if (tiara_neighbour_get(&w->map, addr, mac))
			mac_check(addr, mac);
	}
}

int
main(void)
{
	for (uint64_t seed = 0; seed < 50; seed++) {
		uint32_t slots[1 + ADDRS] = {0};
		struct world w;

		world_make(&w, 2);
		race_run(body, &w, seed);
		for (uint32_t i = 0; i < WORLD_NEIGHBOURS; i++)
			slots[w.map.neighbour[i].addr]++;
		for (uint32_t a = 1; a <= ADDRS; a++)
			CHECK(slots[a] <= 1);
		world_free(&w);
	}
	return 0;
}
