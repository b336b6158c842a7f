/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection table (docs/design/0003). Lock-free: any worker and the control plane may call any
 * function here at any time. No allocation, no system call.
 */
#ifndef TIARA_TABLE_TABLE_H
#define TIARA_TABLE_TABLE_H

#include <stdbool.h>

#include "tiara/layout.h"
#include "tiara/status.h"
#include "view.h"

/* An entry by value: two 64-bit halves of the 16-byte word. */
union tiara_word {
	struct tiara_entry entry;
	struct tiara_tentative tentative;
	struct {
		uint64_t key;   /* first half */
		uint64_t value; /* second half */
	};
	unsigned __int128 all;
} __attribute__((aligned(16)));

/* What tells a live entry from an expired one and a wanted one from a dead one. By value, per burst. */
struct tiara_age {
	const struct tiara_view *view;
	uint16_t now; /* tick's low 16 bits */
};

/* Where an entry was found and what it held then. slot NULL: absent. */
struct tiara_found {
	struct tiara_entry *slot;
	union tiara_word word;
};

/* By its parts: a wide load of what narrow stores have just written waits for them. */
static inline void
tiara_found_set(struct tiara_found *found, struct tiara_entry *slot, union tiara_word word)
{
	found->slot = slot;
	found->word.key = word.key;
	found->word.value = word.value;
}

/* Who changes entries. Private to one thread; no two living threads have one owner number. */
struct tiara_writer {
	uint8_t owner;       /* worker number or TIARA_OWNER_CONTROL */
	uint16_t search_max; /* buckets whose entries an insert thinks of moving; 0: none */
	uint32_t nonce;
	uint64_t moved_cnt;     /* entries it moved */
	uint64_t reclaimed_cnt; /* unconfirmed entries it took the place of */
	int64_t unconfirmed; /* made by it less ended by it: summed over all, how many there are */
	struct tiara_flow_counter *backend; /* its counters by backend index, for entries */
	uint32_t backend_cnt;               /* 0: it does not count them */
	bool card; /* OFFLOADED means what it says; false: no card, an earlier process left the mark */
};

enum {
	/* First refusal of 4 million slots at 92.5 % and 96.1 % occupancy (docs/design/0007). */
	TIARA_SEARCH_PATH = 42,
	TIARA_SEARCH_BULK = 170,
};

static inline uint64_t
tiara_key(tiara_be32 client_addr, tiara_be16 client_port, uint16_t service_idx)
{
	union tiara_word w = {.entry = {.client_addr = client_addr,
					.client_port = client_port,
					.service_idx = service_idx}};
	return w.key;
}

/* What a word has only while its entry moves: flags, and the mover in the backend's top byte. */
#define TIARA_WORD_TRANSIT                                                                         \
	((uint64_t)(TIARA_ENTRY_MOVING | TIARA_ENTRY_ARRIVING) << 56 | UINT64_C(0xff000000))

/* The connection that a live word stands for, whether it is moving or not, marked or not. */
static inline union tiara_word
tiara_word_plain(union tiara_word word)
{
	word.value &= ~(TIARA_WORD_TRANSIT | (uint64_t)TIARA_ENTRY_OVERFLOW << 56);
	return word;
}

/* From NEW on: readers see it. */
static inline bool
tiara_word_live(const union tiara_word *word)
{
	return word->entry.state >= TIARA_STATE_NEW;
}

/*
 * Ticks since last_seen, over the 16-bit wrap. Up to 2^14 ticks in the future (a worker that
 * read a newer tick than ours wrote it) are age 0; so an entry of the longest timeout (2^15) has
 * 2^14 ticks in which the sweep must meet it before its age wraps.
 */
static inline uint16_t
tiara_tick_age(uint16_t now, uint16_t last_seen)
{
	uint16_t age = (uint16_t)(now - last_seen);

	return age >= 0xc000 ? 0 : age;
}

/* True for a live word past its timeout, or whose service is not in use (exact to a tick). */
static inline bool
tiara_entry_overdue(const struct tiara_age *age, const union tiara_word *word)
{
	const struct tiara_service *s = &age->view->service[word->entry.service_idx];

	if (word->entry.service_idx >= age->view->service_cnt || s->use != TIARA_USE_ACTIVE)
		return true;
	return tiara_tick_age(age->now, word->entry.last_seen) >
	       s->timeout_ticks[word->entry.state % TIARA_STATE_CNT];
}

/*
 * Overdue, and nobody may be using it: what a card may have, its last_seen says nothing of. Only the
 * worker of its channel ends that (docs/design/0016, R12).
 */
static inline bool
tiara_entry_expired(const struct tiara_age *age, const union tiara_word *word)
{
	return tiara_entry_overdue(age, word) && !(word->entry.flags & TIARA_ENTRY_OFFLOADED);
}

/*
 * Burst lookup: hash[i] of key[i] in, found[i] out (expired entries are absent). Lines are asked for
 * TIARA_TABLE_AHEAD keys ahead; any cnt is allowed.
 */
enum { TIARA_TABLE_AHEAD = 16 };
void tiara_table_lookup(const struct tiara_map *map, const struct tiara_age *age,
			const uint64_t *key, const uint64_t *hash, uint32_t cnt,
			struct tiara_found *found);

/* One key, expired or not: its live word now, or slot NULL. */
struct tiara_found tiara_table_find(const struct tiara_map *map, uint64_t key, uint64_t hash);

/*
 * Find or insert. `word` is the entry wanted (live state, hash is its key's). OK: inserted, found
 * holds it. EXISTS: found holds the live entry that was there or won. FULL: both buckets are full
 * and no moves within the writer's search made room; found->slot is NULL, the key is absent (also the
 * answer, never met, after 2^16 looks at buckets that others keep changing).
 */
TIARA_MUST_CHECK enum tiara_status tiara_table_insert(const struct tiara_map *map,
						      const struct tiara_age *age,
						      struct tiara_writer *writer, uint64_t hash,
						      const union tiara_word *word,
						      struct tiara_found *found);

/* The same for cnt words, in order: status[i] and found[i] are what tiara_table_insert says. */
void tiara_table_insert_burst(const struct tiara_map *map, const struct tiara_age *age,
			      struct tiara_writer *writer, const uint64_t *hash,
			      const union tiara_word *word, uint32_t cnt, struct tiara_found *found,
			      enum tiara_status *status);

/*
 * Replaces exactly found->word by a live word of the same key, and found->word with it; false:
 * someone changed it meanwhile, nothing was done. An entry that is moving is helped to its place
 * first, and found->slot follows it. A touch is this with a newer last_seen.
 */
bool tiara_table_replace(const struct tiara_map *map, struct tiara_writer *writer,
			 struct tiara_found *found, const union tiara_word *word);
/* Removes exactly found->word; as above. */
bool tiara_table_remove(const struct tiara_map *map, struct tiara_writer *writer,
			struct tiara_found *found);

/*
 * Data-plane start, before any worker: where a backend of the current generation has a limit, entries
 * are counted anew. The control plane may push meanwhile.
 */
void tiara_entries_start_ctl(const struct tiara_map *map);

/* ---- sweep ---- */

enum { TIARA_SWEEP_HELD = 64 };

struct tiara_sweep_counts {
	uint32_t expired;
	uint32_t gone;
	uint32_t tentative;
	uint32_t held_cnt; /* entries that a card may have, due to go; more of them wait for a later pass */
	uint64_t held[TIARA_SWEEP_HELD]; /* their keys */
};

/* Data-plane start, before any worker: slices a killed one left half swept count for nothing. */
void tiara_sweep_start_ctl(const struct tiara_map *map);
/*
 * Claims and sweeps one slice of TIARA_SWEEP_SLICE_BUCKETS buckets for the worker that writer->owner
 * is: clears expired entries, entries of services and backends that are not in use in age->view,
 * tentative entries over two ticks old; ends moves that it meets. Adds to *counts. What a card may
 * have stays and is told in `held`; if it names something that is not in use, sweep_restarts changes.
 */
enum { TIARA_SWEEP_SLICE_BUCKETS = 256 };
void tiara_sweep_slice_wk(const struct tiara_map *map, const struct tiara_age *age,
			  struct tiara_writer *writer, struct tiara_sweep_counts *counts);
uint64_t tiara_sweep_slices_per_pass(const struct tiara_map *map);
/*
 * True when every slice claimed from `from_claimed` on (a value read of sweep_claimed) for one whole
 * pass has been finished. Only then compare sweep_restarts with its value at the beginning: if it
 * changed, begin again.
 */
bool tiara_sweep_passed(const struct tiara_map *map, uint64_t from_claimed);

#endif
