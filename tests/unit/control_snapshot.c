/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of a table in which entries move, under the scan's feet at every step and from another
 * thread. A move goes as dataplane/table/move.c does it, since that file is in here.
 */
static void snapshot_test_step(void);
#define CONTROL_STEP(name) snapshot_test_step()

#include "control_world.h"

#include "table/move.c"
#include "control/snapshot.c"

#include <pthread.h>
#include <sched.h>

enum { KEYS_MAX = 20000, CONNECTIONS = 16384, FILLED = 8000, CHURN = 200 };

struct trial {
	struct world w;
	struct tiara_handle *reader;
	struct tiara_snapshot *snapshot;
	void (*act)(struct trial *t); /* at each step of the scan */
	uint32_t steps;
	uint32_t moved;
	struct tiara_writer mover;
	struct tiara_view view;
	struct tiara_age age;
	uint32_t times[KEYS_MAX]; /* given in this snapshot; a key that moves often, hundreds of times */
	struct tiara_packed_connection last[KEYS_MAX];
	struct tiara_snapshot_info info;
	bool stop;
};

static struct trial *running;

static void
snapshot_test_step(void)
{
	if (running && running->act)
		running->act(running);
	if (running)
		running->steps++;
}

static struct tiara_packed_connection
trial_record(uint32_t n)
{
	return (struct tiara_packed_connection){
		.client_addr = htonl(0xc6130000 + n),
		.client_port = htons(4000),
		.backend_pos = htonl(n % 2),
		.state = TIARA_STATE_ESTABLISHED,
	};
}

static void
trial_push(struct trial *t, uint32_t first, uint32_t cnt)
{
	static const uint32_t service_idx[1] = {0}, backend_idx[2] = {0, 1};
	struct tiara_packed_connection r[100];
	uint8_t result[100];

	for (uint32_t at = first; at < first + cnt; at += 100) {
		for (uint32_t i = 0; i < 100; i++)
			r[i] = trial_record(at + i);
		CHECK_OK(tiara_connections_push(t->w.control, r, 100, service_idx, 1, backend_idx,
						2, TIARA_CONFLICT_KEEP, result, &world_error));
		for (uint32_t i = 0; i < 100; i++)
			CHECK(result[i] == TIARA_OK);
	}
}

static struct trial *
trial_make(uint64_t connections, uint32_t filled)
{
	struct trial *t = calloc(1, sizeof(*t));
	struct tiara_segment_config config = world_config;
	const struct tiara_map *map;

	CHECK(t);
	config.connections = connections;
	world_make_sized(&t->w, &config);
	world_first_generation(&t->w);
	map = tiara_handle_map(t->w.control);
	map->segment->tick = 1000;
	trial_push(t, 0, filled);
	CHECK_OK(tiara_segment_attach(t->w.path, TIARA_ROLE_READER, &t->reader, &world_error));
	t->view = tiara_view_of(map, 1);
	t->age = (struct tiara_age){.view = &t->view, .now = 1000};
	t->mover = (struct tiara_writer){.owner = 0, .search_max = TIARA_SEARCH_BULK};
	return t;
}

static void
trial_end(struct trial *t)
{
	tiara_segment_detach(t->reader);
	world_end(&t->w);
	free(t);
}

/* A whole snapshot in pieces of `max`; what was given is counted by key. */
static enum tiara_status
trial_snapshot(struct trial *t, uint32_t max)
{
	struct tiara_packed_connection *r = malloc(max * sizeof(*r));
	enum tiara_status status = TIARA_OK;
	uint64_t sum = 0;

	memset(t->times, 0, sizeof(t->times));
	CHECK(r);
	t->info.done = false;
	t->steps = 0;
	running = t;
	CHECK_OK(tiara_snapshot_begin(t->reader, &t->snapshot, &world_error));
	while (status == TIARA_OK && !t->info.done) {
		uint32_t cnt;

		status = tiara_snapshot_next(t->snapshot, r, max, &cnt, &t->info, &world_error);
		CHECK(cnt <= max);
		for (uint32_t i = 0; i < cnt; i++) {
			uint32_t n = ntohl(r[i].client_addr) - 0xc6130000;

			CHECK(n < KEYS_MAX);
			t->times[n]++;
			t->last[n] = r[i];
		}
		sum += cnt;
	}
	CHECK(t->info.records == sum);
	running = NULL;
	tiara_snapshot_end(t->snapshot);
	free(r);
	return status;
}

/* Keys from first on, cnt of them, that were not given. */
static uint32_t
trial_missed(const struct trial *t, uint32_t first, uint32_t cnt)
{
	uint32_t missed = 0;

	for (uint32_t i = first; i < first + cnt; i++)
		missed += t->times[i] == 0;
	return missed;
}

static uint32_t
trial_given_twice(const struct trial *t)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < KEYS_MAX; i++)
		cnt += t->times[i] > 1;
	return cnt;
}

/* ---- moves under the scan ---- */

static struct tiara_found
trial_free_slot(const struct tiara_map *map, uint64_t bucket)
{
	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		struct tiara_found f = {.slot = &map->bucket[bucket].entry[i]};

		f.word = slot_load(f.slot);
		if (f.word.all == 0)
			return f;
	}
	return (struct tiara_found){.slot = NULL};
}

/* To its other bucket, if it has room and `allowed` says so. */
static bool
trial_move(struct trial *t, uint64_t bucket, int slot, bool (*allowed)(struct trial *, uint64_t))
{
	const struct tiara_map *map = tiara_handle_map(t->w.control);
	struct tiara_found from = {.slot = &map->bucket[bucket].entry[slot]}, to;
	uint64_t other;

	from.word = slot_load(from.slot);
	if (!tiara_word_live(&from.word) || reuse_in_transit(&from.word))
		return false;
	other = move_other_bucket(map, from.word.key, (uint32_t)bucket);
	if (allowed && !allowed(t, other))
		return false;
	to = trial_free_slot(map, other);
	return to.slot && move_entry(map, &t->age, &t->mover, from, to);
}

static bool
trial_is_behind(struct trial *t, uint64_t bucket)
{
	return bucket < t->snapshot->bucket;
}

/* Every entry that is still ahead of the scan and has room behind it goes there. */
static void
act_behind(struct trial *t)
{
	const struct tiara_map *map = tiara_handle_map(t->w.control);

	if (t->info.passes > 1 || t->snapshot->bucket == 0)
		return;
	for (uint64_t b = t->snapshot->bucket; b <= map->bucket_mask; b++)
		for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++)
			t->moved += trial_move(t, b, i, trial_is_behind);
}

static void
test_moved_behind_the_scan(void)
{
	static const uint32_t max[] = {4, 63, 1000, 65536};

	for (size_t i = 0; i < sizeof(max) / sizeof(max[0]); i++) {
		struct trial *t = trial_make(CONNECTIONS, FILLED);

		t->act = act_behind;
		CHECK_OK(trial_snapshot(t, max[i]));
		CHECK(t->moved > 1000);
		CHECK(trial_missed(t, 0, FILLED) == 0);
		CHECK(t->info.passes == 1 && t->info.left_buckets == 0);
		CHECK(t->info.followed >= t->moved);
		trial_end(t);
	}
}

/* More moves than a ring holds, the first of them behind the scan. */
static void
act_overrun(struct trial *t)
{
	const struct tiara_map *map = tiara_handle_map(t->w.control);
	uint32_t cnt = 0;

	act_behind(t);
	for (uint64_t b = 0; cnt <= TIARA_MOVE_LOG_KEYS; b = (b + 1) & map->bucket_mask)
		for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++)
			cnt += trial_move(t, b, i, NULL);
}

static void
act_overrun_once(struct trial *t)
{
	if (t->steps == 3)
		act_overrun(t);
}

static void
test_overrun_is_another_pass(void)
{
	struct trial *t = trial_make(CONNECTIONS, FILLED);

	t->act = act_overrun_once;
	CHECK_OK(trial_snapshot(t, 1000));
	CHECK(trial_missed(t, 0, FILLED) == 0);
	CHECK(t->info.passes == 2);
	trial_end(t);
}

/* Without end: an error that says what is missing, after a bounded number of passes. */
static void
test_overrun_for_ever(void)
{
	struct trial *t = trial_make(CONNECTIONS, FILLED);

	t->act = act_overrun;
	CHECK_IS(trial_snapshot(t, 1000), TIARA_BUSY);
	CHECK_SAYS("connections are missing");
	CHECK(t->info.passes == 8 && !t->info.done);
	trial_end(t);
}

/* ---- another thread that inserts into a nearly full table and removes ---- */

static void
churn_one(struct trial *t, uint32_t n)
{
	const struct tiara_map *map = tiara_handle_map(t->w.control);
	struct tiara_packed_connection r = trial_record(n);
	union tiara_word word = {.entry = {.client_addr = r.client_addr,
					   .client_port = r.client_port,
					   .last_seen = 1000,
					   .state = TIARA_STATE_ESTABLISHED}};
	uint64_t hash = tiara_hash(word.key, map->segment->table_secret);
	struct tiara_found found;
	enum tiara_status status = tiara_table_insert(map, &t->age, &t->mover, hash, &word, &found);

	if (status == TIARA_EXISTS)
		CHECK(tiara_table_remove(map, &t->mover, &found));
	else
		CHECK(status == TIARA_OK || status == TIARA_FULL);
}

static void *
churn_body(void *arg)
{
	struct trial *t = arg;
	uint32_t random = 1;

	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		random = random * 1664525 + 1013904223;
		churn_one(t, FILLED + (random >> 8) % CHURN);
	}
	return NULL;
}

static void
act_yield(struct trial *t)
{
	(void)t;
	sched_yield();
}

static void
test_beside_a_mover(void)
{
	struct trial *t = trial_make(8192, 7700);
	uint32_t whole = 0;
	pthread_t churn;

	t->act = act_yield;
	CHECK(pthread_create(&churn, NULL, churn_body, t) == 0);
	for (int round = 0; round < 200; round++) {
		enum tiara_status status = trial_snapshot(t, 500);

		CHECK(status == TIARA_OK || status == TIARA_BUSY);
		if (status != TIARA_OK)
			continue;
		whole++;
		CHECK(trial_missed(t, 0, 7700) == 0);
	}
	__atomic_store_n(&t->stop, true, __ATOMIC_RELEASE);
	pthread_join(churn, NULL);
	CHECK(whole > 0 && t->mover.moved_cnt > 0);
	trial_end(t);
}

/* ---- what is in transit ---- */

/* Its mover died between two steps: 1 frozen, 2 published, 3 cleared but not settled. */
static void
transit_leave(struct trial *t, uint32_t n, int steps)
{
	const struct tiara_map *map = tiara_handle_map(t->w.control);
	struct tiara_packed_connection r = trial_record(n);
	uint64_t key = tiara_key(r.client_addr, r.client_port, 0);
	uint64_t hash = tiara_hash(key, map->segment->table_secret);
	struct tiara_found from = tiara_table_find(map, key, hash), to;
	uint64_t bucket = (uint64_t)((uint8_t *)from.slot - (uint8_t *)map->bucket) / 64;

	CHECK(from.slot);
	to = trial_free_slot(map, move_other_bucket(map, key, (uint32_t)bucket));
	CHECK(to.slot);
	slot_mark_bucket(&map->bucket[tiara_hash_bucket_1(hash, map->bucket_mask)]);
	CHECK(move_freeze(&t->age, &t->mover, &from, &to));
	if (steps > 1)
		CHECK(move_publish(map, &t->mover, &from, &to));
	if (steps > 2)
		CHECK(reuse_clear(&t->mover, &from));
}

static void
test_in_transit_is_given_once(void)
{
	struct trial *t = trial_make(4096, 100);

	for (uint32_t n = 0; n < 60; n++)
		transit_leave(t, n, 1 + (int)n % 3);
	CHECK_OK(trial_snapshot(t, 1000));
	CHECK(t->info.records == 100 && trial_missed(t, 0, 100) == 0);
	for (uint32_t n = 0; n < 100; n++) {
		CHECK(ntohl(t->last[n].backend_pos) == n % 2);
		CHECK(t->last[n].flags == 0 && t->last[n].state == TIARA_STATE_ESTABLISHED);
	}
	trial_end(t);
}

/* ---- what is given ---- */

static void
trial_place(struct trial *t, uint32_t n, union tiara_word word)
{
	const struct tiara_map *map = tiara_handle_map(t->w.control);
	struct tiara_packed_connection r = trial_record(n);
	struct tiara_found found;

	word.entry.client_addr = r.client_addr;
	if (word.entry.client_port == 0)
		word.entry.client_port = r.client_port;
	CHECK(tiara_table_insert(map, &t->age, &t->mover,
				 tiara_hash(word.key, map->segment->table_secret), &word,
				 &found) == TIARA_OK);
}

/* Live states with their idle time; what a push would refuse is left out. Timeouts are 100 ticks. */
static void
test_what_is_given(void)
{
	struct trial *t = trial_make(4096, 0);
	struct tiara_backend_spec b1 = world_backend(1, 0), b2 = world_backend(2, 0);
	struct tiara_change *change = world_begin(&t->w);
	uint16_t now = 1000;

	b1.record.use = TIARA_USE_DOWN;
	b2.record.use = TIARA_USE_GONE;
	world_put_backend(change, &b1);
	CHECK(world_put_backend(change, &b2) == 2);
	t->view = tiara_view_of(tiara_handle_map(t->w.control), world_commit(change));
	trial_place(t, 0, (union tiara_word){.entry = {.last_seen = now, .state = 2, .flags = 3}});
	trial_place(t, 1, (union tiara_word){.entry = {.last_seen = now - 40, .state = 4}});
	trial_place(t, 2, (union tiara_word){.entry = {.last_seen = now + 1, .state = 3}});
	trial_place(t, 3, (union tiara_word){.entry = {.last_seen = now - 100, .state = 3}});
	trial_place(t, 4,
		    (union tiara_word){.entry = {.backend_idx = 1, .last_seen = now, .state = 3}});
	/* a card has these: nobody knows how idle; to be ended */
	trial_place(t, 5,
		    (union tiara_word){.entry = {.last_seen = now - 500, .state = 3, .flags = 16}});
	trial_place(t, 10,
		    (union tiara_word){.entry = {.last_seen = now - 500, .state = 3, .flags = 48}});
	trial_place(t, 11, (union tiara_word){.entry = {.last_seen = now - 101, .state = 3}});
	trial_place(t, 6,
		    (union tiara_word){.entry = {.backend_idx = 2, .last_seen = now, .state = 3}});
	trial_place(t, 7,
		    (union tiara_word){.entry = {.backend_idx = 9, .last_seen = now, .state = 3}});
	trial_place(t, 8,
		    (union tiara_word){.entry = {.service_idx = 1, .last_seen = now, .state = 3}});
	trial_place(t, 9, (union tiara_word){.entry = {.last_seen = now, .state = 6}});
	CHECK_OK(trial_snapshot(t, 4));
	CHECK(t->info.records == 6 && t->info.service_cnt == 1 && t->info.backend_cnt == 3);
	CHECK(trial_missed(t, 0, 6) == 0 && trial_given_twice(t) == 0);
	CHECK(t->last[0].state == TIARA_STATE_NEW && t->last[0].flags == 0);
	CHECK(t->last[1].state == TIARA_STATE_CLOSING && ntohs(t->last[1].idle_s) == 40);
	CHECK(t->last[2].idle_s == 0);
	CHECK(ntohs(t->last[3].idle_s) == 99); /* a push takes less than the timeout */
	CHECK(ntohl(t->last[4].backend_pos) == 1);
	CHECK(t->last[5].idle_s == 0);
	trial_end(t);
}

/* Positions mean names and uids; the end of a dictionary is NOT_FOUND. */
static void
test_dictionaries(void)
{
	struct trial *t = trial_make(4096, 100);
	struct tiara_snapshot *s;
	struct tiara_service_spec service;
	struct tiara_backend_spec backend;

	CHECK_OK(tiara_snapshot_begin(t->w.control, &s, &world_error));
	CHECK_OK(tiara_snapshot_service(s, 0, &service, &world_error));
	CHECK(!strcmp(service.service, "s0") && service.record.port == htons(80));
	CHECK_OK(tiara_snapshot_backend(s, 1, &backend, &world_error));
	CHECK(!strcmp(backend.pool, "p") && !strcmp(backend.backend, "b1") && backend.uid[0] == 1);
	CHECK_IS(tiara_snapshot_service(s, 1, &service, &world_error), TIARA_NOT_FOUND);
	CHECK_IS(tiara_snapshot_backend(s, 2, &backend, &world_error), TIARA_NOT_FOUND);
	tiara_snapshot_end(s);
	trial_end(t);
}

/* Index 0 becomes another backend's while the scan runs: from then on its entries are not b0's. */
static void
act_reuse_index(struct trial *t)
{
	struct tiara_backend_spec b0 = world_backend(0, 0), b9 = world_backend(9, 0);
	struct tiara_change *change;

	if (t->steps != 100)
		return;
	change = world_begin(&t->w);
	world_remove_backend(change, &b0);
	world_commit(change);
	change = world_begin(&t->w);
	CHECK(world_put_backend(change, &b9) == 0);
	world_commit(change);
	memset(t->times, 0, sizeof(t->times));
}

static void
test_reused_index_is_not_the_old_name(void)
{
	struct trial *t = trial_make(CONNECTIONS, FILLED);
	uint32_t b0 = 0, b1 = 0;

	tiara_quarantine_disable_for_test(t->w.control);
	t->act = act_reuse_index;
	CHECK_OK(trial_snapshot(t, 4)); /* each call ends with the records of one bucket */
	for (uint32_t n = 0; n < FILLED; n++)
		*(n % 2 ? &b1 : &b0) += t->times[n];
	CHECK(b0 == 0 && b1 > FILLED / 4);
	trial_end(t);
}

/* What came out goes into another segment, whose indices are others. */
static void
test_into_another_segment(void)
{
	struct trial *t = trial_make(CONNECTIONS, FILLED);
	static const uint32_t service_idx[1] = {0}, backend_idx[2] = {1, 0};
	struct tiara_service_spec service = world_service(0, 3);
	struct tiara_change *change;
	struct tiara_connection c;
	struct tiara_usage usage;
	static uint8_t result[FILLED];
	struct world other;

	CHECK_OK(trial_snapshot(t, 777));
	CHECK(t->info.records == FILLED);
	world_make_sized(&other, &(struct tiara_segment_config){.connections = 32768,
								.worker_max = 1,
								.service_max = 8,
								.backend_max = 8,
								.heap_bytes = 1 << 20});
	change = world_begin(&other);
	CHECK(world_put_backend(change, &(struct tiara_backend_spec){
						.pool = "p",
						.backend = "b1",
						.record = {.addr = htonl(0x0a000009),
							   .forward = TIARA_FORWARD_L2,
							   .use = TIARA_USE_ACTIVE}}) == 0);
	CHECK(world_put_backend(change, &(struct tiara_backend_spec){
						.pool = "p",
						.backend = "b0",
						.record = {.addr = htonl(0x0a000008),
							   .forward = TIARA_FORWARD_L2,
							   .use = TIARA_USE_ACTIVE}}) == 1);
	CHECK(world_put_service(change, &service, NULL, 0) == 0);
	world_commit(change);
	CHECK_OK(tiara_connections_push(other.control, t->last, FILLED, service_idx, 1, backend_idx,
					2, TIARA_CONFLICT_KEEP, result, &world_error));
	for (uint32_t n = 0; n < FILLED; n++) {
		struct tiara_packed_connection r = trial_record(n);

		CHECK(result[n] == TIARA_OK);
		CHECK_OK(tiara_connection_find(other.control, r.client_addr, r.client_port,
					       htonl(0xc6120001), htons(80), 6, &c, &world_error));
		CHECK(c.backend_idx == 1 - n % 2);
	}
	CHECK_OK(tiara_connections_count(other.control, NULL, NULL, &usage, &world_error));
	CHECK(usage.live == FILLED);
	world_end(&other);
	trial_end(t);
}

int
main(void)
{
	test_moved_behind_the_scan();
	test_overrun_is_another_pass();
	test_overrun_for_ever();
	test_beside_a_mover();
	test_in_transit_is_given_once();
	test_what_is_given();
	test_dictionaries();
	test_reused_index_is_not_the_old_name();
	test_into_another_segment();
	return 0;
}
