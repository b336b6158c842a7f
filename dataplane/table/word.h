/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16-byte atomic words: a load, a CAS, two filters over a line of four, and a pause. Load and CAS are
 * sequentially consistent with each other (docs/design/0003 says where that is needed); `at` is
 * 16-byte aligned, `line` 64-byte. A load never writes: it works on a read-only mapping (word_x86.h).
 */
#ifndef TIARA_TABLE_WORD_H
#define TIARA_TABLE_WORD_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define TIARA_WORD_ATOMIC 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TIARA_WORD_ATOMIC 1
#endif
#endif
#if !defined(__x86_64__) || !defined(__AVX2__)
#define TIARA_WORD_ATOMIC 1
#endif

#ifdef TIARA_WORD_ATOMIC
#include "word_atomic.h"
#else
#include "word_x86.h"
#endif

#endif
