/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as packets through the whole packet path, by the memory port, amid changes, pushes and
 * waits. Whatever they are: each frame ends once and under one verdict, nothing beside it is
 * written, and what is counted adds up.
 *
 * An input is: rows, switches, forward, then steps of: what, size (2 bytes), that many bytes.
 * corpus.py writes the same. TIARA_FUZZ_SEEN=FILE: at the end, the numbers of all verdicts seen.
 */
#include <arpa/inet.h>

#include "fuzz.h"
#include "path/wire.h"
#include "table/epoch.h"
#include "table/neighbour.h"
#include "world.h"

enum {
	FUZZ_BACKENDS = 5,
	FUZZ_BUCKETS = 64,
	FUZZ_FRAME_BYTES = 2048,
	FUZZ_CANARY = 0xa5,
	FUZZ_SERVICE_WEB = 0, /* TCP 80 */
	FUZZ_SERVICE_DNS = 1, /* UDP 53 */
	/* switches */
	FUZZ_HEADROOM = 0x03, /* which of four */
	FUZZ_SMALL_MTU = 0x04,
	FUZZ_TINY_TABLE = 0x08,
	FUZZ_NO_GATEWAY = 0x10,
	FUZZ_AFFINITY = 0x20,
	FUZZ_UNCONFIGURED = 0x40,
	FUZZ_NO_PORT_ROOM = 0x80,
	/* beside the rows */
	FUZZ_ROWS = 0x0f,
	FUZZ_SOURCES = 0x10,  /* the lower half of 198.18.64.0/28 only */
	FUZZ_RATE = 0x20,     /* two new connections a second */
	FUZZ_ONE_EACH = 0x40, /* one connection a backend */
	/* steps: one of eight, and for frames what is done to them first */
	FUZZ_STEP = 0x07,
	FUZZ_STEP_INJECT = 4,
	FUZZ_STEP_WAIT = 5,
	FUZZ_STEP_PUBLISH = 6,
	FUZZ_STEP_PUSH = 7,
	FUZZ_WITH_NEXT = 0x08, /* one burst with the next frame */
	FUZZ_TO_PORT = 0x10,   /* the port's MAC address is put in */
	FUZZ_CHECKSUM = 0x20,  /* a right IPv4 header checksum is put in */
	FUZZ_CHECKED = 0x40,   /* as if a card had found it right */
};

/* A frame, and a copy of all its memory as it was before. */
struct fuzz_frame {
	uint8_t *memory;
	uint8_t *before;
	size_t bytes;
};

struct fuzz {
	struct world world;
	uint8_t switches;
	struct fuzz_frame frame[TIARA_BURST];
	struct tiara_memory_frame burst[TIARA_BURST];
	uint32_t cnt;
};

static const uint8_t fuzz_headroom[] = {128, 49, 19, 0};
static uint64_t fuzz_seen[64];
static void *fuzz_memory; /* the segment's; used again, because a fresh one costs page faults */

static tiara_be32
fuzz_address(const char *text)
{
	return inet_addr(text);
}

static void
fuzz_neighbour(struct fuzz *z, const char *address, uint8_t last)
{
	const uint8_t mac[6] = {2, 0, 0, 0, last >> 4, last};

	tiara_neighbour_want(&z->world.map, fuzz_address(address));
	FUZZ_CHECK(tiara_neighbour_heard(&z->world.map, fuzz_address(address), mac, 1));
}

static void
fuzz_backends(struct fuzz *z, uint8_t forward)
{
	static const char *const address[FUZZ_BACKENDS] = {
		"198.18.0.11", "198.18.0.12", "198.19.5.13", "198.18.0.14", "198.18.0.11",
	};
	const uint8_t by[FUZZ_BACKENDS] = {TIARA_FORWARD_L2, TIARA_FORWARD_L2, TIARA_FORWARD_VXLAN,
					   TIARA_FORWARD_L2, forward};

	for (int i = 0; i < FUZZ_BACKENDS; i++)
		z->world.plan.backend[i] = (struct tiara_backend){
			.addr = fuzz_address(address[i]),
			.forward = by[i],
			.use = TIARA_USE_ACTIVE,
			.vni = 77,
			.tunnel_port = htons(4789),
			.inner_mac = {2, 0, 0, 0, 0xaa, 3},
		};
}

static void
fuzz_service(struct fuzz *z, int idx, uint8_t protocol, uint16_t port)
{
	struct tiara_service *service = &z->world.plan.service[idx];

	*service = (struct tiara_service){
		.vip = fuzz_address("198.18.0.100"),
		.protocol = protocol,
		.port = htons(port),
		.use = TIARA_USE_ACTIVE,
		.flags = z->switches & FUZZ_AFFINITY ? TIARA_SERVICE_SOURCE_AFFINITY : 0,
	};
	service->timeout_ticks[TIARA_STATE_NEW] = 10;
	service->timeout_ticks[TIARA_STATE_ESTABLISHED] = 300;
	service->timeout_ticks[TIARA_STATE_CLOSING] = 5;
	service->timeout_ticks[TIARA_STATE_UDP] = 30;
}

static void
fuzz_limits(struct fuzz *z, uint8_t limits)
{
	for (int s = FUZZ_SERVICE_WEB; s <= FUZZ_SERVICE_DNS; s++) {
		z->world.plan.source[s][0] = (struct tiara_source){.first = 0xc6124000,
								   .last = 0xc6124007};
		z->world.plan.service[s].source_cnt = limits & FUZZ_SOURCES ? 1 : 0;
		z->world.plan.service[s].new_max_per_s = limits & FUZZ_RATE ? 2 : 0;
	}
	for (int i = 0; i < FUZZ_BACKENDS; i++)
		z->world.plan.backend[i].connection_max = limits & FUZZ_ONE_EACH ? 1 : 0;
}

/* 0: an empty pool; up to FUZZ_BACKENDS: that one alone; more: all of them. */
static void
fuzz_rows(struct fuzz *z, uint8_t how)
{
	uint8_t rows = how & FUZZ_ROWS;

	fuzz_limits(z, how);
	for (int s = FUZZ_SERVICE_WEB; s <= FUZZ_SERVICE_DNS; s++) {
		z->world.plan.service[s].select_cnt = rows ? 7 : 0;
		for (uint32_t i = 0; i < 7; i++)
			z->world.plan.rows[s][i] = rows <= FUZZ_BACKENDS ? rows - 1u
									 : i % FUZZ_BACKENDS;
	}
}

static void
fuzz_open(struct fuzz *z, struct fuzz_input *in)
{
	struct tiara_node *node;
	uint8_t rows = fuzz_byte(in);

	z->switches = fuzz_byte(in);
	world_open_at(&z->world, fuzz_memory, z->switches & FUZZ_TINY_TABLE ? 2 : FUZZ_BUCKETS,
		      65530);
	node = &z->world.map.segment->node;
	node->address = fuzz_address("198.18.0.2");
	node->netmask = fuzz_address("255.255.255.0");
	node->gateway = z->switches & FUZZ_NO_GATEWAY ? 0 : fuzz_address("198.18.0.1");
	node->mtu_bytes = z->switches & FUZZ_SMALL_MTU ? 100 : 1500;
	memcpy(node->port_mac, (uint8_t[6]){2, 0, 0, 0, 0, 2}, 6);
	memcpy(node->kernel_mac, (uint8_t[6]){0, 0, 0, 0, 0, 2}, 6);
	world_start(&z->world);
	fuzz_neighbour(z, "198.18.0.1", 1);
	fuzz_neighbour(z, "198.18.0.11", 0x11);
	fuzz_neighbour(z, "198.18.0.12", 0x12);
	fuzz_backends(z, fuzz_byte(in));
	fuzz_service(z, FUZZ_SERVICE_WEB, TIARA_PROTOCOL_TCP, 80);
	fuzz_service(z, FUZZ_SERVICE_DNS, TIARA_PROTOCOL_UDP, 53);
	fuzz_rows(z, rows);
	if (!(z->switches & FUZZ_UNCONFIGURED))
		world_publish(&z->world);
}

/* ---- frames ---- */

static void
fuzz_mend(uint8_t *frame, size_t bytes, uint8_t what)
{
	struct tiara_ipv4 *ip = (void *)(frame + sizeof(struct tiara_ether));

	if (what & FUZZ_TO_PORT && bytes >= 6)
		memcpy(frame, (uint8_t[6]){2, 0, 0, 0, 0, 2}, 6);
	if (what & FUZZ_CHECKSUM && bytes >= sizeof(struct tiara_ether) + sizeof(*ip) &&
	    bytes >= sizeof(struct tiara_ether) + 4u * (ip->version_ihl & 15)) {
		ip->checksum = 0;
		ip->checksum = tiara_checksum_words(ip, ip->version_ihl & 15);
	}
}

/* Not a byte more than headroom and frame, so that AddressSanitizer sees whoever goes beside. */
static void
fuzz_add(struct fuzz *z, const struct fuzz_input *data, uint8_t what)
{
	uint8_t headroom = fuzz_headroom[z->switches & FUZZ_HEADROOM];
	struct fuzz_frame *frame = &z->frame[z->cnt];

	frame->bytes = headroom + data->bytes;
	frame->memory = malloc(frame->bytes);
	frame->before = malloc(frame->bytes);
	memset(frame->memory, FUZZ_CANARY, headroom);
	if (data->bytes > 0)
		memcpy(frame->memory + headroom, data->at, data->bytes);
	fuzz_mend(frame->memory + headroom, data->bytes, what);
	memcpy(frame->before, frame->memory, frame->bytes);
	z->burst[z->cnt++] = (struct tiara_memory_frame){
		.data = frame->memory + headroom,
		.len_bytes = (uint32_t)data->bytes,
		.headroom_bytes = headroom,
		.checked = (what & FUZZ_CHECKED) != 0,
	};
}

static bool
fuzz_fate_fits(uint8_t verdict, uint8_t fate)
{
	if (verdict == TIARA_VERDICT_TO_KERNEL)
		return fate == TIARA_MEMORY_KERNEL;
	if (verdict == TIARA_VERDICT_ARP_LEARNED || verdict >= TIARA_VERDICT_TRUNCATED)
		return fate == TIARA_MEMORY_DROPPED;
	return verdict != TIARA_VERDICT_NONE && fate == TIARA_MEMORY_SENT;
}

/* What lies before and behind the frame as it left is as it was. */
static void
fuzz_check_memory(const struct fuzz_frame *frame, const struct tiara_memory_frame *left)
{
	size_t first = (size_t)(left->data - frame->memory), end = first + left->len_bytes;

	FUZZ_CHECK(left->data >= frame->memory && end <= frame->bytes);
	FUZZ_CHECK(left->headroom_bytes == first);
	FUZZ_CHECK(first == 0 || memcmp(frame->memory, frame->before, first) == 0);
	FUZZ_CHECK(end == frame->bytes ||
		   memcmp(frame->memory + end, frame->before + end, frame->bytes - end) == 0);
}

struct fuzz_sums {
	struct tiara_worker_counters counters;
	struct tiara_flow_counter services, backends;
	uint64_t ended;
};

static void
fuzz_add_flows(struct tiara_flow_counter *sum, const struct tiara_flow_counter *counter, int cnt)
{
	for (int i = 0; i < cnt; i++) {
		sum->pkts += counter[i].pkts;
		sum->bytes += counter[i].bytes;
		sum->connections += counter[i].connections;
	}
}

static struct fuzz_sums
fuzz_sums_now(const struct fuzz *z)
{
	const struct tiara_worker *worker = &z->world.worker;
	const struct tiara_memory_port *port = &z->world.port;
	struct fuzz_sums sums = {.counters = *worker->counters,
				 .ended = port->sent_cnt + port->kernel_cnt + port->dropped_cnt};

	fuzz_add_flows(&sums.services, worker->service_counters, WORLD_SERVICES);
	fuzz_add_flows(&sums.backends, worker->backend_counters, WORLD_BACKENDS);
	return sums;
}

static void
fuzz_check_verdicts(const struct fuzz *z, const struct fuzz_sums *was, const struct fuzz_sums *is)
{
	uint64_t expected[64];

	memcpy(expected, was->counters.verdict_pkts, sizeof(expected));
	for (uint32_t i = 0; i < z->cnt; i++) {
		uint8_t verdict = z->world.worker.frame[i].verdict;

		FUZZ_CHECK(verdict < 64);
		FUZZ_CHECK(fuzz_fate_fits(verdict, z->burst[i].fate));
		expected[verdict]++;
		fuzz_seen[verdict]++;
	}
	FUZZ_CHECK(!memcmp(expected, is->counters.verdict_pkts, sizeof(expected)));
	FUZZ_CHECK(is->ended - was->ended == z->cnt);
}

static void
fuzz_check_counters(const struct fuzz *z, const struct fuzz_sums *was, const struct fuzz_sums *is,
		    uint64_t rx_bytes)
{
	uint64_t sent = 0, bytes = 0;

	for (uint32_t i = 0; i < z->cnt; i++) {
		if (z->burst[i].fate != TIARA_MEMORY_SENT)
			continue;
		sent++;
		bytes += z->burst[i].len_bytes;
	}
	FUZZ_CHECK(is->counters.tx_pkts - was->counters.tx_pkts == sent);
	FUZZ_CHECK(is->counters.tx_bytes - was->counters.tx_bytes == bytes);
	FUZZ_CHECK(is->counters.rx_bytes - was->counters.rx_bytes == rx_bytes);
	FUZZ_CHECK(is->counters.rx_pkts - was->counters.rx_pkts == (rx_bytes ? z->cnt : 0));
	FUZZ_CHECK(!memcmp(&is->services, &is->backends, sizeof(is->services)));
	FUZZ_CHECK(is->services.pkts - was->services.pkts <= z->cnt);
	FUZZ_CHECK(is->services.connections - was->services.connections <=
		   is->services.pkts - was->services.pkts);
}

static void
fuzz_burst(struct fuzz *z, struct tiara_memory_queue *queue)
{
	struct fuzz_sums was = fuzz_sums_now(z), is;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < z->cnt && queue == &z->world.port.rx; i++)
		bytes += z->burst[i].len_bytes;
	*queue = (struct tiara_memory_queue){.frame = z->burst, .cnt = z->cnt};
	world_burst(&z->world);
	is = fuzz_sums_now(z);
	fuzz_check_verdicts(z, &was, &is);
	fuzz_check_counters(z, &was, &is, bytes);
	for (uint32_t i = 0; i < z->cnt; i++) {
		fuzz_check_memory(&z->frame[i], &z->burst[i]);
		free(z->frame[i].memory);
		free(z->frame[i].before);
	}
	z->cnt = 0;
}

/* ---- steps ---- */

static void
fuzz_receive(struct fuzz *z, const struct fuzz_input *data, uint8_t what)
{
	if (z->switches & FUZZ_NO_PORT_ROOM)
		z->world.port.tx_room = z->world.port.kernel_room = 0;
	if (data->bytes > 0)
		fuzz_add(z, data, what);
	if (z->cnt > 0 && (z->cnt == TIARA_BURST || !(what & FUZZ_WITH_NEXT)))
		fuzz_burst(z, &z->world.port.rx);
}

static void
fuzz_inject(struct fuzz *z, const struct fuzz_input *data)
{
	if (z->cnt > 0)
		fuzz_burst(z, &z->world.port.rx);
	fuzz_add(z, data, 0);
	fuzz_burst(z, &z->world.port.inject);
}

static void
fuzz_publish(struct fuzz *z, struct fuzz_input *data)
{
	fuzz_rows(z, fuzz_byte(data));
	for (int i = 0; i < FUZZ_BACKENDS && data->bytes > 0; i++)
		z->world.plan.backend[i].use = fuzz_byte(data);
	world_publish(&z->world);
}

static void
fuzz_push(struct fuzz *z, struct fuzz_input *data)
{
	uint16_t port = fuzz_word(data);
	uint8_t service = fuzz_byte(data) % 2;
	struct tiara_entry entry = {
		.client_addr = fuzz_address("198.18.64.7"),
		.client_port = htons(port),
		.service_idx = service,
		.backend_idx = fuzz_byte(data),
		.last_seen = (uint16_t)tiara_tick_now(&z->world.map),
		.state = service == FUZZ_SERVICE_DNS ? TIARA_STATE_UDP : TIARA_STATE_ESTABLISHED,
		.flags = TIARA_ENTRY_PUSHED,
	};
	enum tiara_status status;

	if (z->world.generation == 0)
		return;
	status = world_push(&z->world, &entry);
	FUZZ_CHECK(status == TIARA_OK || status == TIARA_EXISTS || status == TIARA_FULL);
}

static void
fuzz_step(struct fuzz *z, struct fuzz_input *in)
{
	uint8_t what = fuzz_byte(in);
	uint16_t bytes = fuzz_word(in);
	struct fuzz_input data = fuzz_part(in, bytes < FUZZ_FRAME_BYTES ? bytes : FUZZ_FRAME_BYTES);

	switch (what & FUZZ_STEP) {
	case FUZZ_STEP_INJECT:
		fuzz_inject(z, &data);
		break;
	case FUZZ_STEP_WAIT:
		world_wait(&z->world, fuzz_byte(&data) % 32);
		break;
	case FUZZ_STEP_PUBLISH:
		fuzz_publish(z, &data);
		break;
	case FUZZ_STEP_PUSH:
		fuzz_push(z, &data);
		break;
	default:
		fuzz_receive(z, &data, what);
		break;
	}
}

static void
fuzz_write_seen(void)
{
	FILE *file = fopen(getenv("TIARA_FUZZ_SEEN"), "w");

	FUZZ_CHECK(file);
	for (int i = 0; i < 64; i++)
		if (fuzz_seen[i] > 0)
			fprintf(file, "%d\n", i);
	FUZZ_CHECK(fclose(file) == 0);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_memory = aligned_alloc(TIARA_LINE_BYTES, world_bytes(FUZZ_BUCKETS));
	FUZZ_CHECK(fuzz_memory);
	if (getenv("TIARA_FUZZ_SEEN"))
		atexit(fuzz_write_seen);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz z;
	struct fuzz_input in = {data, size};

	fuzz_open(&z, &in);
	while (in.bytes > 0)
		fuzz_step(&z, &in);
	if (z.cnt > 0)
		fuzz_burst(&z, &z.world.port.rx);
	return 0;
}
