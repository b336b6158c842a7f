/* SPDX-License-Identifier: Apache-2.0 */
/* What tiara-dataplane and C tests need beside tiara.h: the mapped segment of a handle. */
#ifndef TIARA_CONTROL_HANDLE_H
#define TIARA_CONTROL_HANDLE_H

#include "table/view.h"

struct tiara_handle;

/* Valid until detach. A reader's is not to be written, and mostly cannot be (segment.c). */
const struct tiara_map *tiara_handle_map(const struct tiara_handle *handle);

#endif
