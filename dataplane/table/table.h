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

/* Who inserts: owner number and a running nonce, private to one thread. */
struct tiara_inserter {
	uint8_t owner;
	uint32_t nonce;
};

static inline uint64_t
tiara_key(tiara_be32 client_addr, tiara_be16 client_port, uint16_t service_idx)
{
	union tiara_word w = {.entry = {.client_addr = client_addr,
					.client_port = client_port,
					.service_idx = service_idx}};
	return w.key;
}

/* True for a live word past its timeout, or whose service is not in use (exact to a tick). */
bool tiara_entry_expired(const struct tiara_age *age, const union tiara_word *word);

/*
 * Burst lookup: hash[i] of key[i] in, found[i] out (expired entries are absent). Prefetches all,
 * then compares. cnt <= TIARA_BURST (path/frame.h) is usual; any is allowed.
 */
void tiara_table_lookup(const struct tiara_map *map, const struct tiara_age *age,
			const uint64_t *key, const uint64_t *hash, uint32_t cnt,
			struct tiara_found *found);

/*
 * Find or insert. `word` is the entry wanted (live state). OK: inserted, found holds it. EXISTS:
 * found holds the live entry that was there or won. FULL: both buckets are full of live entries.
 */
TIARA_MUST_CHECK enum tiara_status tiara_table_insert(const struct tiara_map *map,
						      const struct tiara_age *age,
						      struct tiara_inserter *inserter,
						      uint64_t hash, const union tiara_word *word,
						      struct tiara_found *found);

/* Replaces exactly found->word in its slot; false: someone changed it meanwhile. */
bool tiara_table_replace(struct tiara_found *found, const union tiara_word *word);
/* Removes exactly found->word. */
bool tiara_table_remove(const struct tiara_found *found);

/* ---- sweep ---- */

struct tiara_sweep_counts {
	uint32_t expired;
	uint32_t gone;
	uint32_t tentative;
};

/*
 * Claims and sweeps one slice of TIARA_SWEEP_SLICE_BUCKETS buckets: clears expired entries, entries
 * of services and backends that are not in use in age->view, tentative entries over two ticks old.
 */
enum { TIARA_SWEEP_SLICE_BUCKETS = 256 };
void tiara_sweep_slice_wk(const struct tiara_map *map, const struct tiara_age *age, uint32_t worker,
			  struct tiara_sweep_counts *counts);
uint64_t tiara_sweep_slices_per_pass(const struct tiara_map *map);
/* True when every slice claimed from `from_claimed` on for one whole pass has been finished. */
bool tiara_sweep_passed(const struct tiara_map *map, uint64_t from_claimed);

#endif
