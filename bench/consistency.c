/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of backends under load: which connections go to another backend than before? Only those
 * whose own backend was removed may.
 *
 * Usage: consistency SEGMENT-PATH CONNECTIONS CHANGES
 *
 * One thread runs packets of random connections through the path (world.h, l2) and remembers each
 * one's server, another publishes changes. A change is to ten services: a backend is removed, added
 * or found to be down, or all weights are new; each time the services' tables are drawn anew, so that
 * selection alone would send almost every connection elsewhere. At the end each connection comes
 * once more.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>

#include "bench.h"
#include "path/wire.h"
#include "world.h"

enum {
	CONSISTENCY_SERVICES = 10,    /* a change */
	CONSISTENCY_FRAMES = 1 << 18, /* at least, between two changes */
	CONSISTENCY_UNKNOWN = UINT16_MAX,
};

struct bench {
	struct world world; /* first: the port's functions are given its address */
	uint16_t *server;   /* by connection (port, buffer): where its last packet went */
	uint8_t removed[WORLD_SERVICES][WORLD_SERVERS]; /* the service has no such backend now */
	uint32_t changes;
	uint64_t forwarded;
	uint64_t broken;
	uint64_t moved; /* of removed backends */
	bool over;
};

static uint32_t
consistency_flow(const struct tiara_frame *frame)
{
	const struct tiara_tcp *tcp = (const void *)(frame->data + sizeof(struct tiara_ether) +
						     sizeof(struct tiara_ipv4));

	return (uint32_t)ntohs(tcp->src_port) - WORLD_CLIENT_PORT;
}

static void
consistency_note(struct bench *b, const struct tiara_frame *frame)
{
	const struct world *w = &b->world;
	uint32_t buffer = (uint32_t)((const struct world_buffer *)frame->handle - w->port.buffer);
	uint16_t *server = &b->server[(uint64_t)consistency_flow(frame) * WORLD_BUFFERS + buffer];
	uint16_t now = (uint16_t)world_server(frame), before = *server;

	*server = now;
	if (now == before || before == CONSISTENCY_UNKNOWN)
		return;
	/* Acquire, with consistency_remove: marked before it was published. */
	if (__atomic_load_n(&b->removed[world_service(w, buffer)][before], __ATOMIC_ACQUIRE))
		b->moved++;
	else
		b->broken++;
}

static uint16_t
consistency_tx(void *self, struct tiara_frame *const *frame, uint16_t cnt)
{
	struct bench *b = self;

	for (uint16_t i = 0; i < cnt; i++)
		consistency_note(b, frame[i]);
	__atomic_store_n(&b->forwarded, b->forwarded + cnt, __ATOMIC_RELEASE);
	return world_tx(&b->world, frame, cnt);
}

/* ---- changes ---- */

static void
consistency_remove(struct bench *b, struct tiara_change *change, uint32_t service, uint32_t backend)
{
	__atomic_store_n(&b->removed[service][world_backend_server(service, backend)], 1,
			 __ATOMIC_RELEASE);
	world_remove_backend(&b->world, change, service, backend);
}

/* To one service; number says which of the four kinds. */
static void
consistency_change_service(struct bench *b, struct tiara_change *change, uint32_t service,
			   uint32_t number)
{
	uint32_t idx[WORLD_POOL + WORLD_SPARE], cnt = WORLD_POOL;
	uint32_t victim = number % WORLD_POOL;
	struct world *w = &b->world;

	memcpy(idx, w->idx[service], sizeof(idx));
	switch (number % 4) {
	case 0:
		consistency_remove(b, change, service, victim);
		idx[victim] = idx[--cnt];
		break;
	case 1:
		world_put_backend(w, change, service, cnt, TIARA_USE_ACTIVE);
		idx[cnt] = w->idx[service][cnt];
		cnt++;
		break;
	case 2:
		world_put_backend(w, change, service, victim, TIARA_USE_DOWN);
		idx[victim] = idx[--cnt];
		break;
	default: /* other weights */
		break;
	}
	world_put_service(w, change, service, TIARA_PROTOCOL_TCP, idx, cnt, 1000000 + number);
}

static void
consistency_change(struct bench *b, uint32_t number)
{
	struct tiara_collect_info info;
	struct tiara_change *change;
	struct tiara_error error;
	uint64_t generation;

	if (tiara_generation_collect(b->world.handle, &info, &error) != TIARA_OK ||
	    tiara_change_begin(b->world.handle, &change, &error) != TIARA_OK)
		bench_die("change", error.message);
	for (uint32_t i = 0; i < CONSISTENCY_SERVICES; i++)
		consistency_change_service(
			b, change, (number * CONSISTENCY_SERVICES + i) % WORLD_SERVICES, number);
	if (tiara_change_commit(change, number + 2, &generation, &error) != TIARA_OK)
		bench_die("publish", error.message);
}

static void *
consistency_control(void *self)
{
	struct timespec nap = {.tv_nsec = 100000};
	struct bench *b = self;

	for (uint32_t i = 0; i < b->changes; i++) {
		uint64_t from = __atomic_load_n(&b->forwarded, __ATOMIC_ACQUIRE);

		while (__atomic_load_n(&b->forwarded, __ATOMIC_ACQUIRE) - from < CONSISTENCY_FRAMES)
			nanosleep(&nap, NULL);
		consistency_change(b, i);
	}
	__atomic_store_n(&b->over, true, __ATOMIC_RELEASE);
	return NULL;
}

/* ---- traffic ---- */

static double
consistency_under_load(struct bench *b)
{
	double start = bench_now_s();
	pthread_t control;

	if (pthread_create(&control, NULL, consistency_control, b) != 0)
		bench_die("thread", "does not start");
	while (!__atomic_load_n(&b->over, __ATOMIC_ACQUIRE))
		world_run(&b->world, WORLD_BUFFERS);
	pthread_join(control, NULL);
	return bench_now_s() - start;
}

/* Each connection once more. */
static void
consistency_visit_all(struct bench *b)
{
	struct world_port *p = &b->world.port;
	uint32_t flows = p->flows;

	for (uint32_t i = 0; i < flows; i++) {
		p->flow_base = i;
		p->flows = 1;
		world_run(&b->world, p->buffers);
	}
	p->flow_base = 0;
	p->flows = flows;
}

static uint64_t
consistency_elsewhere(struct bench *b)
{
	struct tiara_usage usage;
	struct tiara_error error;

	if (tiara_connections_count(b->world.handle, NULL, NULL, &usage, &error) != TIARA_OK)
		bench_die("count", error.message);
	if (usage.live != b->world.connections)
		bench_die("path.consistency", "connections were lost");
	return usage.differ;
}

static void
consistency_row(const struct bench *b, const char *measure, double seconds, uint64_t value)
{
	char more[200];

	snprintf(
		more, sizeof(more),
		"\"changes\": %u, \"services_a_change\": %d, \"seconds\": %.1f, \"measure\": \"%s\"",
		b->changes, CONSISTENCY_SERVICES, seconds, measure);
	bench_row_one("path.consistency", world_params(&b->world, more), "connections",
		      (double)value);
}

int
main(int argc, char **argv)
{
	struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);
	uint64_t elsewhere;
	double seconds;

	if (argc != 4 || !b) {
		fprintf(stderr, "usage: consistency SEGMENT-PATH CONNECTIONS CHANGES\n");
		return 2;
	}
	memset(b, 0, sizeof(*b));
	b->changes = (uint32_t)bench_whole("changes", argv[3]);
	if (b->changes > WORLD_SERVICES / CONSISTENCY_SERVICES)
		bench_die("changes", "are more than there are services for");
	world_open(&b->world, argv[1], bench_whole("connections", argv[2]), "l2");
	if (b->world.connections < WORLD_BUFFERS)
		bench_die("connections", "are fewer than buffers");
	b->server = malloc(b->world.connections * sizeof(*b->server));
	if (!b->server)
		bench_die("memory", "not enough for the connections' servers");
	memset(b->server, 0xff, b->world.connections * sizeof(*b->server));
	world_start(&b->world, world_rx, consistency_tx);
	world_fill(&b->world, NULL);
	seconds = consistency_under_load(b);
	consistency_visit_all(b);
	elsewhere = consistency_elsewhere(b);
	consistency_row(b, "broken", seconds, b->broken);
	consistency_row(b, "of_removed_backends", seconds, b->moved);
	consistency_row(b, "elsewhere_than_selection", seconds, elsewhere);
	return 0;
}
