/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as packed connections and dictionaries into tiara_connections_push, on a real segment. A
 * batch with a bad record is refused whole, by the number and the field that a plain twin of the
 * checks names; of any other batch each record is in the table, or its result says why not.
 *
 * An input is: replace or keep, service_cnt and that many indices, backend_cnt and that many
 * indices (255: the largest number), then records of 16 bytes.
 */
#include "fuzz.h"

#include "control_world.h"

enum { PUSH_RECORDS = 512, PUSH_DICTIONARY = 8, PUSH_TICK = 1000, PUSH_TIMEOUT = 100 };

/* What the segment holds: services 0 TCP and 1 UDP; backends 0 active, 1 down. */
enum { PUSH_SERVICES = 2, PUSH_BACKENDS = 2 };

struct push_batch {
	struct tiara_packed_connection *record;
	uint8_t *result;
	uint32_t cnt;
	uint32_t service[PUSH_DICTIONARY], backend[PUSH_DICTIONARY];
	uint32_t service_cnt, backend_cnt;
	enum tiara_on_conflict on_conflict;
};

static struct world push_world;

static void
push_world_make(void)
{
	struct tiara_backend_spec down = world_backend(1, 0), gone = world_backend(2, 0);
	struct tiara_service_spec udp = world_service(1, 0);
	const uint32_t idx[1] = {0};
	struct tiara_change *change;

	world_make(&push_world);
	world_first_generation(&push_world);
	change = world_begin(&push_world);
	udp.record.protocol = 17;
	world_put_service(change, &udp, idx, 1);
	down.record.use = TIARA_USE_DOWN;
	world_put_backend(change, &down);
	world_put_backend(change, &gone);
	world_commit(change);
	change = world_begin(&push_world);
	world_remove_backend(change, &gone);
	world_commit(change);
	tiara_handle_map(push_world.control)->segment->tick = PUSH_TICK;
	/* The mapping stays; nothing is left behind however this ends. */
	unlink(push_world.path);
	rmdir(push_world.directory);
}

static uint32_t
push_dictionary(struct fuzz_input *in, uint32_t idx[PUSH_DICTIONARY])
{
	uint32_t cnt = fuzz_byte(in) % (PUSH_DICTIONARY + 1);

	for (uint32_t i = 0; i < cnt; i++) {
		idx[i] = fuzz_byte(in);
		if (idx[i] == 255)
			idx[i] = UINT32_MAX;
	}
	return cnt;
}

/* Neither records nor results have a byte more than they need. */
static struct push_batch
push_read(struct fuzz_input *in)
{
	struct push_batch b = {.on_conflict = fuzz_byte(in) % 2 ? TIARA_CONFLICT_REPLACE
								: TIARA_CONFLICT_KEEP};
	size_t bytes;

	b.service_cnt = push_dictionary(in, b.service);
	b.backend_cnt = push_dictionary(in, b.backend);
	b.cnt = (uint32_t)(in->bytes / sizeof(*b.record));
	if (b.cnt > PUSH_RECORDS)
		b.cnt = PUSH_RECORDS;
	bytes = b.cnt * sizeof(*b.record);
	b.record = malloc(bytes);
	b.result = malloc(b.cnt);
	if (bytes > 0)
		memcpy(b.record, in->at, bytes);
	return b;
}

/* ---- the twin ---- */

static const char *
push_wrong_state(const struct push_batch *b, const struct tiara_packed_connection *r)
{
	if (b->service[ntohs(r->service_pos)] == 1)
		return r->state == TIARA_STATE_UDP ? NULL : "state";
	return r->state >= TIARA_STATE_NEW && r->state <= TIARA_STATE_CLOSING ? NULL : "state";
}

/* The field that refuses a record; NULL: none. */
static const char *
push_wrong(const struct push_batch *b, const struct tiara_packed_connection *r)
{
	uint8_t first;

	memcpy(&first, &r->client_addr, 1);
	if (r->client_addr == 0 || first >= 224)
		return "client_addr";
	if (r->client_port == 0)
		return "client_port";
	if (ntohs(r->service_pos) >= b->service_cnt ||
	    b->service[ntohs(r->service_pos)] >= PUSH_SERVICES)
		return "service_pos";
	if (ntohl(r->backend_pos) >= b->backend_cnt ||
	    b->backend[ntohl(r->backend_pos)] >= PUSH_BACKENDS)
		return "backend_pos";
	if (push_wrong_state(b, r))
		return "state";
	if (r->flags != 0)
		return "flags";
	return ntohs(r->idle_s) >= PUSH_TIMEOUT ? "idle_s" : NULL;
}

static bool
push_first_wrong(const struct push_batch *b, char field[64])
{
	for (uint32_t i = 0; i < b->cnt; i++) {
		const char *wrong = push_wrong(b, &b->record[i]);

		if (!wrong)
			continue;
		snprintf(field, 64, "records[%u].%s", i, wrong);
		return true;
	}
	return false;
}

/* ---- what must be so afterwards ---- */

static bool
push_same_connection(const struct push_batch *b, uint32_t i, uint32_t k)
{
	const struct tiara_packed_connection *r = &b->record[i], *s = &b->record[k];

	return r->client_addr == s->client_addr && r->client_port == s->client_port &&
	       b->service[ntohs(r->service_pos)] == b->service[ntohs(s->service_pos)];
}

static enum tiara_status
push_find(const struct push_batch *b, uint32_t i, struct tiara_connection *found)
{
	const struct tiara_packed_connection *r = &b->record[i];
	bool udp = b->service[ntohs(r->service_pos)] == 1;

	return tiara_connection_find(push_world.control, r->client_addr, r->client_port,
				     htonl(0xc6120001), htons(udp ? 81 : 80), udp ? 17 : 6, found,
				     &world_error);
}

/* Whose backend the connection has when each record is taken in its turn. */
static uint32_t
push_owner(const struct push_batch *b, uint32_t i)
{
	uint32_t owner = i;

	for (uint32_t k = 0; k < b->cnt; k++) {
		if (!push_same_connection(b, i, k) || b->result[k] != TIARA_OK)
			continue;
		owner = k;
		if (b->on_conflict == TIARA_CONFLICT_KEEP)
			break;
	}
	return owner;
}

/* Returns 1 for the first record of a connection that is there. */
static uint64_t
push_check_record(const struct push_batch *b, uint32_t i)
{
	struct tiara_connection found;
	uint32_t owner = push_owner(b, i);

	if (b->result[i] == TIARA_FULL)
		return 0;
	FUZZ_CHECK(b->result[i] == TIARA_OK || b->result[i] == TIARA_CONFLICT);
	FUZZ_CHECK(b->result[i] == TIARA_OK || b->on_conflict == TIARA_CONFLICT_KEEP);
	FUZZ_CHECK(push_find(b, i, &found) == TIARA_OK);
	FUZZ_CHECK(found.backend_idx == b->backend[ntohl(b->record[owner].backend_pos)]);
	FUZZ_CHECK(found.flags == TIARA_ENTRY_PUSHED && found.idle_ticks < PUSH_TIMEOUT);
	for (uint32_t k = 0; k < i; k++)
		if (push_same_connection(b, i, k) && b->result[k] != TIARA_FULL)
			return 0;
	return 1;
}

static void
push_check(const struct push_batch *b, enum tiara_status status)
{
	struct tiara_usage usage;
	uint64_t there = 0;
	char field[64];

	if (push_first_wrong(b, field)) {
		FUZZ_CHECK(status == TIARA_INVALID && !strcmp(world_error.field, field));
	} else {
		FUZZ_CHECK(status == TIARA_OK);
		for (uint32_t i = 0; i < b->cnt; i++)
			there += push_check_record(b, i);
	}
	CHECK_OK(tiara_connections_count(push_world.control, NULL, NULL, &usage, &world_error));
	FUZZ_CHECK(usage.live == there);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	push_world_make();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tiara_map *map = tiara_handle_map(push_world.control);
	struct fuzz_input in = {data, size};
	struct push_batch b = push_read(&in);

	memset(map->bucket, 0, map->segment->bucket_cnt * sizeof(*map->bucket));
	push_check(&b, tiara_connections_push(push_world.control, b.record, b.cnt, b.service,
					      b.service_cnt, b.backend, b.backend_cnt,
					      b.on_conflict, b.result, &world_error));
	free(b.record);
	free(b.result);
	return 0;
}
