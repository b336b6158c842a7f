/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "control/handle.h"
#include "table/epoch.h"
#include "table/hash.h"
#include "tiara/tiara.h"

static void
load_put_backends(struct load *load, struct tiara_change *change)
{
	struct tiara_error error;

	for (uint32_t i = 0; i < LOAD_BACKENDS; i++) {
		struct tiara_backend_spec spec = {.pool = "bench",
						  .record = {.addr = htonl(0xc6120100 + i),
							     .forward = TIARA_FORWARD_L2,
							     .use = TIARA_USE_ACTIVE}};

		snprintf(spec.backend, sizeof(spec.backend), "b%u", i);
		if (tiara_change_backend_put(change, &spec, &load->backend_idx[i], &error) !=
		    TIARA_OK)
			bench_die("backend", error.message);
	}
}

static uint64_t
load_publish(struct load *load, struct tiara_handle *handle, uint16_t timeout_ticks)
{
	struct tiara_service_spec service = {.service = "bench",
					     .record = {.vip = htonl(0xc6126401),
							.port = htons(80),
							.protocol = 6,
							.use = TIARA_USE_ACTIVE}};
	struct tiara_change *change;
	struct tiara_error error;
	uint64_t generation;
	uint32_t idx;

	for (int i = 0; i < TIARA_STATE_CNT; i++)
		service.record.timeout_ticks[i] = timeout_ticks ? timeout_ticks
								: TIARA_TIMEOUT_TICKS_MAX;
	if (tiara_change_begin(handle, &change, &error) != TIARA_OK)
		bench_die("change", error.message);
	load_put_backends(load, change);
	if (tiara_change_service_put(change, &service, &idx, &error) != TIARA_OK ||
	    tiara_change_commit(change, 1, &generation, &error) != TIARA_OK)
		bench_die("configuration", error.message);
	load->service_idx = (uint16_t)idx;
	return generation;
}

void
load_open(struct load *load, const struct load_config *config)
{
	struct tiara_segment_config segment = {
		.connections = config->buckets ? config->buckets * TIARA_BUCKET_ENTRIES
					       : bench_room(config->connections),
		.worker_max = 2,
		.service_max = 16,
		.backend_max = LOAD_BACKENDS,
		.heap_bytes = 1 << 20};
	struct tiara_handle *handle;
	struct tiara_error error;
	uint64_t generation;

	memset(load, 0, sizeof(*load));
	if (tiara_segment_create(config->path, &segment, &error) != TIARA_OK ||
	    tiara_segment_attach(config->path, TIARA_ROLE_CONTROLPLANE, &handle, &error) !=
		    TIARA_OK)
		bench_die("segment", error.message);
	unlink(config->path);
	load->handle = handle;
	generation = load_publish(load, handle, config->timeout_ticks);
	load->map = *tiara_handle_map(handle);
	load->view = tiara_view_of(&load->map, generation);
	load->age = (struct tiara_age){.view = &load->view, .now = 1};
	load->writer = (struct tiara_writer){.owner = 0, .search_max = TIARA_SEARCH_PATH};
	load->connections = config->connections;
}

void
load_close(struct load *load)
{
	tiara_segment_detach(load->handle);
}

struct load *
load_share(const struct load *load, uint8_t owner)
{
	struct load *other = aligned_alloc(64, (sizeof(*other) + 63) & ~63ul);

	if (!other)
		bench_die("memory", "not enough for a thread");
	*other = *load;
	other->age.view = &other->view;
	other->writer = (struct tiara_writer){.owner = owner,
					      .search_max = load->writer.search_max};
	return other;
}

void
load_clear(const struct load *load)
{
	memset(load->map.bucket, 0, (load->map.bucket_mask + 1) * sizeof(*load->map.bucket));
}

/* Odd multiplications and shifts, each undone by another: a permutation of 48 bits. */
uint64_t
load_key(const struct load *load, uint64_t n)
{
	const uint64_t mask = (1ull << 48) - 1;

	n = n * 0x5851f42d4c95ull & mask;
	n ^= n >> 23;
	n = n * 0xd1342543de83ull & mask;
	n ^= n >> 25;
	return n | (uint64_t)load->service_idx << 48;
}

uint32_t
load_backend(const struct load *load, uint64_t key)
{
	return load->backend_idx[(key * 0x9e3779b97f4a7c15u >> 40) % LOAD_BACKENDS];
}

union tiara_word
load_word(const struct load *load, uint64_t n)
{
	union tiara_word word = {.key = load_key(load, n)};

	word.entry.backend_idx = load_backend(load, word.key);
	word.entry.state = TIARA_STATE_ESTABLISHED;
	word.entry.last_seen = load->age.now;
	return word;
}

uint64_t
load_hash(const struct load *load, uint64_t key)
{
	uint64_t hash = tiara_hash_inline(key, load->map.segment->table_secret);

	__builtin_prefetch(&load->map.bucket[tiara_hash_bucket_1(hash, load->map.bucket_mask)]);
	return hash;
}

static uint64_t
load_insert_burst(struct load *load, uint64_t first, uint32_t cnt)
{
	enum tiara_status status[LOAD_BURST];
	struct tiara_found found[LOAD_BURST];
	union tiara_word word[LOAD_BURST];
	uint64_t hash[LOAD_BURST], refused = 0;

	if (cnt == 0)
		return 0;
	for (uint32_t i = 0; i < cnt; i++) {
		word[i] = load_word(load, first + i);
		hash[i] = load_hash(load, word[i].key);
	}
	tiara_table_insert_burst(&load->map, &load->age, &load->writer, hash, word, cnt, found,
				 status);
	for (uint32_t i = 0; i < cnt; i++) {
		if (status[i] == TIARA_EXISTS)
			bench_die("insert", "a connection was there before it was put in");
		refused += status[i] != TIARA_OK;
	}
	return refused;
}

uint64_t
load_insert(struct load *load, uint64_t first, uint64_t cnt)
{
	uint64_t refused = 0;

	for (uint64_t i = 0; i < cnt; i += LOAD_BURST)
		refused += load_insert_burst(
			load, first + i, cnt - i < LOAD_BURST ? (uint32_t)(cnt - i) : LOAD_BURST);
	return refused;
}

uint64_t
load_lookup(const struct load *load, const uint64_t *key, uint64_t cnt)
{
	struct tiara_found found[LOAD_BURST];
	uint64_t hash[LOAD_BURST], right = 0, wrong = 0;

	for (uint64_t first = 0; first < cnt; first += LOAD_BURST) {
		uint32_t n = cnt - first < LOAD_BURST ? (uint32_t)(cnt - first) : LOAD_BURST;

		for (uint32_t i = 0; i < n; i++)
			hash[i] = load_hash(load, key[first + i]);
		tiara_table_lookup(&load->map, &load->age, key + first, hash, n, found);
		for (uint32_t i = 0; i < n; i++) {
			bool same = found[i].word.entry.backend_idx ==
				    load_backend(load, key[first + i]);

			right += found[i].slot && same;
			wrong += found[i].slot && !same;
		}
	}
	if (wrong != 0)
		bench_die("lookup", "a connection was found with another's backend");
	return right;
}

const char *
load_params(const struct load *load, const char *more)
{
	static char params[300];
	uint64_t buckets = load->map.bucket_mask + 1;

	snprintf(params, sizeof(params),
		 "\"connections\": %llu, \"page_bytes\": %u, \"buckets\": %llu, "
		 "\"occupancy\": %.1f%s%s",
		 (unsigned long long)load->connections, load->map.segment->page_bytes,
		 (unsigned long long)buckets,
		 (double)load->connections * 100 / (double)(buckets * TIARA_BUCKET_ENTRIES),
		 more[0] ? ", " : "", more);
	return params;
}
