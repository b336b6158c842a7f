/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number of a removed service or backend is given away only when nothing can name it any more
 * (docs/design/0002).
 */
#include "control_world.h"

/* b<n> with another uid each time: created, as after a deletion, anew. */
static uint32_t
quarantine_create(struct world *w, uint32_t n, uint8_t life)
{
	struct tiara_change *change = world_begin(w);
	struct tiara_backend_spec b = world_backend(n, life);
	uint32_t idx = world_put_backend(change, &b);

	world_commit(change);
	return idx;
}

static void
quarantine_delete(struct world *w, uint32_t n, uint8_t life)
{
	struct tiara_change *change = world_begin(w);
	struct tiara_backend_spec b = world_backend(n, life);

	world_remove_backend(change, &b);
	world_commit(change);
}

/* Which index would a new backend get? */
static uint32_t
quarantine_next(struct world *w)
{
	struct tiara_change *change = world_begin(w);
	struct tiara_backend_spec b = world_backend(50, 99);
	uint32_t idx = world_put_backend(change, &b);

	tiara_change_abort(change);
	return idx;
}

/* Two backends, a data plane with workers 0 and 1 on generation 1. */
static void
quarantine_world(struct world *w)
{
	world_make(w);
	world_first_generation(w);
	world_dataplane_start(w);
	world_worker_enter(w, 0);
	world_worker_enter(w, 1);
}

/* Not before the workers left the old generation, not before a sweep begun after that has passed. */
static void
test_waits_for_workers_then_sweep(void)
{
	struct world w;

	quarantine_world(&w);
	quarantine_delete(&w, 0, 0);
	CHECK(world_collect(&w).quarantined_backends == 1);
	world_worker_enter(&w, 0);
	for (int i = 0; i < 3; i++)
		world_sweep_pass(&w, 0);
	CHECK(world_collect(&w).quarantined_backends == 1); /* worker 1 may still insert */
	CHECK(quarantine_next(&w) == 2);
	world_worker_enter(&w, 1);
	CHECK(world_collect(&w).quarantined_backends == 1); /* the passes began too early */
	world_sweep_slices(&w, 0, tiara_sweep_slices_per_pass(tiara_handle_map(w.dataplane)) - 1);
	CHECK(world_collect(&w).quarantined_backends == 1);
	CHECK(tiara_handle_map(w.control)->segment->released_generation == 0);
	CHECK(quarantine_next(&w) == 2);
	world_sweep_slices(&w, 1, 1);
	CHECK(world_collect(&w).quarantined_backends == 0);
	CHECK(tiara_handle_map(w.control)->segment->released_generation >= 2);
	CHECK(quarantine_next(&w) == 0);
	CHECK(quarantine_create(&w, 0, 1) == 0);
	world_end(&w);
}

/* A slice claimed and not finished holds the quarantine. */
static void
test_waits_for_a_slice_in_hand(void)
{
	struct tiara_map map;
	struct world w;

	quarantine_world(&w);
	quarantine_delete(&w, 0, 0);
	map = *tiara_handle_map(w.dataplane);
	world_worker_enter(&w, 0);
	world_worker_enter(&w, 1);
	world_collect(&w);
	map.worker[1].sweep_slice = map.segment->sweep_claimed++;
	world_sweep_pass(&w, 0);
	CHECK(world_collect(&w).quarantined_backends == 1);
	map.worker[1].sweep_slice = UINT64_MAX;
	CHECK(world_collect(&w).quarantined_backends == 0);
	world_end(&w);
}

/* A data plane killed within the pass: its slots, reset, look finished; the wait begins again. */
static void
test_restart_begins_the_wait_again(void)
{
	struct tiara_map map;
	struct world w;

	quarantine_world(&w);
	quarantine_delete(&w, 0, 0);
	world_worker_enter(&w, 0);
	world_worker_enter(&w, 1);
	world_collect(&w);
	map = *tiara_handle_map(w.dataplane);
	map.worker[1].sweep_slice = map.segment->sweep_claimed++; /* left half swept */
	world_sweep_pass(&w, 0);
	world_dataplane_die(&w);
	CHECK(world_collect(&w).quarantined_backends == 1);
	world_dataplane_start(&w);
	world_worker_enter(&w, 0);
	CHECK(world_collect(&w).quarantined_backends == 1);
	world_sweep_pass(&w, 0);
	CHECK(world_collect(&w).quarantined_backends == 0);
	world_end(&w);
}

/* Without a data plane nothing ends, however often it is looked at; the message says why. */
static void
test_no_dataplane_no_end(void)
{
	struct tiara_change *change;
	struct tiara_backend_spec b;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	quarantine_delete(&w, 0, 0);
	for (int i = 0; i < 5; i++)
		CHECK(world_collect(&w).quarantined_backends == 1);
	change = world_begin(&w);
	for (uint32_t i = 2; i < 64; i++) {
		b = world_backend(i, 0);
		CHECK(world_put_backend(change, &b) == i);
	}
	b = world_backend(64, 0);
	CHECK_IS(tiara_change_backend_put(change, &b, NULL, &world_error), TIARA_EXHAUSTED);
	CHECK_SAYS("63 are in use, 1 were removed");
	CHECK_SAYS("no tiara-dataplane runs");
	tiara_change_abort(change);
	world_end(&w);
}

/* A process that adopts the segment knows nothing of what was proved: all wait anew. */
static void
test_adoption_waits_anew(void)
{
	struct world w;

	quarantine_world(&w);
	quarantine_delete(&w, 0, 0);
	world_worker_enter(&w, 0);
	world_worker_enter(&w, 1);
	world_collect(&w);
	world_sweep_pass(&w, 0);
	CHECK(world_collect(&w).quarantined_backends == 0);
	world_adopt(&w);
	CHECK(quarantine_next(&w) == 2);
	CHECK(world_collect(&w).quarantined_backends == 1);
	CHECK(quarantine_next(&w) == 2);
	world_sweep_pass(&w, 0);
	CHECK(world_collect(&w).quarantined_backends == 0);
	CHECK(quarantine_next(&w) == 0);
	world_end(&w);
}

/* What goes while another waits takes the next wait: after the second pass it is free too. */
static void
test_later_removals_take_the_next_pass(void)
{
	struct world w;

	quarantine_world(&w);
	quarantine_delete(&w, 0, 0);
	world_worker_enter(&w, 0);
	world_worker_enter(&w, 1);
	world_collect(&w);
	quarantine_delete(&w, 1, 0);
	world_worker_enter(&w, 0);
	world_worker_enter(&w, 1);
	world_sweep_pass(&w, 0);
	CHECK(world_collect(&w).quarantined_backends == 1);
	CHECK(quarantine_next(&w) == 0);
	world_sweep_pass(&w, 1);
	CHECK(world_collect(&w).quarantined_backends == 0);
	world_end(&w);
}

/* An index given away and removed again waits again. */
static void
test_every_life_waits(void)
{
	struct world w;

	quarantine_world(&w);
	for (uint8_t life = 0; life < 5; life++) {
		quarantine_delete(&w, 0, life);
		world_worker_enter(&w, 0);
		world_worker_enter(&w, 1);
		world_collect(&w);
		CHECK(quarantine_next(&w) == 2);
		world_sweep_pass(&w, 0);
		world_collect(&w);
		CHECK(quarantine_create(&w, 0, (uint8_t)(life + 1)) == 0);
	}
	world_end(&w);
}

/* Services as backends: the index waits, the frontend is free at once. */
static void
test_services_wait_too(void)
{
	struct tiara_service_spec old = world_service(0, 0), fresh = world_service(0, 1);
	struct tiara_change *change;
	struct world w;

	quarantine_world(&w);
	change = world_begin(&w);
	world_remove_service(change, &old);
	CHECK(world_put_service(change, &fresh, NULL, 0) == 1);
	world_commit(change);
	world_worker_enter(&w, 0);
	world_worker_enter(&w, 1);
	CHECK(world_collect(&w).quarantined_services == 1);
	world_sweep_pass(&w, 0);
	CHECK(world_collect(&w).quarantined_services == 0);
	change = world_begin(&w);
	fresh = world_service(7, 1);
	CHECK(world_put_service(change, &fresh, NULL, 0) == 0);
	world_commit(change);
	world_end(&w);
}

/* Switched off (only to see the test of its need fail): a number is given away within the change. */
static void
test_disabled(void)
{
	struct tiara_backend_spec old = world_backend(0, 0), fresh = world_backend(0, 1);
	struct tiara_change *change;
	struct world w;

	quarantine_world(&w);
	tiara_quarantine_disable_for_test(w.control);
	change = world_begin(&w);
	world_remove_backend(change, &old);
	CHECK(world_put_backend(change, &fresh) == 0);
	world_commit(change);
	world_end(&w);
}

/* An entry that names the removed backend is gone when its number is given away. */
static void
test_no_entry_names_a_freed_index(void)
{
	struct tiara_packed_connection r = {.client_addr = htonl(0xc6130001),
					    .client_port = htons(4000),
					    .state = TIARA_STATE_ESTABLISHED};
	uint32_t service_idx = 0, backend_idx = 0;
	struct tiara_connection found;
	uint8_t result;
	struct world w;

	quarantine_world(&w);
	CHECK_OK(tiara_connections_push(w.control, &r, 1, &service_idx, 1, &backend_idx, 1,
					TIARA_CONFLICT_KEEP, &result, &world_error));
	quarantine_delete(&w, 0, 0);
	world_worker_enter(&w, 0);
	world_worker_enter(&w, 1);
	world_collect(&w);
	CHECK_OK(tiara_connection_find(w.control, r.client_addr, r.client_port, htonl(0xc6120001),
				       htons(80), 6, &found, &world_error));
	CHECK(found.backend_idx == 0);
	world_sweep_pass(&w, 0);
	world_collect(&w);
	CHECK(quarantine_create(&w, 0, 1) == 0);
	CHECK_IS(tiara_connection_find(w.control, r.client_addr, r.client_port, htonl(0xc6120001),
				       htons(80), 6, &found, &world_error),
		 TIARA_NOT_FOUND);
	world_end(&w);
}

int
main(void)
{
	test_waits_for_workers_then_sweep();
	test_waits_for_a_slice_in_hand();
	test_restart_begins_the_wait_again();
	test_no_dataplane_no_end();
	test_adoption_waits_anew();
	test_later_removals_take_the_next_pass();
	test_every_life_waits();
	test_services_wait_too();
	test_disabled();
	test_no_entry_names_a_freed_index();
	return 0;
}
