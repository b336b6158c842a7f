/* SPDX-License-Identifier: Apache-2.0 */
/* Connections pushed, found, listed and counted; counters summed. */
#include "control_world.h"

#include "table/hash.h"

/* What push translates dictionary positions with: position 0 is TCP s0, 1 is UDP s1. */
static const uint32_t dictionary_service[2] = {0, 1};
static const uint32_t dictionary_backend[2] = {0, 1};

static void
connections_world(struct world *w)
{
	struct tiara_service_spec udp = world_service(1, 0);
	uint64_t secret[2] = {0x123456789abcdef1, 0x0fedcba987654321};
	struct tiara_change *change;
	uint32_t idx[2] = {0, 1};

	world_make(w);
	world_first_generation(w);
	tiara_handle_map(w->control)->segment->tick = 1000;
	change = world_begin(w);
	udp.record.protocol = 17;
	CHECK(world_put_service(change, &udp, idx, 2) == 1);
	CHECK_OK(tiara_change_secret(change, secret, &world_error));
	world_commit(change);
}

static struct tiara_packed_connection
connections_record(uint32_t n)
{
	return (struct tiara_packed_connection){
		.client_addr = htonl(0xc6130000 + n),
		.client_port = htons(4000),
		.state = TIARA_STATE_ESTABLISHED,
	};
}

static enum tiara_status
connections_push(struct world *w, const struct tiara_packed_connection *record, uint32_t cnt,
		 enum tiara_on_conflict on_conflict, uint8_t *result)
{
	return tiara_connections_push(w->control, record, cnt, dictionary_service, 2,
				      dictionary_backend, 2, on_conflict, result, &world_error);
}

static enum tiara_status
connections_find(struct tiara_handle *handle, const struct tiara_packed_connection *record,
		 struct tiara_connection *found)
{
	bool udp = ntohs(record->service_pos) == 1;

	return tiara_connection_find(handle, record->client_addr, record->client_port,
				     htonl(0xc6120001), htons(udp ? 81 : 80), udp ? 17 : 6, found,
				     &world_error);
}

static uint64_t
connections_live(struct world *w)
{
	struct tiara_usage usage;

	CHECK_OK(tiara_connections_count(w->control, NULL, NULL, &usage, &world_error));
	return usage.live;
}

/* A pushed connection is found as it was pushed. */
static void
test_push_and_find(void)
{
	struct tiara_packed_connection r[2] = {connections_record(1), connections_record(2)};
	struct tiara_connection c;
	uint8_t result[2];
	struct world w;

	connections_world(&w);
	r[0].idle_s = htons(30);
	r[0].backend_pos = htonl(1);
	r[1].service_pos = htons(1);
	r[1].state = TIARA_STATE_UDP;
	CHECK_OK(connections_push(&w, r, 2, TIARA_CONFLICT_KEEP, result));
	CHECK(result[0] == TIARA_OK && result[1] == TIARA_OK);
	CHECK_OK(connections_find(w.control, &r[0], &c));
	CHECK(c.client_addr == r[0].client_addr && c.client_port == r[0].client_port);
	CHECK(c.vip == htonl(0xc6120001) && c.port == htons(80) && c.protocol == 6);
	CHECK(c.state == TIARA_STATE_ESTABLISHED && c.flags == TIARA_ENTRY_PUSHED);
	CHECK(c.service_idx == 0 && c.backend_idx == 1);
	CHECK(c.idle_ticks == 30 && c.expires_ticks == 70);
	CHECK_OK(connections_find(w.control, &r[1], &c));
	CHECK(c.service_idx == 1 && c.backend_idx == 0 && c.idle_ticks == 0);
	r[1].client_port = htons(4001);
	CHECK_IS(connections_find(w.control, &r[1], &c), TIARA_NOT_FOUND);
	CHECK(!strcmp(world_error.field, "client"));
	CHECK_IS(tiara_connection_find(w.control, 1, 1, htonl(0xc6120001), htons(99), 6, &c,
				       &world_error),
		 TIARA_NOT_FOUND);
	CHECK_SAYS("198.18.0.1:99/tcp");
	world_end(&w);
}

/* One bad record refuses the batch, named by number and field; nothing was pushed. */
static void
test_push_refuses_whole_batch(void)
{
	static const struct {
		const char *field;
		struct tiara_packed_connection bad;
	} cases[] = {
		{"client_addr", {.client_addr = 0, .client_port = 1, .state = 3}},
		{"client_addr", {.client_addr = 224, .client_port = 1, .state = 3}},
		{"client_port", {.client_addr = 1, .client_port = 0, .state = 3}},
		{"service_pos",
		 {.client_addr = 1, .client_port = 1, .state = 3, .service_pos = 512}},
		{"backend_pos", {.client_addr = 1, .client_port = 1, .state = 3, .backend_pos = 2}},
		{"state", {.client_addr = 1, .client_port = 1, .state = 0}},
		{"state", {.client_addr = 1, .client_port = 1, .state = 1}},
		{"state", {.client_addr = 1, .client_port = 1, .state = 5}},
		{"state", {.client_addr = 1, .client_port = 1, .state = 3, .service_pos = 256}},
		{"state", {.client_addr = 1, .client_port = 1, .state = 6}},
		{"state", {.client_addr = 1, .client_port = 1, .state = 200}},
		{"flags", {.client_addr = 1, .client_port = 1, .state = 3, .flags = 1}},
		{"idle_s", {.client_addr = 1, .client_port = 1, .state = 3, .idle_s = 100 << 8}},
	};
	struct tiara_packed_connection r[40];
	uint8_t result[40];
	char field[64];
	struct world w;

	connections_world(&w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (uint32_t k = 0; k < 40; k++)
			r[k] = connections_record(k);
		r[37] = cases[i].bad;
		CHECK_IS(connections_push(&w, r, 40, TIARA_CONFLICT_KEEP, result), TIARA_INVALID);
		snprintf(field, sizeof(field), "records[37].%s", cases[i].field);
		CHECK(!strcmp(world_error.field, field));
		CHECK_SAYS("no connection was pushed");
		CHECK(connections_live(&w) == 0);
	}
	world_end(&w);
}

/* Removed backends and services cannot be pushed to; a backend that is down can. */
static void
test_push_needs_what_is_in_use(void)
{
	struct tiara_packed_connection r = connections_record(1);
	struct tiara_backend_spec b0 = world_backend(0, 0), b1 = world_backend(1, 0);
	struct tiara_service_spec s0 = world_service(0, 0);
	struct tiara_change *change;
	uint8_t result;
	struct world w;

	connections_world(&w);
	change = world_begin(&w);
	b1.record.use = TIARA_USE_DOWN;
	world_put_backend(change, &b1);
	world_remove_backend(change, &b0);
	world_commit(change);
	CHECK_IS(connections_push(&w, &r, 1, TIARA_CONFLICT_KEEP, &result), TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "records[0].backend_pos"));
	r.backend_pos = htonl(1);
	CHECK_OK(connections_push(&w, &r, 1, TIARA_CONFLICT_KEEP, &result));
	change = world_begin(&w);
	world_remove_service(change, &s0);
	world_commit(change);
	CHECK_IS(connections_push(&w, &r, 1, TIARA_CONFLICT_KEEP, &result), TIARA_INVALID);
	CHECK(!strcmp(world_error.field, "records[0].service_pos"));
	world_end(&w);
}

/* Each in its turn: the last one has it, though it asks for what was there before the second. */
static void
test_push_replaces_in_order(void)
{
	struct tiara_packed_connection r[3] = {connections_record(1), connections_record(1),
					       connections_record(1)};
	struct tiara_connection c;
	uint8_t result[3];
	struct world w;

	connections_world(&w);
	r[1].backend_pos = htonl(1);
	CHECK_OK(connections_push(&w, r, 3, TIARA_CONFLICT_REPLACE, result));
	CHECK(result[0] == TIARA_OK && result[1] == TIARA_OK && result[2] == TIARA_OK);
	CHECK_OK(connections_find(w.control, &r[0], &c));
	CHECK(c.backend_idx == 0);
	world_end(&w);
}

/* KEEP reports another backend's connection and leaves it; REPLACE takes it; the same is no conflict. */
static void
test_push_conflicts(void)
{
	struct tiara_packed_connection r[3] = {connections_record(1), connections_record(1),
					       connections_record(1)};
	struct tiara_backend_spec b1 = world_backend(1, 0);
	struct tiara_change *change;
	struct tiara_connection c;
	uint8_t result[3];
	struct world w;

	connections_world(&w);
	r[1].backend_pos = htonl(1);
	CHECK_OK(connections_push(&w, r, 3, TIARA_CONFLICT_KEEP, result));
	CHECK(result[0] == TIARA_OK && result[1] == TIARA_CONFLICT && result[2] == TIARA_OK);
	CHECK_OK(connections_find(w.control, &r[0], &c));
	CHECK(c.backend_idx == 0);
	CHECK_OK(connections_push(&w, &r[1], 1, TIARA_CONFLICT_REPLACE, result));
	CHECK(result[0] == TIARA_OK);
	CHECK_OK(connections_find(w.control, &r[0], &c));
	CHECK(c.backend_idx == 1);
	CHECK(connections_live(&w) == 1);
	change = world_begin(&w);
	world_remove_backend(change, &b1);
	world_commit(change);
	/* A removed backend's connection would be selected anew: nothing to keep. */
	CHECK_OK(connections_push(&w, &r[0], 1, TIARA_CONFLICT_KEEP, result));
	CHECK(result[0] == TIARA_OK);
	CHECK_OK(connections_find(w.control, &r[0], &c));
	CHECK(c.backend_idx == 0);
	world_end(&w);
}

static struct tiara_found
connections_entry(struct world *w, const struct tiara_packed_connection *r)
{
	const struct tiara_map *map = tiara_handle_map(w->control);
	uint64_t key = tiara_key(r->client_addr, r->client_port, 0);

	return tiara_table_find(map, key, tiara_hash_inline(key, map->segment->table_secret));
}

static uint64_t
connections_flush_all(struct world *w)
{
	const struct tiara_filter all = {.services = NULL};
	struct tiara_flush flush = {.removed = 0};

	while (!flush.done)
		CHECK_OK(tiara_connections_flush(w->control, &all, &flush, &world_error));
	return flush.removed;
}

/* What a card may have no push moves; a flush leaves it to the workers, marked, and counts it once. */
static void
test_card_has_it(void)
{
	struct tiara_packed_connection r = connections_record(1);
	struct tiara_writer writer = {.owner = 0};
	struct tiara_usage usage;
	struct tiara_found f;
	union tiara_word word;
	uint8_t result;
	struct world w;

	connections_world(&w);
	CHECK_OK(connections_push(&w, &r, 1, TIARA_CONFLICT_KEEP, &result));
	f = connections_entry(&w, &r);
	word = f.word;
	word.entry.flags |= TIARA_ENTRY_OFFLOADED;
	CHECK(tiara_table_replace(tiara_handle_map(w.control), &writer, &f, &word));
	CHECK_OK(tiara_connections_count(w.control, NULL, NULL, &usage, &world_error));
	CHECK(usage.live == 1 && usage.offloaded == 1);
	r.backend_pos = htonl(1);
	CHECK_OK(connections_push(&w, &r, 1, TIARA_CONFLICT_REPLACE, &result));
	CHECK(result == TIARA_CONFLICT);
	CHECK(connections_entry(&w, &r).word.all == word.all);
	CHECK(connections_flush_all(&w) == 1);
	CHECK(connections_entry(&w, &r).word.entry.flags & TIARA_ENTRY_ENDING);
	CHECK(connections_flush_all(&w) == 0);
	world_end(&w);
}

/* What finds no room is FULL by position; all others are found. */
static void
test_push_full(void)
{
	enum { MANY = 400 };
	struct tiara_segment_config config = world_config;
	struct tiara_packed_connection r[MANY];
	struct tiara_connection c;
	uint8_t result[MANY];
	uint32_t full = 0;
	struct world w;

	config.connections = 256;
	world_make_sized(&w, &config);
	world_first_generation(&w);
	for (uint32_t i = 0; i < MANY; i++)
		r[i] = connections_record(i);
	CHECK_OK(connections_push(&w, r, MANY, TIARA_CONFLICT_KEEP, result));
	for (uint32_t i = 0; i < MANY; i++) {
		CHECK(result[i] == TIARA_OK || result[i] == TIARA_FULL);
		CHECK_IS(connections_find(w.control, &r[i], &c),
			 result[i] == TIARA_OK ? TIARA_OK : TIARA_NOT_FOUND);
		full += result[i] == TIARA_FULL;
	}
	CHECK(full >= MANY - 256 && full < MANY);
	CHECK(connections_live(&w) == MANY - full);
	world_end(&w);
}

static uint32_t
connections_list_all(struct tiara_handle *handle, uint32_t service_idx, uint32_t backend_idx,
		     uint32_t max)
{
	uint8_t services[32] = {0}, backends[64] = {0};
	struct tiara_filter filter = {
		.services = service_idx == UINT32_MAX ? NULL : services,
		.backends = backend_idx == UINT32_MAX ? NULL : backends,
	};
	struct tiara_connection page[64];
	uint64_t cursor = 0;
	uint32_t cnt, sum = 0;

	services[service_idx % 32] = 1;
	backends[backend_idx % 64] = 1;
	while (cursor != UINT64_MAX) {
		CHECK_OK(tiara_connections_list(handle, &cursor, &filter, page, max, &cnt,
						&world_error));
		CHECK(cnt <= max);
		for (uint32_t i = 0; i < cnt; i++) {
			CHECK(service_idx == UINT32_MAX || page[i].service_idx == service_idx);
			CHECK(backend_idx == UINT32_MAX || page[i].backend_idx == backend_idx);
		}
		sum += cnt;
	}
	return sum;
}

/* Pages of any size give each connection once; filters and counts agree; a reader sees the same. */
static void
test_list_and_count(void)
{
	enum { MANY = 500 };
	const struct tiara_filter all = {.services = NULL};
	struct tiara_packed_connection r[MANY];
	uint64_t per_service[32], per_backend[64];
	struct tiara_handle *reader;
	struct tiara_usage usage;
	uint8_t result[MANY];
	struct tiara_connection c;
	uint64_t cursor = 4096;
	uint32_t cnt, udp = 0, second = 0, differ = 0;
	struct world w;

	connections_world(&w);
	for (uint32_t i = 0; i < MANY; i++) {
		bool is_udp = i % 3 == 0;

		r[i] = connections_record(i);
		r[i].service_pos = htons(is_udp);
		r[i].state = is_udp ? TIARA_STATE_UDP : TIARA_STATE_NEW;
		r[i].backend_pos = htonl(i % 5 == 0);
		udp += is_udp;
		second += i % 5 == 0;
		/* The table of 101 rows alternates between backends 0 and 1. */
		differ += tiara_select_row(r[i].client_addr, r[i].client_port,
					   world_root(&w)->select_secret, 101) %
				  2 !=
			  (i % 5 == 0);
	}
	CHECK_OK(connections_push(&w, r, MANY, TIARA_CONFLICT_KEEP, result));
	CHECK_OK(tiara_segment_attach(w.path, TIARA_ROLE_READER, &reader, &world_error));
	for (uint32_t max = 1; max <= 64; max += 9) {
		CHECK(connections_list_all(reader, UINT32_MAX, UINT32_MAX, max) == MANY);
		CHECK(connections_list_all(w.control, 1, UINT32_MAX, max) == udp);
		CHECK(connections_list_all(reader, UINT32_MAX, 1, max) == second);
	}
	CHECK_OK(tiara_connections_count(reader, per_service, per_backend, &usage, &world_error));
	CHECK(usage.live == MANY && usage.capacity == 4096 && usage.differ == differ);
	CHECK(per_service[0] == MANY - udp && per_service[1] == udp && per_service[2] == 0);
	CHECK(per_backend[1] == second && per_backend[0] == MANY - second);
	CHECK_OK(connections_find(reader, &r[3], &c));
	CHECK_IS(tiara_connections_list(reader, &cursor, &all, &c, 1, &cnt, &world_error),
		 TIARA_INVALID);
	cursor = 0;
	CHECK_IS(tiara_connections_list(reader, &cursor, &all, &c, 0, &cnt, &world_error),
		 TIARA_INVALID);
	tiara_segment_detach(reader);
	world_end(&w);
}

/* Under source affinity one row is right for a client, whatever its port. */
static void
test_differ_by_source_affinity(void)
{
	enum { PORTS = 64 };
	struct tiara_service_spec s = world_service(0, 0);
	struct tiara_packed_connection r[PORTS];
	uint32_t row, idx[2] = {0, 1};
	struct tiara_change *change;
	struct tiara_usage usage;
	uint8_t result[PORTS];
	struct world w;

	connections_world(&w);
	row = tiara_select_row(connections_record(5).client_addr, 0, world_root(&w)->select_secret,
			       101);
	for (uint16_t i = 0; i < PORTS; i++) {
		r[i] = connections_record(5);
		r[i].client_port = htons((uint16_t)(4000 + i));
		r[i].backend_pos = htonl(row % 2);
	}
	CHECK_OK(connections_push(&w, r, PORTS, TIARA_CONFLICT_KEEP, result));
	CHECK_OK(tiara_connections_count(w.control, NULL, NULL, &usage, &world_error));
	CHECK(usage.differ > PORTS / 4);
	s.record.flags = TIARA_SERVICE_SOURCE_AFFINITY;
	change = world_begin(&w);
	world_put_service(change, &s, idx, 2);
	world_commit(change);
	CHECK_OK(tiara_connections_count(w.control, NULL, NULL, &usage, &world_error));
	CHECK(usage.live == PORTS && usage.differ == 0);
	world_end(&w);
}

/* Expired connections, and those of removed services, are neither found, listed nor counted. */
static void
test_dead_connections_are_not_shown(void)
{
	struct tiara_packed_connection r = connections_record(1);
	struct tiara_service_spec s0 = world_service(0, 0);
	struct tiara_change *change;
	struct tiara_connection c;
	uint8_t result;
	struct world w;

	connections_world(&w);
	CHECK_OK(connections_push(&w, &r, 1, TIARA_CONFLICT_KEEP, &result));
	tiara_handle_map(w.control)->segment->tick += 100;
	CHECK_OK(connections_find(w.control, &r, &c));
	CHECK(c.idle_ticks == 100 && c.expires_ticks == 0);
	tiara_handle_map(w.control)->segment->tick += 1;
	CHECK_IS(connections_find(w.control, &r, &c), TIARA_NOT_FOUND);
	CHECK(connections_live(&w) == 0);
	CHECK(connections_list_all(w.control, UINT32_MAX, UINT32_MAX, 8) == 0);
	CHECK_OK(connections_push(&w, &r, 1, TIARA_CONFLICT_KEEP, &result));
	CHECK(result == TIARA_OK && connections_live(&w) == 1);
	change = world_begin(&w);
	world_remove_service(change, &s0);
	world_commit(change);
	CHECK(connections_live(&w) == 0);
	world_end(&w);
}

/* Counters are sums over workers; indices past the end are NOT_FOUND. */
static void
test_counters(void)
{
	struct tiara_worker_counters sum;
	struct tiara_flow_counter flow, service[32], backend[64];
	struct tiara_worker_slot slot;
	const struct tiara_map *map;
	struct world w;

	connections_world(&w);
	map = tiara_handle_map(w.control);
	for (uint32_t i = 0; i < 4; i++) {
		tiara_map_counters(map, i)->verdict_pkts[TIARA_VERDICT_FORWARDED] = 10 + i;
		tiara_map_counters(map, i)->event_cnt[31] = 1;
		tiara_map_counters(map, i)->tx_bytes = 100;
		tiara_map_flow_counters(map, i)[31].pkts = i;
		tiara_map_flow_counters(map, i)[32].bytes = 2 * i;
		tiara_map_flow_counters(map, i)[32 + 63].connections = 3 * i;
	}
	map->worker[3].bursts = 9;
	CHECK_OK(tiara_counters_read(w.control, &sum, &world_error));
	CHECK(sum.verdict_pkts[TIARA_VERDICT_FORWARDED] == 46);
	CHECK(sum.event_cnt[31] == 4 && sum.tx_bytes == 400 && sum.rx_pkts == 0);
	CHECK_OK(tiara_service_counters(w.control, 31, &flow, &world_error));
	CHECK(flow.pkts == 6);
	CHECK_OK(tiara_backend_counters(w.control, 0, &flow, &world_error));
	CHECK(flow.bytes == 12);
	CHECK_OK(tiara_backend_counters(w.control, 63, &flow, &world_error));
	CHECK(flow.connections == 18);
	memset(service, 0xff, sizeof(service));
	CHECK_OK(tiara_flow_counters_read(w.control, service, backend, &world_error));
	CHECK(service[31].pkts == 6 && service[0].pkts == 0 && service[31].connections == 0);
	CHECK(backend[0].bytes == 12 && backend[63].connections == 18 && backend[1].bytes == 0);
	CHECK_OK(tiara_flow_counters_read(w.control, NULL, NULL, &world_error));
	CHECK_OK(tiara_worker_read(w.control, 3, &slot, &world_error));
	CHECK(slot.bursts == 9 && slot.sweep_slice == UINT64_MAX);
	CHECK_IS(tiara_service_counters(w.control, 32, &flow, &world_error), TIARA_NOT_FOUND);
	CHECK_IS(tiara_backend_counters(w.control, 64, &flow, &world_error), TIARA_NOT_FOUND);
	CHECK_IS(tiara_worker_read(w.control, 4, &slot, &world_error), TIARA_NOT_FOUND);
	world_end(&w);
}

/*
 * A reader in another process while the control plane publishes as fast as it can: every record it is
 * given belongs to one generation (address and name were put together).
 */
static void
connections_read_for_ever(const char *path)
{
	struct tiara_handle *reader;
	struct tiara_backend_spec b;

	CHECK_OK(tiara_segment_attach(path, TIARA_ROLE_READER, &reader, &world_error));
	for (;;) {
		enum tiara_status status = tiara_backend_read(reader, 0, &b, &world_error);

		CHECK(status == TIARA_OK || status == TIARA_BUSY);
		if (status == TIARA_OK)
			CHECK(b.uid[3] == (uint8_t)(ntohl(b.record.addr) & 0xff));
		if (status == TIARA_OK && b.uid[3] == 200)
			_exit(0);
	}
}

static void
test_reader_sees_whole_generations(void)
{
	struct tiara_change *change;
	struct tiara_backend_spec old, fresh;
	struct world w;
	pid_t child;

	world_make(&w);
	tiara_quarantine_disable_for_test(w.control);
	old = world_backend(0, 0);
	old.record.addr = htonl(0x0a000000);
	change = world_begin(&w);
	CHECK(world_put_backend(change, &old) == 0);
	world_commit(change);
	child = fork();
	if (child == 0)
		connections_read_for_ever(w.path);
	for (uint32_t i = 1; i <= 20000; i++) {
		uint8_t life = (uint8_t)(i == 20000 ? 200 : i % 199);

		fresh = world_backend(0, life);
		fresh.record.addr = htonl(0x0a000000 + life);
		change = world_begin(&w);
		world_remove_backend(change, &old);
		CHECK(world_put_backend(change, &fresh) == 0);
		world_commit(change);
		old = fresh;
	}
	CHECK(world_child_passed(child));
	world_end(&w);
}

int
main(void)
{
	test_push_and_find();
	test_push_refuses_whole_batch();
	test_push_needs_what_is_in_use();
	test_push_conflicts();
	test_card_has_it();
	test_push_replaces_in_order();
	test_push_full();
	test_list_and_count();
	test_differ_by_source_affinity();
	test_dead_connections_are_not_shown();
	test_counters();
	test_reader_sees_whole_generations();
	return 0;
}
