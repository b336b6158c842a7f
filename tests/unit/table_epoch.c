/* SPDX-License-Identifier: Apache-2.0 */
/* Generations as workers report them, and ticks. */
#include "table_world.h"

enum { HZ = 1000 };

/* Entering reports the current generation; nothing published: 0, and a view without anything. */
static void
test_enter(void)
{
	struct world w;
	struct tiara_view none;

	world_make(&w, 2);
	tiara_epoch_publish_ctl(&w.map, 0);
	CHECK(tiara_epoch_enter_wk(&w.map, 2) == 0);
	none = tiara_view_of(&w.map, 0);
	CHECK(none.service_cnt == 0 && none.backend_cnt == 0 && !none.frontend);
	tiara_epoch_publish_ctl(&w.map, 7);
	CHECK(tiara_epoch_enter_wk(&w.map, 2) == 7 && w.map.worker[2].generation == 7);
	CHECK(tiara_epoch_enter_wk(&w.map, 2) == 7);
	world_free(&w);
}

/* The oldest one in use and who uses it; sleepers hold nothing back. */
static void
test_oldest(void)
{
	struct world w;
	int32_t who;

	world_make(&w, 2);
	CHECK(tiara_epoch_oldest_ctl(&w.map, &who) == UINT64_MAX && who == -1);
	tiara_epoch_enter_wk(&w.map, 3);
	tiara_epoch_publish_ctl(&w.map, 2);
	tiara_epoch_enter_wk(&w.map, 1);
	CHECK(tiara_epoch_oldest_ctl(&w.map, &who) == 1 && who == 3);
	tiara_epoch_offline_wk(&w.map, 3);
	CHECK(tiara_epoch_oldest_ctl(&w.map, &who) == 2 && who == 1);
	tiara_epoch_start_ctl(&w.map);
	CHECK(tiara_epoch_oldest_ctl(&w.map, &who) == UINT64_MAX && who == -1);
	world_free(&w);
}

/* A tick a second, counted once, without drift when a worker looks a little late. */
static void
test_tick_counts_seconds(void)
{
	struct world w;

	world_make(&w, 2);
	tiara_tick_start_ctl(&w.map, 5000, HZ);
	CHECK(tiara_tick_advance_wk(&w.map, 5999, HZ) == 0);
	CHECK(tiara_tick_advance_wk(&w.map, 6000, HZ) == 1);
	CHECK(tiara_tick_advance_wk(&w.map, 6000, HZ) == 1);
	CHECK(tiara_tick_advance_wk(&w.map, 7900, HZ) == 2);
	CHECK(tiara_tick_advance_wk(&w.map, 8000, HZ) == 3);
	CHECK(tiara_tick_now(&w.map) == 3);
	world_free(&w);
}

/* A pause of any length is one tick: nothing expires because nobody ran. */
static void
test_tick_stands_still_in_a_pause(void)
{
	struct world w;

	world_make(&w, 2);
	tiara_tick_start_ctl(&w.map, 5000, HZ);
	CHECK(tiara_tick_advance_wk(&w.map, 500000, HZ) == 1);
	CHECK(tiara_tick_advance_wk(&w.map, 500999, HZ) == 1);
	CHECK(tiara_tick_advance_wk(&w.map, 501000, HZ) == 2);
	world_free(&w);
}

/* After a reboot the counter begins low again: time goes on from where it was. */
static void
test_tick_survives_a_smaller_counter(void)
{
	struct world w;

	world_make(&w, 2);
	tiara_tick_start_ctl(&w.map, 1u << 30, HZ);
	CHECK(tiara_tick_advance_wk(&w.map, (1u << 30) + HZ, HZ) == 1);
	tiara_tick_start_ctl(&w.map, 50, HZ);
	CHECK(tiara_tick_advance_wk(&w.map, 60, HZ) == 1);
	CHECK(tiara_tick_advance_wk(&w.map, 50 + HZ, HZ) == 2);
	world_free(&w);
}

int
main(void)
{
	test_enter();
	test_oldest();
	test_tick_counts_seconds();
	test_tick_stands_still_in_a_pause();
	test_tick_survives_a_smaller_counter();
	return 0;
}
