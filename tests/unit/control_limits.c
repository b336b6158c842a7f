/* SPDX-License-Identifier: Apache-2.0 */
/* Limits in a configuration: lists of sources, buckets of rates, and entries by backend. */
#include "control_world.h"

#include "table/entries.h"

static uint64_t
sources(struct tiara_change *change, const struct tiara_source *source, uint32_t cnt,
	uint64_t reuse_off)
{
	uint64_t off;

	CHECK_OK(tiara_change_sources(change, source, cnt, reuse_off, &off, &world_error));
	CHECK(off != 0);
	return off;
}

static void
sources_refused(struct tiara_change *change, const struct tiara_source *source, uint32_t cnt,
		const char *field)
{
	uint64_t off;

	CHECK_IS(tiara_change_sources(change, source, cnt, 0, &off, &world_error), TIARA_INVALID);
	CHECK(off == 0 && !strcmp(world_error.field, field));
	CHECK_SAYS("nothing was changed");
}

/* In order, none touching, not too many. */
static void
test_sources_checked(void)
{
	static struct tiara_source many[TIARA_SOURCES_MAX + 1];
	struct world w;
	struct tiara_change *change;
	struct tiara_service_spec s = world_service(0, 0);

	world_make(&w);
	change = world_begin(&w);
	for (uint32_t i = 0; i <= TIARA_SOURCES_MAX; i++)
		many[i] = (struct tiara_source){2 * i, 2 * i};
	sources(change, many, TIARA_SOURCES_MAX, 0);
	sources_refused(change, many, TIARA_SOURCES_MAX + 1, "cnt");
	sources_refused(change, many, 0, "cnt");
	sources_refused(change, (struct tiara_source[]){{5, 4}}, 1, "source[0]");
	sources_refused(change, (struct tiara_source[]){{1, 4}, {5, 6}}, 2, "source[1]");
	sources_refused(change, (struct tiara_source[]){{7, 9}, {1, 2}}, 2, "source[1]");
	sources_refused(change, (struct tiara_source[]){{7, UINT32_MAX}, {0, 2}}, 2, "source[1]");
	s.source_off = 4096;
	s.source_cnt = 1;
	CHECK_IS(tiara_change_service_put(change, &s, NULL, &world_error), TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "source_off"));
	tiara_change_abort(change);
	world_end(&w);
}

static void
put_with_sources(struct tiara_change *change, const struct tiara_source *source, uint32_t cnt,
		 uint64_t reuse_off)
{
	struct tiara_service_spec s = world_service(0, 0);

	s.source_off = sources(change, source, cnt, reuse_off);
	s.source_cnt = cnt;
	CHECK_OK(tiara_change_service_put(change, &s, NULL, &world_error));
}

static void
sources_are(struct world *w, const struct tiara_source *source, uint32_t cnt)
{
	struct tiara_source found[8];
	uint32_t found_cnt = 8;

	CHECK_OK(tiara_service_sources(w->control, 0, found, &found_cnt, &world_error));
	CHECK(found_cnt == cnt && !memcmp(found, source, cnt * sizeof(*source)));
}

/* Read back; an equal list is the old block and makes no generation; a worker keeps the list it uses. */
static void
test_sources_published(void)
{
	static const struct tiara_source a[] = {{10, 20}, {30, 30}}, b[] = {{11, 20}};
	struct tiara_service_spec spec;
	struct tiara_source found[1];
	uint32_t cnt = 1;
	struct world w;
	struct tiara_change *change;

	world_make(&w);
	world_dataplane_start(&w);
	change = world_begin(&w);
	put_with_sources(change, a, 2, 0);
	CHECK(world_commit(change) == 1);
	sources_are(&w, a, 2);
	CHECK_IS(tiara_service_sources(w.control, 0, found, &cnt, &world_error), TIARA_INVALID);
	CHECK_OK(tiara_service_read(w.control, 0, &spec, &world_error));
	change = world_begin(&w);
	put_with_sources(change, a, 2, spec.source_off);
	CHECK_IS(tiara_change_commit(change, 8, NULL, &world_error), TIARA_UNCHANGED);
	world_worker_enter(&w, 0);
	for (int i = 0; i < 6; i++) { /* the worker stays in generation 1 */
		change = world_begin(&w);
		put_with_sources(change, i % 2 ? a : b, i % 2 ? 2 : 1, 0);
		world_commit(change);
		CHECK(!memcmp(tiara_handle_map(w.control)->base + spec.source_off, a, sizeof(a)));
	}
	world_end(&w);
}

static uint32_t
rate_idx(struct world *w, uint32_t idx)
{
	struct tiara_service_spec spec;

	CHECK_OK(tiara_service_read(w->control, idx, &spec, &world_error));
	return spec.record.rate_idx;
}

/* Frontend n of service `service`. */
static struct tiara_service_spec
frontend(uint32_t service, uint32_t n, uint32_t rate)
{
	struct tiara_service_spec spec = world_service(service, 0);

	spec.record.port = htons((uint16_t)(1000 + n));
	spec.record.new_max_per_s = rate;
	return spec;
}

static uint32_t
put_frontend(struct world *w, struct tiara_service_spec spec)
{
	struct tiara_change *change = world_begin(w);
	uint32_t idx;

	CHECK_OK(tiara_change_service_put(change, &spec, &idx, &world_error));
	CHECK_OK(tiara_change_commit(change, 8, NULL, &world_error));
	return idx;
}

static void
remove_frontend(struct world *w, struct tiara_service_spec spec)
{
	struct tiara_change *change = world_begin(w);

	world_remove_service(change, &spec);
	world_commit(change);
}

/* One bucket for all frontends of a service, and none for two services. */
static void
test_rate_buckets(void)
{
	struct world w;
	uint32_t a[3], b;

	world_make(&w);
	tiara_quarantine_disable_for_test(w.control);
	for (uint32_t i = 0; i < 3; i++)
		a[i] = put_frontend(&w, frontend(0, i, 100));
	CHECK(rate_idx(&w, a[0]) == a[0] && rate_idx(&w, a[1]) == a[0] &&
	      rate_idx(&w, a[2]) == a[0]);
	put_frontend(&w, frontend(0, 1, 200));
	CHECK(rate_idx(&w, a[1]) == a[0]);
	remove_frontend(&w, frontend(0, 0, 100)); /* the bucket stays with the others */
	b = put_frontend(&w, frontend(1, 10, 100));
	CHECK(b == a[0]);
	CHECK(rate_idx(&w, a[1]) == a[0] && rate_idx(&w, b) != a[0]);
	CHECK(rate_idx(&w, put_frontend(&w, frontend(1, 11, 100))) == rate_idx(&w, b));
	put_frontend(&w, frontend(0, 1, 0));
	put_frontend(&w, frontend(0, 2, 0));
	put_frontend(&w, frontend(0, 2, 9));
	CHECK(rate_idx(&w, a[2]) != rate_idx(&w, b));
	world_end(&w);
}

static void
push_one(struct world *w, uint32_t service_idx, uint32_t backend_idx, uint32_t client)
{
	struct tiara_packed_connection record = {.client_addr = htonl(0x0a000000 + client),
						 .client_port = htons(4000),
						 .state = TIARA_STATE_ESTABLISHED};
	uint8_t result;

	CHECK_OK(tiara_connections_push(w->control, &record, 1, &service_idx, 1, &backend_idx, 1,
					TIARA_CONFLICT_REPLACE, &result, &world_error));
	CHECK(result == TIARA_OK);
}

static int64_t
entries(struct world *w, uint32_t idx)
{
	struct tiara_flow_counter sum;

	CHECK_OK(tiara_backend_counters(w->control, idx, &sum, &world_error));
	CHECK((int64_t)sum.limit_cnt == entries_of(tiara_handle_map(w->control), idx));
	return (int64_t)sum.limit_cnt;
}

static void
test_push_counts(void)
{
	struct world w;

	world_make(&w);
	world_first_generation(&w);
	for (uint32_t i = 0; i < 10; i++)
		push_one(&w, 0, 0, i);
	CHECK(entries(&w, 0) == 10 && entries(&w, 1) == 0);
	push_one(&w, 0, 1, 3);
	push_one(&w, 0, 1, 3);
	CHECK(entries(&w, 0) == 9 && entries(&w, 1) == 1);
	world_adopt(&w);
	CHECK(entries(&w, 0) == 9 && entries(&w, 1) == 1);
	world_end(&w);
}

/* A data plane that died between a change and its count: right again at the next start, with a limit. */
static void
test_start_counts_anew(void)
{
	struct world w;
	struct tiara_change *change;
	struct tiara_backend_spec limited = world_backend(1, 0);

	world_make(&w);
	world_first_generation(&w);
	for (uint32_t i = 0; i < 10; i++)
		push_one(&w, 0, i % 2, i);
	world_dataplane_start(&w);
	tiara_map_backend_counters(tiara_handle_map(w.dataplane), 2)[1].limit_cnt--;
	world_dataplane_die(&w);
	world_dataplane_start(&w);
	CHECK(entries(&w, 1) == 4); /* nobody has a limit, nobody asks */
	world_dataplane_die(&w);
	change = world_begin(&w);
	limited.record.connection_max = 5;
	world_put_backend(change, &limited);
	world_commit(change);
	world_dataplane_start(&w);
	CHECK(entries(&w, 0) == 5 && entries(&w, 1) == 5);
	world_end(&w);
}

/* An index that is given away carries no count of what it was before. */
static void
test_index_starts_at_none(void)
{
	struct world w;
	struct tiara_change *change;
	struct tiara_backend_spec old = world_backend(1, 0), fresh = world_backend(1, 1);

	world_make(&w);
	world_first_generation(&w);
	world_dataplane_start(&w);
	tiara_map_backend_counters(tiara_handle_map(w.dataplane), 2)[1].limit_cnt += 3;
	change = world_begin(&w);
	world_remove_backend(change, &old);
	world_commit(change);
	world_worker_enter(&w, 0);
	world_collect(&w);
	world_sweep_pass(&w, 0);
	world_collect(&w);
	change = world_begin(&w);
	CHECK(world_put_backend(change, &fresh) == 1);
	world_commit(change);
	CHECK(entries(&w, 1) == 0);
	world_end(&w);
}

int
main(void)
{
	test_sources_checked();
	test_sources_published();
	test_rate_buckets();
	test_push_counts();
	test_start_counts_anew();
	test_index_starts_at_none();
	return 0;
}
