/* SPDX-License-Identifier: Apache-2.0 */
/* Bits of Verilator's signals, whatever type their width has given them. */
#ifndef TIARA_SIM_SIGNAL_H
#define TIARA_SIM_SIGNAL_H

#include <cstdint>
#include <cstring>

#include "verilated.h"

/* Bits first .. first + cnt - 1 as a number; cnt at most 32. */
template <typename T>
static inline uint32_t
signal_get(const T &signal, unsigned first, unsigned cnt)
{
	uint64_t mask = (UINT64_C(1) << cnt) - 1;

	return static_cast<uint32_t>(static_cast<uint64_t>(signal) >> first & mask);
}

template <std::size_t Words>
static inline uint32_t
signal_get(const VlWide<Words> &signal, unsigned first, unsigned cnt)
{
	uint64_t mask = (UINT64_C(1) << cnt) - 1;
	uint64_t both = signal.at(first / 32);

	if (first / 32 + 1 < Words)
		both |= static_cast<uint64_t>(signal.at(first / 32 + 1)) << 32;
	return static_cast<uint32_t>(both >> first % 32 & mask);
}

template <typename T>
static inline void
signal_set(T &signal, unsigned first, unsigned cnt, uint32_t value)
{
	uint64_t mask = ((UINT64_C(1) << cnt) - 1) << first;

	signal = static_cast<T>((static_cast<uint64_t>(signal) & ~mask) |
				(static_cast<uint64_t>(value) << first & mask));
}

template <std::size_t Words>
static inline void
signal_set(VlWide<Words> &signal, unsigned first, unsigned cnt, uint32_t value)
{
	for (unsigned at = first; at < first + cnt;) {
		unsigned low = at % 32;
		unsigned n = cnt - (at - first) < 32 - low ? cnt - (at - first) : 32 - low;
		uint32_t mask = static_cast<uint32_t>(((UINT64_C(1) << n) - 1) << low);

		signal.at(at / 32) = (signal.at(at / 32) & ~mask) |
				     ((value >> (at - first)) << low & mask);
		at += n;
	}
}

/* Whole words of a wide signal as bytes, the lowest first. The host is little-endian, as layout.h is. */
template <std::size_t Words>
static inline void
signal_bytes_get(const VlWide<Words> &signal, unsigned first_byte, void *out, unsigned bytes)
{
	std::memcpy(out, reinterpret_cast<const uint8_t *>(signal.data()) + first_byte, bytes);
}

template <std::size_t Words>
static inline void
signal_bytes_set(VlWide<Words> &signal, unsigned first_byte, const void *in, unsigned bytes)
{
	std::memcpy(reinterpret_cast<uint8_t *>(signal.data()) + first_byte, in, bytes);
}

#endif
