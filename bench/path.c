/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole packet path without a driver. Prints one JSON row a line; nanoseconds a packet.
 *
 * Usage: path SEGMENT-PATH CONNECTIONS MODE REPEATS      MODE: l2, ipip or vxlan
 *
 * 1000 services of 100 backends each, on 1000 real servers. 32,768 buffers in rotation, so that
 * headers come from the caches that a NIC would write them to. A buffer is one client address at one
 * service; its port says which of CONNECTIONS / 32,768 connections it is this time, at random. The
 * "driver" restores the headers that the path rewrote; that is part of what is measured. Every frame
 * that comes back must be sent, to a known server's MAC address, and be counted as its connection's.
 */
#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench.h"
#include "tiara/tiara.h"
#include "control/handle.h"
#include "path/wire.h"
#include "path/worker.h"
#include "table/neighbour.h"

enum {
	PATH_SERVICES = 1000,
	PATH_POOL = 100,
	PATH_SERVERS = 1000,
	PATH_ROWS = 10007,
	PATH_BUFFERS = 32768,
	PATH_BUFFER_BYTES = 256,
	PATH_HEADROOM_BYTES = 128,
	PATH_FRAME_BYTES = 64, /* without the frame check sequence: 60 */
	PATH_AHEAD = 32,       /* buffers asked for before they are filled */
	PATH_TURNS = 64,       /* times each buffer is used in one measurement */
};

struct path_buffer {
	uint8_t bytes[PATH_BUFFER_BYTES];
} __attribute__((aligned(64)));

/* A port that hands the same buffers out again and again. */
struct path_port {
	struct path_buffer *buffer;
	uint32_t next;
	uint32_t left;      /* frames still to hand out */
	uint32_t flows;     /* connections of a buffer in use */
	uint32_t flow_base; /* number of the first */
	uint32_t buffers;   /* in rotation: 1 for one connection */
	uint64_t random;
	uint64_t sent;
	uint64_t wrong; /* sent elsewhere than to a server */
};

struct bench {
	struct tiara_map map;
	struct path_port port;
	struct tiara_worker worker;
	const char *mode;
	uint64_t connections;
	uint64_t tsc_hz;
};

static const uint8_t path_port_mac[6] = {0x02, 0, 0, 0, 0, 0x01};
static const uint8_t path_kernel_mac[6] = {0x06, 0, 0, 0, 0, 0x01};

static tiara_be32
path_server_addr(uint32_t server)
{
	return htonl(0xc6120000 + 256 + server);
}

static tiara_be32
path_vip(uint32_t service)
{
	return htonl(0xc6130000 + service);
}

/* ---- the port ---- */

static uint8_t *
path_data(struct path_buffer *buffer)
{
	return buffer->bytes + PATH_HEADROOM_BYTES;
}

/* What a NIC's write of a new packet amounts to: the Ethernet header and the client's port. */
static void
path_refill(struct path_port *p, uint8_t *data)
{
	struct tiara_ether *ether = (void *)data;
	struct tiara_tcp *tcp = (void *)(data + sizeof(*ether) + sizeof(struct tiara_ipv4));
	uint32_t flow = p->flow_base;

	if (p->flows > 1)
		flow += (uint32_t)((bench_random(&p->random) >> 32) * p->flows >> 32);
	memcpy(ether->dst, path_port_mac, 6);
	memset(ether->src, 2, 6);
	ether->type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);
	tcp->src_port = htons((uint16_t)(1024 + flow));
}

static uint16_t
path_rx(void *self, struct tiara_frame *frame, uint16_t max)
{
	struct path_port *p = self;
	uint16_t cnt = p->left < max ? (uint16_t)p->left : max;

	for (uint16_t i = 0; i < cnt; i++) {
		struct path_buffer *b = &p->buffer[p->next];

		p->next = p->next + 1 == p->buffers ? 0 : p->next + 1;
		/* A NIC writes into the last-level cache long before; here the line is asked for ahead. */
		__builtin_prefetch(path_data(&p->buffer[(p->next + PATH_AHEAD) % PATH_BUFFERS]), 1);
		path_refill(p, path_data(b));
		frame[i].data = path_data(b);
		frame[i].handle = b;
		frame[i].len_bytes = PATH_FRAME_BYTES;
		frame[i].headroom_bytes = PATH_HEADROOM_BYTES;
	}
	p->left -= cnt;
	return cnt;
}

static uint16_t
path_tx(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	struct path_port *p = self;

	for (uint16_t i = 0; i < cnt; i++)
		p->wrong += frame[i]->data[0] != 0x0a || frame[i]->data[1] != 0x5e;
	p->sent += cnt;
	return cnt;
}

static uint16_t
path_refuse(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	(void)self, (void)frame, (void)cnt;
	return 0;
}

static void
path_drop(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	(void)self, (void)frame, (void)cnt;
}

static uint16_t
path_inject(void *self, struct tiara_frame *frame, uint16_t max)
{
	(void)self, (void)frame, (void)max;
	return 0;
}

/* ---- the world ---- */

static void
path_write_buffer(struct path_buffer *buffer, uint32_t number)
{
	struct tiara_ether *ether = (void *)path_data(buffer);
	struct tiara_ipv4 *ip = (void *)(ether + 1);
	struct tiara_tcp *tcp = (void *)(ip + 1);

	memset(buffer, 0, sizeof(*buffer));
	*ip = (struct tiara_ipv4){
		.version_ihl = 0x45,
		.total_bytes = htons(PATH_FRAME_BYTES - sizeof(*ether)),
		.ttl = 64,
		.protocol = TIARA_PROTOCOL_TCP,
		.src = htonl(0x0b000000 + number),
		.dst = path_vip(number % PATH_SERVICES),
	};
	ip->checksum = tiara_checksum_words(ip, 5);
	tcp->dst_port = htons(80);
	tcp->data_offset = 5 << 4;
	tcp->flags = TIARA_TCP_ACK;
}

static enum tiara_forward
path_forward(const char *mode)
{
	static const struct {
		const char *name;
		enum tiara_forward forward;
	} known[] = {{"l2", TIARA_FORWARD_L2},
		     {"vxlan", TIARA_FORWARD_VXLAN},
		     {"ipip", TIARA_FORWARD_IPIP}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, mode) == 0)
			return known[i].forward;
	bench_die("mode", "is none of l2, ipip, vxlan");
	return TIARA_FORWARD_NONE;
}

static void
path_put_pool(struct tiara_change *change, uint32_t service, enum tiara_forward forward,
	      uint32_t *idx)
{
	struct tiara_error error;

	for (uint32_t i = 0; i < PATH_POOL; i++) {
		struct tiara_backend_spec spec = {
			.record = {
				.addr = path_server_addr((service * PATH_POOL + i) % PATH_SERVERS),
				.forward = (uint8_t)forward,
				.use = TIARA_USE_ACTIVE,
				.vni = 1,
				.tunnel_port = htons(4789),
				.inner_mac = {0x02, 0x54, 0x49, 0x41, 0x52, 0x41}}};

		snprintf(spec.pool, sizeof(spec.pool), "p%u", service);
		snprintf(spec.backend, sizeof(spec.backend), "b%u", i);
		if (tiara_change_backend_put(change, &spec, &idx[i], &error) != TIARA_OK)
			bench_die("backend", error.message);
	}
}

static void
path_put_service(struct tiara_change *change, uint32_t service, const uint32_t *idx)
{
	static uint32_t rows[PATH_ROWS];
	struct tiara_service_spec spec = {.record = {.vip = path_vip(service),
						     .port = htons(80),
						     .protocol = 6,
						     .use = TIARA_USE_ACTIVE},
					  .table_cnt = PATH_ROWS};
	uint64_t state = service;
	struct tiara_error error;
	uint32_t number;

	for (uint32_t i = 0; i < PATH_ROWS; i++)
		rows[i] = (uint32_t)(bench_random(&state) % PATH_POOL);
	for (int i = 0; i < TIARA_STATE_CNT; i++)
		spec.record.timeout_ticks[i] = TIARA_TIMEOUT_TICKS_MAX;
	snprintf(spec.service, sizeof(spec.service), "s%u", service);
	if (tiara_change_table(change, rows, PATH_ROWS, idx, PATH_POOL, 0, &spec.table_off,
			       &error) != TIARA_OK ||
	    tiara_change_service_put(change, &spec, &number, &error) != TIARA_OK)
		bench_die("service", error.message);
}

static void
path_publish(struct bench *b, struct tiara_handle *handle)
{
	enum tiara_forward forward = path_forward(b->mode);
	struct tiara_change *change;
	struct tiara_error error;
	uint32_t idx[PATH_POOL];
	uint64_t generation;

	if (tiara_change_begin(handle, &change, &error) != TIARA_OK)
		bench_die("change", error.message);
	for (uint32_t i = 0; i < PATH_SERVICES; i++) {
		path_put_pool(change, i, forward, idx);
		path_put_service(change, i, idx);
	}
	if (tiara_change_commit(change, 1, &generation, &error) != TIARA_OK)
		bench_die("publish", error.message);
	(void)b;
}

static void
path_know_servers(struct bench *b)
{
	struct tiara_node *node = &b->map.segment->node;

	node->address = htonl(0xc6120001);
	node->netmask = htonl(0xffff0000);
	node->mtu_bytes = 1500;
	node->worker_cnt = 1;
	memcpy(node->port_mac, path_port_mac, 6);
	memcpy(node->kernel_mac, path_kernel_mac, 6);
	for (uint32_t i = 0; i < PATH_SERVERS; i++) {
		const uint8_t mac[6] = {0x0a, 0x5e, 0, 0, (uint8_t)(i >> 8), (uint8_t)i};

		tiara_neighbour_want(&b->map, path_server_addr(i));
		if (!tiara_neighbour_heard(&b->map, path_server_addr(i), mac, 0))
			bench_die("neighbour", "no room");
	}
}

static void
path_open(struct bench *b, const char *path)
{
	struct tiara_segment_config config = {.connections = 1 << 22,
					      .worker_max = 2,
					      .service_max = 1024,
					      .backend_max = PATH_SERVICES * PATH_POOL,
					      .heap_bytes = 256 << 20};
	struct tiara_handle *handle;
	struct tiara_error error;

	if (b->connections * 2 > config.connections)
		config.connections = b->connections * 2;
	if (tiara_segment_create(path, &config, &error) != TIARA_OK ||
	    tiara_segment_attach(path, TIARA_ROLE_CONTROLPLANE, &handle, &error) != TIARA_OK)
		bench_die("segment", error.message);
	b->map = *tiara_handle_map(handle);
	path_publish(b, handle);
	path_know_servers(b);
}

static void
path_make_port(struct bench *b)
{
	struct path_port *p = &b->port;

	p->buffers = b->connections < PATH_BUFFERS ? (uint32_t)b->connections : PATH_BUFFERS;
	p->flows = (uint32_t)(b->connections / p->buffers);
	p->random = 1;
	p->buffer = aligned_alloc(64, PATH_BUFFERS * sizeof(*p->buffer));
	if (!p->buffer)
		bench_die("memory", "not enough for the buffers");
	/* One connection still comes in all buffers. */
	for (uint32_t i = 0; i < PATH_BUFFERS; i++)
		path_write_buffer(&p->buffer[i], p->buffers == 1 ? 0 : i);
	if (p->buffers == 1)
		p->buffers = PATH_BUFFERS;
}

/* ---- measuring ---- */

static uint64_t
path_counted(const struct bench *b, enum tiara_event event)
{
	return b->worker.counters->event_cnt[event];
}

/* Runs frames through the path; seconds. All must be sent to a server. */
static double
path_run(struct bench *b, uint32_t frames)
{
	struct path_port *p = &b->port;
	uint64_t before = p->sent;
	double start = bench_now_s();

	p->left = frames;
	while (p->left > 0)
		tiara_worker_burst_wk(&b->worker, __rdtsc());
	start = bench_now_s() - start;
	if (p->sent - before != frames || p->wrong != 0)
		bench_die("path", "a packet was not sent to its server");
	return start;
}

/* Each connection's first packet, in turn; nanoseconds a connection. */
static double
path_fill(struct bench *b)
{
	struct path_port *p = &b->port;
	uint32_t flows = p->flows;
	uint64_t before = path_counted(b, TIARA_EVENT_CONNECTION_NEW);
	double seconds = 0;

	p->flows = 1;
	for (p->flow_base = 0; p->flow_base < flows; p->flow_base++)
		seconds += path_run(b, p->buffers);
	p->flow_base = 0;
	p->flows = flows;
	before = path_counted(b, TIARA_EVENT_CONNECTION_NEW) - before;
	if (before + path_counted(b, TIARA_EVENT_TABLE_FULL) != b->connections)
		bench_die("path.new", "connections were not made one each");
	return seconds * 1e9 / (double)b->connections;
}

static void
path_measure(struct bench *b, int repeats)
{
	double ns[BENCH_REPEATS_MAX];
	uint64_t made = path_counted(b, TIARA_EVENT_CONNECTION_NEW);

	path_run(b, PATH_BUFFERS);
	for (int r = 0; r < repeats; r++)
		ns[r] = path_run(b, PATH_BUFFERS * PATH_TURNS) * 1e9 / (PATH_BUFFERS * PATH_TURNS);
	if (path_counted(b, TIARA_EVENT_CONNECTION_NEW) != made)
		bench_die("path.established", "a connection was not found");
	char params[120];

	snprintf(params, sizeof(params),
		 "\"connections\": %llu, \"forward\": \"%s\", \"page_bytes\": %u",
		 (unsigned long long)b->connections, b->mode, b->map.segment->page_bytes);
	bench_row("path.established", params, "ns", ns, repeats);
}

int
main(int argc, char **argv)
{
	struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);
	double fill_ns, per_s;
	int repeats;

	if (argc != 5 || !b) {
		fprintf(stderr, "usage: path SEGMENT-PATH CONNECTIONS l2|ipip|vxlan REPEATS\n");
		return 2;
	}
	memset(b, 0, sizeof(*b));
	b->connections = strtoull(argv[2], NULL, 10);
	if (b->connections > PATH_BUFFERS)
		b->connections -= b->connections % PATH_BUFFERS;
	b->mode = argv[3];
	repeats = bench_repeats(argv[4]);
	path_open(b, argv[1]);
	unlink(argv[1]);
	path_make_port(b);
	b->tsc_hz = 2000000000; /* only paces the sweep and the tick */
	tiara_worker_init_ctl(&b->worker, &b->map, 0,
			      &(struct tiara_port){.self = &b->port,
						   .rx = path_rx,
						   .tx = path_tx,
						   .to_kernel = path_refuse,
						   .drop = path_drop,
						   .inject = path_inject},
			      &tiara_card_none, b->tsc_hz);
	fill_ns = path_fill(b);
	per_s = 1e9 / fill_ns;
	if (b->connections >= 100000) {
		char params[120];

		snprintf(params, sizeof(params),
			 "\"connections\": %llu, \"forward\": \"%s\", \"page_bytes\": %u",
			 (unsigned long long)b->connections, b->mode, b->map.segment->page_bytes);
		bench_row("path.new", params, "1/s", &per_s, 1);
	}
	path_measure(b, repeats);
	return 0;
}
