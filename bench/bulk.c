/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections in bulk by libtiara, on one core. Prints one JSON row a line:
 *   push.native      records a second: all validated, then put into an empty table sized for them
 *   snapshot.native  records a second out of that table
 *
 * Usage: bulk SEGMENT-PATH CONNECTIONS REPEATS
 *
 * A real segment is made at SEGMENT-PATH (its file system decides the page size) and removed again,
 * each time anew. All connections are distinct; after each push every one is looked up and must be
 * found with the backend that was pushed; a snapshot must give as many as there are, with the same
 * sum of keys.
 */
#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "tiara/tiara.h"
#include "control/handle.h"
#include "table/epoch.h"
#include "table/hash.h"
#include "table/table.h"

enum { BULK_SERVICES = 64, BULK_BACKENDS = 64, BULK_CHUNK = 65536, BULK_BURST = 64 };

struct bulk {
	const char *path;
	uint64_t connections;
	uint32_t page_bytes;
	struct tiara_handle *handle;
	struct tiara_packed_connection *record;
	uint32_t service_idx[BULK_SERVICES];
	uint32_t backend_idx[BULK_BACKENDS];
};

static void
bulk_configure(struct bulk *b)
{
	struct tiara_change *change;
	struct tiara_error error;
	uint64_t generation;
	enum tiara_status status = tiara_change_begin(b->handle, &change, &error);

	for (uint32_t i = 0; i < BULK_BACKENDS && status == TIARA_OK; i++) {
		struct tiara_backend_spec spec = {.pool = "bench",
						  .uid = {(uint8_t)i, 1},
						  .record = {.addr = htonl(0x0a000001 + i),
							     .forward = TIARA_FORWARD_L2,
							     .use = TIARA_USE_ACTIVE}};

		snprintf(spec.backend, sizeof(spec.backend), "b%u", i);
		status = tiara_change_backend_put(change, &spec, &b->backend_idx[i], &error);
	}
	for (uint32_t i = 0; i < BULK_SERVICES && status == TIARA_OK; i++) {
		struct tiara_service_spec spec = {.uid = {(uint8_t)i, 2},
						  .record = {.vip = htonl(0xc6126401),
							     .port = htons((uint16_t)(80 + i)),
							     .protocol = 6,
							     .use = TIARA_USE_ACTIVE}};

		snprintf(spec.service, sizeof(spec.service), "s%u", i);
		for (int n = 0; n < TIARA_STATE_CNT; n++)
			spec.record.timeout_ticks[n] = TIARA_TIMEOUT_TICKS_MAX;
		status = tiara_change_service_put(change, &spec, &b->service_idx[i], &error);
	}
	if (status == TIARA_OK)
		status = tiara_change_commit(change, 1, &generation, &error);
	if (status != TIARA_OK)
		bench_die("configuration", error.message);
}

static void
bulk_open(struct bulk *b)
{
	struct tiara_segment_config config = {.connections = bench_room(b->connections),
					      .worker_max = 2,
					      .service_max = 2 * BULK_SERVICES,
					      .backend_max = 2 * BULK_BACKENDS,
					      .heap_bytes = 4 << 20};
	struct tiara_error error;

	unlink(b->path);
	if (tiara_segment_create(b->path, &config, &error) != TIARA_OK ||
	    tiara_segment_attach(b->path, TIARA_ROLE_CONTROLPLANE, &b->handle, &error) != TIARA_OK)
		bench_die("segment", error.message);
	b->page_bytes = tiara_handle_map(b->handle)->segment->page_bytes;
	bulk_configure(b);
}

static void
bulk_close(struct bulk *b)
{
	tiara_segment_detach(b->handle);
	unlink(b->path);
}

/* A bijection of 45 bits, so that all are distinct; clients are unicast addresses, no port is 0. */
static struct tiara_packed_connection
bulk_record(uint64_t i)
{
	const uint64_t mask = (1ull << 45) - 1;
	uint32_t client;

	i = i * 0x5851f42d4c95ull & mask;
	i ^= i >> 22;
	i = i * 0x1342543de83ull & mask;
	i ^= i >> 24;
	client = (uint32_t)(i & 0x3fffffff) + 0x40000000;
	return (struct tiara_packed_connection){
		.client_addr = htonl(client),
		.client_port = htons((uint16_t)(1024 + (i >> 30))),
		.service_pos = htons((uint16_t)(client % BULK_SERVICES)),
		.backend_pos = htonl((uint32_t)(i >> 7) % BULK_BACKENDS),
		.state = TIARA_STATE_ESTABLISHED,
	};
}

static uint64_t
bulk_sum(const struct tiara_packed_connection *r)
{
	uint64_t half[2];

	memcpy(half, r, sizeof(half));
	return half[0] * 0x9e3779b97f4a7c15u + (half[1] & UINT64_C(0xffffffff)) * 31;
}

/* The seconds it took, chunks as a stream has them. */
static double
bulk_push(struct bulk *b)
{
	static uint8_t result[BULK_CHUNK];
	struct tiara_error error;
	uint64_t refused = 0;
	double start = bench_now_s();

	for (uint64_t at = 0; at < b->connections; at += BULK_CHUNK) {
		uint64_t left = b->connections - at;
		uint32_t cnt = left < BULK_CHUNK ? (uint32_t)left : BULK_CHUNK;

		if (tiara_connections_push(b->handle, b->record + at, cnt, b->service_idx,
					   BULK_SERVICES, b->backend_idx, BULK_BACKENDS,
					   TIARA_CONFLICT_KEEP, result, &error) != TIARA_OK)
			bench_die("push.native", error.message);
		for (uint32_t i = 0; i < cnt; i++)
			refused += result[i] != TIARA_OK;
	}
	start = bench_now_s() - start;
	if (refused)
		bench_die("push.native", "connections were refused");
	return start;
}

/* Every connection is found with its backend. */
static void
bulk_check(const struct bulk *b)
{
	const struct tiara_map *map = tiara_handle_map(b->handle);
	struct tiara_view view = tiara_view_of(map, map->segment->generation);
	struct tiara_age age = {.view = &view, .now = (uint16_t)tiara_tick_now(map)};

	for (uint64_t at = 0; at < b->connections; at += BULK_BURST) {
		uint64_t left = b->connections - at;
		uint32_t cnt = left < BULK_BURST ? (uint32_t)left : BULK_BURST;
		uint64_t key[BULK_BURST], hash[BULK_BURST];
		struct tiara_found found[BULK_BURST];

		for (uint32_t i = 0; i < cnt; i++) {
			const struct tiara_packed_connection *r = &b->record[at + i];

			key[i] = tiara_key(r->client_addr, r->client_port,
					   (uint16_t)b->service_idx[ntohs(r->service_pos)]);
			hash[i] = tiara_hash_inline(key[i], map->segment->table_secret);
		}
		tiara_table_lookup(map, &age, key, hash, cnt, found);
		for (uint32_t i = 0; i < cnt; i++)
			if (!found[i].slot ||
			    found[i].word.entry.backend_idx !=
				    b->backend_idx[ntohl(b->record[at + i].backend_pos)])
				bench_die("push.native", "a connection is not there as pushed");
	}
}

/* The seconds it took; no more and no less came than is in the table. */
static double
bulk_snapshot(const struct bulk *b)
{
	static struct tiara_packed_connection chunk[BULK_CHUNK];
	struct tiara_snapshot_info info = {.done = false};
	struct tiara_snapshot *snapshot;
	struct tiara_error error;
	uint64_t want = 0, sum = 0;
	double start = bench_now_s();

	if (tiara_snapshot_begin(b->handle, &snapshot, &error) != TIARA_OK)
		bench_die("snapshot.native", error.message);
	while (!info.done) {
		uint32_t cnt;

		if (tiara_snapshot_next(snapshot, chunk, BULK_CHUNK, &cnt, &info, &error) !=
		    TIARA_OK)
			bench_die("snapshot.native", error.message);
		for (uint32_t i = 0; i < cnt; i++)
			sum += bulk_sum(&chunk[i]);
	}
	start = bench_now_s() - start;
	tiara_snapshot_end(snapshot);
	for (uint64_t i = 0; i < b->connections; i++)
		want += bulk_sum(&b->record[i]);
	if (info.records != b->connections || sum != want)
		bench_die("snapshot.native", "what came is not what is in the table");
	return start;
}

static void
bulk_row(const struct bulk *b, const char *id, const double *value, int cnt)
{
	char params[80];

	snprintf(params, sizeof(params), "\"connections\": %llu, \"page_bytes\": %u",
		 (unsigned long long)b->connections, b->page_bytes);
	bench_row(id, params, "1/s", value, cnt);
}

int
main(int argc, char **argv)
{
	double push[BENCH_REPEATS_MAX], snapshot[BENCH_REPEATS_MAX];
	struct bulk b = {0};
	int repeats;

	if (argc != 4) {
		fprintf(stderr, "usage: bulk SEGMENT-PATH CONNECTIONS REPEATS(1..16)\n");
		return 2;
	}
	b.path = argv[1];
	b.connections = strtoull(argv[2], NULL, 10);
	repeats = bench_repeats(argv[3]);
	b.record = malloc(b.connections * sizeof(*b.record));
	if (!b.record)
		bench_die("memory", "not enough for the records");
	for (uint64_t i = 0; i < b.connections; i++)
		b.record[i] = bulk_record(i);
	for (int r = 0; r < repeats; r++) {
		bulk_open(&b);
		push[r] = (double)b.connections / bulk_push(&b);
		bulk_check(&b);
		snapshot[r] = (double)b.connections / bulk_snapshot(&b);
		bulk_close(&b);
	}
	bulk_row(&b, "push.native", push, repeats);
	bulk_row(&b, "snapshot.native", snapshot, repeats);
	free(b.record);
	return 0;
}
