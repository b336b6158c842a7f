/* SPDX-License-Identifier: Apache-2.0 */
/* What is drawn in a simulation: xorshift64*, so that a seed means the same everywhere. */
#ifndef TIARA_SIM_CHANCE_H
#define TIARA_SIM_CHANCE_H

#include <cstdint>

class Chance
{
	uint64_t state;

      public:
	explicit Chance(uint64_t seed) : state(seed * 0x9e3779b97f4a7c15 | 1)
	{
	}

	uint32_t
	next()
	{
		state ^= state >> 12;
		state ^= state << 25;
		state ^= state >> 27;
		return static_cast<uint32_t>(state * 0x2545f4914f6cdd1d >> 32);
	}

	/* 0 .. cnt - 1; cnt not 0. */
	uint32_t
	below(uint32_t cnt)
	{
		return static_cast<uint32_t>(static_cast<uint64_t>(next()) * cnt >> 32);
	}

	bool
	percent(uint32_t pct)
	{
		return pct != 0 && below(100) < pct;
	}
};

#endif
