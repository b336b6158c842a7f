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

bool
control_kept_make(struct control_kept *kept, const struct tiara_segment *s)
{
	*kept = (struct control_kept){
		.service = calloc(s->service_max + UINT64_C(1), sizeof(*kept->service)),
		.backend = calloc(s->backend_max + UINT64_C(1), sizeof(*kept->backend)),
		.service_name = calloc(s->service_max + UINT64_C(1), sizeof(*kept->service_name)),
		.backend_name = calloc(s->backend_max + UINT64_C(1), sizeof(*kept->backend_name)),
	};
	return kept->service && kept->backend && kept->service_name && kept->backend_name;
}

static void
keep_blocks(struct control_kept *kept, const struct tiara_view *view)
{
	memcpy(kept->service, view->service, view->service_cnt * sizeof(*kept->service));
	memcpy(kept->backend, view->backend, view->backend_cnt * sizeof(*kept->backend));
	memcpy(kept->service_name, view->base + kept->root.service_name_off,
	       view->service_cnt * sizeof(*kept->service_name));
	memcpy(kept->backend_name, view->base + kept->root.backend_name_off,
	       view->backend_cnt * sizeof(*kept->backend_name));
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
		keep_blocks(kept, &view);
	}
	kept->view.service = kept->service;
	kept->view.backend = kept->backend;
	return control_view_valid(handle, &view);
}

enum tiara_status
control_kept_read(const struct tiara_handle *handle, struct control_kept *kept,
		  struct tiara_error *error)
{
	for (int i = 0; i < KEEP_TRIES; i++)
		if (keep_copy(handle, kept))
			return TIARA_OK;
	return control_view_moving(error, KEEP_TRIES);
}

enum tiara_status
control_keep(const struct tiara_handle *handle, struct control_kept *kept,
	     struct tiara_error *error)
{
	if (!control_kept_make(kept, handle->map.segment))
		return control_out_of_memory(error);
	return control_kept_read(handle, kept, error);
}

void
control_kept_free(struct control_kept *kept)
{
	free(kept->service);
	free(kept->backend);
	free(kept->service_name);
	free(kept->backend_name);
}
