/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet path behind a line protocol, for tests/path/runner.py: one command a line on stdin, its
 * answer on stdout, ended by a line "ok" or "error ...". Numbers of enums are layout.h's, addresses
 * and MACs are text, frames are hex.
 *
 *   new BUCKETS TICK ADDRESS NETMASK GATEWAY MTU PORT_MAC KERNEL_MAC
 *   neighbour ADDRESS MAC                      known from now on
 *   neighbour_state ADDRESS                    answers: neighbour STATE MAC
 *   secret LOW HIGH                            of the selection hash, 64-bit numbers
 *   backend IDX ADDRESS FORWARD USE VNI TUNNEL_PORT INNER_MAC CONNECTION_MAX
 *   sources SERVICE FIRST LAST...              numbers; before the service, of which they are
 *   service IDX VIP PROTOCOL PORT USE FLAGS NEW ESTABLISHED CLOSING UDP NEW_MAX SOURCE_CNT ROW...
 *   publish                                    the generation of all that was said so far
 *   push CLIENT PORT SERVICE BACKEND STATE IDLE FLAGS    answers: status NUMBER
 *   find CLIENT PORT SERVICE                   answers: entry BACKEND STATE FLAGS IDLE, or: none
 *   room HEADROOM TX KERNEL                    of frames and of the port; TX, KERNEL -1: no limit
 *   wait TICKS                                 answers: event N CNT
 *   rx HEX... | inject HEX...                  answers: frame VERDICT FATE HEX, and: event N CNT
 *   explain HEX                                answers: explained VERDICT FATE HEX, and: event N 1, and
 *                                              what its print says; error if it changed the segment
 *   counters SERVICE BACKEND                   answers: service PKTS BYTES CONNECTIONS, backend ...
 *   totals                                     answers: totals RX_PKTS RX_BYTES TX_PKTS TX_BYTES
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/explain.h"
#include "table/epoch.h"
#include "table/neighbour.h"
#include "world.h"

enum {
	RUN_WORDS = WORLD_ROWS + 16,
	RUN_LINE_BYTES = 1 << 20,
	RUN_FRAME_BYTES = 16384,
};

struct run {
	struct world world;
	uint16_t headroom_bytes;
	uint8_t *buffer[TIARA_BURST];
	struct tiara_memory_frame frame[TIARA_BURST];
	char *word[RUN_WORDS];
	int word_cnt;
	bool bad; /* a word that says nothing, or too few of them */
};

static const char *
run_word(struct run *r, int i)
{
	if (i < r->word_cnt)
		return r->word[i];
	r->bad = true;
	return "0";
}

static uint64_t
run_number(struct run *r, int i)
{
	char *end;
	uint64_t n = strtoull(run_word(r, i), &end, 0);

	r->bad |= *end != 0;
	return n;
}

static tiara_be32
run_address(struct run *r, int i)
{
	struct in_addr address = {0};

	r->bad |= inet_pton(AF_INET, run_word(r, i), &address) != 1;
	return address.s_addr;
}

static void
run_mac(struct run *r, int i, uint8_t mac[6])
{
	r->bad |= sscanf(run_word(r, i), "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2],
			 &mac[3], &mac[4], &mac[5]) != 6;
}

static void
run_new(struct run *r)
{
	struct tiara_node *node;

	world_close(&r->world);
	world_open(&r->world, run_number(r, 1), (uint32_t)run_number(r, 2));
	node = &r->world.map.segment->node;
	node->address = run_address(r, 3);
	node->netmask = run_address(r, 4);
	node->gateway = run_address(r, 5);
	node->mtu_bytes = (uint32_t)run_number(r, 6);
	run_mac(r, 7, node->port_mac);
	run_mac(r, 8, node->kernel_mac);
	r->headroom_bytes = 128;
	world_start(&r->world);
}

static void
run_neighbour(struct run *r)
{
	tiara_be32 address = run_address(r, 1);
	uint8_t mac[6] = {0};

	run_mac(r, 2, mac);
	tiara_neighbour_want(&r->world.map, address);
	r->bad |= !tiara_neighbour_heard(&r->world.map, address, mac,
					 tiara_tick_now(&r->world.map));
}

static void
run_neighbour_state(struct run *r)
{
	tiara_be32 address = run_address(r, 1);
	struct tiara_neighbour n, found = {0};

	for (uint32_t i = 0; i <= r->world.map.neighbour_mask; i++) {
		n = tiara_neighbour_read(&r->world.map, i);
		if (n.addr == address && n.state != TIARA_NEIGHBOUR_FREE)
			found = n;
	}
	printf("neighbour %u %02x:%02x:%02x:%02x:%02x:%02x\n", found.state, found.mac[0],
	       found.mac[1], found.mac[2], found.mac[3], found.mac[4], found.mac[5]);
}

static void
run_secret(struct run *r)
{
	r->world.plan.select_secret[0] = run_number(r, 1);
	r->world.plan.select_secret[1] = run_number(r, 2);
}

static void
run_backend(struct run *r)
{
	struct tiara_backend *backend = &r->world.plan.backend[run_number(r, 1) % WORLD_BACKENDS];

	*backend = (struct tiara_backend){
		.addr = run_address(r, 2),
		.forward = (uint8_t)run_number(r, 3),
		.use = (uint8_t)run_number(r, 4),
		.vni = (uint32_t)run_number(r, 5),
		.tunnel_port = htons((uint16_t)run_number(r, 6)),
	};
	run_mac(r, 7, backend->inner_mac);
	backend->connection_max = (uint32_t)run_number(r, 8);
}

static void
run_sources(struct run *r)
{
	struct tiara_source *source = r->world.plan.source[run_number(r, 1) % WORLD_SERVICES];

	for (int i = 2; i + 1 < r->word_cnt && i / 2 <= WORLD_SOURCES; i += 2)
		source[i / 2 - 1] = (struct tiara_source){(uint32_t)run_number(r, i),
							  (uint32_t)run_number(r, i + 1)};
}

static void
run_service(struct run *r)
{
	enum { ROWS_AT = 13 };
	uint64_t idx = run_number(r, 1) % WORLD_SERVICES;
	struct tiara_service *service = &r->world.plan.service[idx];

	*service = (struct tiara_service){
		.vip = run_address(r, 2),
		.protocol = (uint8_t)run_number(r, 3),
		.port = htons((uint16_t)run_number(r, 4)),
		.use = (uint8_t)run_number(r, 5),
		.flags = (uint32_t)run_number(r, 6),
		.new_max_per_s = (uint32_t)run_number(r, 11),
		.source_cnt = (uint32_t)run_number(r, 12) % (WORLD_SOURCES + 1),
	};
	service->timeout_ticks[TIARA_STATE_NEW] = (uint16_t)run_number(r, 7);
	service->timeout_ticks[TIARA_STATE_ESTABLISHED] = (uint16_t)run_number(r, 8);
	service->timeout_ticks[TIARA_STATE_CLOSING] = (uint16_t)run_number(r, 9);
	service->timeout_ticks[TIARA_STATE_UDP] = (uint16_t)run_number(r, 10);
	for (int i = ROWS_AT; i < r->word_cnt && i - ROWS_AT < WORLD_ROWS; i++) {
		r->world.plan.rows[idx][i - ROWS_AT] = (uint32_t)run_number(r, i);
		service->select_cnt++;
	}
}

static void
run_publish(struct run *r)
{
	world_publish(&r->world);
}

static void
run_push(struct run *r)
{
	struct tiara_entry entry = {
		.client_addr = run_address(r, 1),
		.client_port = htons((uint16_t)run_number(r, 2)),
		.service_idx = (uint16_t)run_number(r, 3),
		.backend_idx = (uint32_t)run_number(r, 4),
		.state = (uint8_t)run_number(r, 5),
		.flags = (uint8_t)run_number(r, 7),
	};

	entry.last_seen = (uint16_t)(tiara_tick_now(&r->world.map) - run_number(r, 6));
	printf("status %d\n", world_push(&r->world, &entry));
}

static void
run_find(struct run *r)
{
	struct tiara_found found = world_find(&r->world, run_address(r, 1),
					      htons((uint16_t)run_number(r, 2)),
					      (uint16_t)run_number(r, 3));
	const struct tiara_entry *entry = &found.word.entry;

	if (found.slot)
		printf("entry %u %u %u %u\n", entry->backend_idx, entry->state, entry->flags,
		       (uint16_t)(tiara_tick_now(&r->world.map) - entry->last_seen));
	else
		printf("none\n");
}

static void
run_room(struct run *r)
{
	r->headroom_bytes = (uint16_t)run_number(r, 1);
	r->world.port.tx_room = (uint32_t)run_number(r, 2);
	r->world.port.kernel_room = (uint32_t)run_number(r, 3);
}

static uint8_t
run_nibble(struct run *r, char c)
{
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (uint8_t)(c - 'a' + 10);
	r->bad = true;
	return 0;
}

/* No byte more than the frame has, so that a sanitizer sees whoever reads or writes beside it. */
static void
run_frame(struct run *r, int i, const char *hex)
{
	size_t bytes = strlen(hex) / 2;

	r->buffer[i] = malloc(r->headroom_bytes + bytes);
	if (!r->buffer[i] || bytes > RUN_FRAME_BYTES)
		abort();
	for (size_t n = 0; n < bytes; n++)
		r->buffer[i][r->headroom_bytes + n] = (uint8_t)(run_nibble(r, hex[2 * n]) << 4 |
								run_nibble(r, hex[2 * n + 1]));
	r->frame[i] = (struct tiara_memory_frame){
		.data = r->buffer[i] + r->headroom_bytes,
		.len_bytes = (uint32_t)bytes,
		.headroom_bytes = r->headroom_bytes,
	};
}

static void
run_hex_print(const uint8_t *data, uint32_t bytes)
{
	for (uint32_t n = 0; n < bytes; n++) {
		putchar_unlocked("0123456789abcdef"[data[n] >> 4]);
		putchar_unlocked("0123456789abcdef"[data[n] & 15]);
	}
	printf("\n");
}

static void
run_frame_print(struct run *r, int i)
{
	static const char *const fate[] = {"waiting", "taken", "sent", "kernel", "dropped"};
	const struct tiara_memory_frame *frame = &r->frame[i];

	printf("frame %u %s ", r->world.worker.frame[i].verdict, fate[frame->fate]);
	run_hex_print(frame->data, frame->len_bytes);
	free(r->buffer[i]);
}

static void
run_events_print(const uint64_t before[TIARA_EVENT_CNT], const uint64_t after[TIARA_EVENT_CNT])
{
	for (int i = 0; i < TIARA_EVENT_CNT; i++)
		if (after[i] != before[i])
			printf("event %d %llu\n", i, (unsigned long long)(after[i] - before[i]));
}

static void
run_wait(struct run *r)
{
	const uint64_t *events = r->world.worker.counters->event_cnt;
	uint64_t before[TIARA_EVENT_CNT];

	memcpy(before, events, sizeof(before));
	world_wait(&r->world, (uint32_t)run_number(r, 1));
	run_events_print(before, events);
}

static void
run_burst(struct run *r, struct tiara_memory_queue *queue)
{
	const uint64_t *events = r->world.worker.counters->event_cnt;
	uint64_t before[TIARA_EVENT_CNT];
	int cnt = r->word_cnt - 1;

	if (cnt < 1 || cnt > TIARA_BURST) {
		r->bad = true;
		return;
	}
	memcpy(before, events, sizeof(before));
	for (int i = 0; i < cnt; i++)
		run_frame(r, i, r->word[i + 1]);
	*queue = (struct tiara_memory_queue){.frame = r->frame, .cnt = (uint32_t)cnt};
	world_burst(&r->world);
	for (int i = 0; i < cnt; i++)
		run_frame_print(r, i);
	run_events_print(before, events);
}

static void
run_rx(struct run *r)
{
	run_burst(r, &r->world.port.rx);
}

static void
run_inject(struct run *r)
{
	run_burst(r, &r->world.port.inject);
}

static void
run_explained_print(const struct tiara_explanation *e, const uint8_t *left)
{
	static const char *const way[] = {"dropped", "sent", "kernel"};

	printf("explained %u %s ", e->verdict, way[e->way]);
	run_hex_print(left, e->left_bytes);
	for (int i = 0; i < TIARA_EVENT_CNT; i++)
		if (e->events >> i & 1)
			printf("event %d 1\n", i);
	if (e->has_service)
		printf("service %u %u %d %d\n", e->service_idx, e->state, (int)e->row_backend_idx,
		       (int)e->backend_idx);
	if (e->found)
		printf("connection %u %u %u %u\n", e->connection.backend_idx, e->connection.state,
		       e->connection.flags, e->connection.idle_ticks);
}

/* All of the segment is compared: what explain writes must be its own. */
static void
run_explain(struct run *r)
{
	uint64_t bytes = r->world.map.segment->total_bytes;
	uint8_t *before = malloc(bytes);
	uint8_t left[RUN_FRAME_BYTES + 128];
	struct tiara_explanation explanation;
	struct explain_packet packet;

	if (!before)
		abort();
	memcpy(before, r->world.map.base, bytes);
	run_frame(r, 0, run_word(r, 1));
	packet = (struct explain_packet){.frame = r->frame[0].data,
					 .frame_bytes = r->frame[0].len_bytes,
					 .headroom_bytes = r->headroom_bytes,
					 .tsc = r->world.tsc + 1};
	r->bad |= control_explain(&r->world.map, &packet, &explanation, left, sizeof(left), NULL) !=
		  TIARA_OK;
	r->bad |= memcmp(before, r->world.map.base, bytes) != 0;
	run_explained_print(&explanation, left);
	free(r->buffer[0]);
	free(before);
}

static void
run_flow_print(const char *name, const struct tiara_flow_counter *counter)
{
	printf("%s %llu %llu %llu\n", name, (unsigned long long)counter->pkts,
	       (unsigned long long)counter->bytes, (unsigned long long)counter->connections);
}

static void
run_counters(struct run *r)
{
	const struct tiara_worker *worker = &r->world.worker;

	run_flow_print("service", &worker->service_counters[run_number(r, 1) % WORLD_SERVICES]);
	run_flow_print("backend", &worker->backend_counters[run_number(r, 2) % WORLD_BACKENDS]);
}

static void
run_totals(struct run *r)
{
	const struct tiara_worker_counters *c = r->world.worker.counters;

	printf("totals %llu %llu %llu %llu\n", (unsigned long long)c->rx_pkts,
	       (unsigned long long)c->rx_bytes, (unsigned long long)c->tx_pkts,
	       (unsigned long long)c->tx_bytes);
}

static const struct {
	const char *name;
	void (*run)(struct run *r);
} run_commands[] = {
	{"new", run_new},
	{"neighbour", run_neighbour},
	{"neighbour_state", run_neighbour_state},
	{"secret", run_secret},
	{"backend", run_backend},
	{"sources", run_sources},
	{"service", run_service},
	{"publish", run_publish},
	{"push", run_push},
	{"find", run_find},
	{"room", run_room},
	{"wait", run_wait},
	{"rx", run_rx},
	{"inject", run_inject},
	{"explain", run_explain},
	{"counters", run_counters},
	{"totals", run_totals},
};

static void
run_line(struct run *r, char *line)
{
	void (*run)(struct run * r) = NULL;

	r->word_cnt = 0;
	r->bad = false;
	for (char *word = strtok(line, " \n"); word && r->word_cnt < RUN_WORDS;
	     word = strtok(NULL, " \n"))
		r->word[r->word_cnt++] = word;
	for (size_t i = 0; r->word_cnt > 0 && i < sizeof(run_commands) / sizeof(*run_commands); i++)
		if (strcmp(r->word[0], run_commands[i].name) == 0)
			run = run_commands[i].run;
	if (run && (run == run_new || r->world.map.base))
		run(r);
	else
		r->bad = true;
	puts(r->bad ? "error not understood: see the head of run_memory.c" : "ok");
	fflush(stdout);
}

int
main(void)
{
	static struct run r;
	static char line[RUN_LINE_BYTES];

	while (fgets(line, sizeof(line), stdin))
		run_line(&r, line);
	world_close(&r.world);
	return 0;
}
