/* SPDX-License-Identifier: Apache-2.0 */
/* How full the table is, from a few of its buckets: keys are hashed, so any choice of them will do. */
#include "control/internal.h"

#include "table/slot.h"

static uint64_t
sample_bucket(const struct tiara_handle *handle, uint64_t bucket)
{
	uint64_t used = 0;

	for (int i = 0; i < TIARA_BUCKET_ENTRIES; i++) {
		union tiara_word word = tiara_word_plain(
			slot_load(&handle->map.bucket[bucket].entry[i]));

		used += tiara_word_live(&word);
	}
	return used;
}

enum tiara_status
tiara_table_sample(struct tiara_handle *handle, uint64_t first, uint64_t buckets,
		   struct tiara_sample *sample, struct tiara_error *error)
{
	uint64_t all = handle->map.bucket_mask + 1;
	uint64_t cnt = buckets < all ? buckets : all;

	if (!buckets)
		return control_error(error, TIARA_INVALID, "buckets", "must be at least 1");
	*sample = (struct tiara_sample){.slots = cnt * TIARA_BUCKET_ENTRIES};
	for (uint64_t i = 0; i < cnt; i++)
		sample->used += sample_bucket(handle,
					      (first + i * (all / cnt)) & handle->map.bucket_mask);
	return TIARA_OK;
}
