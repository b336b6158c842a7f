// SPDX-License-Identifier: Apache-2.0
// Runs many frames through tests/fpga/rtl/tiara_front.sv, for tests/fpga/test_rtl_differential.py. One
// command a line on stdin, numbers and bytes in hex with the lowest byte first:
//
//   identity BITS | secret BITS | service LINE BITS | backend LINE BITS
//   frame BYTES | bad BYTES      the latter marked at its end
//   run SEED PAUSE     all frames so far, pausing each stream PAUSE times in 256 cycles
//
// `run` answers with a line for each packet that came out, `tx BYTES` or `cpu BYTES META`, each stream in
// its own order, then `end CYCLES`. An argument names the file for what was covered.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "Vtiara_front.h"
#include "verilated.h"
#include "verilated_cov.h"

namespace
{

constexpr size_t kBeat = 64;
constexpr size_t kLongest = 24 * kBeat; // as tiara_front has it
using Bytes = std::vector<uint8_t>;

struct Frame {
	Bytes bytes;
	bool bad;

	bool
	comes_out() const
	{
		return !bad && bytes.size() <= kLongest;
	}
};

Bytes
from_hex(const std::string &text)
{
	Bytes bytes(text.size() / 2);
	for (size_t i = 0; i < bytes.size(); i++)
		bytes[i] = static_cast<uint8_t>(std::stoul(text.substr(2 * i, 2), nullptr, 16));
	return bytes;
}

void
print_hex(const Bytes &bytes)
{
	for (uint8_t byte : bytes)
		std::printf("%02x", byte);
}

template <class Wide>
void
put(Wide &wide, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < sizeof(wide.m_storage) / 4; i++)
		wide.m_storage[i] = 0;
	for (size_t i = 0; i < count; i++)
		wide.m_storage[i / 4] |= static_cast<uint32_t>(bytes[i]) << 8 * (i % 4);
}

template <class Wide>
void
get(const Wide &wide, size_t count, Bytes &bytes)
{
	for (size_t i = 0; i < count; i++)
		bytes.push_back(static_cast<uint8_t>(wide.m_storage[i / 4] >> 8 * (i % 4)));
}

size_t
kept(uint64_t keep)
{
	return static_cast<size_t>(__builtin_popcountll(keep));
}

class Bench
{
      public:
	Bench()
	{
		top_.rst_ni = 0;
		tick();
		tick();
		top_.rst_ni = 1;
		while (!top_.tables_ready_o)
			tick();
	}

	void
	service(unsigned line, const Bytes &bits)
	{
		put(top_.service_i, bits.data(), bits.size());
		top_.service_line_i = static_cast<uint8_t>(line);
		top_.service_write_i = 1;
		tick();
		top_.service_write_i = 0;
	}

	void
	backend(unsigned line, const Bytes &bits)
	{
		put(top_.backend_i, bits.data(), bits.size());
		top_.backend_line_i = static_cast<uint8_t>(line);
		top_.backend_write_i = 1;
		tick();
		top_.backend_write_i = 0;
	}

	void
	identity(const Bytes &bits)
	{
		put(top_.identity_i, bits.data(), bits.size());
	}
	void
	secret(const Bytes &bits)
	{
		put(top_.secret_i, bits.data(), bits.size());
	}

	uint64_t
	run(const std::vector<Frame> &frames, uint64_t seed, unsigned pause)
	{
		std::mt19937_64 draw(seed);
		auto pauses = [&] { return (draw() & 255) < pause; };
		size_t frame = 0, at = 0, out = 0, wanted = 0;
		bool offered = false;
		uint64_t cycles = 0, last = 0;

		for (const Frame &one : frames)
			wanted += one.comes_out();
		while ((frame < frames.size() || out < wanted) && cycles - last < 100000) {
			if (!offered && frame < frames.size() && !pauses()) {
				offer(frames[frame], at);
				offered = true;
			}
			top_.s_axis_rx_tvalid = offered;
			top_.m_axis_tx_tready = !pauses();
			top_.m_axis_cpu_tready = !pauses();
			top_.lookup_stall_i = pauses();
			top_.eval();
			if (offered && top_.s_axis_rx_tready) {
				offered = false;
				at += kBeat;
				if (at >= frames[frame].bytes.size()) {
					frame++;
					at = 0;
				}
			}
			size_t before = out;
			out += take();
			if (out != before)
				last = cycles;
			tick();
			cycles++;
		}
		top_.s_axis_rx_tvalid = 0;
		return cycles;
	}

      private:
	Vtiara_front top_;
	Bytes tx_, cpu_;

	void
	tick()
	{
		top_.clk_i = 0;
		top_.eval();
		top_.clk_i = 1;
		top_.eval();
		top_.clk_i = 0;
	}

	void
	offer(const Frame &frame, size_t at)
	{
		size_t count = std::min(kBeat, frame.bytes.size() - at);
		put(top_.s_axis_rx_tdata, &frame.bytes[at], count);
		top_.s_axis_rx_tkeep = count == kBeat ? ~0ull : (1ull << count) - 1;
		top_.s_axis_rx_tlast = at + count == frame.bytes.size();
		top_.s_axis_rx_tuser = top_.s_axis_rx_tlast && frame.bad;
	}

	// Beats that both streams hand over in this cycle; how many packets ended.
	size_t
	take()
	{
		size_t ended = 0;
		if (top_.m_axis_tx_tvalid && top_.m_axis_tx_tready) {
			get(top_.m_axis_tx_tdata, kept(top_.m_axis_tx_tkeep), tx_);
			if (top_.m_axis_tx_tlast) {
				std::printf("tx ");
				print_hex(tx_);
				std::printf("\n");
				tx_.clear();
				ended++;
			}
		}
		if (top_.m_axis_cpu_tvalid && top_.m_axis_cpu_tready) {
			get(top_.m_axis_cpu_tdata, kept(top_.m_axis_cpu_tkeep), cpu_);
			if (top_.m_axis_cpu_tlast) {
				Bytes meta;
				get(top_.m_axis_cpu_tuser, 32, meta);
				std::printf("cpu ");
				print_hex(cpu_);
				std::printf(" ");
				print_hex(meta);
				std::printf("\n");
				cpu_.clear();
				ended++;
			}
		}
		return ended;
	}
};

} // namespace

int
main(int argc, char **argv)
{
	Verilated::commandArgs(argc, argv);
	Bench bench;
	std::vector<Frame> frames;

	for (std::string line; std::getline(std::cin, line);) {
		std::istringstream words(line);
		std::string what, one, two;
		words >> what >> one >> two;
		if (what == "identity")
			bench.identity(from_hex(one));
		else if (what == "secret")
			bench.secret(from_hex(one));
		else if (what == "service")
			bench.service(static_cast<unsigned>(std::stoul(one)), from_hex(two));
		else if (what == "backend")
			bench.backend(static_cast<unsigned>(std::stoul(one)), from_hex(two));
		else if (what == "frame" || what == "bad")
			frames.push_back({from_hex(one), what == "bad"});
		else if (what == "run") {
			uint64_t cycles = bench.run(frames, std::stoull(one),
						    static_cast<unsigned>(std::stoul(two)));
			std::printf("end %llu\n", static_cast<unsigned long long>(cycles));
			std::fflush(stdout);
			frames.clear();
		} else
			return 2;
	}
	if (argc > 1) // where the properties that were covered go
		Verilated::threadContextp()->coveragep()->write(argv[1]);
	return 0;
}
