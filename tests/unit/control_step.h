/* SPDX-License-Identifier: Apache-2.0 */
/* Forced into each file of control/ by the build of control_kill.c. */
#ifndef TIARA_TESTS_CONTROL_STEP_H
#define TIARA_TESTS_CONTROL_STEP_H

void control_test_step(const char *name);
#define CONTROL_STEP(name) control_test_step(name)

#endif
