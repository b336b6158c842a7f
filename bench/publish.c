/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change of the configuration costs. Prints one JSON row a line:
 *   maglev.fill     a table of 65,537 rows for 1000 backends, microseconds
 *   publish.change  1000 services of 100 backends each, of which one goes down: its pool's table is
 *                   filled anew and published, until all workers use it, microseconds; params say how
 *                   many bytes the new generation needed
 *
 * Usage: publish SEGMENT-PATH REPEATS
 *
 * Two threads are the workers; they do nothing but enter generations. After each change the rows that
 * workers see must not have the backend any more, and then have it again.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "tiara/tiara.h"
#include "control/handle.h"
#include "table/epoch.h"

enum {
	PUBLISH_SERVICES = 1000,
	PUBLISH_BACKENDS = 100, /* of a service */
	PUBLISH_ROWS = 65537,
	PUBLISH_WORKERS = 2,
	PUBLISH_FILL_BACKENDS = 1000,
};

struct publish {
	struct tiara_handle *handle;
	const struct tiara_map *map;
	uint32_t backend_idx[PUBLISH_SERVICES][PUBLISH_BACKENDS];
	uint32_t rows[PUBLISH_ROWS];
	uint64_t revision;
	bool stop;
};

struct publish_worker {
	struct publish *p;
	uint32_t me;
	pthread_t id;
};

static void
publish_must(enum tiara_status status, const struct tiara_error *error)
{
	if (status != TIARA_OK)
		bench_die("publish", error->message);
}

static void *
publish_work(void *arg)
{
	struct publish_worker *w = arg;

	while (!__atomic_load_n(&w->p->stop, __ATOMIC_RELAXED)) {
		tiara_epoch_enter_wk(w->p->map, w->me);
		sched_yield();
	}
	tiara_epoch_offline_wk(w->p->map, w->me);
	return NULL;
}

/* Rows of a pool of cnt backends, all of one weight but `down`, which has none. */
static void
publish_fill(struct publish *p, uint32_t cnt, uint32_t down, uint64_t seed)
{
	static uint32_t offset[PUBLISH_FILL_BACKENDS], skip[PUBLISH_FILL_BACKENDS];
	static uint32_t weight[PUBLISH_FILL_BACKENDS];
	struct tiara_error error;

	for (uint32_t i = 0; i < cnt; i++) {
		offset[i] = (uint32_t)(bench_random(&seed) % PUBLISH_ROWS);
		skip[i] = (uint32_t)(bench_random(&seed) % (PUBLISH_ROWS - 1)) + 1;
		weight[i] = i != down;
	}
	publish_must(tiara_maglev_fill(offset, skip, weight, cnt, p->rows, PUBLISH_ROWS, &error),
		     &error);
}

static struct tiara_backend_spec
publish_backend(uint32_t service, uint32_t n, uint8_t use)
{
	struct tiara_backend_spec spec = {
		.uid = {(uint8_t)service, (uint8_t)(service >> 8), (uint8_t)n, 1},
		.record = {.addr = htonl(0x0a000001 + service * PUBLISH_BACKENDS + n),
			   .forward = TIARA_FORWARD_L2,
			   .use = use}};

	snprintf(spec.pool, sizeof(spec.pool), "p%u", service);
	snprintf(spec.backend, sizeof(spec.backend), "b%u", n);
	return spec;
}

static void
publish_put_service(struct publish *p, struct tiara_change *change, uint32_t service)
{
	struct tiara_service_spec spec = {.uid = {(uint8_t)service, (uint8_t)(service >> 8), 2},
					  .record = {.vip = htonl(0xc6120000 + service),
						     .port = htons(80),
						     .protocol = 6,
						     .use = TIARA_USE_ACTIVE},
					  .table_cnt = PUBLISH_ROWS};
	struct tiara_error error;
	uint32_t idx;

	snprintf(spec.service, sizeof(spec.service), "s%u", service);
	for (int n = 0; n < TIARA_STATE_CNT; n++)
		spec.record.timeout_ticks[n] = TIARA_TIMEOUT_TICKS_MAX;
	publish_must(tiara_change_table(change, p->rows, PUBLISH_ROWS, p->backend_idx[service],
					PUBLISH_BACKENDS, 0, &spec.table_off, &error),
		     &error);
	publish_must(tiara_change_service_put(change, &spec, &idx, &error), &error);
}

static void
publish_open(struct publish *p, const char *path)
{
	struct tiara_segment_config config = {.connections = 65536,
					      .worker_max = PUBLISH_WORKERS,
					      .service_max = 2 * PUBLISH_SERVICES,
					      .backend_max = 2 * PUBLISH_SERVICES *
							     PUBLISH_BACKENDS,
					      .heap_bytes = UINT64_C(512) << 20};
	struct tiara_change *change;
	struct tiara_error error;
	uint64_t generation;

	publish_must(tiara_segment_create(path, &config, &error), &error);
	publish_must(tiara_segment_attach(path, TIARA_ROLE_CONTROLPLANE, &p->handle, &error),
		     &error);
	p->map = tiara_handle_map(p->handle);
	publish_must(tiara_change_begin(p->handle, &change, &error), &error);
	for (uint32_t s = 0; s < PUBLISH_SERVICES; s++) {
		for (uint32_t n = 0; n < PUBLISH_BACKENDS; n++) {
			struct tiara_backend_spec spec = publish_backend(s, n, TIARA_USE_ACTIVE);

			publish_must(tiara_change_backend_put(change, &spec, &p->backend_idx[s][n],
							      &error),
				     &error);
		}
		publish_fill(p, PUBLISH_BACKENDS, UINT32_MAX, s);
		publish_put_service(p, change, s);
	}
	publish_must(tiara_change_commit(change, ++p->revision, &generation, &error), &error);
}

/* Waits until every worker uses the generation; collects, as the control plane does. */
static void
publish_wait(struct publish *p, uint64_t generation)
{
	struct tiara_collect_info info = {.applied_generation = 0};
	struct tiara_error error;

	while (info.applied_generation < generation) {
		publish_must(tiara_generation_collect(p->handle, &info, &error), &error);
		if (info.applied_generation < generation)
			sched_yield();
	}
}

static bool
publish_has(const struct publish *p, uint32_t service, uint32_t backend_idx)
{
	struct tiara_view view = tiara_view_of(p->map, p->map->segment->generation);
	const uint32_t *row = (const void *)(view.base + view.service[service].select_off);

	for (uint32_t i = 0; i < PUBLISH_ROWS; i++)
		if (row[i] == backend_idx)
			return true;
	return false;
}

/* The microseconds from the health check's word to the last worker. */
static double
publish_change(struct publish *p, uint32_t service, bool down, uint64_t *bytes)
{
	struct tiara_backend_spec spec = publish_backend(service, 7,
							 down ? TIARA_USE_DOWN : TIARA_USE_ACTIVE);
	struct tiara_segment_info before, after;
	struct tiara_change *change;
	struct tiara_error error;
	uint64_t generation;
	uint32_t idx;
	double start;

	publish_wait(p, p->map->segment->generation); /* what the last one left behind is free */
	publish_must(tiara_segment_describe(p->handle, &before, &error), &error);
	start = bench_now_s();
	publish_must(tiara_change_begin(p->handle, &change, &error), &error);
	publish_must(tiara_change_backend_put(change, &spec, &idx, &error), &error);
	publish_fill(p, PUBLISH_BACKENDS, down ? 7 : UINT32_MAX, service);
	publish_put_service(p, change, service);
	publish_must(tiara_segment_describe(p->handle, &after, &error), &error);
	publish_must(tiara_change_commit(change, ++p->revision, &generation, &error), &error);
	publish_wait(p, generation);
	start = bench_now_s() - start;
	*bytes = after.heap_used_bytes - before.heap_used_bytes;
	if (publish_has(p, service, idx) == down)
		bench_die("publish.change", "workers do not see the change");
	return start * 1e6;
}

static void
publish_measure(struct publish *p, int repeats)
{
	double change[BENCH_REPEATS_MAX], fill[BENCH_REPEATS_MAX];
	uint64_t bytes = 0;
	char params[160];

	for (int r = 0; r < repeats; r++) {
		double start = bench_now_s();

		publish_fill(p, PUBLISH_FILL_BACKENDS, UINT32_MAX, (uint64_t)r);
		fill[r] = (bench_now_s() - start) * 1e6;
	}
	for (int r = 0; r < repeats; r++)
		change[r] = publish_change(p, (uint32_t)(r / 2 * 37), r % 2 == 0, &bytes);
	snprintf(params, sizeof(params),
		 "\"backends\": %d, \"rows\": %d, \"connections\": 0, \"page_bytes\": %u",
		 PUBLISH_FILL_BACKENDS, PUBLISH_ROWS, p->map->segment->page_bytes);
	bench_row("maglev.fill", params, "us", fill, repeats);
	snprintf(params, sizeof(params),
		 "\"services\": %d, \"backends\": %d, \"bytes\": %llu, \"connections\": 0, "
		 "\"page_bytes\": %u",
		 PUBLISH_SERVICES, PUBLISH_BACKENDS, (unsigned long long)bytes,
		 p->map->segment->page_bytes);
	bench_row("publish.change", params, "us", change, repeats);
}

int
main(int argc, char **argv)
{
	static struct publish p;
	struct publish_worker worker[PUBLISH_WORKERS];
	int repeats;

	if (argc != 3) {
		fprintf(stderr, "usage: publish SEGMENT-PATH REPEATS(1..16)\n");
		return 2;
	}
	repeats = bench_repeats(argv[2]);
	publish_open(&p, argv[1]);
	unlink(argv[1]);
	for (uint32_t i = 0; i < PUBLISH_WORKERS; i++) {
		worker[i] = (struct publish_worker){.p = &p, .me = i};
		if (pthread_create(&worker[i].id, NULL, publish_work, &worker[i]))
			bench_die("publish", "no thread");
	}
	publish_measure(&p, repeats);
	__atomic_store_n(&p.stop, true, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < PUBLISH_WORKERS; i++)
		pthread_join(worker[i].id, NULL);
	tiara_segment_detach(p.handle);
	return 0;
}
