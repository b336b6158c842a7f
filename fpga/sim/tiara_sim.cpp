/* SPDX-License-Identifier: Apache-2.0 */
/* One clock cycle: offer, look who takes what, clock edge. */
#include "tiara_sim.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <new>
#include <vector>

#include "Vtiara_card.h"
#include "chance.h"
#include "memory.h"
#include "signal.h"
#include "streams.h"
#include "tiara/card_regs.h"

enum {
	SIM_PIPES = TIARA_SIM_PIPES, /* these come from fpga/sim/meson.build, as the RTL's own do */
	SIM_PORTS = TIARA_SIM_PORTS, /* of a pipe */
	SIM_ID_BITS = TIARA_SIM_ID_BITS,
	SIM_BUCKET_BITS = TIARA_SIM_BUCKET_BITS,
	SIM_BYTES = 64 << SIM_BUCKET_BITS,
	SIM_PORT_BYTES = SIM_BYTES / SIM_PORTS,
	SIM_ADDRESS_BITS = __builtin_ctz(SIM_PORT_BYTES),
	SIM_RESET_CYCLES = 8,
	SIM_PATIENCE_CYCLES = 1000000,
};

struct SimFrame {
	tiara_sim_frame info;
	std::vector<uint8_t> data;
};

/* The ends of a pipe's streams. */
struct SimPipe {
	FrameSource rx;
	bool rx_offered = false;
	FrameSink tx_sink, cpu_sink;
};

struct tiara_sim {
	tiara_sim_config config;
	Chance chance;
	VerilatedContext context;
	std::unique_ptr<Vtiara_card> top;
	uint64_t cycle = 0;
	bool is_idle = false;

	SimPipe pipe[SIM_PIPES];
	std::deque<SimFrame> left;
	std::deque<tiara_card_command> commands;
	bool command_offered = false;
	std::deque<tiara_card_answer> answers;

	Memory memory{SIM_BYTES};
	MemoryPort port[SIM_PIPES * SIM_PORTS]; /* of lookups */
	MemoryPort command_port;
	bool b_offered = false;

	explicit tiara_sim(const tiara_sim_config &c) : config(c), chance(c.seed)
	{
		context.randReset(2);
		context.randSeed(static_cast<int>(c.seed % 0x7fffffff) + 1);
		top = std::make_unique<Vtiara_card>(&context);
		for (unsigned i = 0; i < SIM_PIPES * SIM_PORTS; i++)
			port[i].connect(&memory, uint64_t{SIM_PORT_BYTES} * (i % SIM_PORTS),
					chance);
		command_port.connect(&memory, 0, chance);
		top->s_axis_rx_tuser = 0;
		signal_set(top->m_axi_rresp, 0, 2 * SIM_PIPES * SIM_PORTS, 0);
		top->m_axi_cmd_rresp = top->m_axi_cmd_bresp = 0;
	}
};

/* ---- streams */

static void
sim_offer_rx(tiara_sim *s, unsigned i)
{
	Vtiara_card *top = s->top.get();
	SimPipe &pipe = s->pipe[i];

	if (!pipe.rx_offered && !pipe.rx.is_empty() && !s->chance.percent(s->config.idle_pct)) {
		StreamBeat beat = pipe.rx.beat();

		signal_bytes_set(top->s_axis_rx_tdata, i * STREAM_BEAT_BYTES, beat.byte,
				 STREAM_BEAT_BYTES);
		signal_set(top->s_axis_rx_tkeep, 64 * i, 32, static_cast<uint32_t>(beat.keep));
		signal_set(top->s_axis_rx_tkeep, 64 * i + 32, 32,
			   static_cast<uint32_t>(beat.keep >> 32));
		signal_set(top->s_axis_rx_tlast, i, 1, beat.last);
		pipe.rx_offered = true;
	}
	signal_set(top->s_axis_rx_tvalid, i, 1, pipe.rx_offered);
}

static void
sim_offer_command(tiara_sim *s)
{
	if (!s->command_offered && !s->commands.empty() && !s->chance.percent(s->config.idle_pct)) {
		signal_bytes_set(s->top->s_axis_cmd_tdata, 0, &s->commands.front(),
				 sizeof(s->commands.front()));
		s->command_offered = true;
	}
	s->top->s_axis_cmd_tvalid = s->command_offered;
}

static void
sim_offer_room(tiara_sim *s, unsigned i)
{
	Vtiara_card *top = s->top.get();

	signal_set(top->m_axis_tx_tready, i, 1, !s->chance.percent(s->config.stall_pct));
	signal_set(top->m_axis_cpu_tready, i, 1,
		   !s->chance.percent(s->config.stall_pct) &&
			   !s->chance.percent(s->config.cpu_stall_pct));
}

template <typename Data, typename Keep>
static StreamBeat
sim_beat(unsigned i, const Data &data, const Keep &keep, uint32_t last)
{
	StreamBeat beat;

	signal_bytes_get(data, i * STREAM_BEAT_BYTES, beat.byte, STREAM_BEAT_BYTES);
	beat.keep = signal_get(keep, 64 * i, 32) |
		    static_cast<uint64_t>(signal_get(keep, 64 * i + 32, 32)) << 32;
	beat.last = last >> i & 1;
	return beat;
}

static void
sim_take_frames(tiara_sim *s, unsigned i)
{
	const Vtiara_card *top = s->top.get();
	SimPipe &pipe = s->pipe[i];
	SimFrame frame = {};

	frame.info.cycle = s->cycle;
	frame.info.pipe = i;
	if (top->m_axis_tx_tvalid >> i & top->m_axis_tx_tready >> i & 1 &&
	    pipe.tx_sink.take(
		    sim_beat(i, top->m_axis_tx_tdata, top->m_axis_tx_tkeep, top->m_axis_tx_tlast),
		    &frame.data)) {
		frame.info.way = TIARA_SIM_TX;
		frame.info.bytes = static_cast<uint32_t>(frame.data.size());
		s->left.push_back(frame);
	}
	if (top->m_axis_cpu_tvalid >> i & top->m_axis_cpu_tready >> i & 1 &&
	    pipe.cpu_sink.take(sim_beat(i, top->m_axis_cpu_tdata, top->m_axis_cpu_tkeep,
					top->m_axis_cpu_tlast),
			       &frame.data)) {
		frame.info.way = TIARA_SIM_CPU;
		frame.info.bytes = static_cast<uint32_t>(frame.data.size());
		signal_bytes_get(top->m_axis_cpu_tuser, i * sizeof(frame.info.meta),
				 &frame.info.meta, sizeof(frame.info.meta));
		s->left.push_back(frame);
	}
}

static void
sim_take_pipe(tiara_sim *s, unsigned i)
{
	SimPipe &pipe = s->pipe[i];

	if (pipe.rx_offered && s->top->s_axis_rx_tready >> i & 1) {
		pipe.rx.taken();
		pipe.rx_offered = false;
	}
	sim_take_frames(s, i);
}

static void
sim_take_messages(tiara_sim *s)
{
	const Vtiara_card *top = s->top.get();

	if (s->command_offered && top->s_axis_cmd_tready) {
		s->commands.pop_front();
		s->command_offered = false;
	}
	if (top->m_axis_ans_tvalid && top->m_axis_ans_tready) {
		tiara_card_answer answer;

		signal_bytes_get(top->m_axis_ans_tdata, 0, &answer, sizeof(answer));
		s->answers.push_back(answer);
	}
}

/* ---- memory */

static void
sim_offer_port(tiara_sim *s, unsigned i)
{
	Vtiara_card *top = s->top.get();
	MemoryPort &port = s->port[i];
	bool r_valid = port.r_valid(s->config, s->chance, s->cycle);

	signal_set(top->m_axi_arready, i, 1, !s->chance.percent(s->config.stall_pct));
	signal_set(top->m_axi_rvalid, i, 1, r_valid);
	if (!r_valid)
		return;
	signal_set(top->m_axi_rid, i * SIM_ID_BITS, SIM_ID_BITS, port.r_id());
	signal_bytes_set(top->m_axi_rdata, i * MEMORY_BEAT_BYTES, port.r_beat().byte,
			 MEMORY_BEAT_BYTES);
	signal_set(top->m_axi_rlast, i, 1, port.r_last());
}

static void
sim_offer_command_port(tiara_sim *s)
{
	Vtiara_card *top = s->top.get();
	MemoryPort &port = s->command_port;

	top->m_axi_cmd_arready = !s->chance.percent(s->config.stall_pct);
	top->m_axi_cmd_awready = !s->chance.percent(s->config.stall_pct);
	top->m_axi_cmd_wready = !s->chance.percent(s->config.stall_pct);
	top->m_axi_cmd_rvalid = port.r_valid(s->config, s->chance, s->cycle);
	if (top->m_axi_cmd_rvalid)
		signal_bytes_set(top->m_axi_cmd_rdata, 0, port.r_beat().byte, MEMORY_BEAT_BYTES);
	if (!s->b_offered)
		s->b_offered = port.b_valid(s->cycle);
	top->m_axi_cmd_bvalid = s->b_offered;
}

static void
sim_take_port(tiara_sim *s, unsigned i)
{
	const Vtiara_card *top = s->top.get();
	MemoryPort &port = s->port[i];

	if (signal_get(top->m_axi_rvalid, i, 1) && signal_get(top->m_axi_rready, i, 1))
		port.r_taken();
	if (signal_get(top->m_axi_arvalid, i, 1) && signal_get(top->m_axi_arready, i, 1))
		port.read(s->config, s->chance, s->cycle,
			  signal_get(top->m_axi_arid, i * SIM_ID_BITS, SIM_ID_BITS),
			  signal_get(top->m_axi_araddr, i * SIM_ADDRESS_BITS, SIM_ADDRESS_BITS),
			  top->m_axi_arlen + 1u);
}

static void
sim_take_command_port(tiara_sim *s)
{
	const Vtiara_card *top = s->top.get();
	MemoryPort &port = s->command_port;

	if (top->m_axi_cmd_rvalid && top->m_axi_cmd_rready)
		port.r_taken();
	if (top->m_axi_cmd_arvalid && top->m_axi_cmd_arready)
		port.read(s->config, s->chance, s->cycle, 0, top->m_axi_cmd_araddr, 1);
	if (s->b_offered && top->m_axi_cmd_bready)
		s->b_offered = false;
	if (top->m_axi_cmd_awvalid && top->m_axi_cmd_awready)
		port.write(s->config, s->chance, s->cycle, 0, top->m_axi_cmd_awaddr,
			   top->m_axi_cmd_awlen + 1u);
	if (top->m_axi_cmd_wvalid && top->m_axi_cmd_wready) {
		MemoryBeat beat;

		signal_bytes_get(top->m_axi_cmd_wdata, 0, beat.byte, MEMORY_BEAT_BYTES);
		port.write_data(beat, top->m_axi_cmd_wstrb, top->m_axi_cmd_wlast);
	}
}

/* ---- a cycle */

static void
sim_offer(tiara_sim *s)
{
	for (unsigned i = 0; i < SIM_PIPES; i++)
		sim_offer_rx(s, i);
	sim_offer_command(s);
	for (unsigned i = 0; i < SIM_PIPES; i++)
		sim_offer_room(s, i);
	s->top->m_axis_ans_tready = !s->chance.percent(s->config.stall_pct);
	for (unsigned i = 0; i < SIM_PIPES * SIM_PORTS; i++)
		sim_offer_port(s, i);
	sim_offer_command_port(s);
}

static void
sim_take(tiara_sim *s)
{
	for (unsigned i = 0; i < SIM_PIPES; i++)
		sim_take_pipe(s, i);
	sim_take_messages(s);
	for (unsigned i = 0; i < SIM_PIPES * SIM_PORTS; i++)
		sim_take_port(s, i);
	sim_take_command_port(s);
}

/* Before the edge outputs follow this cycle's inputs; the edge makes the next cycle's state. */
static void
sim_cycle_begin(tiara_sim *s)
{
	sim_offer(s);
	Verilated::threadContextp(&s->context);
	s->top->clk_i = 0;
	s->top->eval();
	s->is_idle = s->top->idle_o;
	sim_take(s);
}

static void
sim_cycle_end(tiara_sim *s)
{
	s->top->clk_i = 1;
	s->top->eval();
	s->cycle++;
}

static bool
sim_queues_nothing(const tiara_sim *s)
{
	for (const SimPipe &pipe : s->pipe)
		if (!pipe.rx.is_empty())
			return false;
	return s->commands.empty();
}

static bool
sim_has_nothing(const tiara_sim *s)
{
	return s->is_idle && sim_queues_nothing(s) && s->command_port.is_idle() && !s->b_offered;
}

static void
sim_forget_streams(tiara_sim *s)
{
	for (SimPipe &pipe : s->pipe)
		pipe = {};
	s->left.clear();
	s->commands.clear();
	s->command_offered = false;
	s->answers.clear();
}

static void
sim_forget_memory(tiara_sim *s)
{
	for (MemoryPort &port : s->port)
		port.forget();
	s->command_port.forget();
	s->b_offered = false;
	s->memory.scramble(s->chance);
}

/* ---- what is called */

struct tiara_sim *
tiara_sim_create(const struct tiara_sim_config *config)
{
	tiara_sim *s = new (std::nothrow) tiara_sim(*config);

	if (s)
		tiara_sim_reset(s);
	return s;
}

void
tiara_sim_destroy(struct tiara_sim *sim)
{
	if (!sim)
		return;
	Verilated::threadContextp(&sim->context); /* the last one made may be gone */
	sim->top->final();
	delete sim;
}

void
tiara_sim_reset(struct tiara_sim *sim)
{
	sim->top->rst_ni = 0;
	sim->top->s_axil_awvalid = sim->top->s_axil_wvalid = sim->top->s_axil_arvalid = 0;
	for (int i = 0; i < SIM_RESET_CYCLES; i++) {
		sim_forget_streams(sim);
		sim_cycle_begin(sim);
		sim_cycle_end(sim);
	}
	sim_forget_streams(sim);
	sim_forget_memory(sim);
	sim->top->rst_ni = 1;
}

void
tiara_sim_configure(struct tiara_sim *sim, const struct tiara_sim_config *config)
{
	sim->config = *config;
}

int
tiara_sim_rx_pipe(struct tiara_sim *sim, uint32_t pipe, const uint8_t *frame, uint32_t bytes)
{
	if (pipe >= SIM_PIPES || bytes == 0 || bytes > TIARA_SIM_FRAME_BYTES)
		return TIARA_SIM_REFUSED;
	sim->pipe[pipe].rx.push(frame, bytes);
	return TIARA_SIM_OK;
}

int
tiara_sim_rx(struct tiara_sim *sim, const uint8_t *frame, uint32_t bytes)
{
	return tiara_sim_rx_pipe(sim, 0, frame, bytes);
}

bool
tiara_sim_tx(struct tiara_sim *sim, struct tiara_sim_frame *info, uint8_t *frame, uint32_t room)
{
	if (sim->left.empty())
		return false;
	const SimFrame &first = sim->left.front();
	*info = first.info;
	std::memcpy(frame, first.data.data(), std::min<size_t>(room, first.data.size()));
	sim->left.pop_front();
	return true;
}

void
tiara_sim_command(struct tiara_sim *sim, const struct tiara_card_command *command)
{
	sim->commands.push_back(*command);
}

uint32_t
tiara_sim_commands(const struct tiara_sim *sim)
{
	return static_cast<uint32_t>(sim->commands.size());
}

bool
tiara_sim_answer(struct tiara_sim *sim, struct tiara_card_answer *answer)
{
	if (sim->answers.empty())
		return false;
	*answer = sim->answers.front();
	sim->answers.pop_front();
	return true;
}

int
tiara_sim_write_bytes(struct tiara_sim *sim, uint32_t offset, uint32_t value, uint32_t strobes)
{
	Vtiara_card *top = sim->top.get();
	int status = TIARA_SIM_SILENT;

	top->s_axil_awaddr = offset & ((1u << 12) - 1);
	top->s_axil_wdata = value;
	top->s_axil_wstrb = strobes & 15;
	top->s_axil_awvalid = top->s_axil_wvalid = 1;
	top->s_axil_bready = 1;
	for (int i = 0; i < SIM_PATIENCE_CYCLES && status == TIARA_SIM_SILENT; i++) {
		sim_cycle_begin(sim);
		bool taken = top->s_axil_awvalid && top->s_axil_awready;
		if (top->s_axil_bvalid)
			status = top->s_axil_bresp == 0 ? TIARA_SIM_OK : TIARA_SIM_REFUSED;
		sim_cycle_end(sim);
		if (taken)
			top->s_axil_awvalid = top->s_axil_wvalid = 0;
	}
	top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_bready = 0;
	return status;
}

int
tiara_sim_write(struct tiara_sim *sim, uint32_t offset, uint32_t value)
{
	return tiara_sim_write_bytes(sim, offset, value, 15);
}

int
tiara_sim_read(struct tiara_sim *sim, uint32_t offset, uint32_t *value)
{
	Vtiara_card *top = sim->top.get();
	int status = TIARA_SIM_SILENT;

	top->s_axil_araddr = offset & ((1u << 12) - 1);
	top->s_axil_arvalid = 1;
	top->s_axil_rready = 1;
	for (int i = 0; i < SIM_PATIENCE_CYCLES && status == TIARA_SIM_SILENT; i++) {
		sim_cycle_begin(sim);
		bool taken = top->s_axil_arvalid && top->s_axil_arready;
		if (top->s_axil_rvalid) {
			*value = top->s_axil_rdata;
			status = top->s_axil_rresp == 0 ? TIARA_SIM_OK : TIARA_SIM_REFUSED;
		}
		sim_cycle_end(sim);
		if (taken)
			top->s_axil_arvalid = 0;
	}
	top->s_axil_arvalid = top->s_axil_rready = 0;
	return status;
}

void
tiara_sim_step(struct tiara_sim *sim, uint64_t cycles)
{
	for (uint64_t i = 0; i < cycles; i++) {
		sim_cycle_begin(sim);
		sim_cycle_end(sim);
	}
}

bool
tiara_sim_run(struct tiara_sim *sim, uint64_t cycles_max)
{
	bool had_nothing = false; /* what is taken in a cycle is inside in the next one */

	for (uint64_t i = 0; i < cycles_max; i++) {
		sim_cycle_begin(sim);
		sim_cycle_end(sim);
		if (had_nothing && sim_has_nothing(sim))
			return true;
		had_nothing = sim_queues_nothing(sim);
	}
	return false;
}

uint64_t
tiara_sim_cycles(const struct tiara_sim *sim)
{
	return sim->cycle;
}

static void
sim_stats_add(struct tiara_sim_memory_stats *stats, const MemoryPort &port)
{
	stats->reads += port.stats.reads;
	stats->writes += port.stats.writes;
	stats->reordered += port.stats.reordered;
	stats->waiting_max = std::max(stats->waiting_max, port.stats.waiting_max);
}

void
tiara_sim_memory(const struct tiara_sim *sim, struct tiara_sim_memory_stats *stats)
{
	*stats = {};
	for (const MemoryPort &port : sim->port)
		sim_stats_add(stats, port);
	sim_stats_add(stats, sim->command_port);
}

static MemoryBeat &
sim_half(struct tiara_sim *sim, uint32_t bucket, unsigned half)
{
	return sim->memory.at(uint64_t{SIM_PORT_BYTES} * (bucket % SIM_PORTS) +
			      uint64_t{64} * (bucket / SIM_PORTS) + half * MEMORY_BEAT_BYTES);
}

void
tiara_sim_peek(struct tiara_sim *sim, uint32_t bucket, struct tiara_bucket *value)
{
	for (unsigned half = 0; half < 2; half++)
		std::memcpy(reinterpret_cast<uint8_t *>(value) + half * MEMORY_BEAT_BYTES,
			    sim_half(sim, bucket, half).byte, MEMORY_BEAT_BYTES);
}

void
tiara_sim_poke(struct tiara_sim *sim, uint32_t bucket, const struct tiara_bucket *value)
{
	for (unsigned half = 0; half < 2; half++)
		std::memcpy(sim_half(sim, bucket, half).byte,
			    reinterpret_cast<const uint8_t *>(value) + half * MEMORY_BEAT_BYTES,
			    MEMORY_BEAT_BYTES);
}
