/* SPDX-License-Identifier: Apache-2.0 */
/* What was read of a generation: still of that one, or not; and a copy, for scans that outlast it. */
#include "control/internal.h"

#include <stdlib.h>
#include <string.h>

enum { KEEP_TRIES = 100 };

bool
control_view_valid(const struct tiara_handle *handle, const struct tiara_view *view)
{
	if (handle->role == TIARA_ROLE_CONTROLPLANE)
		return true;
	/* What was read of the blocks comes before this load of the generation. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return control_generation(handle) == view->generation;
}

enum tiara_status
control_view_moving(struct tiara_error *error, int tries)
{
	return control_error(error, TIARA_BUSY, "generation",
			     "the configuration changed during each of %d reads; read again",
			     tries);
}

static bool
keep_make(const struct tiara_segment *s, struct control_kept *kept)
{
	*kept = (struct control_kept){
		.service = calloc(s->service_max + UINT64_C(1), sizeof(*kept->service)),
		.backend = calloc(s->backend_max + UINT64_C(1), sizeof(*kept->backend)),
	};
	return kept->service && kept->backend;
}

/* False: it was overwritten while it was copied. */
static bool
keep_copy(const struct tiara_handle *handle, struct control_kept *kept)
{
	const struct tiara_segment *s = handle->map.segment;
	struct tiara_view view = control_view(handle);

	kept->view = view;
	if (view.generation) {
		kept->root = *view.root;
		kept->view.root = &kept->root;
		if (view.service_cnt > s->service_max || view.backend_cnt > s->backend_max)
			return false;
		memcpy(kept->service, view.service, view.service_cnt * sizeof(*kept->service));
		memcpy(kept->backend, view.backend, view.backend_cnt * sizeof(*kept->backend));
	}
	kept->view.service = kept->service;
	kept->view.backend = kept->backend;
	return control_view_valid(handle, &view);
}

enum tiara_status
control_keep(const struct tiara_handle *handle, struct control_kept *kept,
	     struct tiara_error *error)
{
	if (!keep_make(handle->map.segment, kept))
		return control_out_of_memory(error);
	for (int i = 0; i < KEEP_TRIES; i++)
		if (keep_copy(handle, kept))
			return TIARA_OK;
	return control_view_moving(error, KEEP_TRIES);
}

void
control_kept_free(struct control_kept *kept)
{
	free(kept->service);
	free(kept->backend);
}
