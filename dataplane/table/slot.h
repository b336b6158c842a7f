/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slot's word, apart from its bucket's overflow mark. The mark rides in slot 3, whatever word is
 * there: who reads a word here does not see it, who replaces one carries it over. It is set before
 * the first word of a key is put into the key's second bucket, and never taken back; so a key that
 * is not in its first bucket, whose mark is read after that and not set, is in neither.
 */
#ifndef TIARA_TABLE_SLOT_H
#define TIARA_TABLE_SLOT_H

#include "table.h"
#include "word.h"

#define SLOT_MARK ((uint64_t)TIARA_ENTRY_OVERFLOW << 56)

static inline union tiara_word
slot_load(const struct tiara_entry *slot)
{
	union tiara_word w = {.all = word_load(slot)};

	w.value &= ~SLOT_MARK;
	return w;
}

static inline bool
slot_has_mark(const struct tiara_entry *slot)
{
	union tiara_word w = {.all = word_load(slot)};

	return (w.value & SLOT_MARK) != 0;
}

/* Of 64 bytes, the last 16: the one that carries the mark. */
static inline bool
slot_is_last(const struct tiara_entry *slot)
{
	return ((uintptr_t)slot & (sizeof(struct tiara_bucket) - 1)) == 3 * sizeof(*slot);
}

static inline bool
slot_cas(struct tiara_entry *slot, union tiara_word from, union tiara_word to, uint64_t mark)
{
	from.value |= mark;
	to.value |= mark;
	return word_cas(slot, from.all, to.all);
}

/* Replaces exactly `from`; the mark stays as it is. It is never taken back: two rounds are enough. */
static inline bool
slot_swap(struct tiara_entry *slot, union tiara_word from, union tiara_word to)
{
	bool marked;

	if (!slot_is_last(slot))
		return slot_cas(slot, from, to, 0);
	marked = slot_has_mark(slot);
	if (slot_cas(slot, from, to, marked ? SLOT_MARK : 0))
		return true;
	return !marked && slot_has_mark(slot) && slot_cas(slot, from, to, SLOT_MARK);
}

/*
 * Sequentially consistent: an insert reads it after its claim, another sets it before its own. One
 * byte of a 16-byte word is enough: it is only ever written with the whole word, by word_cas. C says
 * nothing of accesses of two widths, the machines do: x86 loads it after a locked instruction, Arm
 * (ldarb) after an earlier casp's store, whatever their widths and whether or not they overlap.
 */
static inline bool
slot_bucket_marked(const struct tiara_bucket *bucket)
{
	return (__atomic_load_n(&bucket->entry[3].flags, __ATOMIC_SEQ_CST) &
		TIARA_ENTRY_OVERFLOW) != 0;
}

static inline void
slot_mark_bucket(struct tiara_bucket *bucket)
{
	struct tiara_entry *slot = &bucket->entry[3];
	union tiara_word w = {.all = word_load(slot)};

	while (!(w.value & SLOT_MARK)) {
		union tiara_word marked = {.key = w.key, .value = w.value | SLOT_MARK};

		word_cas(slot, w.all, marked.all);
		w.all = word_load(slot);
	}
}

#endif
