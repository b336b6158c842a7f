/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of the protocol's model (tests/fpga/protocol_model.py), step by step, against the engine and the
 * plain card: a step a line on standard input, in the model's words. Each run broke a protocol that lacks
 * one rule; here nothing may break. A step that the engine does not let happen is passed over.
 *
 *   replay_offload BUCKETS
 *
 * Answers with the card's trace: a line for all that reaches the card and all that it answers, its table
 * after each step, and "missed" with an arrival of a message that was never sent.
 */
#include <string.h>

#include "check.h"
#include "offload_bed.h"
#include "path/wire.h"
#include "table/hash.h"

enum { REPLAY_LOOKS = OFFLOAD_PENDING / 64 }; /* turns, until each removal was looked at */

static struct bed bed;
static uint32_t other; /* a third client, of A's channel if there is one */
/* messages of harvests that arrived before the run's own */
static uint32_t harvests, lines, ends;

static uint64_t
hash_of(uint32_t client)
{
	return tiara_hash_inline(bed_key(client), bed.world.map.segment->table_secret);
}

static void
choose_other(void)
{
	other = 2;
	for (uint32_t i = 2; i < BED_CLIENTS; i++)
		if (mirror_channel(hash_of(i)) == mirror_channel(hash_of(0)))
			other = i;
}

static bool
established(uint32_t client)
{
	struct tiara_found f = bed_find(&bed, client);

	return f.slot && f.word.entry.state == TIARA_STATE_ESTABLISHED;
}

/* An offer, a recall or an expiry, wished by a worker. */
static void
wish(uint32_t client, uint32_t worker, bool again, enum offload_wish_kind kind)
{
	if (!bed_find(&bed, client).slot)
		bed_packet(&bed, client, BED_SYN, worker);
	if (kind == OFFLOAD_OFFER && !established(client))
		bed_packet(&bed, client, BED_DATA, worker);
	tiara_offload_wish_wk(&bed.worker[worker], bed_key(client), hash_of(client), kind);
	bed_turn(&bed, again ? 2000000 : 1000);
	for (uint32_t i = 0; i < REPLAY_LOOKS; i++)
		bed_turn(&bed, 1000);
}

static bool
arrives(const char *kind, const char *key, uint32_t nth)
{
	static const struct {
		const char *name;
		enum tiara_card_kind kind;
	} kinds[] = {{"install", TIARA_CARD_KIND_INSTALL},
		     {"remove", TIARA_CARD_KIND_REMOVE},
		     {"harvest", TIARA_CARD_KIND_HARVEST},
		     {"removed", TIARA_CARD_KIND_REMOVED},
		     {"harvested", TIARA_CARD_KIND_HARVESTED}};
	uint64_t about = *key == 'a' ? bed_key(0) : *key == 'b' ? bed_key(1) : 0;
	bool done = false;

	if (strcmp(kind, "harvest") == 0)
		nth += harvests;
	if (strcmp(kind, "harvested") == 0)
		done = tiara_card_twin_deliver(bed.twin, TIARA_CARD_KIND_HARVEST_END, 0,
					       nth + ends);
	if (strcmp(kind, "harvested") == 0)
		nth += lines;

	if (strcmp(kind, "other") == 0)
		done = tiara_card_twin_deliver(bed.twin, TIARA_CARD_KIND_INSTALL, bed_key(other),
					       nth);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, kind) == 0)
			done |= tiara_card_twin_deliver(bed.twin, kinds[i].kind, about, nth);
	bed_turn(&bed, 2000000);
	return done;
}

/* The engine's own harvests go on meanwhile: each is asked and answered. */
static void
timeout_passes(void)
{
	for (int i = 0; i <= BED_ESTABLISHED_TICKS; i++) {
		bed_ticks(&bed, 1);
		while (tiara_card_twin_deliver(bed.twin, TIARA_CARD_KIND_HARVEST, 0, harvests))
			harvests++;
		while (tiara_card_twin_deliver(bed.twin, TIARA_CARD_KIND_HARVESTED, 0, lines))
			lines++;
		while (tiara_card_twin_deliver(bed.twin, TIARA_CARD_KIND_HARVEST_END, 0, ends))
			ends++;
		bed_turn(&bed, 1000);
	}
}

static void
mishap_or_time(const char *step)
{
	if (strcmp(step, "the card resets") == 0)
		tiara_card_twin_reset(bed.twin);
	else if (strcmp(step, "the CPU restarts") == 0)
		bed_restart(&bed);
	else if (strcmp(step, "a timeout passes") == 0)
		timeout_passes();
	else if (strcmp(step, "harvest") == 0)
		bed_ticks(&bed, OFFLOAD_HARVEST_TICKS);
	else if (strcmp(step, "expire") == 0 || strcmp(step, "the totals are read") == 0 ||
		 strncmp(step, "forget", 6) == 0)
		bed_ticks(&bed, 1);
	else
		CHECK(!"a step that the model knows");
}

static void
act(const char *step)
{
	uint32_t worker;
	char what[16], key[4];

	if (strcmp(step, "client opens") == 0 || strcmp(step, "SYN again") == 0)
		bed_packet(&bed, 0, BED_SYN, 0);
	else if (strcmp(step, "DATA") == 0)
		bed_packet(&bed, 0, BED_DATA, 0);
	else if (strcmp(step, "DATA of B") == 0)
		bed_packet(&bed, 1, BED_DATA, 1);
	else if (strcmp(step, "FIN") == 0)
		bed_packet(&bed, 0, BED_FIN, 0);
	else if (strcmp(step, "a command of another key") == 0)
		wish(other, 0, false, OFFLOAD_OFFER);
	else if (strcmp(step, "begin to expire") == 0)
		wish(0, 0, false, OFFLOAD_DUE);
	else if (sscanf(step, "worker %u %15s %3s", &worker, what, key) == 3)
		wish(*key == 'b', worker, step[strlen(step) - 1] == 'n' /* again */,
		     strcmp(what, "offers") == 0 ? OFFLOAD_OFFER : OFFLOAD_RECALL);
	else
		mishap_or_time(step);
}

static void
say_node(void)
{
	const struct tiara_node *node = &bed.world.map.segment->node;

	printf("node %u ", TIARA_BE32(node->address));
	for (int i = 0; i < 6; i++)
		printf("%02x", node->port_mac[i]);
	printf("\n");
}

int
main(int argc, char **argv)
{
	struct bed_config config = {.twin = {.bucket_cnt = (uint32_t)atoi(argv[argc - 1]),
					     .backend_lines = BED_BACKENDS,
					     .service_lines = 4,
					     .queue_cnt = BED_WORKERS,
					     .seed = 1,
					     .is_port = true,
					     .held = true,
					     .trace = stdout},
				    .worker_cnt = BED_WORKERS};
	uint32_t shuffles = 1;
	char line[128];

	bed_open(&bed, &config);
	say_node();
	bed_ticks(&bed, 1);
	choose_other();
	while (fgets(line, sizeof(line), stdin)) {
		char kind[16], key[4];
		uint32_t nth;

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "arrives %15s %3s %u", kind, key, &nth) == 3) {
			if (!arrives(kind, key, nth))
				printf("missed %s %s %u\n", kind, key, nth);
		} else {
			act(line);
		}
		bed_check(&bed);
		tiara_card_twin_say_table(bed.twin);
		bed_shuffle(&bed, ++shuffles); /* every new choice is another one */
	}
	bed_packet(&bed, 0, BED_DATA, 0);
	bed_packet(&bed, 0, BED_SYN, 0);
	bed_packet(&bed, 0, BED_DATA, 0);
	bed_check(&bed);
	bed_close(&bed);
	return 0;
}
