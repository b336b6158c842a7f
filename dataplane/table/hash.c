/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"

#include "table.h"
#include "tiara/tiara.h"

uint64_t
tiara_hash(uint64_t key, const uint64_t secret[2])
{
	return tiara_hash_inline(key, secret);
}

/* Bits n..n+63 of the secret. */
static uint64_t
hash_window(const uint64_t secret[2], unsigned int n)
{
	return n == 0 ? secret[0] : secret[0] >> n | secret[1] << (64 - n);
}

uint64_t
tiara_hash_plain(uint64_t key, const uint64_t secret[2])
{
	uint64_t t = 0;

	for (unsigned int j = 0; j < 64; j++)
		if (key >> j & 1)
			t ^= hash_window(secret, 63 - j);
	return tiara_hash_fold(t);
}

uint32_t
tiara_select_row(tiara_be32 client_addr, tiara_be16 client_port, const uint64_t secret[2],
		 uint32_t row_cnt)
{
	uint64_t key = tiara_key(client_addr, client_port, 0);

	return tiara_hash_row(tiara_hash_inline(key, secret), row_cnt);
}
