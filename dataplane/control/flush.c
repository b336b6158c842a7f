/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live connections that go by an operator's word, while workers look up, insert and move.
 *
 * Why no connection that is there from begin to end is missed: an entry goes from where a pass has not
 * been to where it was only by a move, and whoever moves counts it, in `move`, after the new word is
 * there and before the old one is gone. So a pass that sees the same counts before its first bucket and
 * after its last one met every such entry. Otherwise there is another pass, up to FLUSH_PASSES_MAX.
 */
#include "control/internal.h"

#include "table/hash.h"
#include "table/slot.h"

enum { FLUSH_CALL_BUCKETS = 65536, FLUSH_PASSES_MAX = 8, FLUSH_TRIES = 16 };

bool
control_filter_wants(const struct tiara_filter *filter, const struct tiara_handle *handle,
		     const struct tiara_age *age, const union tiara_word *word)
{
	const struct tiara_entry *e = &word->entry;

	if (!tiara_word_live(word) || tiara_entry_expired(age, word) ||
	    word->entry.flags & TIARA_ENTRY_ENDING)
		return false;
	if (filter->state_mask && !(filter->state_mask >> e->state & 1))
		return false;
	if ((e->client_addr ^ filter->client_addr) & filter->client_mask)
		return false;
	if (tiara_tick_age(age->now, e->last_seen) < filter->idle_min_ticks)
		return false;
	if (filter->services && !filter->services[e->service_idx])
		return false;
	return !filter->backends || (e->backend_idx < handle->map.segment->backend_max &&
				     filter->backends[e->backend_idx]);
}

/* Acquire: what a mover did before he counted is seen after. */
static uint64_t
flush_moves(const struct tiara_map *map)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < TIARA_MOVE_STRIPES; i++)
		sum += __atomic_load_n(&map->move[i], __ATOMIC_ACQUIRE);
	return sum;
}

/*
 * What a card may have is ended by a worker, once the card has said that it has it no longer; at the
 * latest in the next pass of the sweep, to which it looks older than any timeout.
 */
static bool
flush_take(struct tiara_handle *handle, const struct tiara_age *age, struct tiara_found *found)
{
	union tiara_word word = found->word;

	if (!(word.entry.flags & TIARA_ENTRY_OFFLOADED))
		return tiara_table_remove(&handle->map, &handle->state->writer, found);
	word.entry.flags |= TIARA_ENTRY_ENDING;
	word.entry.last_seen = (uint16_t)(age->now - TIARA_TIMEOUT_TICKS_MAX - 1);
	return tiara_table_replace(&handle->map, &handle->state->writer, found, &word);
}

/* A worker may touch it between our look and our CAS: then it is looked for again. */
static bool
flush_entry(struct tiara_handle *handle, const struct tiara_filter *filter,
	    const struct tiara_age *age, struct tiara_found found)
{
	uint64_t hash = tiara_hash_inline(found.word.key, handle->map.segment->table_secret);

	for (int i = 0; i < FLUSH_TRIES && found.slot; i++) {
		if (!control_filter_wants(filter, handle, age, &found.word))
			return false;
		if (flush_take(handle, age, &found))
			return true;
		found = tiara_table_find(&handle->map, found.word.key, hash);
	}
	return false;
}

static void
flush_buckets(struct tiara_handle *handle, const struct tiara_filter *filter,
	      struct tiara_flush *flush)
{
	struct tiara_view view = control_view(handle);
	struct tiara_age age = {.view = &view, .now = (uint16_t)tiara_tick_now(&handle->map)};
	uint64_t end = handle->map.bucket_mask + 1;
	uint64_t stop = end - flush->bucket > FLUSH_CALL_BUCKETS
				? flush->bucket + FLUSH_CALL_BUCKETS
				: end;

	for (; flush->bucket < stop; flush->bucket++)
		for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
			struct tiara_entry *slot = &handle->map.bucket[flush->bucket].entry[i];
			struct tiara_found f = {.slot = slot,
						.word = tiara_word_plain(slot_load(slot))};

			if (control_filter_wants(filter, handle, &age, &f.word))
				flush->removed += flush_entry(handle, filter, &age, f);
		}
}

static void
flush_end_pass(const struct tiara_map *map, struct tiara_flush *flush)
{
	uint64_t moves = flush_moves(map);

	flush->passes++;
	flush->complete = moves == flush->moves;
	flush->done = flush->complete || flush->passes == FLUSH_PASSES_MAX;
	flush->moves = moves;
	flush->bucket = 0;
}

enum tiara_status
tiara_connections_flush(struct tiara_handle *handle, const struct tiara_filter *filter,
			struct tiara_flush *flush, struct tiara_error *error)
{
	enum tiara_status status = control_require_writer(handle, error);

	if (status != TIARA_OK || flush->done)
		return status;
	if (flush->bucket > handle->map.bucket_mask)
		return control_error(error, TIARA_INVALID, "bucket",
				     "begin with a zeroed struct tiara_flush");
	if (flush->passes == 0 && flush->bucket == 0)
		flush->moves = flush_moves(&handle->map);
	flush_buckets(handle, filter, flush);
	if (flush->bucket > handle->map.bucket_mask)
		flush_end_pass(&handle->map, flush);
	control_tell_unconfirmed(handle);
	return TIARA_OK;
}
