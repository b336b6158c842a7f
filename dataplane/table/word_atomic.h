/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word.h by the compiler's builtins: the plain twin of word_x86.h. ThreadSanitizer sees these and
 * does not see the other. May become calls of libatomic, whose load may write, and whose lock, where
 * it has one, is a single process's: this is for tests.
 */
#ifndef TIARA_TABLE_WORD_ATOMIC_H
#define TIARA_TABLE_WORD_ATOMIC_H

enum { WORD_LOAD_WRITES = 1 };

static inline unsigned __int128
word_load(const void *at)
{
	return __atomic_load_n((const unsigned __int128 *)at, __ATOMIC_SEQ_CST);
}

static inline bool
word_cas(void *at, unsigned __int128 from, unsigned __int128 to)
{
	return __atomic_compare_exchange_n((unsigned __int128 *)at, &from, to, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A filter: what it lets through is read again by word_load. An insert looks by it after its claim. */
static inline uint32_t
word_match(const void *line, uint64_t key)
{
	const uint64_t *half = line;
	uint32_t match = 0;

	for (int i = 0; i < 4; i++)
		match |= (uint32_t)(__atomic_load_n(&half[2 * i], __ATOMIC_SEQ_CST) == key) << i;
	return match;
}

static inline uint32_t
word_due(const void *line, uint16_t now, const int32_t limit[8])
{
	const uint64_t *half = line;
	uint32_t due = 0;

	for (int i = 0; i < 4; i++) {
		uint64_t value = __atomic_load_n(&half[2 * i + 1], __ATOMIC_SEQ_CST);
		bool late = (uint16_t)(now - (value >> 32)) > limit[value >> 48 & 7];

		due |= (uint32_t)(late || value >> 58 & 3) << i; /* MOVING, ARRIVING */
	}
	return due;
}

static inline void
word_pause(void)
{
	__asm__ volatile("" ::: "memory");
}

#endif
