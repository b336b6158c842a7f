/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums against plain twins, byte by byte as RFC 1071 says it, on random headers. */
#include "path/wire.h"

#include <stdio.h>
#include <stdlib.h>

enum { WIRE_ROUNDS = 100000, WIRE_WORDS_MAX = 15 };

static uint32_t wire_random_state = 1;

static uint8_t
wire_random(void)
{
	wire_random_state = wire_random_state * 1664525 + 1013904223;
	return (uint8_t)(wire_random_state >> 24);
}

/* Big-endian words, one at a time, carry by carry. Returns the number, not its bytes. */
static uint16_t
wire_plain_checksum(const uint8_t *bytes, size_t cnt)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < cnt; i += 2) {
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
		if (sum > 0xffff)
			sum = sum - 0x10000 + 1;
	}
	return (uint16_t)~sum;
}

static void
wire_check(int right, const char *what, int round)
{
	if (right)
		return;
	fprintf(stderr, "%s differs from its plain twin in round %d\n", what, round);
	exit(1);
}

/* The checksum of a header of any length is the twin's, also when a sum folds twice. */
static void
wire_test_words(int round)
{
	uint8_t header[4 * WIRE_WORDS_MAX];
	uint32_t words = 1 + wire_random() % WIRE_WORDS_MAX;
	uint8_t high = round % 4 == 0 ? 0xff : 0; /* many ones: carries */

	for (uint32_t i = 0; i < 4 * words; i++)
		header[i] = wire_random() | high;
	wire_check(tiara_checksum_words(header, words) ==
			   TIARA_BE16(wire_plain_checksum(header, 4 * words)),
		   "tiara_checksum_words", round);
}

/* A header with its checksum in it sums to 0, and one changed byte is seen. */
static void
wire_test_verify(int round)
{
	uint8_t header[20];
	uint16_t sum;

	for (int i = 0; i < 20; i++)
		header[i] = wire_random();
	memset(header + 10, 0, 2);
	sum = tiara_checksum_words(header, 5);
	memcpy(header + 10, &sum, 2);
	wire_check(tiara_checksum_words(header, 5) == 0, "verification", round);
	header[wire_random() % 20] ^= 0x10;
	wire_check(tiara_checksum_words(header, 5) != 0, "verification of a bad header", round);
}

/* A word changed in place: the updated checksum is the one computed from nothing. */
static void
wire_test_update(int round)
{
	uint8_t message[24];
	uint16_t from, to, sum;

	for (int i = 0; i < 24; i++)
		message[i] = wire_random();
	sum = tiara_checksum_words(message, 6);
	memcpy(&from, message + 4, 2);
	to = (uint16_t)(wire_random() << 8 | wire_random());
	memcpy(message + 4, &to, 2);
	wire_check(tiara_checksum_update(sum, from, to) == tiara_checksum_words(message, 6),
		   "tiara_checksum_update", round);
}

int
main(void)
{
	for (int round = 0; round < WIRE_ROUNDS; round++) {
		wire_test_words(round);
		wire_test_verify(round);
		wire_test_update(round);
	}
	return 0;
}
