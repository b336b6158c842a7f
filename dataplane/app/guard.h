/* SPDX-License-Identifier: Apache-2.0 */
/* What would go wrong later, said before anything is touched. */
#ifndef TIARA_APP_GUARD_H
#define TIARA_APP_GUARD_H

#include "app/arguments.h"
#include "port/interface.h"
#include "tiara/status.h"

/* Looks at what this process may do and at the interface of --io, which it reads. */
TIARA_MUST_CHECK enum tiara_status tiara_guard_ctl(const struct tiara_arguments *arguments,
						   struct tiara_interface *interface,
						   struct tiara_error *error);
/* What is wrong with the interface is said of the --io that named it; returns error->status. */
TIARA_MUST_CHECK enum tiara_status tiara_guard_fail(const struct tiara_arguments *arguments,
						    const char *why, struct tiara_error *error);

#endif
