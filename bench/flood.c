/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What established connections get through while a flood from random sources shares the queue.
 *
 * Usage: flood SEGMENT-PATH CONNECTIONS REPEATS
 *
 * Rows path.flood: packets of established connections a second on one core, for each kind of flood
 * (syn; ack, with data; udp) and each share of it in all packets. `none` is the same without a flood.
 * Every packet must be forwarded; afterwards every connection is still there, and what the flood made
 * is under its cap.
 */
#include <arpa/inet.h>
#include <string.h>
#include <x86intrin.h>

#include "bench.h"
#include "path/wire.h"
#include "world.h"

enum {
	FLOOD_TURNS = 32, /* times each buffer is used in one measurement */
	FLOOD_BUFFERS = 4096,
	FLOOD_HEADROOM_BYTES = 128,
	FLOOD_FRAME_BYTES = 64,
};

struct flood_kind {
	const char *name;
	uint8_t protocol;
	uint8_t tcp_flags;
};

struct bench {
	struct world world; /* first: the port's functions are given its address */
	int repeats;
	struct world_buffer *buffer;
	uint32_t next;
	const struct flood_kind *kind;
	uint32_t share; /* of 256 packets */
	uint64_t random;
	uint64_t flooded;
};

static const struct flood_kind flood_kinds[] = {
	{"syn", TIARA_PROTOCOL_TCP, TIARA_TCP_SYN},
	{"ack", TIARA_PROTOCOL_TCP, TIARA_TCP_ACK},
	{"udp", TIARA_PROTOCOL_UDP, 0},
};

/* A packet of the flood: a new source each time; the checksum follows it (RFC 1624). */
static void
flood_write(struct bench *b, uint8_t *data)
{
	const uint8_t port_mac[6] = {0x02, 0, 0, 0, 0, 0x01};
	struct tiara_ether *ether = (void *)data;
	struct tiara_ipv4 *ip = (void *)(ether + 1);
	struct tiara_tcp *tcp = (void *)(ip + 1);
	uint64_t random = bench_random(&b->random);

	memcpy(ether->dst, port_mac, 6);
	ether->type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);
	*ip = (struct tiara_ipv4){
		.version_ihl = 0x45,
		.total_bytes = TIARA_BE16(FLOOD_FRAME_BYTES - sizeof(*ether)),
		.ttl = 64,
		.protocol = b->kind->protocol,
		.src = htonl(0x20000000 + ((uint32_t)random & 0x3fffffff)),
		.dst = htonl(0xc6130000 + (uint32_t)(random >> 40) % WORLD_SERVICES),
	};
	ip->checksum = tiara_checksum_words(ip, 5);
	tcp->src_port = (tiara_be16)(random >> 32 | 1);
	tcp->dst_port = TIARA_BE16(80);
	if (b->kind->protocol == TIARA_PROTOCOL_TCP) {
		tcp->data_offset = 5 << 4;
		tcp->flags = b->kind->tcp_flags;
	}
}

static void
flood_take(struct bench *b, struct tiara_frame *frame)
{
	struct world_buffer *buffer = &b->buffer[b->next++ % FLOOD_BUFFERS];
	uint8_t *data = buffer->bytes + FLOOD_HEADROOM_BYTES;

	flood_write(b, data);
	frame->data = data;
	frame->handle = buffer;
	frame->len_bytes = FLOOD_FRAME_BYTES;
	frame->headroom_bytes = FLOOD_HEADROOM_BYTES;
	b->flooded++;
}

/* A burst in which each place is the flood's by chance. */
static uint16_t
flood_rx(void *self, struct tiara_frame *frame, uint16_t max)
{
	struct bench *b = self;
	uint64_t draw = 0;
	uint16_t cnt = 0;

	for (; cnt < max && b->world.port.left > 0; cnt++) {
		draw = cnt % 8 ? draw >> 8 : bench_random(&b->random);
		if ((draw & 255) < b->share)
			flood_take(b, &frame[cnt]);
		else
			world_rx(&b->world, &frame[cnt], 1);
	}
	return cnt;
}

/* The port counts both kinds; the flood's are taken off again. */
static uint16_t
flood_tx(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	struct bench *b = self;
	uint64_t before = b->flooded;

	cnt = world_tx(&b->world, frame, cnt);
	b->world.port.sent -= before;
	b->flooded = 0;
	return cnt;
}

/* The same VIPs and pools for UDP. */
static void
flood_serve_udp(struct bench *b)
{
	struct tiara_change *change;
	struct tiara_error error;
	uint64_t generation;

	if (tiara_change_begin(b->world.handle, &change, &error) != TIARA_OK)
		bench_die("change", error.message);
	for (uint32_t s = 0; s < WORLD_SERVICES; s++)
		world_put_service(&b->world, change, s, TIARA_PROTOCOL_UDP, b->world.idx[s],
				  WORLD_POOL, s);
	if (tiara_change_commit(change, 2, &generation, &error) != TIARA_OK)
		bench_die("publish", error.message);
}

static void
flood_measure(struct bench *b, const char *name, uint32_t share)
{
	enum { FRAMES = WORLD_BUFFERS * FLOOD_TURNS };
	double value[BENCH_REPEATS_MAX];
	char more[80];

	b->share = share;
	for (int r = 0; r < b->repeats; r++)
		value[r] = FRAMES / world_run(&b->world, FRAMES);
	snprintf(more, sizeof(more), "\"flood\": \"%s\", \"flood_share\": %.2f", name,
		 share / 256.);
	bench_row("path.flood", world_params(&b->world, more), "1/s", value, b->repeats);
}

/* All that was held is there, and the flood kept to its cap. */
static void
flood_check(struct bench *b)
{
	uint64_t made = world_counted(&b->world, TIARA_EVENT_CONNECTION_NEW);
	int64_t cap = 2 * (int64_t)b->world.worker.unconfirmed_cnt;

	flood_measure(b, "none", 0);
	if (world_counted(&b->world, TIARA_EVENT_CONNECTION_NEW) != made)
		bench_die("path.flood", "a connection was lost");
	if (b->world.worker.writer.unconfirmed > cap)
		bench_die("path.flood", "the flood made more connections than the cap allows");
}

int
main(int argc, char **argv)
{
	struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);

	if (argc != 4 || !b) {
		fprintf(stderr, "usage: flood SEGMENT-PATH CONNECTIONS REPEATS\n");
		return 2;
	}
	memset(b, 0, sizeof(*b));
	b->repeats = bench_repeats(argv[3]);
	b->random = 3;
	b->buffer = aligned_alloc(64, FLOOD_BUFFERS * sizeof(*b->buffer));
	if (!b->buffer)
		bench_die("memory", "not enough for the buffers");
	memset(b->buffer, 0, FLOOD_BUFFERS * sizeof(*b->buffer));
	world_open(&b->world, argv[1], bench_whole("connections", argv[2]), "ipip");
	flood_serve_udp(b);
	world_start(&b->world, flood_rx, flood_tx);
	world_fill(&b->world, NULL);
	flood_measure(b, "none", 0);
	for (size_t k = 0; k < sizeof(flood_kinds) / sizeof(flood_kinds[0]); k++) {
		b->kind = &flood_kinds[k];
		flood_measure(b, b->kind->name, 128);
		flood_measure(b, b->kind->name, 230);
	}
	flood_check(b);
	return 0;
}
