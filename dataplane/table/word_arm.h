/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word.h for Armv8.1 (LSE). The sequences are those of Arm's C/C++ Atomics ABI (atomicsabi64) for a
 * 128-bit sequentially consistent load and compare-exchange; docs/design/0003, "Arm", has the reasons.
 * casp takes pairs of registers that begin at an even one: they are named here.
 */
#ifndef TIARA_TABLE_WORD_ARM_H
#define TIARA_TABLE_WORD_ARM_H

#include <arm_neon.h>

#ifdef TIARA_ARM_LSE2
enum { WORD_LOAD_WRITES = 0 };

/*
 * ldp of 16 aligned bytes is one access with LSE2. ldar before it: an earlier casp's store comes
 * first. dmb after it: what is read or written next comes later. A core without LSE2 runs this all
 * the same, and tears it: control/machine.c refuses to start there.
 */
static inline unsigned __int128
word_load(const void *at)
{
	uint64_t low, high;

	__asm__ volatile("ldar %0, %2\n\tldp %0, %1, %2\n\tdmb ishld"
			 : "=&r"(low), "=&r"(high)
			 : "Q"(*(const unsigned __int128 *)at)
			 : "memory");
	return (unsigned __int128)high << 64 | low;
}
#else
enum { WORD_LOAD_WRITES = 1 };

/* Without LSE2 only casp reads 16 bytes at once: it puts 0 where 0 is, but it needs to be able to. */
static inline unsigned __int128
word_load(const void *at)
{
	register uint64_t low __asm__("x0") = 0;
	register uint64_t high __asm__("x1") = 0;

	__asm__ volatile("caspa %0, %1, %0, %1, %2"
			 : "+r"(low), "+r"(high), "+Q"(*(unsigned __int128 *)(uintptr_t)at)
			 :
			 : "memory");
	return (unsigned __int128)high << 64 | low;
}
#endif

static inline bool
word_cas(void *at, unsigned __int128 from, unsigned __int128 to)
{
	register uint64_t low __asm__("x0") = (uint64_t)from;
	register uint64_t high __asm__("x1") = (uint64_t)(from >> 64);
	register uint64_t to_low __asm__("x2") = (uint64_t)to;
	register uint64_t to_high __asm__("x3") = (uint64_t)(to >> 64);

	__asm__ volatile("caspal %0, %1, %3, %4, %2"
			 : "+r"(low), "+r"(high), "+Q"(*(unsigned __int128 *)at)
			 : "r"(to_low), "r"(to_high)
			 : "memory");
	return low == (uint64_t)from && high == (uint64_t)(from >> 64);
}

/* Plain loads of the line that come next come after our earlier releases, as ldar does in word_load. */
static inline void
word_look(const void *line)
{
	uint64_t first;

	__asm__ volatile("ldar %0, %1" : "=r"(first) : "Q"(*(const uint64_t *)line) : "memory");
}

/*
 * Bit i: word i of the line begins with key. Plain loads, each key for itself: a filter. An insert looks
 * by this after its claim. dmb as in word_load.
 */
static inline uint32_t
word_match(const void *line, uint64_t key)
{
	static const uint32_t bit[4] = {1, 2, 4, 8};
	uint64x2_t low, high;
	uint32x4_t equal;

	word_look(line);
	low = vld2q_u64(line).val[0];
	high = vld2q_u64((const uint64_t *)line + 4).val[0];
	__asm__ volatile("dmb ishld" : "+w"(low), "+w"(high)::"memory");
	low = vceqq_u64(low, vdupq_n_u64(key));
	high = vceqq_u64(high, vdupq_n_u64(key));
	equal = vcombine_u32(vmovn_u64(low), vmovn_u64(high));
	return vaddvq_u32(vandq_u32(equal, vld1q_u32(bit)));
}

/* Bit i: word i is older than limit[its state], or between two slots (word_x86.h): a filter. */
static inline uint32_t
word_due(const void *line, uint16_t now, const int32_t limit[8])
{
	const uint64_t *half = line;
	uint32_t due = 0;

	word_look(line); /* a sweep looks after it took the slice */
	for (int i = 0; i < 4; i++) {
		uint64_t value = __atomic_load_n(&half[2 * i + 1], __ATOMIC_RELAXED);
		bool late = (uint16_t)(now - (value >> 32)) > limit[value >> 48 & 7];

		due |= (uint32_t)(late || value >> 58 & 3) << i; /* MOVING, ARRIVING */
	}
	return due;
}

static inline void
word_pause(void)
{
	__asm__ volatile("yield" ::: "memory");
}

#endif
