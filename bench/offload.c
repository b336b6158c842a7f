/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet path with the offload engine before a card whose queue takes everything: commands go into a
 * ring of 4096 places in memory that nobody empties. Prints one JSON row a line.
 *
 * Usage: offload SEGMENT-PATH CONNECTIONS l2|ipip|vxlan REPEATS
 *
 * A connection's first packet makes its entry, its second one confirms it: that is the decision, and
 * its INSTALL is posted before the burst ends. Each connection must be posted once, but for those whose
 * eight slots are taken, in its channel's order, for its entry's backend, to one of its card's buckets.
 */
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "offload/internal.h"
#include "world.h"

enum {
	OFFLOAD_QUEUE = 4096,
	OFFLOAD_PAGE = 2 << 20,
	OFFLOAD_SAMPLES = 1 << 20,
	OFFLOAD_TWINS = 20, /* one in 2^20 at most has another key's check (offload/mirror.h) */
};

struct bench_card {
	struct tiara_card_command queue[OFFLOAD_QUEUE];
	struct tiara_card_answer answer; /* the harvest's; kind 0: none */
	uint32_t number[TIARA_CARD_CHANNELS];
	uint64_t installs;
	uint64_t wrong; /* not an INSTALL, out of order, or of another life */
	uint16_t epoch;
};

struct bench {
	struct world world; /* first: the port's functions are given its address */
	struct bench_card card;
	struct tiara_card ops;
	double mean_tsc; /* between two packets; 0: as fast as they go */
	double next_tsc;
	uint32_t *sample; /* tsc from a burst's begin to the post of an INSTALL; NULL: not asked */
	uint32_t samples;
	uint64_t full_before;
};

/* ---- the card ---- */

static void
card_take(struct bench_card *card, const struct tiara_card_command *c)
{
	uint32_t *number = &card->number[c->channel % TIARA_CARD_CHANNELS];

	card->wrong += c->number != ++*number || c->epoch != card->epoch;
	if (c->kind == TIARA_CARD_KIND_HARVEST) {
		card->answer = (struct tiara_card_answer){.kind = TIARA_CARD_KIND_HARVEST_END,
							  .epoch = c->epoch,
							  .number = c->number,
							  .harvest = c->harvest};
		return;
	}
	card->wrong += c->kind != TIARA_CARD_KIND_INSTALL;
	card->queue[card->installs++ % OFFLOAD_QUEUE] = *c;
}

static uint32_t
card_post(void *self, uint32_t queue, const struct tiara_card_command *command, uint32_t cnt)
{
	struct bench *b = self;
	uint64_t took, before = b->card.installs;

	(void)queue;
	for (uint32_t i = 0; i < cnt; i++)
		card_take(&b->card, &command[i]);
	if (!b->sample)
		return cnt;
	took = __rdtsc() - b->world.worker.tsc;
	for (; before < b->card.installs && b->samples < OFFLOAD_SAMPLES; before++)
		b->sample[b->samples++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
	return cnt;
}

static uint32_t
card_poll(void *self, uint32_t queue, struct tiara_card_answer *answer, uint32_t max)
{
	struct bench *b = self;

	(void)queue;
	if (b->card.answer.kind == 0 || max == 0)
		return 0;
	*answer = b->card.answer;
	b->card.answer.kind = 0;
	return 1;
}

static uint16_t
card_epoch(void *self)
{
	return ((struct bench *)self)->card.epoch;
}

static uint16_t
card_reset(void *self)
{
	struct bench_card *card = &((struct bench *)self)->card;
	uint16_t epoch = (uint16_t)(card->epoch + 1);

	memset(card, 0, sizeof(*card));
	card->epoch = epoch;
	return epoch;
}

static void
card_backend_write(void *self, uint32_t line, const struct tiara_card_backend *backend)
{
	(void)self, (void)line, (void)backend;
}

static bool
card_service_write(void *self, const struct tiara_card_service *service)
{
	(void)self, (void)service;
	return true;
}

static void
card_totals(void *self, enum tiara_card_totals which, uint32_t first, uint32_t cnt,
	    struct tiara_card_total *total)
{
	(void)self, (void)which, (void)first;
	memset(total, 0, cnt * sizeof(*total));
}

static void
offload_open(struct bench *b)
{
	struct world *w = &b->world;
	void *memory;
	size_t bytes;

	b->ops = (struct tiara_card){
		.self = b,
		.name = "takes everything",
		.caps = {.forwards = 1u << TIARA_FORWARD_L2 | 1u << TIARA_FORWARD_IPIP |
				     1u << TIARA_FORWARD_VXLAN,
			 .bucket_cnt = (uint32_t)(w->map.bucket_mask + 1),
			 .service_lines = w->map.segment->service_max,
			 .backend_lines = w->map.segment->backend_max,
			 .queue_cnt = 1},
		.post = card_post,
		.poll = card_poll,
		.epoch = card_epoch,
		.reset = card_reset,
		.backend_write = card_backend_write,
		.service_write = card_service_write,
		.totals = card_totals,
	};
	bytes = (tiara_offload_bytes(&b->ops, &w->map, 1) + OFFLOAD_PAGE - 1) / OFFLOAD_PAGE *
		OFFLOAD_PAGE;
	memory = aligned_alloc(OFFLOAD_PAGE, bytes);
	if (!memory)
		bench_die("memory", "not enough for the engine");
	(void)madvise(memory, bytes,
		      MADV_HUGEPAGE); /* a hint: without, the mirror costs TLB misses */
	memset(memory, 0, bytes);
	w->offload = tiara_offload_init_ctl(memory, &b->ops, &w->map, 1, w->tsc_hz);
}

/* ---- a run ---- */

/* Hands out what is due by now. */
static uint16_t
offload_rx(void *self, struct tiara_frame *frame, uint16_t max)
{
	struct bench *b = self;
	double due;
	uint16_t cnt;

	if (b->mean_tsc == 0)
		return world_rx(&b->world, frame, max);
	due = ((double)__rdtsc() - b->next_tsc) / b->mean_tsc;
	if (due < 0)
		return 0;
	cnt = world_rx(&b->world, frame, due < max ? (uint16_t)due : max);
	b->next_tsc += cnt * b->mean_tsc;
	return cnt;
}

static bool
offload_is_ready(const struct bench *b)
{
	const struct tiara_offload *o = b->world.offload;
	uint32_t ready = 0;

	for (uint32_t i = 0; i < o->line_cnt; i++)
		ready += o->line_ready[i];
	return offload_is_clean(&o->seat[0]) && ready == WORLD_SERVICES * WORLD_POOL;
}

/* No connections anywhere, and the card's tables are written. */
static void
offload_begin(struct bench *b)
{
	struct world *w = &b->world;

	memset(w->map.bucket, 0, (w->map.bucket_mask + 1) * sizeof(*w->map.bucket));
	offload_begin_life(&w->worker, card_reset(b));
	while (!offload_is_ready(b))
		for (int i = 0; i < 1000; i++)
			tiara_worker_burst_wk(&w->worker, __rdtsc());
}

/* An entry of the table that the card has, with its command where that is still in the queue. */
static void
offload_check_command(const struct bench *b, const struct tiara_card_command *c)
{
	const struct tiara_map *map = &b->world.map;
	uint64_t key = tiara_key(c->entry.client_addr, c->entry.client_port, c->entry.service_idx);
	uint64_t hash = tiara_hash_inline(key, map->segment->table_secret);
	struct tiara_found f = tiara_table_find(map, key, hash);
	uint64_t bucket = c->slot / TIARA_BUCKET_ENTRIES;

	if (!f.slot || !(f.word.entry.flags & TIARA_ENTRY_OFFLOADED) ||
	    f.word.entry.backend_idx != c->entry.backend_line ||
	    c->channel != mirror_channel(hash) ||
	    (bucket != tiara_hash_bucket_1(hash, map->bucket_mask) &&
	     bucket != tiara_hash_bucket_2(hash, map->bucket_mask)))
		bench_die("card.commands", "a command is not what its connection needs");
}

static void
offload_check(const struct bench *b)
{
	const struct bench_card *card = &b->card;
	uint64_t queued = card->installs < OFFLOAD_QUEUE ? card->installs : OFFLOAD_QUEUE;
	uint64_t full = world_counted(&b->world, TIARA_EVENT_CARD_FULL) - b->full_before;
	uint64_t others = b->world.connections - full - card->installs;

	if (others > b->world.connections >> OFFLOAD_TWINS || card->wrong != 0)
		bench_die("card.commands", "connections were not posted once each, in order");
	for (uint64_t i = 0; i < queued; i++)
		offload_check_command(b, &card->queue[i]);
}

static double
offload_fill(struct bench *b, double *second_s)
{
	double first_s;

	offload_begin(b);
	b->full_before = world_counted(&b->world, TIARA_EVENT_CARD_FULL);
	b->next_tsc = (double)__rdtsc();
	b->samples = 0;
	first_s = world_fill(&b->world, second_s);
	offload_check(b);
	return first_s;
}

static double
offload_rates(struct bench *b, int repeats)
{
	double cnt = (double)b->world.connections, best_s = INFINITY, second_s;
	char share[60];
	double made[BENCH_REPEATS_MAX], both[BENCH_REPEATS_MAX], posted[BENCH_REPEATS_MAX];

	for (int r = 0; r < repeats; r++) {
		double first_s = offload_fill(b, &second_s);

		made[r] = cnt / first_s;
		posted[r] = (double)b->card.installs / second_s;
		both[r] = cnt / (first_s + second_s);
		best_s = first_s + second_s < best_s ? first_s + second_s : best_s;
	}
	bench_row("path.new", world_params(&b->world, "\"measure\": \"entry, with card\""), "1/s",
		  made, repeats);
	bench_row("path.new", world_params(&b->world, "\"measure\": \"entry and post\""), "1/s",
		  both, repeats);
	snprintf(share, sizeof(share), "\"posted_percent\": %.2f",
		 (double)b->card.installs * 100 / cnt);
	bench_row("card.commands", world_params(&b->world, share), "1/s", posted, repeats);
	return 2 * cnt / best_s;
}

static void
offload_decision(struct bench *b, double peak_per_s)
{
	static const int percent[] = {10, 50, 100};
	double second_s;

	b->sample = malloc(OFFLOAD_SAMPLES * sizeof(*b->sample));
	if (!b->sample)
		bench_die("memory", "not enough for the samples");
	for (int i = 0; i < 3; i++) {
		double per_s = peak_per_s * percent[i] / 100;
		char more[80];

		b->mean_tsc = percent[i] == 100 ? 0 : (double)b->world.tsc_hz / per_s;
		offload_fill(b, &second_s);
		snprintf(more, sizeof(more), "\"percent_of_peak\": %d, \"per_s\": %.0f", percent[i],
			 per_s);
		bench_row_tail("card.decision", world_params(&b->world, more), b->sample,
			       b->samples, "ns", 1e9 / (double)b->world.tsc_hz);
	}
}

int
main(int argc, char **argv)
{
	struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~63ul);
	int repeats;

	if (argc != 5 || !b) {
		fprintf(stderr, "usage: offload SEGMENT-PATH CONNECTIONS l2|ipip|vxlan REPEATS\n");
		return 2;
	}
	memset(b, 0, sizeof(*b));
	repeats = bench_repeats(argv[4]);
	world_open(&b->world, argv[1], bench_whole("connections", argv[2]), argv[3]);
	offload_open(b);
	world_start(&b->world, offload_rx, world_tx);
	offload_decision(b, offload_rates(b, repeats));
	return 0;
}
