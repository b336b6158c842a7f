/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <algorithm>

/* What power-up leaves looks as bad as it can: many of the states that the RTL takes for an entry. */
void
Memory::scramble(Chance &chance)
{
	for (MemoryBeat &beat : beats) {
		for (uint8_t &byte : beat.byte)
			byte = static_cast<uint8_t>(chance.next());
		beat.byte[14] = beat.byte[30] = TIARA_STATE_ESTABLISHED;
	}
}

void
MemoryPort::connect(Memory *to, uint64_t at, Chance &chance)
{
	memory = to;
	base = at;
	refresh_phase = chance.next();
}

void
MemoryPort::forget()
{
	reads.clear();
	writes.clear();
	data.clear();
	is_answering = false;
}

uint64_t
MemoryPort::ready_at(const tiara_sim_config &config, Chance &chance, uint64_t cycle)
{
	return cycle + 1 + config.latency_cycles +
	       (config.jitter_cycles ? chance.below(config.jitter_cycles + 1) : 0);
}

void
MemoryPort::read(const tiara_sim_config &config, Chance &chance, uint64_t cycle, uint32_t id,
		 uint64_t addr, uint32_t beat_cnt)
{
	reads.push_back({id, addr, beat_cnt, ready_at(config, chance, cycle)});
	stats.reads++;
	stats.waiting_max = std::max(stats.waiting_max, static_cast<uint32_t>(reads.size()));
}

void
MemoryPort::write(const tiara_sim_config &config, Chance &chance, uint64_t cycle, uint32_t id,
		  uint64_t addr, uint32_t beat_cnt)
{
	writes.push_back({id, addr, beat_cnt, ready_at(config, chance, cycle)});
	stats.writes++;
}

void
MemoryPort::write_data(const MemoryBeat &beat, uint32_t strobes, bool last)
{
	data.push_back({beat, strobes, last});
}

/* The first that may be answered, or by chance a later one that no read of its own ID stands before. */
bool
MemoryPort::pick(const tiara_sim_config &config, Chance &chance, uint64_t cycle,
		 std::size_t *at) const
{
	uint64_t ids[16] = {}; /* seen before, 1024 of them */
	bool found = false;

	for (std::size_t i = 0; i < reads.size(); i++) {
		uint64_t bit = UINT64_C(1) << reads[i].id % 64, &word = ids[reads[i].id / 64 % 16];

		if (!(word & bit) && reads[i].ready <= cycle) {
			if (!found)
				*at = i;
			found = true;
			if (!chance.percent(config.reorder_pct))
				return true;
			*at = i;
		}
		word |= bit;
	}
	return found;
}

bool
MemoryPort::r_valid(const tiara_sim_config &config, Chance &chance, uint64_t cycle)
{
	std::size_t i;

	if (is_answering)
		return true;
	if (config.refresh_every_cycles &&
	    (cycle + refresh_phase) % config.refresh_every_cycles < config.refresh_cycles)
		return false;
	if (!pick(config, chance, cycle, &i))
		return false;
	now = reads[i];
	now_beat = 0;
	is_answering = true;
	reads.erase(reads.begin() + static_cast<long>(i));
	stats.reordered += i > 0;
	return true;
}

uint32_t
MemoryPort::r_id() const
{
	return now.id;
}

bool
MemoryPort::r_last() const
{
	return now_beat + 1 == now.beats;
}

const MemoryBeat &
MemoryPort::r_beat() const
{
	return memory->at(base + now.addr + now_beat * MEMORY_BEAT_BYTES);
}

void
MemoryPort::r_taken()
{
	if (r_last())
		is_answering = false;
	now_beat++;
}

void
MemoryPort::carry_out()
{
	const Burst &burst = writes.front();

	for (uint32_t i = 0; i < burst.beats; i++) {
		MemoryBeat &target = memory->at(base + burst.addr + i * MEMORY_BEAT_BYTES);

		for (int n = 0; n < MEMORY_BEAT_BYTES; n++)
			if (data.front().strobes >> n & 1)
				target.byte[n] = data.front().beat.byte[n];
		data.pop_front();
	}
	write_id = burst.id;
	writes.pop_front();
}

bool
MemoryPort::b_valid(uint64_t cycle)
{
	if (writes.empty() || writes.front().ready > cycle || data.size() < writes.front().beats)
		return false;
	carry_out();
	return true;
}

bool
MemoryPort::is_idle() const
{
	return reads.empty() && writes.empty() && !is_answering;
}
