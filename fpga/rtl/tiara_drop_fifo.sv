// SPDX-License-Identifier: Apache-2.0
// A packet FIFO whose source never waits: a packet for which there may be no room is dropped, all of it.
// See fpga/doc/tiara_drop_fifo.md.

module tiara_drop_fifo #(
  parameter int unsigned Width    = 8,
  parameter int unsigned Depth    = 1024,  // beats
  parameter int unsigned MaxBeats = 152,   // of a packet
  localparam int unsigned PlaceBits = $clog2(Depth)
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             s_valid_i,
  input  logic             s_last_i,
  input  logic [Width-1:0] s_data_i,
  output logic             dropped_o,  // for a cycle, with a packet's last beat
  output logic             m_valid_o,
  input  logic             m_ready_i,
  output logic             m_last_o,
  output logic [Width-1:0] m_data_o
);

  if (Depth < 2 || Depth != 2 ** PlaceBits) begin : gen_bad_depth
    $error("tiara_drop_fifo: Depth is no power of two above 1");
  end
  if (MaxBeats == 0 || MaxBeats > Depth) begin : gen_bad_packet
    $error("tiara_drop_fifo: a packet of MaxBeats does not fit in Depth");
  end

  typedef struct packed {
    logic             last;
    logic [Width-1:0] data;
  } beat_t;

  // What a packet's first beat finds decides for all of them.
  logic [PlaceBits:0] head_q, tail_q, used;  // one bit more than a place: full and empty differ
  logic middle_q, keep_q, keep, in;

  assign used      = tail_q - head_q;
  assign keep      = middle_q ? keep_q : used <= (PlaceBits + 1)'(Depth - MaxBeats);
  assign in        = s_valid_i && keep;
  assign dropped_o = s_valid_i && s_last_i && !keep;

  // A beat goes past the store while that is empty: straight out, or into passed_q if it has to wait.
  // Behind the store's own output register there is no other place, so that it can be block memory.
  beat_t store[Depth];
  beat_t stored_q, passed_q;
  logic out_valid_q, out_stored_q;
  logic free, empty, pass, push, pop;

  assign free  = !out_valid_q || m_ready_i;
  assign empty = used == '0;
  assign pass  = in && empty && free;
  assign push  = in && !pass;
  assign pop   = !empty && free;

  assign m_valid_o = out_valid_q || in;
  assign {m_last_o, m_data_o} = !out_valid_q ? {s_last_i, s_data_i} : out_stored_q ? stored_q : passed_q;

  always_ff @(posedge clk_i) begin
    if (push) store[tail_q[PlaceBits-1:0]] <= {s_last_i, s_data_i};
    if (pop) stored_q <= store[head_q[PlaceBits-1:0]];
    if (pass) passed_q <= {s_last_i, s_data_i};
    if (pop || pass) out_stored_q <= pop;
    if (s_valid_i) keep_q <= keep;
  end

  always_ff @(posedge clk_i) begin
    if (s_valid_i) middle_q <= !s_last_i;
    tail_q      <= tail_q + (PlaceBits + 1)'(push);
    head_q      <= head_q + (PlaceBits + 1)'(pop);
    out_valid_q <= pop || (out_valid_q ? !m_ready_i || pass : in && !m_ready_i);
    if (!rst_ni) begin
      middle_q    <= 1'b0;
      tail_q      <= '0;
      head_q      <= '0;
      out_valid_q <= 1'b0;
    end
  end

  // ---- properties

  logic past_q, waits_q;
  beat_t waiting_q;
  logic [$clog2(MaxBeats+1)-1:0] beats_q;  // of the packet that is coming in

  always_ff @(posedge clk_i) begin
    past_q    <= rst_ni;
    waits_q   <= m_valid_o && !m_ready_i;
    waiting_q <= {m_last_o, m_data_o};
    if (s_valid_i) beats_q <= s_last_i ? '0 : beats_q + 1'b1;
    if (!rst_ni) beats_q <= '0;
    if (past_q && rst_ni) begin
      // 1. Never more beats than places.
      p_1 : assert (used <= (PlaceBits + 1)'(Depth));
      // 2. A beat stays as it is until it is taken.
      p_2 : assert (!waits_q || (m_valid_o && {m_last_o, m_data_o} == waiting_q));
      // 3. What is stored has something before it that shows.
      p_3 : assert (empty || out_valid_q);
      // 4. No packet is longer than MaxBeats: a rule for the source.
      p_4 : assert (!s_valid_i || 32'(beats_q) < MaxBeats);
    end
    c_1 : cover (past_q && rst_ni && dropped_o);
    c_2 : cover (past_q && rst_ni && pass && m_ready_i && !out_valid_q);
    c_3 : cover (past_q && rst_ni && pop && push);
  end

endmodule
