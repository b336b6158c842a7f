// SPDX-License-Identifier: Apache-2.0
// Drives tiara_back: memory behind AXI (latency, order, refresh, errors) and streams with gaps. Says what
// happened, a line each, and judges nothing. Words come from standard input; see main.

#include "Vtiara_back.h"
#include "verilated.h"

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <vector>

namespace
{

constexpr int PORTS = 4;
constexpr unsigned PORT_SHIFT = 12;
constexpr unsigned PORT_BYTES = 1024;

struct Setup {
	unsigned latency_min = 4, latency_max = 40, reorder = 1, refresh_period = 0,
		 refresh_cycles = 0;
	unsigned ready_pct = 100, valid_pct = 100, error_pct = 0, starve = 0;
} setup;

struct Read {
	uint32_t id, addr, beat;
	uint64_t due;
};

struct Request {
	uint32_t name, bucket_1, bucket_2, reason;
	uint64_t key;
};

using Command = std::vector<uint32_t>;

std::mt19937_64 draw;
std::unique_ptr<Vtiara_back> top;
uint64_t cycle;
uint8_t memory[PORTS][PORT_BYTES];

bool
chance(unsigned percent)
{
	return draw() % 100 < percent;
}

// ---- memory

struct ReadPort {
	std::deque<Read> waiting;
	int shown = -1; // the read whose beat is offered

	void
	reset()
	{
		*this = ReadPort();
	}
};

ReadPort ports[PORTS];

struct CommandPort {
	bool addressed = false, reading = false, answering = false;
	uint32_t addr = 0, read_addr = 0;
	std::deque<std::vector<uint8_t>> beats; // 32 bytes, 32 strobes
	uint64_t write_due = 0, read_due = 0;
	unsigned len = 0;
	bool bad = false;
} command_port;

bool
refreshing()
{
	return setup.refresh_period && cycle % setup.refresh_period < setup.refresh_cycles;
}

uint64_t
due()
{
	return cycle + setup.latency_min + draw() % (setup.latency_max - setup.latency_min + 1);
}

void
put_beat(int p, const Read &read, bool bad)
{
	const uint8_t *from = &memory[p][(read.addr + 32 * read.beat) % PORT_BYTES];
	memcpy(reinterpret_cast<uint8_t *>(&top->rdata_i[0]) + 32 * p, from, 32);
	top->rid_i = (top->rid_i & ~(7u << 3 * p)) | read.id << 3 * p;
	top->rlast_i = (top->rlast_i & ~(1u << p)) | read.beat << p;
	top->rresp_i = (top->rresp_i & ~(3u << 2 * p)) | (bad ? 2u : 0u) << 2 * p;
}

// What the memory offers in this cycle. Beats of two reads may come in turns, those of one ID never do.
void
offer_read(int p)
{
	ReadPort &port = ports[p];
	top->arready_i = (top->arready_i & ~(1u << p)) | (!refreshing() && chance(90)) << p;
	port.shown = -1;
	std::vector<int> ready;
	for (size_t i = 0; i < port.waiting.size(); i++) {
		if (port.waiting[i].due <= cycle)
			ready.push_back(static_cast<int>(i));
		if (!setup.reorder)
			break;
	}
	if (!refreshing() && !ready.empty())
		port.shown = ready[draw() % ready.size()];
	top->rvalid_i = (top->rvalid_i & ~(1u << p)) | (port.shown >= 0) << p;
	if (port.shown >= 0) {
		bool bad = chance(setup.error_pct);
		if (bad)
			printf("e %d %" PRIu64 "\n", p, cycle);
		put_beat(p, port.waiting[port.shown], bad);
	}
}

void
take_read(int p)
{
	ReadPort &port = ports[p];
	if (port.shown >= 0 && port.waiting[port.shown].beat++ == 1)
		port.waiting.erase(port.waiting.begin() + port.shown);
	if (top->arvalid_o >> p & top->arready_i >> p & 1) {
		uint32_t addr = top->araddr_o >> 10 * p & 1023, id = top->arid_o >> 3 * p & 7;
		if (addr % 64 || top->arlen_o != 1 || top->arsize_o != 5 || top->arburst_o != 1)
			printf("bad read of %u\n", addr);
		for (const Read &read : port.waiting)
			if (read.id == id)
				printf("bad ID %u is in use\n", id);
		port.waiting.push_back({id, addr, 0, due()});
		if (port.waiting.size() == 6)
			printf("full %d\n", p);
	}
}

uint8_t *
at(uint32_t addr)
{
	if ((addr & ((1 << PORT_SHIFT) - 1)) >= PORT_BYTES || addr >> PORT_SHIFT >= PORTS) {
		printf("bad address %u\n", addr);
		return memory[0];
	}
	return &memory[addr >> PORT_SHIFT][addr & ((1 << PORT_SHIFT) - 1)];
}

void
offer_command()
{
	CommandPort &port = command_port;
	top->c_awready_i = !port.addressed && !port.answering && chance(60);
	top->c_wready_i = chance(60);
	top->c_arready_i = !port.reading && chance(60);
	top->c_bvalid_i = port.answering && port.write_due <= cycle && !refreshing();
	top->c_bresp_i = port.bad ? 2 : 0;
	top->c_rvalid_i = port.reading && port.read_due <= cycle && !refreshing();
	if (top->c_rvalid_i) {
		bool bad = chance(setup.error_pct);
		top->c_rresp_i = bad ? 2 : 0;
		memcpy(&top->c_rdata_i[0], at(port.read_addr), 32);
	}
}

void
write_all(CommandPort &port)
{
	port.bad = chance(setup.error_pct);
	for (size_t i = 0; i < port.beats.size() && !port.bad; i++) {
		uint8_t *to = at(port.addr + 32 * static_cast<uint32_t>(i));
		for (int k = 0; k < 32; k++)
			if (port.beats[i][32 + k])
				to[k] = port.beats[i][k];
		if (port.len == 0)
			printf("w %u %" PRIu64 "\n", port.addr, cycle);
	}
	port.beats.clear();
	port.addressed = false;
	port.answering = true;
	port.write_due = due();
}

void
take_command()
{
	CommandPort &port = command_port;
	if (top->c_bvalid_i && top->c_bready_o)
		port.answering = false;
	if (top->c_rvalid_i && top->c_rready_o)
		port.reading = false;
	if (top->c_awvalid_o && top->c_awready_i) {
		port.addressed = true;
		port.addr = top->c_awaddr_o;
		port.len = top->c_awlen_o;
	}
	if (top->c_wvalid_o && top->c_wready_i) {
		std::vector<uint8_t> beat(64);
		memcpy(beat.data(), &top->c_wdata_o[0], 32);
		for (int k = 0; k < 32; k++)
			beat[32 + k] = top->c_wstrb_o >> k & 1;
		port.beats.push_back(beat);
	}
	if (port.addressed && !port.beats.empty() && port.beats.size() == port.len + 1u)
		write_all(port);
	if (top->c_arvalid_o && top->c_arready_i) {
		port.reading = true;
		port.read_addr = top->c_araddr_o;
		port.read_due = due();
	}
}

// ---- streams

std::deque<Request> requests;
std::deque<Command> commands;
uint64_t begun, ended;
bool request_held, command_held;

void
offer_streams()
{
	request_held = !requests.empty() && (request_held || chance(setup.valid_pct));
	top->request_valid_i = request_held;
	if (request_held) {
		const Request &one = requests.front();
		top->request_key_i = one.key;
		top->request_bucket_1_i = one.bucket_1;
		top->request_bucket_2_i = one.bucket_2;
		top->request_reason_i = one.reason;
		top->request_name_i = one.name;
	}
	command_held = !commands.empty() && (command_held || chance(setup.valid_pct));
	top->cmd_valid_i = command_held;
	if (command_held)
		memcpy(&top->cmd_data_i[0], commands.front().data(), 32);
	top->result_ready_i = setup.starve ? 0 : chance(setup.ready_pct);
	top->ans_ready_i = chance(setup.ready_pct);
}

void
take_streams()
{
	if (top->request_valid_i && top->request_ready_o) {
		printf("l %u %" PRIu64 "\n", requests.front().name, cycle);
		requests.pop_front();
		request_held = false;
		begun++;
	}
	if (top->cmd_valid_i && top->cmd_ready_o) {
		printf("c %" PRIu64 "\n", cycle);
		commands.pop_front();
		command_held = false;
	}
	if (top->result_valid_o && top->result_ready_i) {
		bool kept = top->result_key_o[2] == ~top->result_key_o[0] &&
			    top->result_key_o[3] == ~top->result_key_o[1];
		printf("r %u %u %u %u %u %" PRIu64 "%s\n", top->result_name_o, top->result_hit_o,
		       top->result_reason_o, top->result_slot_o, top->result_line_o, cycle,
		       kept ? "" : " bad key");
		ended++;
	}
	if (top->ans_valid_o && top->ans_ready_i) {
		printf("a ");
		for (int i = 0; i < 32; i++)
			printf("%02x", reinterpret_cast<const uint8_t *>(&top->ans_data_o[0])[i]);
		printf(" %" PRIu64 "\n", cycle);
	}
	if (top->dropped_o)
		printf("d %" PRIu64 "\n", cycle);
	if (top->total_done_o)
		printf("t %" PRIu64 " %" PRIu64 "\n", top->total_pkts_o, top->total_bytes_o);
}

// Inputs change after the falling edge; what they meet before the rising one counts.
void
step()
{
	for (int p = 0; p < PORTS; p++)
		offer_read(p);
	offer_command();
	offer_streams();
	top->clk_i = 0;
	top->eval();
	if (top->rst_ni) {
		take_streams();
		take_command();
		for (int p = 0; p < PORTS; p++)
			take_read(p);
	}
	bool total_taken = top->total_valid_i && top->total_ready_o;
	top->clk_i = 1;
	top->eval();
	if (total_taken)
		top->total_valid_i = 0;
	cycle++;
}

void
reset(unsigned epoch)
{
	top->rst_ni = 0;
	top->epoch_i = static_cast<uint16_t>(epoch);
	for (ReadPort &port : ports)
		port.reset();
	command_port = CommandPort();
	request_held = command_held = false;
	begun = ended = 0;
	for (int i = 0; i < 3; i++)
		step();
	for (ReadPort &port : ports)
		port.reset();
	command_port = CommandPort();
	top->rst_ni = 1;
}

// Until nothing has happened for a while: commands show no end of their own.
void
idle()
{
	unsigned quiet = 0;
	for (uint64_t end = cycle + 4000000; quiet < 1500 && cycle < end;) {
		size_t waiting = requests.size() + commands.size();
		step();
		bool busy = !top->ready_o || waiting || begun != ended || top->ans_valid_o ||
			    command_port.answering || command_port.reading || top->c_awvalid_o ||
			    top->c_wvalid_o;
		quiet = busy ? 0 : quiet + 1;
	}
	if (quiet < 1500)
		printf("stuck %zu requests, %zu commands\n", requests.size(), commands.size());
}

void
read_total(unsigned idx)
{
	top->total_idx_i = static_cast<uint8_t>(idx);
	top->total_valid_i = 1;
	for (int i = 0; i < 20; i++)
		step();
}

void
queue_command(const char *hex)
{
	Command command(8);
	for (int i = 0; i < 32; i++) {
		unsigned byte = 0;
		sscanf(hex + 2 * i, "%2x", &byte);
		reinterpret_cast<uint8_t *>(command.data())[i] = static_cast<uint8_t>(byte);
	}
	commands.push_back(command);
}

void
obey(const char *line)
{
	Request one{};
	unsigned number = 0;
	uint64_t seed = 0;
	char hex[80];
	Setup s;
	if (sscanf(line, "L %u %" SCNu64 " %u %u %u", &one.name, &one.key, &one.bucket_1,
		   &one.bucket_2, &one.reason) == 5)
		requests.push_back(one);
	else if (sscanf(line, "C %64s", hex) == 1)
		queue_command(hex);
	else if (sscanf(line, "reset %u", &number) == 1)
		reset(number);
	else if (sscanf(line, "total %u", &number) == 1)
		read_total(number);
	else if (sscanf(line, "run %u", &number) == 1)
		for (unsigned i = 0; i < number; i++)
			step();
	else if (sscanf(line, "seed %" SCNu64, &seed) == 1)
		draw.seed(seed);
	else if (sscanf(line, "setup %u %u %u %u %u %u %u %u %u", &s.latency_min, &s.latency_max,
			&s.reorder, &s.refresh_period, &s.refresh_cycles, &s.ready_pct,
			&s.valid_pct, &s.error_pct, &s.starve) == 9)
		setup = s;
	else if (!strncmp(line, "idle", 4))
		idle();
	else if (!strncmp(line, "drop", 4)) { // what is queued is no longer wanted
		requests.clear();
		commands.clear();
	} else
		printf("bad word %s", line);
}

} // namespace

int
main(int argc, char **argv)
{
	Verilated::commandArgs(argc, argv);
	Verilated::randReset(2);
	top = std::make_unique<Vtiara_back>();
	for (auto &port : memory)
		for (uint8_t &byte : port)
			byte = static_cast<uint8_t>(draw());
	char line[256];
	while (fgets(line, sizeof(line), stdin)) {
		if (line[0] == '.') {
			printf(".\n");
			fflush(stdout);
		} else {
			obey(line);
		}
	}
	top->final();
	top.reset(); // before Verilator's own statics go
	return 0;
}
