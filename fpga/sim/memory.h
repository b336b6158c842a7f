/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One AXI4 port of memory, 256 bits wide: bursts of INCR, read data of different IDs in any order, of one
 * ID in the order of addresses. A write is in memory when it is answered, at the earliest.
 */
#ifndef TIARA_SIM_MEMORY_H
#define TIARA_SIM_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "chance.h"
#include "tiara_sim.h"

enum { MEMORY_BEAT_BYTES = 32 };

struct MemoryBeat {
	uint8_t byte[MEMORY_BEAT_BYTES];
};

/* What is stored, by linear address. */
class Memory
{
	std::vector<MemoryBeat> beats;

      public:
	explicit Memory(uint64_t bytes) : beats(bytes / MEMORY_BEAT_BYTES)
	{
	}

	MemoryBeat &
	at(uint64_t addr)
	{
		return beats[addr / MEMORY_BEAT_BYTES % beats.size()];
	}

	void scramble(Chance &chance);
};

class MemoryPort
{
	struct Burst {
		uint32_t id;
		uint64_t addr;
		uint32_t beats;
		uint64_t ready;
	};
	struct Data {
		MemoryBeat beat;
		uint32_t strobes;
		bool last;
	};
	Memory *memory = nullptr;
	uint64_t base = 0; /* of the port's addresses */
	std::deque<Burst> reads, writes;
	std::deque<Data> data; /* of writes that are not carried out yet */
	Burst now{};           /* the read whose beats go out */
	uint32_t now_beat = 0;
	bool is_answering = false;

	uint64_t refresh_phase = 0;

	uint64_t ready_at(const tiara_sim_config &config, Chance &chance, uint64_t cycle);
	bool pick(const tiara_sim_config &config, Chance &chance, uint64_t cycle,
		  std::size_t *at) const;
	void carry_out();

      public:
	tiara_sim_memory_stats stats{};
	uint32_t write_id = 0; /* of the answer on B */

	void connect(Memory *to, uint64_t at, Chance &chance);
	void forget(); /* what was asked */
	void read(const tiara_sim_config &config, Chance &chance, uint64_t cycle, uint32_t id,
		  uint64_t addr, uint32_t beat_cnt);
	void write(const tiara_sim_config &config, Chance &chance, uint64_t cycle, uint32_t id,
		   uint64_t addr, uint32_t beat_cnt);
	void write_data(const MemoryBeat &beat, uint32_t strobes, bool last);

	/* Whether a beat stands at R in this cycle, and which. It stays until r_taken. */
	bool r_valid(const tiara_sim_config &config, Chance &chance, uint64_t cycle);
	uint32_t r_id() const;
	bool r_last() const;
	const MemoryBeat &r_beat() const;
	void r_taken();

	/* Whether an answer to a write stands at B: the write is carried out then. */
	bool b_valid(uint64_t cycle);

	bool is_idle() const;
};

#endif
