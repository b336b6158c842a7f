/* SPDX-License-Identifier: Apache-2.0 */
/* The carry-less product of two 64-bit polynomials, in one instruction. */
#ifndef TIARA_TABLE_CLMUL_H
#define TIARA_TABLE_CLMUL_H

#include <stdint.h>

struct clmul {
	uint64_t low;
	uint64_t high;
};

#ifdef __aarch64__
#include "clmul_arm.h"
#else
#include "clmul_x86.h"
#endif

#endif
