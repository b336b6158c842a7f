/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between two steps of a lock-free algorithm. Nothing, unless a test includes the .c file with a
 * TIARA_STEP of its own, which yields, is killed, or lets somebody else act there (tests/race).
 */
#ifndef TIARA_STEP
#define TIARA_STEP(n)
#endif
