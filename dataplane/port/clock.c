/* SPDX-License-Identifier: Apache-2.0 */
#include "port/clock.h"

#include <time.h>

uint64_t
tiara_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

#if defined(__x86_64__)
uint64_t
tiara_clock_tsc(void)
{
	return __builtin_ia32_rdtsc();
}
#elif defined(__aarch64__)
uint64_t
tiara_clock_tsc(void)
{
	uint64_t tsc;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(tsc));
	return tsc;
}
#else
#error "which counter do DPDK's workers run by on this machine?"
#endif
