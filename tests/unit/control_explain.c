/* SPDX-License-Identifier: Apache-2.0 */
/* Explain on a real segment, beside a worker that changes it. What it says of packets: tests/path. */
static void explain_test_step(void);
#define CONTROL_STEP(name) explain_test_step()

#include "control_full.h"

#include "control/shadow.c"
#include "path/wire.h"

static void (*explain_step)(void); /* what somebody else does between two steps */

static void
explain_test_step(void)
{
	if (explain_step)
		explain_step();
}

struct explained {
	struct tiara_explanation says;
	uint8_t left[256];
};

static void
explain_world(struct world *w)
{
	struct tiara_change *change;
	uint32_t idx[2] = {0, 1};

	world_make(w);
	world_first_generation(w);
	change = world_begin(w);
	for (uint32_t i = 1; i < 3; i++) {
		struct tiara_service_spec s = world_service(i, 0);

		CHECK(world_put_service(change, &s, idx, 2) == i);
	}
	world_commit(change);
	tiara_handle_map(w->control)->segment->tick = FULL_TICK;
	memcpy(tiara_handle_map(w->control)->segment->node.port_mac, "\2\0\0\0\0\1", 6);
	memcpy(tiara_handle_map(w->control)->segment->node.kernel_mac, "\2\0\0\0\0\2", 6);
}

/* A packet of that entry's connection, amid it. */
static enum tiara_status
explain_entry(struct world *w, const struct tiara_entry *entry, struct explained *explained)
{
	struct {
		struct tiara_ether ether;
		struct tiara_ipv4 ip;
		struct tiara_tcp tcp;
	} __attribute__((packed)) frame = {
		.ether = {.dst = {2, 0, 0, 0, 0, 1}, .type = TIARA_BE16(TIARA_ETHERTYPE_IPV4)},
		.ip = {.version_ihl = 0x45,
		       .total_bytes = TIARA_BE16(40),
		       .ttl = 64,
		       .protocol = 6,
		       .src = entry->client_addr,
		       .dst = htonl(0xc6120001)},
		.tcp = {.src_port = entry->client_port,
			.dst_port = htons((uint16_t)(80 + entry->service_idx)),
			.data_offset = 5 << 4,
			.flags = TIARA_TCP_ACK},
	};

	frame.ip.checksum = tiara_checksum_words(&frame.ip, 5);
	return tiara_explain(w->control, (const void *)&frame, sizeof(frame), &explained->says,
			     explained->left, sizeof(explained->left), &world_error);
}

/* However its entry moves meanwhile: a connection that is there is found, with its backend. */
static void
test_beside_movers(void)
{
	enum { ROUNDS = 4000 };
	static bool in[FULL_SLOTS];
	struct mover mover = {.moved = 0};
	struct explained explained;
	struct world w;

	explain_world(&w);
	full_fill(tiara_handle_map(w.control), 1, in);
	mover_start(&mover, tiara_handle_map(w.control));
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t n = (uint32_t)random() % FULL_SLOTS;
		struct tiara_entry entry = full_entry(n, 1);

		if (!in[n])
			continue;
		CHECK_OK(explain_entry(&w, &entry, &explained));
		CHECK(explained.says.has_service &&
		      explained.says.service_idx == entry.service_idx);
		CHECK(explained.says.found && explained.says.connection.backend_idx == 1);
		CHECK(explained.says.backend_idx == 1 && !explained.says.fresh);
	}
	mover_end(&mover);
	CHECK(mover.moved > 0);
	world_end(&w);
}

/* One entry, in its second bucket. */
static struct {
	const struct tiara_map *map;
	struct tiara_entry entry;
	uint64_t hash;
} lone;

static void
lone_put(const struct tiara_map *map)
{
	union tiara_word word = {.entry = full_entry(1, 1)};

	lone.map = map;
	lone.entry = word.entry;
	lone.hash = tiara_hash_inline(word.key, map->segment->table_secret);
	map->bucket[tiara_hash_bucket_1(lone.hash, map->bucket_mask)]
		.entry[3]
		.flags = TIARA_ENTRY_OVERFLOW;
	map->bucket[tiara_hash_bucket_2(lone.hash, map->bucket_mask)].entry[0] = word.entry;
}

/* As a mover does it: there, counted, gone here. Once. */
static void
lone_move(void)
{
	const struct tiara_map *map = lone.map;

	explain_step = NULL;
	map->bucket[tiara_hash_bucket_1(lone.hash, map->bucket_mask)].entry[0] = lone.entry;
	map->move[(lone.hash ^ lone.hash >> 32) % TIARA_MOVE_STRIPES]++;
	map->bucket[tiara_hash_bucket_2(lone.hash, map->bucket_mask)]
		.entry[0] = (struct tiara_entry){.client_addr = 0};
}

/* From where the copy has not been to where it was, just then. */
static void
test_moved_between_two_copies(void)
{
	struct explained explained;
	struct world w;

	explain_world(&w);
	lone_put(tiara_handle_map(w.control));
	for (int i = 0; i < 2; i++) {
		CHECK_OK(explain_entry(&w, &lone.entry, &explained));
		CHECK(explained.says.found);
		explain_step = i == 0 ? lone_move : NULL;
	}
	CHECK(!explain_step);
	world_end(&w);
}

/* Only who publishes may ask, and only of what a frame can be. */
static void
test_refused(void)
{
	static const uint8_t frame[16385];
	struct explained e;
	struct tiara_handle *reader;
	struct world w;

	explain_world(&w);
	CHECK_OK(tiara_segment_attach(w.path, TIARA_ROLE_READER, &reader, &world_error));
	CHECK_IS(tiara_explain(reader, frame, 60, &e.says, e.left, 256, &world_error),
		 TIARA_INVALID);
	for (uint32_t bytes = 0; bytes <= 16385; bytes += 16385) {
		CHECK_IS(tiara_explain(w.control, frame, bytes, &e.says, e.left, 256, &world_error),
			 TIARA_INVALID);
		CHECK(!strcmp(world_error.field, "frame"));
	}
	CHECK_OK(tiara_explain(w.control, frame, 16384, &e.says, e.left, 256, &world_error));
	CHECK(e.says.verdict == TIARA_VERDICT_NOT_IPV4 && e.says.left_bytes == 0);
	tiara_segment_detach(reader);
	world_end(&w);
}

int
main(void)
{
	srandom(1);
	test_beside_movers();
	test_moved_between_two_copies();
	test_refused();
	return 0;
}
