/* SPDX-License-Identifier: Apache-2.0 */
/* What a fuzz target reads its input with. Past its end everything is 0. */
#ifndef TIARA_TESTS_FUZZ_H
#define TIARA_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Always on: libFuzzer keeps the input that made it untrue. */
#define FUZZ_CHECK(cond)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct fuzz_input {
	const uint8_t *at;
	size_t bytes;
};

static inline uint8_t
fuzz_byte(struct fuzz_input *in)
{
	if (in->bytes == 0)
		return 0;
	in->bytes--;
	return *in->at++;
}

static inline uint16_t
fuzz_word(struct fuzz_input *in)
{
	uint8_t low = fuzz_byte(in);

	return (uint16_t)(low | fuzz_byte(in) << 8);
}

/* The next cnt bytes, or those that are left, as an input of their own. */
static inline struct fuzz_input
fuzz_part(struct fuzz_input *in, size_t cnt)
{
	struct fuzz_input part = {in->at, cnt < in->bytes ? cnt : in->bytes};

	in->at += part.bytes;
	in->bytes -= part.bytes;
	return part;
}

/* libFuzzer calls these. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
