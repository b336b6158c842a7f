/* SPDX-License-Identifier: Apache-2.0 */
/* The segment as the command line wants it: made with those sizes, or adopted if they fit. */
#ifndef TIARA_APP_ROOM_H
#define TIARA_APP_ROOM_H

#include "app/arguments.h"
#include "tiara/tiara.h"

/* Says in one line what it got. BUSY: another data plane has it. INVALID: it has other sizes. */
TIARA_MUST_CHECK enum tiara_status tiara_room_open_ctl(const struct tiara_arguments *arguments,
						       struct tiara_handle **handle,
						       struct tiara_error *error);

#endif
