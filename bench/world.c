/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "control/handle.h"
#include "path/wire.h"
#include "table/epoch.h"
#include "table/neighbour.h"

enum {
	WORLD_HEADROOM_BYTES = 128,
	WORLD_FRAME_BYTES = 64, /* without the frame check sequence: 60 */
	WORLD_AHEAD = 32,       /* buffers asked for before they are filled */
	WORLD_TABLE_MIN = 1 << 22,
};

static const uint8_t world_port_mac[6] = {0x02, 0, 0, 0, 0, 0x01};
/* Without one all clients of a service have one backend. */
static const uint64_t world_secret[2] = {0x0123456789abcdef, 0x0edcba9876543210};
static const uint8_t world_kernel_mac[6] = {0x06, 0, 0, 0, 0, 0x01};

static tiara_be32
world_server_addr(uint32_t server)
{
	return htonl(0xc6120000 + 256 + server);
}

static tiara_be32
world_vip(uint32_t service)
{
	return htonl(0xc6130000 + service);
}

/* ---- the port ---- */

static uint8_t *
world_data(struct world_buffer *buffer)
{
	return buffer->bytes + WORLD_HEADROOM_BYTES;
}

/* What a NIC's write of a new packet amounts to: the Ethernet header and the client's port. */
static void
world_refill(struct world_port *p, uint8_t *data)
{
	struct tiara_ether *ether = (void *)data;
	struct tiara_tcp *tcp = (void *)(data + sizeof(*ether) + sizeof(struct tiara_ipv4));
	uint32_t flow = p->flow_base;

	if (p->flows > 1)
		flow += (uint32_t)((bench_random(&p->random) >> 32) * p->flows >> 32);
	memcpy(ether->dst, world_port_mac, 6);
	memset(ether->src, 2, 6);
	ether->type = TIARA_BE16(TIARA_ETHERTYPE_IPV4);
	tcp->src_port = htons((uint16_t)(WORLD_CLIENT_PORT + flow));
}

uint16_t
world_rx(void *self, struct tiara_frame *frame, uint16_t max)
{
	struct world_port *p = self;
	uint16_t cnt = p->left < max ? (uint16_t)p->left : max;

	for (uint16_t i = 0; i < cnt; i++) {
		struct world_buffer *b = &p->buffer[p->next];

		p->next = p->next + 1 == p->buffers ? 0 : p->next + 1;
		/* A NIC writes into the last-level cache long before; here the line is asked for ahead. */
		__builtin_prefetch(world_data(&p->buffer[(p->next + WORLD_AHEAD) % WORLD_BUFFERS]),
				   1);
		world_refill(p, world_data(b));
		frame[i].data = world_data(b);
		frame[i].handle = b;
		frame[i].len_bytes = WORLD_FRAME_BYTES;
		frame[i].headroom_bytes = WORLD_HEADROOM_BYTES;
	}
	p->left -= cnt;
	return cnt;
}

uint16_t
world_tx(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	struct world_port *p = self;

	for (uint16_t i = 0; i < cnt; i++)
		p->wrong += frame[i]->data[0] != 0x0a || frame[i]->data[1] != 0x5e;
	p->sent += cnt;
	return cnt;
}

static uint16_t
world_refuse(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	(void)self, (void)frame, (void)cnt;
	return 0;
}

static void
world_drop(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	(void)self, (void)frame, (void)cnt;
}

static uint16_t
world_inject(void *self, struct tiara_frame *frame, uint16_t max)
{
	(void)self, (void)frame, (void)max;
	return 0;
}

/* ---- the world ---- */

uint32_t
world_service(const struct world *w, uint32_t buffer)
{
	return w->connections == 1 ? 0 : buffer % WORLD_SERVICES;
}

static void
world_write_buffer(struct world_buffer *buffer, uint32_t number)
{
	struct tiara_ether *ether = (void *)world_data(buffer);
	struct tiara_ipv4 *ip = (void *)(ether + 1);
	struct tiara_tcp *tcp = (void *)(ip + 1);

	memset(buffer, 0, sizeof(*buffer));
	*ip = (struct tiara_ipv4){
		.version_ihl = 0x45,
		.total_bytes = htons(WORLD_FRAME_BYTES - sizeof(*ether)),
		.ttl = 64,
		.protocol = TIARA_PROTOCOL_TCP,
		.src = htonl(0x0b000000 + number),
		.dst = world_vip(number % WORLD_SERVICES),
	};
	ip->checksum = tiara_checksum_words(ip, 5);
	tcp->dst_port = htons(80);
	tcp->data_offset = 5 << 4;
	tcp->flags = TIARA_TCP_ACK;
}

static enum tiara_forward
world_forward(const char *mode)
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

uint32_t
world_backend_server(uint32_t service, uint32_t backend)
{
	return (service * WORLD_POOL + backend) % WORLD_SERVERS;
}

uint32_t
world_server(const struct tiara_frame *frame)
{
	return (uint32_t)frame->data[4] << 8 | frame->data[5];
}

static void
world_name_backend(struct tiara_backend_spec *spec, uint32_t service, uint32_t backend)
{
	snprintf(spec->pool, sizeof(spec->pool), "p%u", service);
	snprintf(spec->backend, sizeof(spec->backend), "b%u", backend);
}

void
world_put_backend(struct world *w, struct tiara_change *change, uint32_t service, uint32_t backend,
		  uint8_t use)
{
	struct tiara_error error;
	struct tiara_backend_spec spec = {
		.record = {.addr = world_server_addr(world_backend_server(service, backend)),
			   .forward = (uint8_t)w->forward,
			   .use = use,
			   .vni = 1,
			   .tunnel_port = htons(4789),
			   .inner_mac = {0x02, 0x54, 0x49, 0x41, 0x52, 0x41}}};

	world_name_backend(&spec, service, backend);
	if (tiara_change_backend_put(change, &spec, &w->idx[service][backend], &error) != TIARA_OK)
		bench_die("backend", error.message);
}

void
world_remove_backend(struct world *w, struct tiara_change *change, uint32_t service,
		     uint32_t backend)
{
	struct tiara_backend_spec spec = {0};
	struct tiara_error error;

	(void)w;
	world_name_backend(&spec, service, backend);
	if (tiara_change_backend_remove(change, spec.pool, spec.backend, spec.uid, &error) !=
	    TIARA_OK)
		bench_die("backend", error.message);
}

void
world_put_service(struct world *w, struct tiara_change *change, uint32_t service, uint8_t protocol,
		  const uint32_t *idx, uint32_t idx_cnt, uint64_t seed)
{
	static uint32_t rows[WORLD_ROWS];
	struct tiara_service_spec spec = {.record = {.vip = world_vip(service),
						     .port = htons(80),
						     .protocol = protocol,
						     .use = TIARA_USE_ACTIVE},
					  .table_cnt = WORLD_ROWS};
	struct tiara_error error;
	uint32_t number;

	(void)w;
	for (uint32_t i = 0; i < WORLD_ROWS; i++)
		rows[i] = (uint32_t)(bench_random(&seed) % idx_cnt);
	for (int i = 0; i < TIARA_STATE_CNT; i++)
		spec.record.timeout_ticks[i] = TIARA_TIMEOUT_TICKS_MAX;
	snprintf(spec.service, sizeof(spec.service), "s%u-%u", service, protocol);
	if (tiara_change_table(change, rows, WORLD_ROWS, idx, idx_cnt, 0, &spec.table_off,
			       &error) != TIARA_OK ||
	    tiara_change_service_put(change, &spec, &number, &error) != TIARA_OK)
		bench_die("service", error.message);
}

static void
world_publish(struct world *w)
{
	struct tiara_change *change;
	struct tiara_error error;
	uint64_t generation;

	if (tiara_change_begin(w->handle, &change, &error) != TIARA_OK ||
	    tiara_change_secret(change, world_secret, &error) != TIARA_OK)
		bench_die("change", error.message);
	for (uint32_t s = 0; s < WORLD_SERVICES; s++) {
		for (uint32_t i = 0; i < WORLD_POOL; i++)
			world_put_backend(w, change, s, i, TIARA_USE_ACTIVE);
		world_put_service(w, change, s, TIARA_PROTOCOL_TCP, w->idx[s], WORLD_POOL, s);
	}
	if (tiara_change_commit(change, 1, &generation, &error) != TIARA_OK)
		bench_die("publish", error.message);
}

static void
world_know_servers(struct world *w)
{
	struct tiara_node *node = &w->map.segment->node;

	node->address = htonl(0xc6120001);
	node->netmask = htonl(0xffff0000);
	node->mtu_bytes = 1500;
	node->worker_cnt = 1;
	memcpy(node->port_mac, world_port_mac, 6);
	memcpy(node->kernel_mac, world_kernel_mac, 6);
	for (uint32_t i = 0; i < WORLD_SERVERS; i++) {
		const uint8_t mac[6] = {0x0a, 0x5e, 0, 0, (uint8_t)(i >> 8), (uint8_t)i};

		tiara_neighbour_want(&w->map, world_server_addr(i));
		if (!tiara_neighbour_heard(&w->map, world_server_addr(i), mac, 0))
			bench_die("neighbour", "no room");
	}
}

static void
world_make_port(struct world *w)
{
	struct world_port *p = &w->port;

	p->buffers = w->connections < WORLD_BUFFERS ? (uint32_t)w->connections : WORLD_BUFFERS;
	p->flows = (uint32_t)(w->connections / p->buffers);
	if (p->flows > UINT16_MAX - WORLD_CLIENT_PORT)
		bench_die("connections", "are more than the clients have ports for");
	p->random = 1;
	p->buffer = aligned_alloc(64, WORLD_BUFFERS * sizeof(*p->buffer));
	if (!p->buffer)
		bench_die("memory", "not enough for the buffers");
	/* One connection still comes in all buffers. */
	for (uint32_t i = 0; i < WORLD_BUFFERS; i++)
		world_write_buffer(&p->buffer[i], p->buffers == 1 ? 0 : i);
	if (p->buffers == 1)
		p->buffers = WORLD_BUFFERS;
}

void
world_open(struct world *w, const char *path, uint64_t connections, const char *mode)
{
	struct tiara_segment_config config = {.worker_max = 2,
					      .service_max = 2 * WORLD_SERVICES,
					      .backend_max = WORLD_SERVICES *
							     (WORLD_POOL + WORLD_SPARE),
					      .heap_bytes = 256 << 20};
	struct tiara_error error;

	if (connections == 0)
		bench_die("connections", "are none");
	if (connections > WORLD_BUFFERS)
		connections -= connections % WORLD_BUFFERS;
	w->connections = connections;
	w->mode = mode;
	w->forward = world_forward(mode);
	config.connections = connections < WORLD_TABLE_MIN ? WORLD_TABLE_MIN
							   : bench_room(connections);
	if (tiara_segment_create(path, &config, &error) != TIARA_OK ||
	    tiara_segment_attach(path, TIARA_ROLE_CONTROLPLANE, &w->handle, &error) != TIARA_OK)
		bench_die("segment", error.message);
	unlink(path);
	w->map = *tiara_handle_map(w->handle);
	world_publish(w);
	world_know_servers(w);
	world_make_port(w);
	w->tsc_hz = bench_tsc_hz();
}

/* As the data plane does it, the cap on unconfirmed connections included. */
void
world_start(struct world *w, world_rx_fn *rx, world_tx_fn *tx)
{
	uint32_t room = tiara_unconfirmed_room_ctl(&w->map, 1);
	uint64_t *ring = calloc(room, sizeof(*ring));

	if (!ring)
		bench_die("memory", "not enough for the unconfirmed connections");
	tiara_tick_start_ctl(&w->map, __rdtsc(), w->tsc_hz);
	tiara_worker_init_ctl(&w->worker, &w->map, 0,
			      &(struct tiara_port){.self = w,
						   .rx = rx,
						   .tx = tx,
						   .to_kernel = world_refuse,
						   .drop = world_drop,
						   .inject = world_inject},
			      w->offload, w->tsc_hz);
	tiara_worker_cap_unconfirmed_ctl(&w->worker, ring, room);
}

/* ---- running ---- */

uint64_t
world_counted(const struct world *w, enum tiara_event event)
{
	return w->worker.counters->event_cnt[event];
}

double
world_run(struct world *w, uint32_t frames)
{
	struct world_port *p = &w->port;
	uint64_t before = p->sent;
	double start = bench_now_s();

	p->left = frames;
	while (p->left > 0)
		tiara_worker_burst_wk(&w->worker, __rdtsc());
	start = bench_now_s() - start;
	if (p->sent - before != frames || p->wrong != 0)
		bench_die("path", "a packet was not sent to its server");
	return start;
}

double
world_fill(struct world *w, double *second_s)
{
	struct world_port *p = &w->port;
	uint32_t flows = p->flows;
	uint64_t before = world_counted(w, TIARA_EVENT_CONNECTION_NEW);
	double first_s = 0, after_s = 0;

	p->flows = 1;
	for (p->flow_base = 0; p->flow_base < flows; p->flow_base++) {
		first_s += world_run(w, p->buffers);
		after_s += world_run(w, p->buffers);
	}
	p->flow_base = 0;
	p->flows = flows;
	if (world_counted(w, TIARA_EVENT_CONNECTION_NEW) - before != w->connections)
		bench_die("path.new", "connections were not made one each");
	if (second_s)
		*second_s = after_s;
	return first_s;
}

const char *
world_params(const struct world *w, const char *more)
{
	static char params[300];
	uint64_t buckets = w->map.bucket_mask + 1;

	snprintf(params, sizeof(params),
		 "\"connections\": %llu, \"forward\": \"%s\", \"page_bytes\": %u, "
		 "\"buckets\": %llu, \"occupancy\": %.1f%s%s",
		 (unsigned long long)w->connections, w->mode, w->map.segment->page_bytes,
		 (unsigned long long)buckets,
		 (double)w->connections * 100 / (double)(buckets * TIARA_BUCKET_ENTRIES),
		 more[0] ? ", " : "", more);
	return params;
}
