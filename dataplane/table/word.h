/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16-byte atomic words: a load, a CAS, two filters over a line of four, and a pause. Load and CAS are
 * sequentially consistent with each other (docs/design/0003 says where that is needed); `at` is
 * 16-byte aligned, `line` 64-byte. Where WORD_LOAD_WRITES is 0 a load never writes, so that it works
 * on a read-only mapping.
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

#if defined(TIARA_WORD_ATOMIC)
#include "word_atomic.h"
#elif defined(__x86_64__) && defined(__AVX2__)
#include "word_x86.h"
#elif defined(__aarch64__) && defined(__ARM_FEATURE_ATOMICS)
#include "word_arm.h"
#else
#error "needs x86-64 with AVX2 or Armv8.1 with LSE: -march=x86-64-v3, -march=armv8.1-a"
#endif

#endif
