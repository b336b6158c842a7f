/* SPDX-License-Identifier: Apache-2.0 */
/* What the start needs and serving does not is given up, by every thread (docs/design/0012). */
#ifndef TIARA_APP_PRIVILEGE_H
#define TIARA_APP_PRIVILEGE_H

#include "app/arguments.h"
#include "tiara/status.h"

/* No program that this process executes gets more than it has. Before any thread is made. */
void tiara_privilege_seal_ctl(void);
/* After everything is open and all threads run. IO: nothing may be served, some thread still has it. */
TIARA_MUST_CHECK enum tiara_status tiara_privilege_drop_ctl(const struct tiara_arguments *arguments,
							    struct tiara_error *error);

#endif
