/* SPDX-License-Identifier: Apache-2.0 */
#include "app/crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "offload/offload.h"

enum {
	CREW_IDLE_TURNS = 64, /* empty bursts before the first sleep */
	CREW_SLEEP_FIRST_NS = 20000,
	CREW_SLEEP_LAST_NS = 500000, /* ticks and sweep go on at least this often */
};

/* A thread's own, on lines of its own. */
struct crew_member {
	struct tiara_worker worker;
	struct tiara_crew *crew;
} __attribute__((aligned(64)));

struct tiara_crew {
	bool stop; /* written by the main lcore, read by all */
	bool sleep;
	uint32_t cnt;
	struct crew_member *member;
	uint64_t *unconfirmed; /* all members' rings */
	void *offload;         /* the engine's memory; NULL: no card */
};

/* Offline first: a sleeping worker must hold no generation back. */
static long
crew_sleep_wk(struct tiara_worker *worker, long sleep_ns)
{
	struct timespec time = {.tv_nsec = sleep_ns};

	tiara_worker_offline_wk(worker);
	nanosleep(&time, NULL);
	return sleep_ns < CREW_SLEEP_LAST_NS / 2 ? sleep_ns * 2 : CREW_SLEEP_LAST_NS;
}

static int
crew_run_wk(void *argument)
{
	struct crew_member *member = argument;
	const struct tiara_crew *crew = member->crew;
	long sleep_ns = CREW_SLEEP_FIRST_NS;
	uint32_t idle_turns = 0;

	/* else the kernel adds 50 us to each sleep */
	prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
	/* Relaxed: a wish to stop, nothing else is passed on. */
	while (!__atomic_load_n(&crew->stop, __ATOMIC_RELAXED)) {
		if (tiara_worker_burst_wk(&member->worker, rte_rdtsc())) {
			idle_turns = 0;
			sleep_ns = CREW_SLEEP_FIRST_NS;
		} else if (crew->sleep && ++idle_turns > CREW_IDLE_TURNS) {
			sleep_ns = crew_sleep_wk(&member->worker, sleep_ns);
		}
	}
	tiara_worker_offline_wk(&member->worker);
	return 0;
}

static void
crew_free(struct tiara_crew *crew)
{
	if (!crew)
		return;
	free(crew->offload);
	free(crew->unconfirmed);
	free(crew->member);
	free(crew);
}

static enum tiara_status
crew_fail(struct tiara_error *error, enum tiara_status status, uint32_t lcore_cnt,
	  uint32_t worker_cnt)
{
	*error = (struct tiara_error){.status = status, .field = "--lcores"};
	snprintf(
		error->message, sizeof(error->message),
		"--lcores: %u workers need an lcore each beside the main one, but EAL has %u; give %u "
		"in --lcores",
		worker_cnt, lcore_cnt, worker_cnt + 1);
	return status;
}

static enum tiara_status
crew_fail_card(struct tiara_error *error, const struct tiara_card *card, uint32_t worker_cnt)
{
	*error = (struct tiara_error){.status = TIARA_INVALID, .field = "--workers"};
	snprintf(error->message, sizeof(error->message),
		 "--workers: the card '%s' has %u queues for %u workers; no worker was started",
		 card->name, card->caps.queue_cnt, worker_cnt);
	return TIARA_INVALID;
}

/* Empties the card. False: no memory. */
static bool
crew_offload(struct tiara_crew *crew, const struct tiara_map *map, const struct tiara_card *card,
	     uint32_t cnt, struct tiara_offload **offload)
{
	size_t bytes;

	if (card->caps.bucket_cnt == 0)
		return true;
	bytes = tiara_offload_bytes(card, map, cnt);
	crew->offload = aligned_alloc(64, bytes);
	if (!crew->offload)
		return false;
	memset(crew->offload, 0, bytes);
	*offload = tiara_offload_init_ctl(crew->offload, card, map, cnt, rte_get_tsc_hz());
	return true;
}

static void
crew_launch(struct tiara_crew *crew, const struct tiara_map *map)
{
	uint32_t i = 0, lcore;

	RTE_LCORE_FOREACH_WORKER(lcore)
	{
		if (i == crew->cnt)
			return;
		map->worker[i].lcore = lcore;
		map->worker[i].queue = i;
		rte_eal_remote_launch(crew_run_wk, &crew->member[i++], lcore);
	}
}

enum tiara_status
tiara_crew_start_ctl(const struct tiara_arguments *arguments, const struct tiara_map *map,
		     struct tiara_dpdk *port, const struct tiara_card *card,
		     struct tiara_crew **crew, struct tiara_error *error)
{
	struct tiara_offload *offload = NULL;
	uint32_t cnt = arguments->worker_cnt;
	struct tiara_crew *self;
	uint32_t room;

	if (rte_lcore_count() <= cnt)
		return crew_fail(error, TIARA_INVALID, rte_lcore_count(), cnt);
	if (card->caps.bucket_cnt && card->caps.queue_cnt < cnt)
		return crew_fail_card(error, card, cnt);
	self = calloc(1, sizeof(*self));
	room = tiara_unconfirmed_room_ctl(map, cnt);
	if (self) {
		self->member = aligned_alloc(64, cnt * sizeof(*self->member));
		self->unconfirmed = calloc((size_t)cnt * room, sizeof(*self->unconfirmed));
	}
	if (!self || !self->member || !self->unconfirmed ||
	    !crew_offload(self, map, card, cnt, &offload)) {
		crew_free(self);
		*error = (struct tiara_error){.status = TIARA_NO_SPACE,
					      .message = "no memory for workers"};
		return TIARA_NO_SPACE;
	}
	self->sleep = arguments->idle == TIARA_IDLE_SLEEP;
	self->cnt = cnt;
	for (uint32_t i = 0; i < cnt; i++) {
		struct tiara_port queue = tiara_dpdk_port(port, i);

		self->member[i].crew = self;
		tiara_worker_init_ctl(&self->member[i].worker, map, i, &queue, offload,
				      rte_get_tsc_hz());
		tiara_worker_cap_unconfirmed_ctl(&self->member[i].worker,
						 self->unconfirmed + (size_t)i * room, room);
	}
	crew_launch(self, map);
	*crew = self;
	return TIARA_OK;
}

void
tiara_crew_stop_ctl(struct tiara_crew *crew)
{
	__atomic_store_n(&crew->stop, true, __ATOMIC_RELAXED);
	rte_eal_mp_wait_lcore();
	crew_free(crew);
}
