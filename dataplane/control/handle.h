/* SPDX-License-Identifier: Apache-2.0 */
/* What tiara-dataplane and C tests need beside tiara.h: the mapped segment of a handle. */
#ifndef TIARA_CONTROL_HANDLE_H
#define TIARA_CONTROL_HANDLE_H

#include <sys/types.h>

#include "table/view.h"
#include "tiara/status.h"

struct tiara_handle;

/* Valid until detach. A reader's is not to be written, and mostly cannot be (segment.c). */
const struct tiara_map *tiara_handle_map(const struct tiara_handle *handle);
/* The group may attach in any role, from now on. IO: the file is not ours to give. */
TIARA_MUST_CHECK enum tiara_status tiara_handle_share_ctl(struct tiara_handle *handle, gid_t group,
							  struct tiara_error *error);

#endif
