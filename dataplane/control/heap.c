/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap of immutable blocks. It holds no metadata: what is in use is what the live roots reach
 * (docs/design/0002), found anew for each change and kept in private bits, one a unit.
 */
#include "control/internal.h"

#include <inttypes.h>
#include <string.h>

static uint64_t
heap_units_of(uint64_t bytes)
{
	return (bytes + TIARA_HEAP_UNIT_BYTES - 1) / TIARA_HEAP_UNIT_BYTES;
}

static uint64_t
heap_word_mask(uint64_t word, uint64_t from, uint64_t to)
{
	uint64_t low = from > word * 64 ? from - word * 64 : 0;
	uint64_t high = to < word * 64 + 64 ? to - word * 64 : 64;

	return (high == 64 ? UINT64_MAX : (UINT64_C(1) << high) - 1) & UINT64_MAX << low;
}

static void
heap_set(struct control_state *state, uint64_t from, uint64_t to, bool used)
{
	for (uint64_t word = from / 64; word * 64 < to; word++) {
		uint64_t mask = heap_word_mask(word, from, to);

		if (used)
			state->heap_bits[word] |= mask;
		else
			state->heap_bits[word] &= ~mask;
	}
}

static bool
heap_all_used(const struct control_state *state, uint64_t from, uint64_t to)
{
	for (uint64_t word = from / 64; word * 64 < to; word++) {
		uint64_t mask = heap_word_mask(word, from, to);

		if ((state->heap_bits[word] & mask) != mask)
			return false;
	}
	return true;
}

/* The units of a block; false for one that is not in the heap. */
static bool
heap_span(const struct tiara_handle *handle, uint64_t off, uint64_t bytes, uint64_t *from,
	  uint64_t *to)
{
	const struct tiara_segment *s = handle->map.segment;

	if (off < s->heap_off || bytes == 0 || bytes > s->heap_bytes ||
	    off - s->heap_off > s->heap_bytes - bytes ||
	    (off - s->heap_off) % TIARA_HEAP_UNIT_BYTES)
		return false;
	*from = (off - s->heap_off) / TIARA_HEAP_UNIT_BYTES;
	*to = *from + heap_units_of(bytes);
	return true;
}

static void
heap_mark_block(struct tiara_handle *handle, uint64_t off, uint64_t bytes)
{
	uint64_t from, to;

	if (heap_span(handle, off, bytes, &from, &to))
		heap_set(handle->state, from, to, true);
}

static void
heap_mark_root(struct tiara_handle *handle, const struct tiara_root *root)
{
	const struct tiara_service *service = (const void *)(handle->map.base + root->service_off);

	heap_mark_block(handle, root->service_off, root->service_cnt * sizeof(*service));
	heap_mark_block(handle, root->backend_off,
			root->backend_cnt * sizeof(struct tiara_backend));
	heap_mark_block(handle, root->frontend_off,
			root->frontend_cnt * sizeof(struct tiara_frontend));
	heap_mark_block(handle, root->service_name_off,
			root->service_cnt * sizeof(struct tiara_service_name));
	heap_mark_block(handle, root->backend_name_off,
			root->backend_cnt * sizeof(struct tiara_backend_name));
	for (uint32_t i = 0; i < root->service_cnt; i++) {
		heap_mark_block(handle, service[i].select_off, service[i].select_cnt * UINT64_C(4));
		heap_mark_block(handle, service[i].source_off,
				service[i].source_cnt * sizeof(struct tiara_source));
	}
}

void
control_heap_mark(struct tiara_handle *handle)
{
	struct control_state *state = handle->state;
	uint64_t current = control_generation(handle);
	int32_t worker;

	memset(state->heap_bits, 0, (state->heap_units + 63) / 64 * 8);
	for (uint64_t g = control_oldest(handle, &worker); g <= current; g++)
		if (g)
			heap_mark_root(handle, &handle->map.root[g % TIARA_ROOT_CNT]);
}

uint64_t
control_heap_used_bytes(const struct control_state *state)
{
	uint64_t units = 0;

	for (uint64_t word = 0; word * 64 < state->heap_units; word++)
		units += (uint64_t)__builtin_popcountll(state->heap_bits[word]);
	return units * TIARA_HEAP_UNIT_BYTES;
}

/* The first run of free units, or heap_units. */
static uint64_t
heap_first_fit(const struct control_state *state, uint64_t units)
{
	uint64_t run = 0;

	for (uint64_t i = 0; i < state->heap_units;) {
		uint64_t word = state->heap_bits[i / 64];

		if (i % 64 == 0 && (word == UINT64_MAX || word == 0)) {
			run = word ? 0 : run + 64;
			i += 64;
		} else {
			run = word >> i % 64 & 1 ? 0 : run + 1;
			i++;
		}
		if (run >= units && i - run + units <= state->heap_units)
			return i - run;
	}
	return state->heap_units;
}

enum tiara_status
control_heap_take(struct tiara_handle *handle, uint64_t bytes, uint64_t *off,
		  struct tiara_error *error)
{
	struct control_state *state = handle->state;
	const struct tiara_segment *s = handle->map.segment;
	uint64_t units = heap_units_of(bytes);
	uint64_t from = heap_first_fit(state, units);

	if (from == state->heap_units)
		return control_error(
			error, TIARA_NO_SPACE, "heap_bytes",
			"the change needs %" PRIu64 " more bytes in one piece; %" PRIu64
			" of the heap's %" PRIu64 " are in use; the current generation "
			"goes on serving; start with a new segment and a larger --heap-mb "
			"of tiara-dataplane",
			bytes, control_heap_used_bytes(state), s->heap_bytes);
	heap_set(state, from, from + units, true);
	*off = s->heap_off + from * TIARA_HEAP_UNIT_BYTES;
	return TIARA_OK;
}

void
control_heap_give(struct tiara_handle *handle, uint64_t off, uint64_t bytes)
{
	uint64_t from, to;

	if (heap_span(handle, off, bytes, &from, &to))
		heap_set(handle->state, from, to, false);
}

bool
control_heap_holds(const struct tiara_handle *handle, uint64_t off, uint64_t bytes)
{
	uint64_t from, to;

	return heap_span(handle, off, bytes, &from, &to) && heap_all_used(handle->state, from, to);
}
