/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration changes: deltas that share what they do not touch, visible whole or not at all. */
#include "control_world.h"

#include "table/hash.h"

static const struct tiara_service *
change_service_of(const struct world *w, uint32_t idx)
{
	struct tiara_view view = tiara_view_of(tiara_handle_map(w->control),
					       world_root(w)->generation);

	return &view.service[idx];
}

/* What was put is read back by index; unused indices say FREE, those past the end NOT_FOUND. */
static void
test_put_and_read(void)
{
	struct tiara_service_spec service;
	struct tiara_backend_spec backend;
	uint32_t rows[200], cnt = 200;
	struct world w;

	world_make(&w);
	CHECK_IS(tiara_service_read(w.control, 0, &service, &world_error), TIARA_NOT_FOUND);
	world_first_generation(&w);
	CHECK(world_describe(w.control).generation == 1);
	CHECK(world_describe(w.control).revision == 7);
	CHECK_OK(tiara_backend_read(w.control, 1, &backend, &world_error));
	CHECK(!strcmp(backend.pool, "p") && !strcmp(backend.backend, "b1"));
	CHECK(backend.record.use == TIARA_USE_ACTIVE);
	CHECK(backend.record.addr == htonl(0x0a000002));
	CHECK(backend.uid[0] == 1);
	CHECK_IS(tiara_backend_read(w.control, 2, &backend, &world_error), TIARA_NOT_FOUND);
	CHECK_OK(tiara_service_read(w.control, 0, &service, &world_error));
	CHECK(!strcmp(service.service, "s0") && service.record.port == htons(80));
	CHECK(service.table_off != 0 && service.table_cnt == 101);
	CHECK_OK(tiara_service_rows(w.control, 0, rows, &cnt, &world_error));
	CHECK(cnt == 101 && rows[0] == 0 && rows[1] == 1 && rows[100] == 0);
	cnt = 100;
	CHECK_IS(tiara_service_rows(w.control, 0, rows, &cnt, &world_error), TIARA_INVALID);
	CHECK(cnt == 101);
	world_end(&w);
}

/* The packet path finds each frontend and each VIP by the shared probe, and no other. */
static void
test_frontends(void)
{
	const struct tiara_frontend *f;
	struct tiara_change *change;
	struct tiara_view view;
	struct world w;

	world_make(&w);
	change = world_begin(&w);
	for (uint32_t i = 0; i < 32; i++) {
		struct tiara_service_spec s = world_service(i, 0);

		s.record.vip = htonl(0xc6120001 + i % 5);
		s.record.protocol = i % 2 ? 17 : 6;
		CHECK(world_put_service(change, &s, NULL, 0) == i);
	}
	world_commit(change);
	view = tiara_view_of(tiara_handle_map(w.control), 1);
	CHECK(view.frontend_mask + 1 >= 2 * (32 + 5));
	for (uint32_t i = 0; i < 32; i++) {
		tiara_be32 vip = htonl(0xc6120001 + i % 5);

		f = tiara_frontend_find(&view, vip, htons((uint16_t)(80 + i)), i % 2 ? 17 : 6);
		CHECK(f && f->use == TIARA_USE_ACTIVE && f->service_idx == i);
		CHECK(!tiara_frontend_find(&view, vip, htons((uint16_t)(80 + i)), i % 2 ? 6 : 17));
		f = tiara_frontend_find(&view, vip, 0, 0);
		CHECK(f && f->use == TIARA_USE_VIP);
	}
	CHECK(!tiara_frontend_find(&view, htonl(0xc6120009), 0, 0));
	world_end(&w);
}

/* A removed service takes its frontend, the last one of a VIP also the VIP, and its table with it. */
static void
test_remove_service(void)
{
	struct tiara_service_spec s0 = world_service(0, 0), s1 = world_service(1, 0);
	struct tiara_service_spec read;
	struct tiara_change *change;
	struct tiara_view view;
	uint64_t used;
	uint32_t idx[2] = {0, 1}, cnt = 0;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	change = world_begin(&w);
	world_put_service(change, &s1, idx, 2);
	world_commit(change);
	used = world_describe(w.control).heap_used_bytes;
	change = world_begin(&w);
	world_remove_service(change, &s0);
	world_commit(change);
	CHECK(world_describe(w.control).heap_used_bytes == used - TIARA_HEAP_UNIT_BYTES);
	view = tiara_view_of(tiara_handle_map(w.control), 3);
	CHECK(!tiara_frontend_find(&view, s0.record.vip, s0.record.port, 6));
	CHECK(tiara_frontend_find(&view, s1.record.vip, s1.record.port, 6)->service_idx == 1);
	CHECK(tiara_frontend_find(&view, s1.record.vip, 0, 0));
	CHECK_OK(tiara_service_read(w.control, 0, &read, &world_error));
	CHECK(read.record.use == TIARA_USE_FREE && read.table_cnt == 0);
	CHECK_OK(tiara_service_rows(w.control, 0, NULL, &cnt, &world_error));
	CHECK(cnt == 0);
	change = world_begin(&w);
	world_remove_service(change, &s1);
	world_commit(change);
	view = tiara_view_of(tiara_handle_map(w.control), 4);
	CHECK(!tiara_frontend_find(&view, s1.record.vip, 0, 0));
	world_end(&w);
}

/* Putting what is there, and undoing within a change, makes no generation. */
static void
test_unchanged(void)
{
	struct tiara_backend_spec b = world_backend(1, 0), other = b;
	struct tiara_service_spec s = world_service(0, 0);
	uint64_t generation = 0, off;
	struct tiara_change *change;
	uint32_t idx[2] = {0, 1};
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	change = world_begin(&w);
	off = change_service_of(&w, 0)->select_off;
	other.record.use = TIARA_USE_DOWN;
	CHECK(world_put_backend(change, &other) == 1);
	CHECK(world_put_backend(change, &b) == 1);
	CHECK(world_table(change, 101, idx, 2, off) == off);
	CHECK(world_table(change, 101, idx, 1, off) != off); /* other rows */
	CHECK(world_table(change, 5000, idx, 2, off) != off);
	s.table_off = off;
	s.table_cnt = 101;
	CHECK_OK(tiara_change_service_put(change, &s, NULL, &world_error));
	CHECK_IS(tiara_change_commit(change, 8, &generation, &world_error), TIARA_UNCHANGED);
	CHECK(generation == 1 && world_describe(w.control).revision == 7);
	CHECK_IS(tiara_change_commit(world_begin(&w), 8, &generation, &world_error),
		 TIARA_UNCHANGED);
	world_end(&w);
}

/* A change copies the block it touches; all others keep their place. */
static void
test_blocks_are_shared(void)
{
	struct tiara_backend_spec b = world_backend(1, 0);
	struct tiara_change *change;
	struct tiara_root before, after;
	uint64_t select_off;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	before = *world_root(&w);
	select_off = change_service_of(&w, 0)->select_off;
	change = world_begin(&w);
	b.record.use = TIARA_USE_DOWN;
	world_put_backend(change, &b);
	world_commit(change);
	after = *world_root(&w);
	CHECK(after.backend_off != before.backend_off);
	CHECK(after.service_off == before.service_off);
	CHECK(after.frontend_off == before.frontend_off);
	CHECK(after.service_name_off == before.service_name_off);
	CHECK(after.backend_name_off == before.backend_name_off);
	CHECK(change_service_of(&w, 0)->select_off == select_off);
	world_end(&w);
}

static uint32_t
change_units_that_differ(const uint8_t *a, const uint8_t *b, uint64_t bytes)
{
	uint32_t cnt = 0;

	for (uint64_t i = 0; i < bytes; i += TIARA_HEAP_UNIT_BYTES)
		cnt += memcmp(a + i, b + i, TIARA_HEAP_UNIT_BYTES) != 0;
	return cnt;
}

/* One backend of 64, 32 services with a table each: a health flap writes one unit of the heap. */
static void
test_bytes_written_are_bounded(void)
{
	struct tiara_backend_spec b = world_backend(40, 0);
	const struct tiara_map *map;
	struct tiara_change *change;
	uint32_t idx[64];
	uint8_t *copy;
	struct world w;

	world_make(&w);
	change = world_begin(&w);
	for (uint32_t i = 0; i < 64; i++) {
		struct tiara_backend_spec each = world_backend(i, 0);

		idx[i] = world_put_backend(change, &each);
	}
	for (uint32_t i = 0; i < 32; i++) {
		struct tiara_service_spec s = world_service(i, 0);

		world_put_service(change, &s, idx, 64);
	}
	world_commit(change);
	map = tiara_handle_map(w.control);
	copy = malloc(map->segment->heap_bytes);
	memcpy(copy, map->base + map->segment->heap_off, map->segment->heap_bytes);
	change = world_begin(&w);
	b.record.use = TIARA_USE_DOWN;
	world_put_backend(change, &b);
	world_commit(change);
	CHECK(change_units_that_differ(copy, map->base + map->segment->heap_off,
				       map->segment->heap_bytes) == 1);
	free(copy);
	world_end(&w);
}

/* What was aborted can be put anew and gets the same index; the heap is as before. */
static void
test_abort_leaves_no_trace(void)
{
	struct tiara_backend_spec b = world_backend(2, 0);
	struct tiara_service_spec s = world_service(0, 0);
	struct tiara_change *change;
	struct tiara_root before;
	uint64_t used;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	before = *world_root(&w);
	used = world_describe(w.control).heap_used_bytes;
	for (int i = 0; i < 300; i++) {
		change = world_begin(&w);
		CHECK(world_put_backend(change, &b) == 2);
		world_remove_service(change, &s);
		tiara_change_abort(change);
	}
	CHECK(!memcmp(&before, world_root(&w), sizeof(before)));
	CHECK(world_describe(w.control).heap_used_bytes == used);
	CHECK(world_describe(w.control).generation == 1);
	change = world_begin(&w);
	CHECK_IS(tiara_change_begin(w.control, &change, &world_error), TIARA_BUSY);
	world_end(&w);
}

/* A thousand publications later the heap is no fuller. */
static void
test_heap_is_collected(void)
{
	struct tiara_backend_spec b = world_backend(1, 0);
	struct tiara_change *change;
	uint64_t used;
	uint32_t idx[2] = {0, 1};
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	used = world_describe(w.control).heap_used_bytes;
	for (uint32_t i = 0; i < 1000; i++) {
		struct tiara_service_spec s = world_service(0, 0);

		change = world_begin(&w);
		b.record.use = i % 2 ? TIARA_USE_ACTIVE : TIARA_USE_DOWN;
		s.record.timeout_ticks[TIARA_STATE_NEW] = (uint16_t)(i % 50 + 1);
		world_put_backend(change, &b);
		world_put_service(change, &s, idx, 1 + i % 2);
		CHECK(world_commit(change) == 2 + i);
	}
	CHECK(world_describe(w.control).heap_used_bytes == used);
	world_end(&w);
}

/* A heap without room says what it needs, has and is called; the generation before goes on. */
static void
test_heap_full(void)
{
	struct tiara_segment_config config = world_config;
	struct tiara_change *change;
	uint32_t idx[2] = {0, 1};
	uint32_t *rows;
	uint64_t off;
	struct world w;

	config.heap_bytes = 1 << 20;
	world_make_sized(&w, &config);
	world_first_generation(&w);
	change = world_begin(&w);
	rows = calloc(262144, sizeof(*rows));
	CHECK_IS(tiara_change_table(change, rows, 262144, idx, 2, 0, &off, &world_error),
		 TIARA_NO_SPACE);
	CHECK_SAYS("1048576 more bytes");
	CHECK_SAYS("--heap-mb");
	CHECK_OK(tiara_change_table(change, rows, 65537, idx, 2, 0, &off, &world_error));
	free(rows);
	tiara_change_abort(change);
	CHECK(world_describe(w.control).generation == 1);
	world_end(&w);
}

/* (VIP, protocol, port) is unique among services; the message names the holder. */
static void
test_frontend_is_unique(void)
{
	struct tiara_service_spec s = world_service(0, 0);
	struct tiara_change *change;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	strcpy(s.service, "thief");
	change = world_begin(&w);
	CHECK_IS(tiara_change_service_put(change, &s, NULL, &world_error), TIARA_EXISTS);
	CHECK_SAYS("198.18.0.1:80/tcp");
	CHECK_SAYS("s0");
	s = world_service(0, 0);
	world_remove_service(change, &s);
	strcpy(s.service, "heir");
	CHECK(world_put_service(change, &s, NULL, 0) == 1); /* index 0 is in quarantine */
	world_commit(change);
	world_end(&w);
}

/* Each wrong field is refused by name and the change goes on without it. */
static void
test_bad_specs(void)
{
	struct tiara_service_spec s[8];
	struct tiara_backend_spec b[7];
	static const char *const service_field[8] = {"service",
						     "record.use",
						     "record.vip",
						     "record.port",
						     "record.protocol",
						     "record.timeout_ticks[3]",
						     "record.timeout_ticks[2]",
						     "table_off"};
	static const char *const backend_field[7] = {
		"pool",           "backend",    "record.use",        "record.addr",
		"record.forward", "record.vni", "record.tunnel_port"};
	uint32_t rows[2] = {0, 2}, idx[2] = {0, 1}, gone[1] = {5};
	struct tiara_change *change;
	uint64_t generation, off, secret[2] = {1, UINT64_C(1) << 63};
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	for (int i = 0; i < 8; i++)
		s[i] = world_service(9, 0);
	for (int i = 0; i < 7; i++)
		b[i] = world_backend(9, 0);
	s[0].service[0] = '\0';
	s[1].record.use = TIARA_USE_GONE;
	s[2].record.vip = 0;
	s[3].record.port = 0;
	s[4].record.protocol = 1;
	s[5].record.timeout_ticks[3] = 0;
	s[6].record.timeout_ticks[2] = 32769;
	s[7].table_off = 4096;
	s[7].table_cnt = 101;
	memset(b[0].pool, 'x', sizeof(b[0].pool));
	b[1].backend[0] = '\0';
	b[2].record.use = TIARA_USE_FREE;
	b[3].record.addr = 0;
	b[4].record.forward = TIARA_FORWARD_IPIP + 1;
	b[5].record.vni = 1 << 24;
	b[6].record.forward = TIARA_FORWARD_VXLAN;
	change = world_begin(&w);
	for (int i = 0; i < 8; i++) {
		CHECK_IS(tiara_change_service_put(change, &s[i], NULL, &world_error),
			 TIARA_INVALID);
		CHECK(!strcmp(world_error.field, service_field[i]));
	}
	for (int i = 0; i < 7; i++) {
		CHECK_IS(tiara_change_backend_put(change, &b[i], NULL, &world_error),
			 TIARA_INVALID);
		CHECK(!strcmp(world_error.field, backend_field[i]));
	}
	CHECK_IS(tiara_change_table(change, rows, 2, idx, 2, 0, &off, &world_error), TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "rows[1]"));
	CHECK_IS(tiara_change_table(change, rows, 1, gone, 1, 0, &off, &world_error),
		 TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "idx[0]"));
	CHECK_IS(tiara_change_table(change, rows, 0, idx, 2, 0, &off, &world_error), TIARA_INVALID);
	CHECK_IS(tiara_change_secret(change, secret, &world_error), TIARA_INVALID);
	CHECK_IS(tiara_change_backend_remove(change, "p", "b77", b[1].uid, &world_error),
		 TIARA_NOT_FOUND);
	CHECK_IS(tiara_change_commit(change, 8, &generation, &world_error), TIARA_UNCHANGED);
	world_end(&w);
}

/* The selection secret alone is a change; it stays until changed. */
static void
test_secret(void)
{
	uint64_t secret[2] = {11, 12}, generation;
	struct tiara_change *change;
	struct world w;

	world_make(&w);
	change = world_begin(&w);
	CHECK_OK(tiara_change_secret(change, secret, &world_error));
	CHECK(world_commit(change) == 1);
	change = world_begin(&w);
	CHECK_OK(tiara_change_secret(change, secret, &world_error));
	CHECK_IS(tiara_change_commit(change, 8, &generation, &world_error), TIARA_UNCHANGED);
	CHECK(world_root(&w)->select_secret[0] == 11 && world_root(&w)->select_secret[1] == 12);
	world_end(&w);
}

/* A generation says what the sweep may go by: the shortest timeouts, and what was removed last. */
static void
test_limits(void)
{
	struct tiara_backend_spec b = world_backend(0, 0), drained = world_backend(1, 0);
	struct tiara_service_spec s = world_service(1, 0);
	struct tiara_change *change;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	CHECK(world_root(&w)->limits_known && world_root(&w)->gone_generation == 0);
	CHECK(world_root(&w)->timeout_min_ticks[TIARA_STATE_UDP] == 100);
	change = world_begin(&w);
	s.record.timeout_ticks[TIARA_STATE_UDP] = 30;
	world_put_service(change, &s, NULL, 0);
	CHECK(world_commit(change) == 2);
	CHECK(world_root(&w)->timeout_min_ticks[TIARA_STATE_UDP] == 30);
	CHECK(world_root(&w)->timeout_min_ticks[TIARA_STATE_NEW] == 100);
	change = world_begin(&w);
	world_remove_backend(change, &b);
	world_remove_service(change, &s);
	CHECK(world_commit(change) == 3);
	CHECK(world_root(&w)->gone_generation == 3);
	CHECK(world_root(&w)->timeout_min_ticks[TIARA_STATE_UDP] == 100);
	change = world_begin(&w);
	drained.record.use = TIARA_USE_GONE;
	world_put_backend(change, &drained);
	CHECK(world_commit(change) == 4);
	CHECK(world_root(&w)->gone_generation == UINT64_MAX);
	world_end(&w);
}

static uint64_t
change_flap(struct world *w, uint32_t i)
{
	struct tiara_change *change = world_begin(w);
	struct tiara_backend_spec b = world_backend(1, 0);
	uint64_t generation = 0;
	enum tiara_status status;

	b.record.addr = htonl(0x0b000000 + i); /* each generation's block has its own content */
	world_put_backend(change, &b);
	status = tiara_change_commit(change, 7, &generation, &world_error);
	return status == TIARA_OK ? generation : 0;
}

/*
 * A stopped worker holds its generation: eight may wait, the ninth commit is refused naming it, its
 * blocks stay as they are, and when it moves publishing goes on.
 */
static void
test_stopped_worker(void)
{
	struct tiara_collect_info info;
	struct tiara_view held;
	struct tiara_backend before;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	world_dataplane_start(&w);
	tiara_handle_map(w.dataplane)->worker[2].lcore = 5;
	CHECK(world_worker_enter(&w, 2) == 1);
	CHECK(world_worker_enter(&w, 0) == 1);
	held = tiara_view_of(tiara_handle_map(w.dataplane), 1);
	before = held.backend[1];
	for (uint32_t i = 0; i < 8; i++) {
		CHECK(change_flap(&w, i) == 2 + i);
		CHECK(!memcmp(&before, &held.backend[1], sizeof(before)));
		world_worker_enter(&w, 0);
	}
	CHECK(change_flap(&w, 8) == 0);
	CHECK(world_error.status == TIARA_EXHAUSTED);
	CHECK_SAYS("worker 2 (lcore 5)");
	CHECK(!memcmp(&before, &held.backend[1], sizeof(before)));
	CHECK(held.root->generation == 1);
	info = world_collect(&w);
	CHECK(info.generation == 9 && info.applied_generation == 1);
	CHECK(info.roots_waiting == 8 && info.slowest_worker == 2);
	world_worker_enter(&w, 2);
	CHECK(world_collect(&w).roots_waiting == 0);
	CHECK(world_collect(&w).slowest_worker == -1);
	CHECK(change_flap(&w, 8) == 10);
	world_dataplane_die(&w); /* the slots say 9 and nobody is there */
	for (uint32_t i = 0; i < 20; i++)
		CHECK(change_flap(&w, i + 9) == 11 + i);
	world_end(&w);
}

/* A process that attaches later knows what was put: the same names get the same indices. */
static void
test_adoption(void)
{
	struct tiara_backend_spec b[3] = {world_backend(0, 0), world_backend(1, 0),
					  world_backend(1, 9)};
	struct tiara_service_spec s = world_service(0, 0);
	struct tiara_change *change;
	uint64_t generation;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	world_adopt(&w);
	change = world_begin(&w);
	CHECK(world_put_backend(change, &b[0]) == 0);
	CHECK(world_put_backend(change, &b[1]) == 1);
	s.table_off = change_service_of(&w, 0)->select_off;
	s.table_cnt = 101;
	CHECK_OK(tiara_change_service_put(change, &s, NULL, &world_error));
	CHECK_IS(tiara_change_commit(change, 9, &generation, &world_error), TIARA_UNCHANGED);
	change = world_begin(&w);
	CHECK(world_put_backend(change, &b[2]) == 2); /* another uid is another backend */
	strcpy(s.service, "thief");
	CHECK_IS(tiara_change_service_put(change, &s, NULL, &world_error), TIARA_EXISTS);
	tiara_change_abort(change);
	world_end(&w);
}

/* Forced drain: the record says GONE, the name and the index stay with the backend. */
static void
test_forced_drain_keeps_the_index(void)
{
	struct tiara_backend_spec b = world_backend(1, 0), read;
	struct tiara_backend_spec fresh = world_backend(2, 0);
	struct tiara_change *change;
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	tiara_quarantine_disable_for_test(w.control);
	change = world_begin(&w);
	b.record.use = TIARA_USE_GONE;
	CHECK(world_put_backend(change, &b) == 1);
	CHECK(world_put_backend(change, &fresh) == 2);
	world_commit(change);
	CHECK_OK(tiara_backend_read(w.control, 1, &read, &world_error));
	CHECK(read.record.use == TIARA_USE_GONE);
	change = world_begin(&w);
	b.record.use = TIARA_USE_ACTIVE;
	CHECK(world_put_backend(change, &b) == 1);
	world_commit(change);
	world_end(&w);
}

/* Many backends in one change: blocks grow, all are found again, removals too. */
static void
test_growth(void)
{
	struct tiara_segment_config config = world_config;
	struct tiara_change *change;
	struct tiara_backend_spec b;
	struct world w;

	config.backend_max = 20000;
	config.heap_bytes = 32 << 20;
	world_make_sized(&w, &config);
	change = world_begin(&w);
	for (uint32_t i = 0; i < 20000; i++) {
		b = world_backend(i, 0);
		CHECK(world_put_backend(change, &b) == i);
	}
	world_commit(change);
	world_adopt(&w);
	change = world_begin(&w);
	b = world_backend(20000, 0);
	CHECK_IS(tiara_change_backend_put(change, &b, NULL, &world_error), TIARA_EXHAUSTED);
	CHECK_SAYS("20000");
	for (uint32_t i = 0; i < 20000; i += 2) {
		b = world_backend(i, 0);
		world_remove_backend(change, &b);
	}
	world_commit(change);
	CHECK(world_collect(&w).quarantined_backends == 10000);
	CHECK_OK(tiara_backend_read(w.control, 19998, &b, &world_error));
	CHECK(b.record.use == TIARA_USE_FREE);
	CHECK_OK(tiara_backend_read(w.control, 19999, &b, &world_error));
	CHECK(b.record.use == TIARA_USE_ACTIVE && !strcmp(b.backend, "b19999"));
	world_end(&w);
}

int
main(void)
{
	test_put_and_read();
	test_frontends();
	test_remove_service();
	test_unchanged();
	test_blocks_are_shared();
	test_bytes_written_are_bounded();
	test_abort_leaves_no_trace();
	test_heap_is_collected();
	test_heap_full();
	test_frontend_is_unique();
	test_bad_specs();
	test_secret();
	test_limits();
	test_stopped_worker();
	test_adoption();
	test_forced_drain_keeps_the_index();
	test_growth();
	return 0;
}
