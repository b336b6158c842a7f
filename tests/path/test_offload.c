/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offload engine against the plain card. First what it does over a faultless link, then thousands of
 * short random lives over links that lose, repeat and reorder:
 *     path-offload [RUNS [FIRST_SEED]]
 */
#include <inttypes.h>
#include <string.h>

#include "check.h"
#include "offload_bed.h"
#include "table/hash.h"

static struct bed bed;

static struct bed_config
config_plain(uint32_t bucket_cnt)
{
	return (struct bed_config){.twin = {.bucket_cnt = bucket_cnt,
					    .backend_lines = BED_BACKENDS,
					    .service_lines = 4,
					    .queue_cnt = 1,
					    .seed = 7,
					    .is_port = true},
				   .worker_cnt = 1};
}

static void
open_plain(uint32_t bucket_cnt)
{
	struct bed_config config = config_plain(bucket_cnt);

	bed_open(&bed, &config);
	bed_ticks(&bed, 2);
}

static uint64_t
forwarded(void)
{
	return tiara_card_twin_counts(bed.twin).forwarded;
}

static bool
in_card(uint32_t client)
{
	return tiara_card_twin_entry(bed.twin, bed_key(client)).state != 0;
}

static bool
marked(uint32_t client)
{
	struct tiara_found f = bed_find(&bed, client);

	return f.slot && f.word.entry.flags & TIARA_ENTRY_OFFLOADED;
}

static void
establish(uint32_t client)
{
	CHECK(bed_packet(&bed, client, BED_SYN, 0) != BED_NONE);
	CHECK(bed_packet(&bed, client, BED_DATA, 0) != BED_NONE);
	bed_turn(&bed, 1000);
}

/* The second packet takes a connection up; from then on the card forwards, and all is counted once. */
static void
test_moves_up(void)
{
	open_plain(8);
	CHECK(bed_packet(&bed, 0, BED_SYN, 0) != BED_NONE);
	bed_turn(&bed, 1000);
	CHECK(!in_card(0));
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE);
	bed_turn(&bed, 1000);
	CHECK(in_card(0) && marked(0) && forwarded() == 0);
	for (int i = 0; i < 5; i++)
		CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE);
	CHECK(forwarded() == 5);
	bed_ticks(&bed, 2);
	CHECK(bed_counted(&bed) == 7);
	CHECK(bed.worker[0].counters->verdict_pkts[TIARA_VERDICT_FORWARDED_BY_CARD] == 5);
	CHECK(bed.worker[0].backend_counters[bed.client[0].backend].pkts == 7);
	bed_close(&bed);
}

/* The CPU's packet and the card's next one of the same connection are the same bytes. */
static void
check_same_bytes(enum tiara_forward forward, uint32_t more_bytes)
{
	static uint8_t by_cpu[BED_FRAME_BYTES];
	uint32_t cpu_bytes;

	open_plain(8);
	for (uint32_t i = 0; i < BED_BACKENDS; i++) {
		struct tiara_backend *b = &bed.world.plan.backend[i];

		b->forward = (uint8_t)forward;
		b->vni = 0x123456;
		b->tunnel_port = 0xb512; /* 4789 */
		memcpy(b->inner_mac, (const uint8_t[6]){2, 9, 9, 9, 9, 9}, 6);
	}
	bed_shuffle(&bed, 3);
	bed_ticks(&bed, 2);
	establish(0);
	CHECK(forwarded() == 0);
	cpu_bytes = bed.last[0].len_bytes;
	memcpy(by_cpu, bed.last[0].data, cpu_bytes);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE && forwarded() == 1);
	CHECK(bed.last[0].len_bytes == cpu_bytes && cpu_bytes == 62 + more_bytes);
	CHECK(memcmp(bed.last[0].data, by_cpu, cpu_bytes) == 0);
	bed_close(&bed);
}

static void
test_same_bytes(void)
{
	check_same_bytes(TIARA_FORWARD_L2, 0);
	check_same_bytes(TIARA_FORWARD_IPIP, 20);
	check_same_bytes(TIARA_FORWARD_VXLAN, 50);
}

/* An end brings it back down; it is the CPU's alone then, and may begin anew. */
static void
test_comes_down(void)
{
	open_plain(8);
	establish(0);
	CHECK(in_card(0));
	CHECK(bed_packet(&bed, 0, BED_FIN, 0) != BED_NONE);
	bed_turn(&bed, 1000);
	CHECK(!in_card(0) && !marked(0) && bed_find(&bed, 0).slot);
	bed_shuffle(&bed, 5);
	CHECK(bed_packet(&bed, 0, BED_SYN, 0) != BED_NONE);
	bed_close(&bed);
}

/* R5: until the card has answered, a SYN that would begin anew is not accepted. */
static void
test_waits_for_answer(void)
{
	open_plain(8);
	establish(0);
	tiara_card_twin_silence(bed.twin, true);
	CHECK(bed_packet(&bed, 0, BED_FIN, 0) != BED_NONE);
	CHECK(bed_packet(&bed, 0, BED_SYN, 0) == BED_NONE);
	CHECK(bed.worker[0].frame[0].verdict == TIARA_VERDICT_CARD_REMOVING);
	bed_turn(&bed, 10000000);
	CHECK(bed_packet(&bed, 0, BED_SYN, 0) == BED_NONE);
	tiara_card_twin_silence(bed.twin, false);
	bed_turn(&bed, 10000000);
	CHECK(bed_packet(&bed, 0, BED_SYN, 0) != BED_NONE);
	bed_close(&bed);
}

/* R12: what the card uses lives on, however silent it is on the CPU; what it does not use ends. */
static void
test_harvest_keeps(void)
{
	open_plain(8);
	establish(0);
	establish(1);
	for (int i = 0; i < 40; i++) {
		CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE);
		bed_ticks(&bed, 1);
	}
	CHECK(in_card(0) && forwarded() >= 40);
	CHECK(!in_card(1) && !bed_find(&bed, 1).slot);
	CHECK(bed_event(&bed, TIARA_EVENT_CARD_EXPIRED) == 1);
	bed_ticks(&bed, 40);
	CHECK(!in_card(0) && !bed_find(&bed, 0).slot);
	bed_close(&bed);
}

/* A silent card stops the ageing of what it has, until it is given up; then a whole timeout begins. */
static void
test_silent_card(void)
{
	open_plain(8);
	establish(0);
	tiara_card_twin_silence(bed.twin, true);
	bed_ticks(&bed, BED_ESTABLISHED_TICKS + 2);
	CHECK(marked(0));
	bed_ticks(&bed, OFFLOAD_LOST_TICKS);
	CHECK(bed_event(&bed, TIARA_EVENT_CARD_RESET) >= 1);
	CHECK(bed_find(&bed, 0).slot);
	bed_ticks(&bed, 40);
	CHECK(!bed_find(&bed, 0).slot);
	bed_close(&bed);
}

/* After a reset the CPU serves on, and what still speaks is offered again. */
static void
test_reset(uint32_t bucket_cnt)
{
	int before;

	open_plain(bucket_cnt);
	establish(0);
	before = bed.client[0].backend;
	tiara_card_twin_reset(bed.twin);
	CHECK(!in_card(0));
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) == before);
	for (int i = 0; i < 4; i++) {
		bed_ticks(&bed, 1);
		CHECK(bed_packet(&bed, 0, BED_DATA, 0) == before);
	}
	bed_turn(&bed, 1000);
	CHECK(in_card(0));
	bed_close(&bed);
}

/* R10: what is read between a reset and the CPU's knowing of it is another life's, and not counted. */
static void
test_totals_of_an_unknown_life(void)
{
	enum { STEP_NS = 400000 }; /* the register is looked at each millisecond */
	uint32_t tick;

	open_plain(8);
	establish(0);
	for (int i = 0; i < 5; i++)
		bed_packet(&bed, 0, BED_DATA, 0);
	bed_ticks(&bed, 2);
	CHECK(bed_counted(&bed) == bed_sent(&bed));
	for (tick = bed.worker[0].tick; bed.worker[0].tick == tick;)
		bed_turn(&bed, STEP_NS);
	bed_turn(&bed, WORLD_TSC_HZ - 3 * STEP_NS / 2);
	tiara_card_twin_reset(bed.twin);
	tick = bed.worker[0].tick;
	bed_turn(&bed, 3 * STEP_NS / 2);
	CHECK(bed.worker[0].tick == tick + 1); /* a pass over the totals begins */
	bed_turn(&bed, 1000);
	CHECK(bed_counted(&bed) == bed_sent(&bed));
	bed_close(&bed);
}

/* R11, R13: a new process empties the card; marks of the old one go, connections stay. */
static void
test_restart(void)
{
	int before;

	open_plain(8);
	establish(0);
	establish(1);
	before = bed.client[0].backend;
	bed_restart(&bed);
	CHECK(!in_card(0) && marked(0));
	for (int i = 0; i < 4; i++) {
		CHECK(bed_packet(&bed, 0, BED_DATA, 0) == before);
		bed_ticks(&bed, 1);
	}
	CHECK(in_card(0));
	bed_ticks(&bed, 40);
	CHECK(!bed_find(&bed, 1).slot);
	bed_close(&bed);
}

/* More connections than places: the others stay with the CPU, counted. */
static void
test_full(void)
{
	open_plain(2);
	for (uint32_t i = 0; i < BED_CLIENTS; i++)
		establish(i);
	CHECK(bed_event(&bed, TIARA_EVENT_CARD_FULL) >= BED_CLIENTS - 8);
	bed_check(&bed);
	for (uint32_t i = 0; i < BED_CLIENTS; i++)
		CHECK(bed_packet(&bed, i, BED_DATA, 0) != BED_NONE);
	CHECK(forwarded() >= 7);
	bed_close(&bed);
}

/* What the card cannot know is not given to it. */
static void
test_service_without_a_line(void)
{
	struct bed_config config = config_plain(8);

	config.twin.service_lines = 0;
	bed_open(&bed, &config);
	bed_ticks(&bed, 2);
	establish(0);
	bed_ticks(&bed, 1);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE);
	CHECK(bed_event(&bed, TIARA_EVENT_CARD_OFFERED) == 0 && !in_card(0));
	bed_close(&bed);
}

/* A backend that goes: no packet reaches it from then on, and its index waits for the card. */
static void
test_backend_gone(void)
{
	uint64_t restarts;
	int before;

	open_plain(8);
	establish(0);
	before = bed.client[0].backend;
	tiara_card_twin_silence(bed.twin, true);
	bed_backend_gone(&bed, (uint32_t)before);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) == BED_NONE);
	restarts = bed.world.map.segment->sweep_restarts;
	bed_ticks(&bed, 11);
	CHECK(bed.world.map.segment->sweep_restarts > restarts);
	tiara_card_twin_silence(bed.twin, false);
	bed_turn(&bed, 50000000);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != before);
	bed_ticks(&bed, 11);
	restarts = bed.world.map.segment->sweep_restarts;
	bed_ticks(&bed, 11);
	CHECK(bed.world.map.segment->sweep_restarts == restarts);
	bed_close(&bed);
}

/* UDP leaves a backend that is down, out of the card too; nothing goes there meanwhile. */
static void
test_udp_backend_down(void)
{
	struct bed_config config = config_plain(8);
	int before;

	config.udp = true;
	bed_open(&bed, &config);
	bed_ticks(&bed, 2);
	establish(0);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE && forwarded() == 1);
	before = bed.client[0].backend;
	bed.world.plan.backend[before].use = TIARA_USE_DOWN;
	bed.client[0].backend = BED_NONE;
	bed_shuffle(&bed, 9);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) == BED_NONE);
	bed_turn(&bed, 1000);
	CHECK(!in_card(0));
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE && bed.client[0].backend != before);
	bed_check(&bed);
	bed_close(&bed);
}

/* Packets that still came up while the card was to have their connection are counted. */
static void
test_overtaken(void)
{
	open_plain(8);
	CHECK(bed_packet(&bed, 0, BED_SYN, 0) != BED_NONE);
	tiara_card_twin_silence(bed.twin, true);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE);
	CHECK(bed_event(&bed, TIARA_EVENT_CARD_OVERTAKEN) == 0);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE);
	CHECK(bed_event(&bed, TIARA_EVENT_CARD_OVERTAKEN) == 1);
	tiara_card_twin_silence(bed.twin, false);
	bed_turn(&bed, 1000);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE);
	CHECK(bed_event(&bed, TIARA_EVENT_CARD_OVERTAKEN) == 1 && forwarded() == 1);
	bed_close(&bed);
}

static uint64_t
hash_of(uint32_t client)
{
	return tiara_hash_inline(bed_key(client), bed.world.map.segment->table_secret);
}

static enum mirror_state
mirrored(uint32_t client)
{
	uint32_t slot = mirror_find(&bed.offload->mirror, hash_of(client));

	return slot == MIRROR_NONE ? MIRROR_FREE : mirror_state(&bed.offload->mirror, slot);
}

static void
wish_due(uint32_t client)
{
	tiara_offload_wish_wk(&bed.worker[0], bed_key(client), hash_of(client), OFFLOAD_DUE);
}

/* R12: a deadline alone takes nothing down, nor does a harvest that began before it. */
static void
test_due_waits_for_harvest(void)
{
	open_plain(8);
	establish(0);
	tiara_card_twin_silence(bed.twin, true);
	bed_ticks(&bed, BED_ESTABLISHED_TICKS + 1);
	wish_due(0);
	CHECK(mirrored(0) == MIRROR_OFFERED);
	tiara_card_twin_silence(bed.twin, false);
	bed_turn(&bed, 1000);
	wish_due(0);
	CHECK(mirrored(0) == MIRROR_OFFERED);
	bed_ticks(&bed, OFFLOAD_HARVEST_TICKS + 1);
	wish_due(0);
	CHECK(mirrored(0) == MIRROR_REMOVING);
	bed_close(&bed);
}

/* R8: what the card said before it was emptied is not said of what it has now. */
static void
test_answer_of_an_earlier_life(void)
{
	struct bed_config config = config_plain(8);

	config.twin.held = true;
	bed_open(&bed, &config);
	bed_turn(&bed, 1000);
	establish(0);
	CHECK(tiara_card_twin_deliver(bed.twin, TIARA_CARD_KIND_INSTALL, bed_key(0), 0));
	CHECK(bed_packet(&bed, 0, BED_FIN, 0) != BED_NONE);
	CHECK(tiara_card_twin_deliver(bed.twin, TIARA_CARD_KIND_REMOVE, bed_key(0), 0));
	bed_restart(&bed);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE); /* takes it back */
	bed_ticks(&bed, 1);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) != BED_NONE); /* offers it */
	CHECK(mirrored(0) == MIRROR_OFFERED);
	CHECK(tiara_card_twin_deliver(bed.twin, TIARA_CARD_KIND_INSTALL, bed_key(0), 1));
	CHECK(bed_packet(&bed, 0, BED_FIN, 0) != BED_NONE);
	CHECK(mirrored(0) == MIRROR_REMOVING);
	CHECK(tiara_card_twin_deliver(bed.twin, TIARA_CARD_KIND_REMOVED, bed_key(0), 0));
	bed_turn(&bed, 1000);
	CHECK(mirrored(0) == MIRROR_REMOVING && marked(0));
	bed_close(&bed);
}

/* A data plane without the card: connections stay, marks go, and what is not used ends in its time. */
static void
test_card_taken_away(void)
{
	struct tiara_port port;
	int before;

	open_plain(8);
	establish(0);
	establish(1);
	before = bed.client[0].backend;
	port = tiara_memory_port_ops(&bed.port[0]);
	tiara_worker_init_ctl(&bed.worker[0], &bed.world.map, 0, &port, NULL, WORLD_TSC_HZ);
	bed_ticks(&bed, 5);
	CHECK(bed_packet(&bed, 0, BED_DATA, 0) == before);
	CHECK(bed_packet(&bed, 0, BED_FIN, 0) == before);
	CHECK(bed_packet(&bed, 0, BED_SYN, 0) != BED_NONE); /* nobody's removal is waited for */
	bed_ticks(&bed, BED_ESTABLISHED_TICKS + 40);
	CHECK(!bed_find(&bed, 0).slot && !bed_find(&bed, 1).slot);
	bed_close(&bed);
}

/* A connection that is to be ended leaves the card first, used or not. */
static void
test_ending(void)
{
	struct tiara_writer writer = {.owner = TIARA_OWNER_CONTROL};
	struct tiara_found f;
	union tiara_word word;

	open_plain(8);
	establish(0);
	f = bed_find(&bed, 0);
	word = f.word;
	word.entry.flags |= TIARA_ENTRY_ENDING;
	word.entry.last_seen = (uint16_t)(bed.worker[0].age.now - TIARA_TIMEOUT_TICKS_MAX - 1);
	CHECK(tiara_table_replace(&bed.world.map, &writer, &f, &word));
	for (int i = 0; i < 12; i++) {
		if (bed_find(&bed, 0).slot)
			CHECK(bed_packet(&bed, 0, BED_DATA, 0) == bed.client[0].backend);
		bed_ticks(&bed, 1);
	}
	CHECK(!in_card(0) && !bed_find(&bed, 0).slot);
	bed_close(&bed);
}

/* ---- random lives ---- */

struct life {
	uint64_t random;
	bool faults; /* the card was reset: totals went with it */
	/* an index that waits to be free: its pass of the sweep began there */
	int gone;
	uint64_t claimed;
	uint64_t restarts;
	bool silent;
};

static uint32_t
pick(struct life *l, uint32_t below)
{
	l->random = l->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((l->random >> 33) % below);
}

static void
life_packet(struct life *l)
{
	static const enum bed_flags flags[] = {BED_SYN,  BED_DATA, BED_DATA, BED_DATA,
					       BED_DATA, BED_DATA, BED_FIN,  BED_RST};
	uint32_t client = pick(l, BED_CLIENTS);
	enum bed_flags f = flags[pick(l, 8)];

	if (bed.client[client].backend == BED_NONE && pick(l, 4))
		f = BED_SYN;
	bed_packet(&bed, client, f, pick(l, bed.config.worker_cnt));
}

static void
life_pass_begin(struct life *l)
{
	bed_turn(&bed, 1000);
	l->claimed = bed.world.map.segment->sweep_claimed;
	l->restarts = bed.world.map.segment->sweep_restarts;
}

/* As the control plane does: an index is given away after a whole pass that left nothing. */
static void
life_backend(struct life *l)
{
	if (l->gone == BED_NONE) {
		l->gone = (int)pick(l, BED_BACKENDS);
		bed_backend_gone(&bed, (uint32_t)l->gone);
		life_pass_begin(l);
	} else if (tiara_sweep_passed(&bed.world.map, l->claimed)) {
		if (l->restarts != bed.world.map.segment->sweep_restarts) {
			life_pass_begin(l);
			return;
		}
		bed_backend_new(&bed, (uint32_t)l->gone);
		l->gone = BED_NONE;
	}
}

static void
life_mishap(struct life *l)
{
	switch (pick(l, 12)) {
	case 0:
		tiara_card_twin_reset(bed.twin);
		l->faults = true;
		break;
	case 1:
		bed_restart(&bed);
		l->faults = true;
		break;
	case 2:
		l->silent = !l->silent;
		tiara_card_twin_silence(bed.twin, l->silent);
		break;
	case 3:
	case 4:
		bed_shuffle(&bed, pick(l, 1 << 30));
		break;
	default:
		life_backend(l);
		break;
	}
}

static void
life_step(struct life *l)
{
	uint32_t what = pick(l, 100);

	if (what < 72)
		life_packet(l);
	else if (what < 82)
		bed_turn(&bed, 2000000);
	else if (what < 92)
		bed_ticks(&bed, 1);
	else
		life_mishap(l);
	bed_check(&bed);
}

/* Over a link without faults all that was begun comes to its end. */
static void
life_end(struct life *l)
{
	tiara_card_twin_silence(bed.twin, false);
	tiara_card_twin_calm(bed.twin, true);
	bed_ticks(&bed, 60);
	bed_check(&bed);
	for (uint32_t i = 0; i < BED_CLIENTS; i++)
		CHECK(!bed_find(&bed, i).slot && !in_card(i));
	for (uint32_t i = 0; i < bed.offload->mirror.slot_cnt; i++)
		CHECK(mirror_get(&bed.offload->mirror, i) == 0);
	if (!l->faults && bed_event(&bed, TIARA_EVENT_CARD_RESET) == 0)
		CHECK(bed_counted(&bed) == bed_sent(&bed));
	CHECK(bed_counted(&bed) <= bed_sent(&bed));
}

struct sums {
	uint64_t forwarded, sent, repeated, expired, reset, full, removed, dropped;
};

static void
life_run(uint64_t seed, struct sums *sums)
{
	struct life l = {.random = seed * 0x9e3779b97f4a7c15u, .gone = BED_NONE};
	/* few slots that all want, or two lines of a harvest */
	struct bed_config config = config_plain(pick(&l, 8) == 0 ? 64 : 2u << pick(&l, 2));

	config.worker_cnt = 1 + pick(&l, 2);
	config.twin.queue_cnt = config.worker_cnt;
	config.twin.seed = seed;
	config.twin.lose = (uint8_t)(pick(&l, 3) * 25);
	config.twin.repeat = (uint8_t)(pick(&l, 3) * 25);
	config.twin.delay = (uint8_t)(pick(&l, 4) * 60);
	bed_open(&bed, &config);
	for (int i = 0; i < 300; i++)
		life_step(&l);
	life_end(&l);
	sums->forwarded += tiara_card_twin_counts(bed.twin).forwarded;
	sums->dropped += tiara_card_twin_counts(bed.twin).dropped;
	sums->sent += bed_sent(&bed);
	sums->repeated += bed_event(&bed, TIARA_EVENT_CARD_REPEATED);
	sums->expired += bed_event(&bed, TIARA_EVENT_CARD_EXPIRED);
	sums->removed += bed_event(&bed, TIARA_EVENT_CARD_REMOVED);
	sums->reset += bed_event(&bed, TIARA_EVENT_CARD_RESET);
	sums->full += bed_event(&bed, TIARA_EVENT_CARD_FULL);
	bed_close(&bed);
}

static uint64_t lived; /* the seed of the life that runs */

/* A check that fails ends the program. */
static void
tell_seed(void)
{
	if (lived != 0)
		fprintf(stderr, "in the life of seed %" PRIu64 "\n", lived);
}

static void
test_lives(uint64_t runs, uint64_t first)
{
	struct sums s = {0};

	for (uint64_t seed = first; seed < first + runs; seed++) {
		lived = seed;
		life_run(seed, &s);
	}
	lived = 0;
	printf("%" PRIu64 " lives: %" PRIu64 " of %" PRIu64 " packets by the card, %" PRIu64
	       " removals, %" PRIu64 " repeated, %" PRIu64 " expired, %" PRIu64 " resets, %" PRIu64
	       " times full, %" PRIu64 " commands dropped\n",
	       runs, s.forwarded, s.sent, s.removed, s.repeated, s.expired, s.reset, s.full,
	       s.dropped);
	CHECK(s.forwarded > runs * 5 && s.removed > runs && s.repeated > runs / 4 &&
	      s.expired > runs / 4 && s.full > runs / 4 && s.dropped > runs / 4);
}

int
main(int argc, char **argv)
{
	uint64_t runs = argc > 1 ? strtoull(argv[1], NULL, 10) : 3000;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

	atexit(tell_seed);
	test_moves_up();
	test_same_bytes();
	test_comes_down();
	test_waits_for_answer();
	test_harvest_keeps();
	test_silent_card();
	test_reset(8);
	test_reset(8192); /* a mirror that is cleared in parts */
	test_totals_of_an_unknown_life();
	test_restart();
	test_full();
	test_service_without_a_line();
	test_backend_gone();
	test_udp_backend_down();
	test_overtaken();
	test_due_waits_for_harvest();
	test_answer_of_an_earlier_life();
	test_card_taken_away();
	test_ending();
	test_lives(runs, first);
	return 0;
}
